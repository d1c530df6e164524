#include "paired_figures.h"

#include <math.h>
#include <string.h>

static const char *const binary_names[] = {"roc_auc", "accuracy", "balanced_accuracy", "f1", "precision", "recall", "mcc", "log_loss", "brier"};
static const char *const number_names[] = {"rmse", "mae", "r2"};

int sv_paired_figure_find(const char *name, int is_binary)
{
    const char *const *names = is_binary ? binary_names : number_names;
    size_t n = is_binary ? sizeof binary_names / sizeof *binary_names : sizeof number_names / sizeof *number_names;
    for (size_t i = 0; i < n; i++)
        if (!strcmp(names[i], name))
            return (int)i;
    return -1;
}

/* Mann and Whitney's statistic in one walk over the ascending predictions; ties count half. */
static double roc_auc(const sv_paired_rows *r, const uint16_t *counts)
{
    double below = 0, pairs = 0, positives = 0;
    for (size_t i = 0; i < r->n;) {
        double tied[2] = {0, 0}, at = r->predictions[r->order[i]];
        for (; i < r->n && r->predictions[r->order[i]] == at; i++)
            tied[r->target[r->order[i]] != 0] += counts[r->order[i]];
        pairs += tied[1] * (below + tied[0] / 2);
        below += tied[0];
        positives += tied[1];
    }
    return positives > 0 && below > 0 ? pairs / (positives * below) : NAN;
}

static double log_loss(double p, int outcome)
{
    double q = outcome ? p : 1 - p;
    return -log(q > 1e-15 ? q : 1e-15);
}

static double of_binary(int figure, const sv_paired_rows *r, const uint16_t *counts)
{
    double cells[2][2] = {{0}}, loss = 0, square = 0; /* [actual][predicted] */
    if (figure == 0)
        return roc_auc(r, counts);
    for (size_t i = 0; i < r->n; i++) {
        if (!counts[i])
            continue;
        int outcome = r->target[i] != 0;
        double p = r->predictions[i], n = counts[i];
        cells[outcome][p >= r->threshold] += n;
        if (figure == 7)
            loss += n * log_loss(p, outcome);
        square += n * (outcome - p) * (outcome - p);
    }
    double tn = cells[0][0], fp = cells[0][1], fn = cells[1][0], tp = cells[1][1], all = tn + fp + fn + tp;
    switch (figure) {
    case 1:
        return (tp + tn) / all;
    case 2:
        return (tp / (tp + fn) + tn / (tn + fp)) / 2;
    case 3:
        return 2 * tp / (2 * tp + fp + fn);
    case 4:
        return tp / (tp + fp);
    case 5:
        return tp / (tp + fn);
    case 6:
        return (tp * tn - fp * fn) / sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn));
    case 7:
        return loss / all;
    default:
        return square / all;
    }
}

static double of_number(int figure, const sv_paired_rows *r, const uint16_t *counts)
{
    double n = 0, sum = 0, absolute = 0, square = 0, spread = 0;
    for (size_t i = 0; i < r->n; i++) {
        double gap = r->target[i] - r->predictions[i];
        n += counts[i];
        sum += counts[i] * r->target[i];
        absolute += counts[i] * fabs(gap);
        square += counts[i] * gap * gap;
    }
    if (figure == 0)
        return sqrt(square / n);
    if (figure == 1)
        return absolute / n;
    for (size_t i = 0; i < r->n; i++)
        spread += counts[i] * (r->target[i] - sum / n) * (r->target[i] - sum / n);
    return 1 - square / spread;
}

double sv_paired_figure(int figure, const sv_paired_rows *rows, const uint16_t *counts)
{
    return rows->is_binary ? of_binary(figure, rows, counts) : of_number(figure, rows, counts);
}
