#include "feature.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Any bytes: parsed or refused; what parses survives being printed and parsed again, and what compiles evaluates to the same bits alone and in a block. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_print(sv_expr *expr)
{
    sv_buffer once = SV_BUFFER_INIT(0), twice = SV_BUFFER_INIT(0);
    sv_expr *again;
    if (sv_expr_print(&once, sv_expr_root(expr)))
        abort();
    if (!sv_expr_parse(&again, once.data, once.size, NULL, NULL)) { // a longer text may pass a limit
        if (sv_expr_print(&twice, sv_expr_root(again)) || strcmp(once.data, twice.data))
            abort();
        sv_expr_free(again);
    }
    sv_buffer_free(&once);
    sv_buffer_free(&twice);
}

static int is_nan(const void *number)
{
    double x;
    memcpy(&x, number, sizeof x);
    return x != x;
}

static void check_bits(const sv_features *features, int value)
{
    static double x[SV_BLOCK_ROWS], d[SV_BLOCK_ROWS];
    static int32_t s[SV_BLOCK_ROWS];
    static const double specials[] = {0, -0.0, 1, -2.5, 1e300, INFINITY, -INFINITY, NAN};
    const size_t bytes = sv_features_levels(features, value) ? sizeof(int32_t) : sizeof(double);
    char among[16 * sizeof(double)];
    sv_evaluator *evaluator;
    const void *columns[] = {x, d, s};
    for (size_t i = 0; i < 16; i++)
        x[i] = specials[i % 8], d[i] = (double)i * 1000 - 5000, s[i] = (int32_t)(i % 3) - 2;
    if (sv_evaluator_new(&evaluator, features))
        abort();
    sv_evaluator_run(evaluator, &(sv_block){16, columns});
    memcpy(among, sv_evaluator_value(evaluator, value), 16 * bytes);
    for (size_t i = 0; i < 16; i++) {
        const void *row[] = {&x[i], &d[i], &s[i]};
        sv_evaluator_run(evaluator, &(sv_block){1, row});
        const void *alone = sv_evaluator_value(evaluator, value);
        if (memcmp(alone, among + i * bytes, bytes) && !(bytes == sizeof(double) && is_nan(alone) && is_nan(among + i * bytes)))
            abort();
    }
    sv_evaluator_free(evaluator);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sv_expr *expr;
    sv_features *features;
    sv_place place = {0, 0};
    if (sv_expr_parse(&expr, (const char *)data, size, &place, NULL)) {
        if (place.offset > size || place.length > size - place.offset)
            abort();
        return 0;
    }
    check_print(expr);
    if (sv_features_new(&features))
        abort();
    sv_features_add_column(features, "x", SV_DOUBLE, NULL, NULL);
    sv_features_add_column(features, "d", SV_DATE, NULL, NULL);
    sv_features_add_column(features, "s", SV_STRING, NULL, NULL);
    int derived = sv_features_define_expr(features, "value", expr, NULL);
    if (derived >= 0 && !sv_features_compile(features, NULL, NULL, NULL))
        check_bits(features, 3);
    sv_features_free(features);
    return 0;
}
