#include "buffer.h"
#include "generate.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int append(void *context, const char *bytes, size_t length, sv_error *error)
{
    return sv_buffer_append(context, bytes, length);
}

static sv_buffer world(int64_t rows, uint64_t seed)
{
    sv_buffer out = SV_BUFFER_INIT(0);
    cr_assert_eq(sv_generate(rows, seed, append, &out, NULL), 0);
    return out;
}

Test(generate, same_seed_same_bytes_and_fewer_rows_are_the_beginning)
{
    sv_buffer a = world(1000, 7), b = world(1000, 7), c = world(300, 7), d = world(300, 8);
    cr_assert(a.size == b.size && !memcmp(a.data, b.data, a.size));
    cr_assert(c.size < a.size && !memcmp(a.data, c.data, c.size));
    cr_assert(c.size != d.size || memcmp(c.data, d.data, c.size) != 0);
}

/* The outcomes agree with the stated probabilities: in all and in each tenth of probability, within five standard errors. */
Test(generate, the_written_probability_is_the_true_one)
{
    sv_buffer text = world(50000, 42);
    double expected[10] = {0}, variance[10] = {0}, seen[10] = {0}, total = 0;
    char *line = strchr(text.data, '\n') + 1;
    int rows = 0;
    for (char *end; (end = strchr(line, '\n')); line = end + 1, rows++) {
        *end = '\0';
        char *last = strrchr(line, ',');
        double p = strtod(last + 1, NULL);
        int outcome = last[-1] == '1', tenth = p < 1 ? (int)(p * 10) : 9;
        cr_assert(last[-2] == ',' && p > 0 && p < 1);
        expected[tenth] += p;
        variance[tenth] += p * (1 - p);
        seen[tenth] += outcome;
        total += outcome;
    }
    cr_assert_eq(rows, 50000);
    cr_assert(total > 15000 && total < 35000, "both outcomes are common: %g", total);
    for (int i = 0; i < 10; i++)
        cr_expect(fabs(seen[i] - expected[i]) <= 5 * sqrt(variance[i]), "tenth %d: %g seen, %g expected", i, seen[i], expected[i]);
}

static int refuse(void *context, const char *bytes, size_t length, sv_error *error)
{
    return sv_error_set(error, SV_E_IO, "disk full");
}

Test(generate, a_failed_write_ends_it)
{
    sv_error error = SV_ERROR_INIT;
    cr_assert_eq(sv_generate(100000, 1, refuse, NULL, &error), SV_E_IO);
    cr_assert_str_eq(error.message, "disk full");
}
