/* inference.c: Wald's tests (McCullagh, Nelder 1989, 4.4). */
#include "inference.h"

#include "alloc.h"
#include "cholesky.h"

#include <math.h>
#include <string.h>

/* The continued fraction of the incomplete beta function, by Lentz's method (Abramowitz, Stegun 26.5.8). */
static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double f = d;
    for (int m = 1; m <= 10000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)), factor;
        d = 1 + even * d;
        c = 1 + even / c;
        d = 1 / (fabs(d) < tiny ? tiny : d);
        f *= d * (fabs(c) < tiny ? tiny : c);
        d = 1 + odd * d;
        c = 1 + odd / c;
        d = 1 / (fabs(d) < tiny ? tiny : d);
        factor = d * (fabs(c) < tiny ? tiny : c);
        f *= factor;
        if (fabs(factor - 1) < 1e-15) break;
    }
    return f;
}

/* I_x(a, b). */
static double incomplete_beta(double a, double b, double x)
{
    if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double sv_two_sided_p(double statistic, double degrees)
{
    if (isnan(statistic)) return NAN;
    if (degrees <= 0) return erfc(fabs(statistic) / sqrt(2));
    return incomplete_beta(degrees / 2, 0.5, degrees / (degrees + statistic * statistic));
}

double sv_two_sided_quantile(double tail, double degrees)
{
    double low = 0, high = 1e3;
    for (int i = 0; i < 200; i++) {
        double middle = (low + high) / 2;
        if (sv_two_sided_p(middle, degrees) > 2 * tail) low = middle;
        else high = middle;
    }
    return (low + high) / 2;
}

int sv_standard_errors(double *errors, double *degrees, const sv_design *design, sv_loss loss, const double *w, sv_team *team, sv_error *error)
{
    size_t p = design->n_weights, counted = 0;
    sv_objective *objective = NULL;
    double *block = sv_array(2 * p * p + p, sizeof *block), *hessian = block, *inverse = block ? block + p * p : NULL, *gradient = block ? inverse + p * p : NULL, value;
    int rc = block ? 0 : sv_error_set(error, SV_E_MEMORY, "standard errors: out of memory for %zu weights", p);
    for (size_t i = 0; i < p; i++)
        errors[i] = NAN;
    if (!rc) rc = sv_objective_new(&objective, design, loss, 1, 0, team, NULL, error);
    if (!rc) rc = sv_objective_value(objective, w, &value, gradient, hessian, error);
    sv_design_total_weight(design, &counted);
    *degrees = loss == SV_LOSS_SQUARED ? (double)counted - (double)p : 0;
    double largest = 0, scale = loss == SV_LOSS_SQUARED ? 2 * value / *degrees : 1;
    for (size_t i = 0; !rc && i < p; i++)
        largest = fmax(largest, hessian[i * p + i]);
    if (!rc && (sv_cholesky(hessian, p) || !(scale > 0)))
        rc = sv_error_set(error, SV_E_NUMERIC, "standard errors: the features are collinear: drop one, or a level of each category (encode.drop_first)");
    for (size_t i = 0; !rc && i < p; i++)
        if (hessian[i * p + i] * hessian[i * p + i] < 1e-13 * largest)
            rc = sv_error_set(error, SV_E_NUMERIC, "standard errors: the features are collinear: drop one, or a level of each category (encode.drop_first)");
    if (!rc) sv_cholesky_inverse(hessian, p, inverse);
    for (size_t i = 0; !rc && i < p; i++)
        errors[i] = sqrt(scale * inverse[i * p + i]);
    sv_objective_free(objective);
    sv_free(block);
    return rc;
}
