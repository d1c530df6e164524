/* Figures against hand-made cases and against slow definitions; the bootstrap's spread; equal seeds, equal draws. Expected values of the first case: scikit-learn 1.9. */
#include "alloc.h"
#include "figures.h"
#include "prng.h"

#include <criterion/criterion.h>
#include <math.h>

#define NEAR(got, expected) cr_assert(fabs((got) - (expected)) < 1e-12, #got ": expected %.17g, got %.17g", (double)(expected), (double)(got))

Test(figures, ties_count_half)
{
    double p[] = {0.1, 0.4, 0.4, 0.35, 0.8, 0.5, 0.4, 0.9};
    uint8_t y[] = {0, 0, 1, 1, 1, 0, 1, 1};
    double figures[SV_FIGURES];
    uint64_t confusion[2][2];
    sv_cells cells;
    cr_assert_eq(sv_cells_new(&cells, p, y, 8, 0.5, 0), 0);
    sv_cells_figures(figures, &cells);
    sv_cells_confusion(confusion, &cells);
    NEAR(figures[SV_FIGURE_ROC_AUC], 10.0 / 15);
    NEAR(sv_roc_auc(p, y, 8), 10.0 / 15);
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
    cr_assert_eq(sv_cells_new(&cells, p, y, 2, 0.5, 0), 0);
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
    cr_assert_eq(sv_cells_new(&cells, p, y, N, 0.5, 0), 0);
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
    double sum = 0, squares = 0, low, high, values[R];
    draw(p, y);
    cr_assert_eq(sv_cells_new(&cells, p, y, N, 0.5, 64), 0);
    cr_assert_eq(sv_cells_copy(&copy, &cells), 0);
    sv_cells_figures(figures, &cells);
    double accuracy = figures[SV_FIGURE_ACCURACY];
    for (int r = 0; r < R; r++) {
        sv_cells_resample(&copy, &cells, 5, (uint64_t)r);
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
