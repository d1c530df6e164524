#include "nearest.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *const known[] = {"train.max_iter", "train.tolerance", "split.seed", NULL, "c"};

static const char *name(void *context, size_t i)
{
    return known[i];
}

Test(nearest, finds_what_was_meant)
{
    static const struct {
        const char *text, *nearest;
    } cases[] = {
        {"train.maxiter", "train.max_iter"}, {"train.max_itre", "train.max_iter"}, /* a swap is one edit */
        {"split.sede", "split.seed"},        {"x", NULL},
        {"entirely else", NULL},             {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = sv_nearest(cases[i].text, strlen(cases[i].text), name, NULL, 5);
        cr_expect(got == cases[i].nearest || (got && cases[i].nearest && !strcmp(got, cases[i].nearest)), "%s: %s", cases[i].text, got ? got : "none");
    }
    char longest[200];
    memset(longest, 'c', sizeof longest);
    cr_assert_null(sv_nearest(longest, sizeof longest, name, NULL, 5));
}
