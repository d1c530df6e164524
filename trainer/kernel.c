/* kernel.c: compiled once for each vector width where the compiler can choose at load time; a*b+c is never contracted, so all give the same bits
   (tests/trainer/test_bits.py compiles it with CLONES empty, for one width alone, and compares). */
#include "kernel.h"

#include <math.h>
#include <string.h>

#if defined(CLONES)
#elif defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif

#pragma GCC diagnostic ignored "-Wpsabi" /* lanes are handed over by functions that are always inlined: no ABI is concerned */

/* Eight lanes; the compiler cuts them into what the machine has. */
typedef double lanes __attribute__((vector_size(SV_LANES * sizeof(double))));
typedef double lanes_anywhere __attribute__((vector_size(SV_LANES * sizeof(double)), aligned(sizeof(double)), may_alias));

#define AT(x, i) (*(lanes_anywhere *)&(x)[i])
#define IN(x, i) (*(const lanes_anywhere *)&(x)[i])

#define SUM_LANES(lane) ((((lane)[0] + (lane)[4]) + ((lane)[2] + (lane)[6])) + (((lane)[1] + (lane)[5]) + ((lane)[3] + (lane)[7])))

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

void sv_kernel_gather(void *out, const void *data, size_t size, const size_t *runs, size_t n_runs)
{
    char *to = out;
    for (size_t r = 0; r < n_runs; r++, to += SV_LANES * size)
        switch (size) { /* a length that the compiler knows is one move */
        case 1: memcpy(to, (const char *)data + runs[r], SV_LANES); break;
        case 2: memcpy(to, (const char *)data + 2 * runs[r], 2 * SV_LANES); break;
        case 4: memcpy(to, (const char *)data + 4 * runs[r], 4 * SV_LANES); break;
        default: memcpy(to, (const char *)data + 8 * runs[r], 8 * SV_LANES); break;
        }
}

CLONES int sv_kernel_largest_byte(const uint8_t *restrict bytes, size_t n)
{
    uint8_t top = 0;
    for (size_t i = 0; i < n; i++)
        top = bytes[i] > top ? bytes[i] : top;
    return top;
}

CLONES size_t sv_kernel_count_byte(const uint8_t *restrict bytes, uint8_t value, size_t n)
{
    size_t count = 0;
    for (size_t first = 0; first < n; first += 65280) { /* a lane counts at most 65280 */
        size_t end = n - first < 65280 ? n : first + 65280;
        uint16_t some[64] = {0};
        size_t i = first;
        for (; i + 64 <= end; i += 64)
            for (int l = 0; l < 64; l++) some[l] = (uint16_t)(some[l] + (bytes[i + (size_t)l] == value));
        for (; i < end; i++) count += bytes[i] == value;
        for (int l = 0; l < 64; l++) count += some[l];
    }
    return count;
}

#define ADD_CODES(type)                                                                                                                      \
    for (size_t i = 0; i < n; i++)                                                                                                           \
        out[i] = (uint16_t)(out[i] + ((const type *)codes)[i] * stride);                                                                     \
    break

CLONES void sv_kernel_add_codes(uint16_t *restrict out, const void *restrict codes, sv_store store, uint16_t stride, size_t n)
{
    switch (store) {
    case SV_STORE_I8:
    case SV_STORE_CODE8: ADD_CODES(uint8_t);
    case SV_STORE_CODE16: ADD_CODES(uint16_t);
    default: ADD_CODES(uint32_t);
    }
}

CLONES void sv_kernel_add_rows(double *restrict sums, const double *restrict rows, const uint16_t *restrict codes, size_t width, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double *restrict to = sums + codes[i] * width;
        const double *restrict from = rows + i * width;
        for (size_t j = 0; j < width; j += SV_LANES)
            AT(to, j) += IN(from, j);
    }
}

CLONES void sv_kernel_standardise(double *out, const double *x, double centre, double scale, size_t n)
{
    double inverse = 1 / scale;
    for (size_t i = 0; i < n; i += SV_LANES)
        AT(out, i) = (IN(x, i) - centre) * inverse;
}

CLONES void sv_kernel_multiply(double *out, const double *a, const double *b, size_t n)
{
    for (size_t i = 0; i < n; i += SV_LANES)
        AT(out, i) = IN(a, i) * IN(b, i);
}

CLONES void sv_kernel_root(double *out, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = sqrt(x[i]);
}

/* Eight columns of eight rows become eight rows of eight columns: ones, then twos, then fours change places. */
static inline __attribute__((always_inline)) void turn(double *out, size_t width, const lanes in[SV_LANES])
{
    lanes a[SV_LANES], b[SV_LANES];
    for (int k = 0; k < SV_LANES; k += 2) {
        a[k] = __builtin_shufflevector(in[k], in[k + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        a[k + 1] = __builtin_shufflevector(in[k], in[k + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    for (int k = 0; k < SV_LANES; k++) {
        if (k & 2) b[k] = __builtin_shufflevector(a[k - 2], a[k], 2, 3, 10, 11, 6, 7, 14, 15);
        else b[k] = __builtin_shufflevector(a[k], a[k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
    }
    for (int k = 0; k < SV_LANES; k++) {
        if (k & 4) AT(out, (size_t)k * width) = __builtin_shufflevector(b[k - 4], b[k], 4, 5, 6, 7, 12, 13, 14, 15);
        else AT(out, (size_t)k * width) = __builtin_shufflevector(b[k], b[k + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    }
}

CLONES void sv_kernel_rows(double *rows, size_t width, const double *const *x, const double *h, size_t n_columns, size_t n)
{
    for (size_t j = 0; j < width; j += SV_LANES)
        for (size_t i = 0; i < n; i += SV_LANES) {
            lanes in[SV_LANES], weight = IN(h, i);
            for (size_t k = 0; k < SV_LANES; k++)
                in[k] = j + k < n_columns ? weight * IN(x[j + k], i) : j + k == n_columns ? weight : (lanes){0};
            turn(rows + i * width + j, width, in);
        }
}

/* A line of each of two columns, into the second-level cache. */
static inline void ask_for(const double *a, const double *b)
{
    __builtin_prefetch(a, 0, 2);
    __builtin_prefetch(b, 0, 2);
}

CLONES void sv_kernel_margin(double *z, const double *const *x, const double *u, size_t n_columns, size_t n, size_t ahead)
{
    size_t j = 0;
    for (; j + 4 <= n_columns; j += 4) {
        const double *a = x[j], *b = x[j + 1], *c = x[j + 2], *d = x[j + 3];
        double ua = u[j], ub = u[j + 1], uc = u[j + 2], ud = u[j + 3];
        for (size_t i = 0; i < n; i += SV_LANES) {
            if (ahead) ask_for(a + ahead + i, b + ahead + i);
            AT(z, i) += (ua * IN(a, i) + ub * IN(b, i)) + (uc * IN(c, i) + ud * IN(d, i));
        }
    }
    for (; j < n_columns; j++) {
        const double *a = x[j];
        double w = u[j];
        for (size_t i = 0; i < n; i += SV_LANES)
            AT(z, i) += w * IN(a, i);
    }
}

CLONES void sv_kernel_gradient(double *g, const double *const *x, const double *r, size_t n_columns, size_t n, size_t ahead)
{
    size_t j = 0;
    for (; j + 4 <= n_columns; j += 4) {
        lanes la = {0}, lb = {0}, lc = {0}, ld = {0};
        const double *a = x[j], *b = x[j + 1], *c = x[j + 2], *d = x[j + 3];
        for (size_t i = 0; i < n; i += SV_LANES) {
            lanes ri = IN(r, i);
            if (ahead) ask_for(c + ahead + i, d + ahead + i);
            la += ri * IN(a, i);
            lb += ri * IN(b, i);
            lc += ri * IN(c, i);
            ld += ri * IN(d, i);
        }
        g[j] += SUM_LANES(la);
        g[j + 1] += SUM_LANES(lb);
        g[j + 2] += SUM_LANES(lc);
        g[j + 3] += SUM_LANES(ld);
    }
    for (; j < n_columns; j++) {
        lanes lane = {0};
        const double *a = x[j];
        for (size_t i = 0; i < n; i += SV_LANES)
            lane += IN(r, i) * IN(a, i);
        g[j] += SUM_LANES(lane);
    }
}

CLONES void sv_kernel_squares(double *g, const double *const *x, const double *centre, const double *h, size_t n_columns, size_t n)
{
    for (size_t j = 0; j < n_columns; j++) {
        lanes lane = {0};
        const double *a = x[j];
        for (size_t i = 0; i < n; i += SV_LANES) {
            lanes from = IN(a, i) - centre[j];
            lane += IN(h, i) * from * from;
        }
        g[j] += SUM_LANES(lane);
    }
}

CLONES double sv_kernel_sum(const double *x, size_t n)
{
    lanes lane = {0};
    for (size_t i = 0; i < n; i += SV_LANES)
        lane += IN(x, i);
    return SUM_LANES(lane);
}

typedef int64_t lane_bits __attribute__((vector_size(SV_LANES * sizeof(int64_t))));

/* yes where mask is set, else no; comparing lanes gives such a mask. */
static inline __attribute__((always_inline)) lanes pick(lane_bits mask, lanes yes, lanes no)
{
    return (lanes)(((lane_bits)yes & mask) | ((lane_bits)no & ~mask));
}

/* exp(x) = 2^k exp(r), |r| <= ln 2 / 2, by the Taylor polynomial of degree 13 (remainder below 5e-18), k by adding 1.5 * 2^52. */
static inline __attribute__((always_inline)) lanes exponential(lanes x)
{
    const double shift = 0x1.8p52, log2e = 0x1.71547652b82fep0, ln2_high = 0x1.62e42fefa3800p-1, ln2_low = 0x1.ef35793c76730p-45;
    x = pick(x < -708, (lanes){0} - 708, x);
    x = pick(x > 709, (lanes){0} + 709, x);
    lanes t = x * log2e + shift, k = t - shift;
    lanes r = (x - k * ln2_high) - k * ln2_low, r2 = r * r, r4 = r2 * r2;
    lanes low = (1 + r) + r2 * (1.0 / 2 + r * (1.0 / 6));
    lanes mid = (1.0 / 24 + r * (1.0 / 120)) + r2 * (1.0 / 720 + r * (1.0 / 5040));
    lanes high = (1.0 / 40320 + r * (1.0 / 362880)) + r2 * (1.0 / 3628800 + r * (1.0 / 39916800)) + r4 * (1.0 / 479001600 + r * (1.0 / 6227020800.0));
    lanes p = low + r4 * (mid + r4 * high);
    return p * (lanes)(((lane_bits)t + 1023) << 52); /* the low bits of t hold k */
}

CLONES void sv_kernel_exp(double *out, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i += SV_LANES)
        AT(out, i) = exponential(IN(x, i));
}

/* What both forms of the logistic loss share, for eight rows: loss = log(1 + e^z) - y z, split by sign so that exp never overflows:
   max(z, 0) - y z + log(1 + v), v = e^-|z|. Returns v. */
static inline __attribute__((always_inline)) lanes logistic_lanes(lanes z, lanes y, lanes weight, double *r, double *h, lanes *linear)
{
    lane_bits positive = z >= 0;
    lanes zero = {0}, v = exponential(pick(positive, -z, z)), inverse = 1 / (1 + v);
    AT(r, 0) = weight * (pick(positive, zero + 1, v) * inverse - y);
    if (h) AT(h, 0) = weight * (v * inverse * inverse);
    *linear += weight * (pick(positive, z, zero) - y * z);
    return v;
}

/* Weights of 0 and 1: the logarithm is taken once for a whole lane; a product of at most 512 factors in [1, 2] stays in range. */
static inline __attribute__((always_inline)) double logistic_unit(const double *z, const double *y, const double *weight, double *r, double *h, size_t n)
{
    lanes product = {1, 1, 1, 1, 1, 1, 1, 1}, linear = {0};
    double total = 0;
    for (size_t i = 0; i < n; i += SV_LANES)
        product *= 1 + IN(weight, i) * logistic_lanes(IN(z, i), IN(y, i), IN(weight, i), r + i, h ? h + i : NULL, &linear);
    for (int l = 0; l < SV_LANES; l++) total += log(product[l]);
    return total + SUM_LANES(linear);
}

CLONES static double logistic_h(const double *z, const double *y, const double *weight, double *r, double *h, size_t n)
{
    return logistic_unit(z, y, weight, r, h, n);
}

CLONES static double logistic_r(const double *z, const double *y, const double *weight, double *r, size_t n)
{
    return logistic_unit(z, y, weight, r, NULL, n);
}

CLONES static double logistic_weighted(const double *z, const double *y, const double *weight, double *r, double *h, size_t n)
{
    double e[SV_PASS_ROWS], total = 0;
    lanes linear = {0};
    for (size_t i = 0; i < n; i += SV_LANES)
        AT(e, i) = logistic_lanes(IN(z, i), IN(y, i), IN(weight, i), r + i, h ? h + i : NULL, &linear);
    for (size_t i = 0; i < n; i++)
        total += weight[i] * log1p(e[i]);
    return total + SUM_LANES(linear);
}

double sv_kernel_logistic(const double *z, const double *y, const double *weight, int unit, double *r, double *h, size_t n)
{
    if (!unit) return logistic_weighted(z, y, weight, r, h, n);
    return h ? logistic_h(z, y, weight, r, h, n) : logistic_r(z, y, weight, r, n);
}

CLONES double sv_kernel_squared(const double *z, const double *y, const double *weight, double *r, double *h, size_t n)
{
    lanes sum = {0};
    for (size_t i = 0; i < n; i += SV_LANES) {
        lanes miss = IN(z, i) - IN(y, i), slope = IN(weight, i) * miss;
        AT(r, i) = slope;
        sum += slope * miss;
    }
    if (h) memcpy(h, weight, n * sizeof *h);
    return 0.5 * SUM_LANES(sum);
}

CLONES double sv_kernel_poisson(const double *z, const double *y, const double *weight, double *r, double *h, size_t n)
{
    lanes sum = {0};
    for (size_t i = 0; i < n; i += SV_LANES) {
        lanes rate = exponential(IN(z, i)), w = IN(weight, i);
        AT(r, i) = w * (rate - IN(y, i));
        if (h) AT(h, i) = w * rate;
        sum += w * (rate - IN(y, i) * IN(z, i));
    }
    return SUM_LANES(sum);
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
        for (size_t i = 0; i < n; i += SV_LANES) {
            lanes v = exponential(IN(z, k * stride + i) - IN(top, i));
            AT(r, k * stride + i) = v;
            AT(sum, i) += v;
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
