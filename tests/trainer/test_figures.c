/* Figures against hand-made cases and against slow definitions; the bootstrap's spread; equal seeds, equal draws. Expected values of the first case: scikit-learn 1.9. */
#include "alloc.h"
#include "audit_figures.h"
#include "figures.h"
#include "prng.h"
#include "ranking.h"

#include <criterion/criterion.h>
#include <math.h>

#define NEAR(got, expected) cr_assert(fabs((got) - (expected)) < 1e-12, #got ": expected %.17g, got %.17g", (double)(expected), (double)(got))

static uint64_t *make_keys(const double *p, const uint8_t *y, size_t n)
{
    uint64_t *keys = sv_array(n, sizeof *keys);
    for (size_t i = 0; i < n; i++)
        keys[i] = sv_ranking_key(p[i], y[i]);
    cr_assert_eq(sv_ranking_sort(keys, n, NULL), 0);
    return keys;
}

static void make_cells(sv_cells *cells, const double *p, const uint8_t *y, size_t n, size_t most)
{
    uint64_t *keys = make_keys(p, y, n);
    cr_assert_eq(sv_ranking_cells(cells, keys, n, 0.5, most, NULL), 0);
    sv_free(keys);
}

Test(figures, ties_count_half)
{
    double p[] = {0.1, 0.4, 0.4, 0.35, 0.8, 0.5, 0.4, 0.9};
    uint8_t y[] = {0, 0, 1, 1, 1, 0, 1, 1};
    double figures[SV_FIGURES];
    uint64_t confusion[2][2];
    sv_cells cells;
    make_cells(&cells, p, y, 8, 0);
    sv_cells_figures(figures, &cells);
    sv_cells_confusion(confusion, &cells);
    NEAR(figures[SV_FIGURE_ROC_AUC], 10.0 / 15);
    double target[8];
    uint8_t parts[8];
    sv_audit_feature alone = {0};
    for (int i = 0; i < 8; i++) {
        target[i] = y[i];
        parts[i] = SV_PART_TRAIN;
    }
    sv_audit_figures(&alone, &(sv_audit_input){.values = p, .target = target, .parts = parts, .n = 8, .target_type = SV_BOOLEAN});
    NEAR(alone.auc, 10.0 / 15);
    NEAR(figures[SV_FIGURE_PR_AUC], (2 * 1.0 + 2 * 4.0 / 6 + 5.0 / 7) / 5);
    NEAR(figures[SV_FIGURE_ACCURACY], 4.0 / 8);
    NEAR(figures[SV_FIGURE_BALANCED_ACCURACY], (2.0 / 5 + 2.0 / 3) / 2);
    NEAR(figures[SV_FIGURE_F1], 4.0 / (4 + 1 + 3));
    NEAR(figures[SV_FIGURE_PRECISION], 2.0 / 3);
    NEAR(figures[SV_FIGURE_KS], 0.8 - 2.0 / 3 > 0.4 ? 0.8 - 2.0 / 3 : 0.4);
    NEAR(figures[SV_FIGURE_BRIER], (0.01 + 0.16 + 0.36 + 0.4225 + 0.04 + 0.25 + 0.36 + 0.01) / 8);
    cr_assert(confusion[0][0] == 2 && confusion[0][1] == 1 && confusion[1][0] == 3 && confusion[1][1] == 2);
    sv_cells_free(&cells);
}

Test(figures, one_class_alone_has_no_curve)
{
    double p[] = {0.2, 0.7}, figures[SV_FIGURES];
    uint8_t y[] = {1, 1};
    sv_cells cells;
    make_cells(&cells, p, y, 2, 0);
    sv_cells_figures(figures, &cells);
    cr_assert(isnan(figures[SV_FIGURE_ROC_AUC]) && isnan(figures[SV_FIGURE_KS]));
    NEAR(figures[SV_FIGURE_ACCURACY], 0.5);
    sv_cells_free(&cells);
}

static double naive_auc(const double *p, const uint8_t *y, size_t n)
{
    double wins = 0, pairs = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            if (y[i] && !y[j]) {
                wins += p[i] > p[j] ? 1 : p[i] == p[j] ? 0.5 : 0;
                pairs++;
            }
    return wins / pairs;
}

enum { N = 1500 };

static void draw(double *p, uint8_t *y)
{
    sv_prng prng;
    sv_prng_seed(&prng, 11);
    for (int i = 0; i < N; i++) {
        p[i] = floor(200 * sv_prng_uniform(&prng)) / 200;
        y[i] = sv_prng_uniform(&prng) < p[i];
    }
}

Test(figures, area_is_the_share_of_pairs_in_order)
{
    static double p[N], figures[SV_FIGURES];
    static uint8_t y[N];
    sv_cells cells;
    draw(p, y);
    make_cells(&cells, p, y, N, 0);
    sv_cells_figures(figures, &cells);
    NEAR(figures[SV_FIGURE_ROC_AUC], naive_auc(p, y, N));
    sv_cells_free(&cells);
}

/* The deviation of a resampled accuracy is that of a mean of N independent rows. */
Test(figures, resampled_rows_spread_as_rows_do)
{
    static double p[N], figures[SV_FIGURES];
    static uint8_t y[N];
    enum { R = 2000 };
    sv_cells cells, copy;
    sv_chance(*chances)[2];
    double sum = 0, squares = 0, low, high, values[R];
    draw(p, y);
    make_cells(&cells, p, y, N, 64);
    cr_assert_eq(sv_cells_copy(&copy, &cells), 0);
    cr_assert_eq(sv_chances_new(&chances, &cells), 0);
    sv_cells_figures(figures, &cells);
    double accuracy = figures[SV_FIGURE_ACCURACY];
    for (int r = 0; r < R; r++) {
        sv_cells_resample(&copy, &cells, (const sv_chance(*)[2])chances, 5, (uint64_t)r);
        double rows = 0;
        for (size_t k = 0; k < copy.n; k++)
            rows += copy.cells[k].positives + copy.cells[k].negatives;
        cr_assert_eq(rows, N);
        sv_cells_figures(figures, &copy);
        values[r] = figures[SV_FIGURE_ACCURACY];
        sum += values[r];
        squares += values[r] * values[r];
    }
    double deviation = sqrt(squares / R - sum / R * (sum / R)), expected = sqrt(accuracy * (1 - accuracy) / N);
    cr_assert(fabs(sum / R - accuracy) < 4 * expected / sqrt(R), "mean: expected %g, got %g", accuracy, sum / R);
    cr_assert(fabs(deviation / expected - 1) < 0.12, "deviation: expected %g, got %g", expected, deviation); /* strata: a little less */
    sv_interval(values, R, 0.95, &low, &high);
    cr_assert(low < accuracy && accuracy < high && fabs((high - low) / (3.92 * expected) - 1) < 0.15);
    sv_free(chances);
    sv_cells_free(&cells);
    sv_cells_free(&copy);
}

Test(figures, ranking_is_stable_and_takes_any_number)
{
    double x[] = {3, -1, NAN, INFINITY, -INFINITY, 0.0, -0.0, 3};
    uint32_t order[8], expected[] = {2, 4, 1, 5, 6, 0, 7, 3};
    cr_assert_eq(sv_rank(order, x, 8), 0);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(order[i], expected[i], "place %d: expected row %u, got %u", i, expected[i], order[i]);
    double sorted[] = {3, -1, INFINITY, -INFINITY, 0.0, 1e-310, -7.5, 3}, ascending[] = {-INFINITY, -7.5, -1, 0, 1e-310, 3, 3, INFINITY};
    cr_assert_eq(sv_sort(sorted, 8), 0);
    for (int i = 0; i < 8; i++)
        cr_assert_eq(sorted[i], ascending[i], "place %d: expected %g, got %g", i, ascending[i], sorted[i]);
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Keys of every kind of crowding: spread, tied, packed into one octave or the last places of one number, equal. */
Test(ranking, sorts_as_qsort_does)
{
    static const size_t sizes[] = {0, 1, 2, 25, 300, 70000, 200000};
    sv_team *team;
    sv_error error = SV_ERROR_INIT;
    sv_prng prng;
    cr_assert_eq(sv_team_new(&team, 3, &error), 0);
    sv_prng_seed(&prng, 5);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int kind = 0; kind < 6; kind++) {
            size_t n = sizes[s];
            uint64_t *keys = sv_array(n + 1, sizeof *keys), *expected = sv_array(n + 1, sizeof *expected);
            for (size_t i = 0; i < n; i++) {
                double u = sv_prng_uniform(&prng);
                keys[i] = kind == 0 ? sv_ranking_key(u, u > 0.7) : kind == 1 ? sv_ranking_key(floor(u * 10) / 10, i & 1) : kind == 2 ? sv_ranking_key(1 - 1e-12 * u, 1)
                          : kind == 3 ? sv_ranking_key(pow(u, 40), 0) : kind == 4 ? sv_ranking_key(0.25, 0) : sv_prng_next(&prng);
            }
            memcpy(expected, keys, n * sizeof *keys);
            qsort(expected, n, sizeof *keys, ascending);
            cr_assert_eq(sv_ranking_sort(keys, n, s % 2 ? team : NULL), 0);
            cr_assert(!n || !memcmp(keys, expected, n * sizeof *keys), "%zu keys of kind %d", n, kind);
            sv_free(keys);
            sv_free(expected);
        }
    sv_team_free(team);
}

static double reliability_gap(const double *p, const uint8_t *y, size_t n)
{
    double bins[10][2] = {{0}}, gap = 0;
    for (size_t i = 0; i < n; i++) {
        bins[p[i] >= 1 ? 9 : (int)(10 * p[i])][0] += p[i];
        bins[p[i] >= 1 ? 9 : (int)(10 * p[i])][1] += y[i];
    }
    for (int b = 0; b < 10; b++)
        gap += fabs(bins[b][0] - bins[b][1]);
    return gap / (double)n;
}

/* The walk by pieces gives what a cell for each distinct probability gives, and row by row sums. */
Test(ranking, figures_are_those_of_single_rows)
{
    static const double threshold = 0.5;
    static double p[N], figures[SV_FIGURES];
    static uint8_t y[N];
    for (int crowded = 0; crowded < 2; crowded++) {
        draw(p, y);
        for (int i = 0; i < N && !crowded; i++)
            p[i] = i % 7 ? p[i] * p[i] * (1 - 1e-9 * i) : i % 14 ? 1 : 0;
        uint64_t *keys = make_keys(p, y, N), confusion[2][2];
        sv_cells exact;
        sv_ranked ranked;
        double loss = 0;
        cr_assert_eq(sv_ranking_cells(&exact, keys, N, threshold, 0, NULL), 0);
        cr_assert_eq(sv_ranking_judge(&ranked, keys, N, threshold, 60, NULL), 0);
        cr_assert(ranked.cells.n <= 64, "%zu cells", ranked.cells.n);
        sv_cells_figures(figures, &exact);
        sv_cells_confusion(confusion, &exact);
        for (int f = 0; f < SV_FIGURES; f++)
            if (f != SV_FIGURE_ECE) NEAR(ranked.figures[f], figures[f]);
        NEAR(ranked.figures[SV_FIGURE_ROC_AUC], naive_auc(p, y, N));
        NEAR(ranked.figures[SV_FIGURE_ECE], reliability_gap(p, y, N));
        for (int i = 0; i < N; i++) {
            double q = y[i] ? p[i] : 1 - p[i];
            loss -= log(q < 2.220446049250313e-16 ? 2.220446049250313e-16 : q) / N;
        }
        NEAR(ranked.figures[SV_FIGURE_LOG_LOSS], loss);
        cr_assert_eq(memcmp(confusion, ranked.confusion, sizeof confusion), 0);
        sv_ranked_free(&ranked);
        sv_cells_free(&exact);
        sv_free(keys);
    }
}

Test(ranking, merged_cells_keep_rows_and_threshold)
{
    static double p[N];
    static uint8_t y[N];
    sv_cells cells, pairs;
    draw(p, y);
    make_cells(&cells, p, y, N, 33);
    cr_assert_eq(sv_cells_merge(&pairs, &cells, 2), 0);
    double rows = 0, above[2] = {0}, loss[2] = {0};
    for (size_t k = 0; k < pairs.n; k++) {
        rows += pairs.cells[k].positives + pairs.cells[k].negatives;
        above[0] += k >= pairs.first_predicted ? pairs.cells[k].positives : 0;
        loss[0] += pairs.cells[k].loss_positive * (pairs.cells[k].positives + pairs.cells[k].negatives);
    }
    for (size_t k = 0; k < cells.n; k++) {
        above[1] += k >= cells.first_predicted ? cells.cells[k].positives : 0;
        loss[1] += cells.cells[k].loss_positive * (cells.cells[k].positives + cells.cells[k].negatives);
    }
    cr_assert(pairs.n <= cells.n / 2 + 2 && rows == N && above[0] == above[1]);
    cr_assert(fabs(loss[0] / loss[1] - 1) < 1e-12);
    sv_cells_free(&cells);
    sv_cells_free(&pairs);
}
