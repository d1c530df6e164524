/* nearest.c: did you mean? The optimal string alignment distance: insertion, deletion, change, and neighbours swapped, each counting one. */
#include "expr.h"

#include <string.h>

enum { LENGTH_MAX = 63 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t rows[3][LENGTH_MAX + 1], *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= nb; j++)
        last[j] = j;
    for (size_t i = 1; i <= na; i++) {
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t change = lower(a[i - 1]) != lower(b[j - 1]);
            now[j] = least(least(last[j], now[j - 1]) + 1, last[j - 1] + change);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
                now[j] = least(now[j], before[j - 2] + 1);
        }
        size_t *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[nb];
}

const char *sv_nearest_name(const char *wrong, const char *const *names, size_t n)
{
    size_t length = strlen(wrong), best = length < 3 ? 2 : length / 3 + 1;
    const char *found = NULL;
    for (size_t i = 0; i < n && length <= LENGTH_MAX; i++) {
        size_t other = strlen(names[i]);
        if (other > LENGTH_MAX || other >= length + best || length >= other + best)
            continue;
        size_t d = distance(wrong, length, names[i], other);
        if (d < best && d < length) {
            best = d;
            found = names[i];
        }
    }
    return found;
}
