/* ranking.c: sorting by the leading bits first, then each bucket by itself; figures by pieces of the order, which threads walk apart and which are added up in order. */
#include "ranking.h"

#include "alloc.h"

#include <math.h>

/* ---- order ---- */

enum { BUCKETS = 2048, SMALL_BUCKETS = 256, FEW = 24, CHUNK_ROWS = 1 << 16 };

static int shift_for(uint64_t range, uint64_t n_buckets)
{
    int shift = 0;
    while (range >> shift >= n_buckets)
        shift++;
    return shift;
}

static void insert_sorted(uint64_t *keys, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t key = keys[i];
        size_t at = i;
        for (; at && keys[at - 1] > key; at--)
            keys[at] = keys[at - 1];
        keys[at] = key;
    }
}

/* Sorts a[0..n); spare: as many places. The range shrinks at least 256 times with every call: at most eight deep. */
static void sort_range(uint64_t *a, uint64_t *spare, size_t n)
{
    uint64_t low = n ? a[0] : 0, high = low;
    size_t ends[SMALL_BUCKETS] = {0}, sum = 0;
    if (n <= FEW) {
        insert_sorted(a, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        low = a[i] < low ? a[i] : low;
        high = a[i] > high ? a[i] : high;
    }
    if (low == high) return;
    int shift = shift_for(high - low, SMALL_BUCKETS);
    for (size_t i = 0; i < n; i++)
        ends[(a[i] - low) >> shift]++;
    for (size_t b = 0; b < SMALL_BUCKETS; b++) {
        size_t here = ends[b];
        ends[b] = sum;
        sum += here;
    }
    for (size_t i = 0; i < n; i++)
        spare[ends[(a[i] - low) >> shift]++] = a[i];
    memcpy(a, spare, n * sizeof *a);
    for (size_t b = 0, begin = 0; shift && b < SMALL_BUCKETS; begin = ends[b++])
        if (ends[b] - begin > 1) sort_range(a + begin, spare + begin, ends[b] - begin);
}

typedef struct sorting {
    uint64_t *keys, *spare;
    size_t n, n_chunks;
    uint64_t (*ranges)[2];    /* (n_chunks) least and greatest key */
    size_t (*places)[BUCKETS]; /* (n_chunks) counts, then where the chunk's next key of that bucket goes */
    uint64_t low;
    int shift;
} sorting;

static size_t chunk_end(const sorting *s, size_t chunk)
{
    return (chunk + 1) * CHUNK_ROWS < s->n ? (chunk + 1) * CHUNK_ROWS : s->n;
}

static void range_task(void *context, size_t chunk, size_t worker)
{
    const sorting *s = context;
    uint64_t low = UINT64_MAX, high = 0;
    (void)worker;
    for (size_t i = chunk * CHUNK_ROWS; i < chunk_end(s, chunk); i++) {
        low = s->keys[i] < low ? s->keys[i] : low;
        high = s->keys[i] > high ? s->keys[i] : high;
    }
    s->ranges[chunk][0] = low;
    s->ranges[chunk][1] = high;
}

static void count_task(void *context, size_t chunk, size_t worker)
{
    const sorting *s = context;
    (void)worker;
    for (size_t i = chunk * CHUNK_ROWS; i < chunk_end(s, chunk); i++)
        s->places[chunk][(s->keys[i] - s->low) >> s->shift]++;
}

static void deal_task(void *context, size_t chunk, size_t worker)
{
    const sorting *s = context;
    (void)worker;
    for (size_t i = chunk * CHUNK_ROWS; i < chunk_end(s, chunk); i++)
        s->spare[s->places[chunk][(s->keys[i] - s->low) >> s->shift]++] = s->keys[i];
}

/* A bucket, now together: what the last chunk's place has become is its end. */
static void bucket_task(void *context, size_t bucket, size_t worker)
{
    const sorting *s = context;
    size_t begin = bucket ? s->places[s->n_chunks - 1][bucket - 1] : 0, n = s->places[s->n_chunks - 1][bucket] - begin;
    (void)worker;
    sort_range(s->spare + begin, s->keys + begin, n);
    memcpy(s->keys + begin, s->spare + begin, n * sizeof *s->keys);
}

int sv_ranking_sort(uint64_t *keys, size_t n, sv_team *team)
{
    sorting s = {.keys = keys, .n = n, .n_chunks = (n + CHUNK_ROWS - 1) / CHUNK_ROWS, .low = UINT64_MAX};
    uint64_t high = 0;
    size_t sum = 0;
    if (n < 2) return 0;
    s.spare = sv_array(n, sizeof *s.spare);
    s.ranges = sv_array(s.n_chunks, sizeof *s.ranges);
    s.places = sv_calloc(s.n_chunks, sizeof *s.places);
    int rc = s.spare && s.ranges && s.places ? 0 : SV_E_MEMORY;
    if (!rc) sv_team_run(team, s.n_chunks, range_task, &s);
    for (size_t c = 0; !rc && c < s.n_chunks; c++) {
        s.low = s.ranges[c][0] < s.low ? s.ranges[c][0] : s.low;
        high = s.ranges[c][1] > high ? s.ranges[c][1] : high;
    }
    if (!rc && high > s.low) {
        s.shift = shift_for(high - s.low, BUCKETS);
        sv_team_run(team, s.n_chunks, count_task, &s);
        for (size_t b = 0; b < BUCKETS; b++)
            for (size_t c = 0; c < s.n_chunks; c++) {
                size_t here = s.places[c][b];
                s.places[c][b] = sum;
                sum += here;
            }
        sv_team_run(team, s.n_chunks, deal_task, &s);
        sv_team_run(team, BUCKETS, bucket_task, &s);
    }
    sv_free(s.spare);
    sv_free(s.ranges);
    sv_free(s.places);
    return rc;
}

/* ---- pieces: rows of one cell and one bar, all on one side of the threshold ---- */

typedef struct piece {
    size_t begin, end, cell, bar;
    double positives;
    double up, down;                  /* positives and negatives above it */
    double area, precision, distance; /* parts of the areas; the largest distance of the two curves, times both classes' rows */
    double p, loss, loss_positive, loss_negative, square, square_positive, square_negative; /* sums */
} piece;

typedef struct walk {
    const uint64_t *keys;
    piece *pieces;
    size_t n_pieces;
    double positives, negatives;
} walk;

static int bar_of(double p)
{
    return p >= 1 ? SV_RANKING_BARS - 1 : (int)(SV_RANKING_BARS * p);
}

/* The first row of [from, n) whose bar is at least `bar`. */
static size_t find_bar(const uint64_t *keys, size_t from, size_t n, int bar)
{
    while (from < n) {
        size_t middle = from + (n - from) / 2;
        if (bar_of(sv_ranking_p(keys[middle])) < bar) from = middle + 1;
        else n = middle;
    }
    return from;
}

static size_t find_threshold(const uint64_t *keys, size_t n, double threshold)
{
    size_t from = 0;
    while (from < n) {
        size_t middle = from + (n - from) / 2;
        if (sv_ranking_p(keys[middle]) < threshold) from = middle + 1;
        else n = middle;
    }
    return from;
}

/* The end of the cell that begins at row `from`: behind per_cell rows and those that tie with the last of them; never beyond the threshold's row. */
static size_t cell_end(const uint64_t *keys, size_t n, size_t from, size_t per_cell, size_t predicted)
{
    size_t end = n - from > per_cell ? from + per_cell : n;
    while (end < n && keys[end] >> 1 == keys[end - 1] >> 1)
        end++;
    return from < predicted && predicted < end ? predicted : end;
}

/* The pieces in order into `out`, or with NULL only how many. */
static size_t cut(piece *out, const uint64_t *keys, size_t n, size_t per_cell, size_t predicted, int by_bars)
{
    size_t count = 0, cell = 0;
    for (size_t from = 0; from < n; cell++) {
        size_t end = cell_end(keys, n, from, per_cell, predicted);
        while (from < end) {
            int bar = bar_of(sv_ranking_p(keys[from]));
            size_t stop = by_bars ? find_bar(keys, from, end, bar + 1) : end;
            if (out) out[count] = (piece){.begin = from, .end = stop, .cell = cell, .bar = (size_t)bar};
            count++;
            from = stop;
        }
    }
    return count;
}

static void count_piece(void *context, size_t k, size_t worker)
{
    const walk *w = context;
    uint64_t positives = 0;
    (void)worker;
    for (size_t i = w->pieces[k].begin; i < w->pieces[k].end; i++)
        positives += w->keys[i] & 1;
    w->pieces[k].positives = (double)positives;
}

/* Rows of equal probability, downwards: ranks, precision by recall, the distance of the two curves. */
static void rank_piece(piece *s, const walk *w)
{
    double up = s->up, down = s->down;
    for (size_t i = s->end; i > s->begin;) {
        uint64_t p = w->keys[i - 1] >> 1;
        double tied = 0, tied_positives = 0;
        for (; i > s->begin && w->keys[i - 1] >> 1 == p; i--) {
            tied++;
            tied_positives += (double)(w->keys[i - 1] & 1);
        }
        s->area += (tied - tied_positives) * (up + tied_positives / 2);
        up += tied_positives;
        down += tied - tied_positives;
        if (tied_positives > 0) s->precision += tied_positives * up / (up + down);
        s->distance = fmax(s->distance, fabs(up * w->negatives - down * w->positives));
    }
}

static double clipped(double p)
{
    return p < 2.220446049250313e-16 ? 2.220446049250313e-16 : p; /* as scikit-learn does */
}

/* Sums over rows. Sixteen clipped factors cannot underflow: one logarithm for their product. */
static void sum_piece(piece *s, const walk *w)
{
    for (size_t begin = s->begin; begin < s->end; begin += 16) {
        size_t end = begin + 16 < s->end ? begin + 16 : s->end;
        double of_row = 1, of_positive = 1, of_negative = 1;
        for (size_t i = begin; i < end; i++) {
            double p = sv_ranking_p(w->keys[i]), q = 1 - p, here = clipped(p), other = clipped(q);
            int positive = (int)(w->keys[i] & 1);
            of_positive *= here;
            of_negative *= other;
            of_row *= positive ? here : other;
            s->p += p;
            s->square_positive += q * q;
            s->square_negative += p * p;
            s->square += positive ? q * q : p * p;
        }
        s->loss -= log(of_row);
        s->loss_positive -= log(of_positive);
        s->loss_negative -= log(of_negative);
    }
}

static void walk_piece(void *context, size_t k, size_t worker)
{
    const walk *w = context;
    (void)worker;
    rank_piece(&w->pieces[k], w);
    sum_piece(&w->pieces[k], w);
}

static int walk_all(walk *w, const uint64_t *keys, size_t n, double threshold, size_t most, int by_bars, sv_team *team)
{
    size_t per_cell = most ? (n + most - 1) / most : 1, predicted = find_threshold(keys, n, threshold);
    *w = (walk){.keys = keys, .n_pieces = cut(NULL, keys, n, per_cell, predicted, by_bars)};
    w->pieces = sv_array(w->n_pieces + 1, sizeof *w->pieces);
    if (!w->pieces) return SV_E_MEMORY;
    cut(w->pieces, keys, n, per_cell, predicted, by_bars);
    sv_team_run(team, w->n_pieces, count_piece, w);
    for (size_t k = w->n_pieces; k-- > 0;) {
        piece *s = &w->pieces[k];
        s->up = w->positives;
        s->down = w->negatives;
        w->positives += s->positives;
        w->negatives += (double)(s->end - s->begin) - s->positives;
    }
    sv_team_run(team, w->n_pieces, walk_piece, w);
    return 0;
}

/* ---- what the pieces add up to ---- */

static void close_cell(sv_cell *cell)
{
    double n = cell->positives + cell->negatives;
    cell->p /= n;
    cell->loss_positive /= n;
    cell->loss_negative /= n;
    cell->square_positive /= n;
    cell->square_negative /= n;
}

static int make_cells(sv_cells *out, const walk *w, double threshold)
{
    size_t n_cells = w->n_pieces ? w->pieces[w->n_pieces - 1].cell + 1 : 0;
    *out = (sv_cells){.n = n_cells, .cells = sv_calloc(n_cells + 1, sizeof *out->cells), .positives = w->positives, .negatives = w->negatives};
    if (!out->cells) return SV_E_MEMORY;
    for (size_t k = 0; k < w->n_pieces; k++) {
        const piece *s = &w->pieces[k];
        sv_cell *cell = &out->cells[s->cell];
        cell->p += s->p;
        cell->positives += s->positives;
        cell->negatives += (double)(s->end - s->begin) - s->positives;
        cell->loss_positive += s->loss_positive;
        cell->loss_negative += s->loss_negative;
        cell->square_positive += s->square_positive;
        cell->square_negative += s->square_negative;
        if (sv_ranking_p(w->keys[s->begin]) < threshold) out->first_predicted = s->cell + 1;
    }
    for (size_t c = 0; c < n_cells; c++)
        close_cell(&out->cells[c]);
    return 0;
}

static void add_up(sv_ranked *out, const walk *w)
{
    double area = 0, precision = 0, distance = 0, loss = 0, square = 0, gap = 0, P = w->positives, N = w->negatives;
    for (size_t k = 0; k < w->n_pieces; k++) {
        const piece *s = &w->pieces[k];
        area += s->area;
        precision += s->precision;
        distance = fmax(distance, s->distance);
        loss += s->loss;
        square += s->square;
        out->bars[s->bar].p += s->p;
        out->bars[s->bar].positives += s->positives;
        out->bars[s->bar].negatives += (double)(s->end - s->begin) - s->positives;
    }
    for (int b = 0; b < SV_RANKING_BARS; b += 4) {
        double p = 0, positives = 0;
        for (int k = b; k < b + 4; k++) {
            p += out->bars[k].p;
            positives += out->bars[k].positives;
        }
        gap += fabs(p - positives);
    }
    sv_cells_figures(out->figures, &out->cells); /* those of labels are exact, the others follow */
    out->figures[SV_FIGURE_ROC_AUC] = area / P / N;
    out->figures[SV_FIGURE_PR_AUC] = precision / P;
    out->figures[SV_FIGURE_KS] = P > 0 && N > 0 ? distance / (P * N) : NAN;
    out->figures[SV_FIGURE_LOG_LOSS] = loss / (P + N);
    out->figures[SV_FIGURE_BRIER] = square / (P + N);
    out->figures[SV_FIGURE_ECE] = gap / (P + N);
    sv_cells_confusion(out->confusion, &out->cells);
}

int sv_ranking_cells(sv_cells *out, const uint64_t *keys, size_t n, double threshold, size_t most, sv_team *team)
{
    walk w;
    int rc = walk_all(&w, keys, n, threshold, most, 0, team);
    *out = (sv_cells){0};
    if (!rc) rc = make_cells(out, &w, threshold);
    sv_free(w.pieces);
    return rc;
}

int sv_ranking_judge(sv_ranked *out, const uint64_t *keys, size_t n, double threshold, size_t most, sv_team *team)
{
    walk w;
    int rc = walk_all(&w, keys, n, threshold, most, 1, team);
    *out = (sv_ranked){0};
    if (!rc) rc = make_cells(&out->cells, &w, threshold);
    if (!rc) add_up(out, &w);
    sv_free(w.pieces);
    return rc;
}

void sv_ranked_free(sv_ranked *ranked)
{
    if (ranked) sv_cells_free(&ranked->cells);
}
