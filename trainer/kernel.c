/* kernel.c: compiled once for each vector width where the compiler can choose at load time; a*b+c is never contracted, so all give the same bits. */
#include "kernel.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif

static double lanes_sum(const double lane[SV_LANES])
{
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

#define WIDEN(type)                                                                                                                          \
    {                                                                                                                                        \
        const type *restrict in = (const type *)data + first;                                                                               \
        for (size_t i = 0; i < n; i++)                                                                                                       \
            out[i] = (double)in[i];                                                                                                          \
    }                                                                                                                                        \
    break

CLONES void sv_kernel_widen(double *restrict out, const void *data, sv_store store, size_t first, size_t n)
{
    switch (store) {
    case SV_STORE_I8: WIDEN(int8_t);
    case SV_STORE_I16: WIDEN(int16_t);
    case SV_STORE_I32: WIDEN(int32_t);
    case SV_STORE_I64: WIDEN(int64_t);
    case SV_STORE_F64: memcpy(out, (const double *)data + first, n * sizeof *out); break;
    case SV_STORE_CODE8: WIDEN(uint8_t);
    case SV_STORE_CODE16: WIDEN(uint16_t);
    case SV_STORE_CODE32: WIDEN(uint32_t);
    }
}

CLONES void sv_kernel_add_rows(double *restrict sums, const double *restrict rows, const uint32_t *restrict codes, size_t width, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double *restrict to = sums + codes[i] * width;
        const double *restrict from = rows + i * width;
        for (size_t j = 0; j < width; j += SV_LANES)
            for (int l = 0; l < SV_LANES; l++) to[j + l] += from[j + l];
    }
}

CLONES void sv_kernel_margin(double *restrict z, const double *const *x, const double *centre, const double *u, size_t n_columns, size_t n)
{
    size_t j = 0;
    for (; j + 4 <= n_columns; j += 4) {
        const double *restrict a = x[j], *restrict b = x[j + 1], *restrict c = x[j + 2], *restrict d = x[j + 3];
        double ma = centre[j], mb = centre[j + 1], mc = centre[j + 2], md = centre[j + 3];
        double ua = u[j], ub = u[j + 1], uc = u[j + 2], ud = u[j + 3];
        for (size_t i = 0; i < n; i++)
            z[i] += (ua * (a[i] - ma) + ub * (b[i] - mb)) + (uc * (c[i] - mc) + ud * (d[i] - md));
    }
    for (; j < n_columns; j++) {
        const double *restrict a = x[j];
        double m = centre[j], w = u[j];
        for (size_t i = 0; i < n; i++)
            z[i] += w * (a[i] - m);
    }
}

CLONES void sv_kernel_gradient(double *g, const double *const *x, const double *centre, const double *restrict r, size_t n_columns, size_t n)
{
    size_t j = 0;
    for (; j + 4 <= n_columns; j += 4) {
        double lane[4][SV_LANES] = {{0}};
        const double *restrict a = x[j], *restrict b = x[j + 1], *restrict c = x[j + 2], *restrict d = x[j + 3];
        double ma = centre[j], mb = centre[j + 1], mc = centre[j + 2], md = centre[j + 3];
        for (size_t i = 0; i < n; i += SV_LANES) {
            for (int l = 0; l < SV_LANES; l++) lane[0][l] += r[i + l] * (a[i + l] - ma);
            for (int l = 0; l < SV_LANES; l++) lane[1][l] += r[i + l] * (b[i + l] - mb);
            for (int l = 0; l < SV_LANES; l++) lane[2][l] += r[i + l] * (c[i + l] - mc);
            for (int l = 0; l < SV_LANES; l++) lane[3][l] += r[i + l] * (d[i + l] - md);
        }
        for (int k = 0; k < 4; k++)
            g[j + k] += lanes_sum(lane[k]);
    }
    for (; j < n_columns; j++) {
        double lane[SV_LANES] = {0};
        const double *restrict a = x[j];
        double m = centre[j];
        for (size_t i = 0; i < n; i += SV_LANES)
            for (int l = 0; l < SV_LANES; l++) lane[l] += r[i + l] * (a[i + l] - m);
        g[j] += lanes_sum(lane);
    }
}

CLONES void sv_kernel_squares(double *g, const double *const *x, const double *centre, const double *restrict h, size_t n_columns, size_t n)
{
    for (size_t j = 0; j < n_columns; j++) {
        double lane[SV_LANES] = {0};
        const double *restrict a = x[j];
        double m = centre[j];
        for (size_t i = 0; i < n; i += SV_LANES)
            for (int l = 0; l < SV_LANES; l++) lane[l] += h[i + l] * (a[i + l] - m) * (a[i + l] - m);
        g[j] += lanes_sum(lane);
    }
}

CLONES double sv_kernel_sum(const double *restrict x, size_t n)
{
    double lane[SV_LANES] = {0};
    for (size_t i = 0; i < n; i += SV_LANES)
        for (int l = 0; l < SV_LANES; l++) lane[l] += x[i + l];
    return lanes_sum(lane);
}

/* exp(x) = 2^k exp(r), |r| <= ln 2 / 2, by the Taylor polynomial of degree 13 (remainder below 5e-18), k by adding 1.5 * 2^52. */
static inline __attribute__((always_inline)) double exponential(double x)
{
    const double shift = 0x1.8p52, log2e = 0x1.71547652b82fep0, ln2_high = 0x1.62e42fefa3800p-1, ln2_low = 0x1.ef35793c76730p-45;
    x = x < -708 ? -708 : x;
    x = x > 709 ? 709 : x;
    double t = x * log2e + shift, k = t - shift;
    double r = (x - k * ln2_high) - k * ln2_low, r2 = r * r, r4 = r2 * r2;
    double low = (1 + r) + r2 * (1.0 / 2 + r * (1.0 / 6));
    double mid = (1.0 / 24 + r * (1.0 / 120)) + r2 * (1.0 / 720 + r * (1.0 / 5040));
    double high = (1.0 / 40320 + r * (1.0 / 362880)) + r2 * (1.0 / 3628800 + r * (1.0 / 39916800)) + r4 * (1.0 / 479001600 + r * (1.0 / 6227020800.0));
    double p = low + r4 * (mid + r4 * high), scale;
    uint64_t bits;
    memcpy(&bits, &t, sizeof bits);
    bits = (bits + 1023) << 52; /* the low bits of t hold k */
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

CLONES void sv_kernel_exp(double *out, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = exponential(x[i]);
}

/* loss = log(1 + e^z) - y z, split by sign so that exp never overflows: max(z, 0) - y z + log(1 + e^-|z|).
   The logarithm is taken once for a whole lane: a product of at most 512 factors in [1, 2] stays in range. */
static inline __attribute__((always_inline)) double logistic_unit(const double *restrict z, const double *restrict y, const double *restrict weight, double *restrict r, double *restrict h, size_t n)
{
    double product[SV_LANES], linear[SV_LANES] = {0}, total = 0;
    double e[SV_PASS_ROWS];
    for (size_t i = 0; i < n; i++) {
        double a = fabs(z[i]), v = exponential(-a), inverse = 1 / (1 + v);
        double p = (z[i] >= 0 ? 1.0 : v) * inverse;
        r[i] = weight[i] * (p - y[i]);
        if (h) h[i] = weight[i] * (v * inverse * inverse);
        e[i] = weight[i] * v;
    }
    for (int l = 0; l < SV_LANES; l++) product[l] = 1;
    for (size_t i = 0; i < n; i += SV_LANES)
        for (int l = 0; l < SV_LANES; l++) {
            double positive = z[i + l] > 0 ? z[i + l] : 0.0;
            linear[l] += weight[i + l] * (positive - y[i + l] * z[i + l]);
            product[l] *= 1 + e[i + l];
        }
    for (int l = 0; l < SV_LANES; l++) total += log(product[l]);
    return total + lanes_sum(linear);
}

CLONES static double logistic_h(const double *z, const double *y, const double *weight, double *r, double *h, size_t n)
{
    return logistic_unit(z, y, weight, r, h, n);
}

CLONES static double logistic_r(const double *z, const double *y, const double *weight, double *r, size_t n)
{
    return logistic_unit(z, y, weight, r, NULL, n);
}

CLONES static double logistic_weighted(const double *restrict z, const double *restrict y, const double *restrict weight, double *restrict r, double *restrict h, size_t n)
{
    double e[SV_PASS_ROWS], total = 0;
    for (size_t i = 0; i < n; i++) {
        double a = fabs(z[i]), v = exponential(-a), inverse = 1 / (1 + v);
        double p = (z[i] >= 0 ? 1.0 : v) * inverse;
        r[i] = weight[i] * (p - y[i]);
        if (h) h[i] = weight[i] * (v * inverse * inverse);
        e[i] = v;
    }
    for (size_t i = 0; i < n; i++)
        total += weight[i] * ((z[i] > 0 ? z[i] : 0.0) - y[i] * z[i] + log1p(e[i]));
    return total;
}

double sv_kernel_logistic(const double *z, const double *y, const double *weight, int unit, double *r, double *h, size_t n)
{
    if (!unit) return logistic_weighted(z, y, weight, r, h, n);
    return h ? logistic_h(z, y, weight, r, h, n) : logistic_r(z, y, weight, r, n);
}

double sv_kernel_squared(const double *z, const double *y, const double *weight, double *r, double *h, size_t n)
{
    double lane[SV_LANES] = {0};
    for (size_t i = 0; i < n; i += SV_LANES)
        for (int l = 0; l < SV_LANES; l++) {
            double miss = z[i + l] - y[i + l];
            r[i + l] = weight[i + l] * miss;
            lane[l] += r[i + l] * miss;
        }
    if (h) memcpy(h, weight, n * sizeof *h);
    return 0.5 * lanes_sum(lane);
}

CLONES double sv_kernel_poisson(const double *restrict z, const double *restrict y, const double *restrict weight, double *restrict r, double *restrict h, size_t n)
{
    double lane[SV_LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        double rate = exponential(z[i]);
        r[i] = weight[i] * (rate - y[i]);
        if (h) h[i] = weight[i] * rate;
        lane[i % SV_LANES] += weight[i] * (rate - y[i] * z[i]);
    }
    return lanes_sum(lane);
}

CLONES double sv_kernel_softmax(const double *z, const double *y, const double *weight, double *r, double *h, size_t n_classes, size_t stride, size_t n)
{
    double top[SV_PASS_ROWS], sum[SV_PASS_ROWS], total = 0;
    memcpy(top, z, n * sizeof *top);
    memset(sum, 0, n * sizeof *sum);
    for (size_t k = 1; k < n_classes; k++)
        for (size_t i = 0; i < n; i++)
            top[i] = z[k * stride + i] > top[i] ? z[k * stride + i] : top[i];
    for (size_t k = 0; k < n_classes; k++)
        for (size_t i = 0; i < n; i++) {
            double v = exponential(z[k * stride + i] - top[i]);
            r[k * stride + i] = v;
            sum[i] += v;
        }
    for (size_t i = 0; i < n; i++)
        total += weight[i] * (log(sum[i]) + top[i] - z[(size_t)y[i] * stride + i]);
    for (size_t k = 0; k < n_classes; k++)
        for (size_t i = 0; i < n; i++) {
            double p = r[k * stride + i] / sum[i];
            if (h) h[k * stride + i] = weight[i] * p * (1 - p);
            r[k * stride + i] = weight[i] * (p - (y[i] == (double)k ? 1.0 : 0.0));
        }
    return total;
}
