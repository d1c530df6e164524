#include "nearest.h"

#include <string.h>

enum { LONGEST = 64 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int distance(const char *a, size_t n, const char *b, size_t m)
{
    int rows[3][LONGEST + 1], *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= m; j++)
        above[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            row[j] = least(above[j - 1] + (a[i - 1] != b[j - 1]), least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        int *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[m];
}

const char *sv_nearest(const char *text, size_t length, sv_nearest_lookup name, void *context, size_t count)
{
    const char *best = NULL;
    int best_distance = LONGEST;
    if (length > LONGEST)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const char *known = name(context, i);
        size_t known_length = known ? strlen(known) : LONGEST + 1;
        if (known_length > LONGEST)
            continue;
        int d = distance(text, length, known, known_length);
        if (d < best_distance && d <= (int)(known_length + 1) / 3) {
            best = known;
            best_distance = d;
        }
    }
    return best;
}
