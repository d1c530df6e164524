/* csv_scan.c: the common shape of rows, fast: unquoted cells, and quoted ones that hold no quote. Whatever else comes up, csv_slow.c takes the whole row. */
#include "alloc.h"
#include "csv_piece.h"
#include "prng.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { LOOK_AHEAD = 4096 };
#define ROW_MAX ((size_t)64 << 20) /* bytes of one row */

/* The first quote at or behind p; at most 15 bytes behind end are read, end or later when there is none. */
static inline const char *find_quote(const char *p, const char *end, char quote)
{
#ifdef __SSE2__
    const __m128i wanted = _mm_set1_epi8(quote);
    for (; p < end; p += 16) {
        int hits = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)p), wanted));
        if (hits)
            return p + __builtin_ctz((unsigned)hits);
    }
    return end;
#else
    const char *found = memchr(p, quote, (size_t)(end - p));
    return found ? found : end;
#endif
}

/* The first delimiter or line end; one stands at the buffer's end. */
static inline const char *find_end(const char *p, const sv_csv_plan *plan)
{
#ifdef __SSE2__
    const __m128i delimiter = _mm_set1_epi8(plan->delimiter), cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n');
    for (;; p += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i any = _mm_or_si128(_mm_cmpeq_epi8(bytes, delimiter), _mm_or_si128(_mm_cmpeq_epi8(bytes, cr), _mm_cmpeq_epi8(bytes, lf)));
        int hits = _mm_movemask_epi8(any);
        if (hits)
            return p + __builtin_ctz((unsigned)hits);
    }
#else
    while (!plan->ends[(unsigned char)*p])
        p++;
    return p;
#endif
}

static inline int is_blank(const sv_csv_plan *plan, char byte)
{
    return plan->options->trim && (byte == ' ' || byte == '\t') && byte != plan->delimiter;
}

/* How many of the eight bytes that a word holds, the first being the lowest, are digits before anything else comes. digits: each byte less '0'. */
static inline unsigned count_digits(uint64_t digits)
{
    uint64_t others = ((digits + UINT64_C(0x7676767676767676)) | digits) & UINT64_C(0x8080808080808080); /* above 9: a carry into the top bit, from below at worst into one behind it */
    return others ? (unsigned)__builtin_ctzll(others) / 8 : 8;
}

/* The number that `count` digits, 1 … 7, in the low bytes make. (Lemire 2018: pairs, fours, eights.) */
static inline uint64_t join_digits(uint64_t digits, unsigned count)
{
    digits <<= 64 - 8 * count;
    digits = digits * 10 + (digits >> 8);
    return ((digits & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x000f424000000064) + (digits >> 16 & UINT64_C(0x000000ff000000ff)) * UINT64_C(0x0000271000000001)) >> 32;
}

static inline void put_whole(sv_csv_cells *cells, size_t row, int64_t whole)
{
    if (!cells->is_real)
        cells->at.whole[row] = whole;
    else
        cells->real[row] = (double)whole;
}

/* An unquoted number of at most 18 digits that ends where the cell ends: its end, or NULL to go the general way. Exact: see number.c's fast path. */
static const char *scan_long_number(sv_csv_cells *cells, size_t row, const char *p, const sv_csv_plan *plan, int whole_only)
{
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18};
    int negative = *p == '-';
    const char *first = p += negative;
    uint64_t value = 0;
    unsigned digit;
    while ((digit = (unsigned)(unsigned char)*p - '0') <= 9) {
        value = value * 10 + digit;
        p++;
    }
    size_t length = (size_t)(p - first);
    if (plan->ends[(unsigned char)*p] && length - 1 < 18) {
        put_whole(cells, row, negative ? -(int64_t)value : (int64_t)value);
        return p;
    }
    if (*p != '.' || whole_only)
        return NULL;
    const char *point = p++;
    while ((digit = (unsigned)(unsigned char)*p - '0') <= 9) {
        value = value * 10 + digit;
        p++;
    }
    size_t decimals = (size_t)(p - point - 1);
    length += decimals;
    if (!plan->ends[(unsigned char)*p] || length - 1 >= 18 || value > (UINT64_C(1) << 53))
        return NULL;
    double real = (double)value / powers[decimals];
    sv_csv_mark(&cells->fraction_row, row);
    if (!cells->is_real)
        sv_csv_make_real(cells, row);
    cells->real[row] = negative ? -real : real;
    return p;
}

/* The same; up to seven digits without a branch on how many there are. */
static inline const char *scan_number(sv_csv_cells *cells, size_t row, const char *p, const sv_csv_plan *plan, int whole_only)
{
    int64_t negative = *p == '-';
    const char *first = p + negative;
    uint64_t digits = sv_csv_word(first) ^ UINT64_C(0x3030303030303030);
    unsigned count = count_digits(digits);
    if (count - 1 >= 7 || !plan->ends[(unsigned char)first[count]])
        return scan_long_number(cells, row, p, plan, whole_only);
    put_whole(cells, row, ((int64_t)join_digits(digits, count) ^ -negative) + negative);
    return first + count;
}

/* Any other cell of the common shape: its end, or NULL. */
static const char *scan_cell(sv_csv_worker *w, size_t field, const char *p, const char *end)
{
    const sv_csv_plan *plan = w->plan;
    const char *text = p, *stop;
    if (*p == plan->options->quote) {
        text = p + 1;
        stop = find_quote(text, end, plan->options->quote);
        if (stop >= end || !plan->ends[(unsigned char)stop[1]])
            return NULL;
        p = stop + 1;
    } else {
        p = stop = find_end(p, plan);
        while (stop > text && is_blank(plan, stop[-1]))
            stop--;
    }
    if (plan->fields[field].kind == SV_CSV_SKIP)
        return p;
    size_t length = (size_t)(stop - text);
    if (plan->fields[field].kind == SV_CSV_TEXT) {
        const sv_csv_dictionary *d = &w->cells[field].dictionary;
        int32_t code = length <= SV_CSV_SHORT ? sv_csv_dictionary_find_short(d, text, length) : sv_csv_dictionary_find(d, text, length);
        if (code >= 0) {
            w->cells[field].at.code[w->n_rows] = code;
            return p;
        }
    }
    if (p >= end) /* perhaps cut off: not to be entered in a dictionary */
        return NULL;
    return sv_csv_put(w, field, text, length) ? NULL : p;
}

/* One row that begins at p: where the next begins, or NULL when it is not of the common shape or not wholly there. */
static const char *scan_row(sv_csv_worker *w, const char *p, const char *end, int at_end)
{
    const sv_csv_plan *plan = w->plan;
    size_t n_fields = plan->n_fields;
    for (size_t f = 0; f < n_fields; f++) {
        const sv_csv_field *field = &plan->fields[f];
        while (is_blank(plan, *p))
            p++;
        const char *after = NULL;
        if (field->kind == SV_CSV_NUMBER)
            after = scan_number(&w->cells[f], w->n_rows, p, plan, field->declared && field->type == SV_LONG);
        if (!after)
            after = scan_cell(w, f, p, end);
        if (!after || (after >= end && !at_end))
            return NULL;
        if ((*after == plan->delimiter) != (f + 1 < n_fields))
            return NULL;
        p = after + 1;
    }
    return p;
}

static int load(sv_csv_worker *w, uint64_t from, size_t have, size_t want, size_t *size)
{
    if (want > w->bytes_capacity) {
        char *bytes = sv_realloc(w->bytes, want + SV_CSV_PADDING + 1);
        if (!bytes)
            return sv_error_set(&w->error, SV_E_MEMORY, "%s: out of memory", w->plan->source->name);
        w->bytes = bytes;
        w->bytes_capacity = want;
    }
    size_t got;
    int code = sv_source_read(w->plan->source, from + have, w->bytes + have, want - have, &got, &w->error);
    *size = have + got;
    memset(w->bytes + *size, 0, SV_CSV_PADDING + 1);
    w->bytes[*size] = '\n'; /* find_end's stop */
    return code;
}

static uint64_t digest(const char *bytes, size_t length)
{
    uint64_t lanes[4] = {1, 2, 3, 4}, word[4];
    size_t i = 0;
    for (; i + 32 <= length; i += 32) {
        memcpy(word, bytes + i, 32);
        for (int k = 0; k < 4; k++)
            lanes[k] = (lanes[k] ^ word[k]) * UINT64_C(0x9e3779b97f4a7c15), lanes[k] ^= lanes[k] >> 29;
    }
    uint64_t all = length;
    memset(word, 0, sizeof word);
    memcpy(word, bytes + i, length - i);
    for (int k = 0; k < 4; k++)
        all = sv_mix64(all ^ lanes[k] ^ sv_mix64(word[k]));
    return all;
}

/* The offset behind the first line end in bytes[0..length), or length + 1. */
static size_t behind_line_end(const char *bytes, size_t length)
{
    size_t i = 0;
    while (i < length && bytes[i] != '\n' && bytes[i] != '\r')
        i++;
    return i + 1;
}

/* Rows from offset at on, while they begin before limit; offsets within the buffer. */
static int scan_rows(sv_csv_worker *w, uint64_t from, size_t at, size_t limit, size_t size)
{
    const sv_csv_plan *plan = w->plan;
    int code = 0;
    while (at < limit && !code) {
        int at_end = from + size >= plan->source->size;
        const char *p = w->bytes + at, *q = p, *end = w->bytes + size;
        while (q < end && is_blank(plan, *q))
            q++;
        if (q < end && (*q == '\n' || *q == '\r')) {
            at = (size_t)(q + 1 - w->bytes);
            continue;
        }
        const char *next = plan->options->by_libcsv ? NULL : scan_row(w, p, end, at_end);
        if (next) {
            at = (size_t)(next - w->bytes);
            at = at > size ? size : at;
            w->n_rows++;
            w->n_seen++;
            continue;
        }
        size_t used;
        code = sv_csv_slow_row(w, p, size - at, at_end, from + at, &used);
        at += used;
        if (code || used)
            continue;
        if (at_end)
            break;
        size_t want = size + (size - at) + LOOK_AHEAD;
        if (size - at > ROW_MAX)
            return sv_error_set(&w->error, SV_E_LIMIT, "%s: byte %llu: expected a row of at most %zu bytes; is a quote left open?", plan->source->name,
                                (unsigned long long)(from + at), ROW_MAX);
        code = load(w, from, size, want, &size);
    }
    w->piece->end = from + at;
    return code;
}

static void begin_piece(sv_csv_worker *w, sv_csv_piece *piece)
{
    w->piece = piece;
    w->n_rows = w->n_seen = 0;
    for (size_t f = 0; f < w->plan->n_fields; f++) {
        sv_csv_cells *cells = &w->cells[f];
        cells->is_real = 0;
        cells->real_row = cells->missing_row = cells->fraction_row = cells->text_row = SV_CSV_NEVER;
        sv_csv_dictionary_clear(&cells->dictionary);
    }
}

int sv_csv_scan_piece(sv_csv_worker *w, sv_csv_piece *piece, size_t i, uint64_t start)
{
    const sv_csv_plan *plan = w->plan;
    uint64_t base = plan->first_row + i * plan->piece_bytes, limit = base + plan->piece_bytes, kept = piece->digest;
    int guess = start == UINT64_MAX;
    if (limit > plan->source->size)
        limit = plan->source->size;
    uint64_t from = !guess ? start : i ? base - 1 : base;
    size_t size, at = 0;
    begin_piece(w, piece);
    sv_csv_piece_free(piece);
    piece->digest = kept;
    if (!guess && start >= limit) {
        piece->start = piece->end = start;
        return 0;
    }
    int code = load(w, from, 0, (size_t)(limit - from) + LOOK_AHEAD, &size);
    if (code)
        return code;
    if (guess)
        piece->digest = digest(w->bytes + (base - from), (size_t)(limit - base));
    if (guess && i)
        at = behind_line_end(w->bytes, (size_t)(limit - from));
    piece->start = from + at;
    if (piece->start > limit) { /* no line ends here: the rows of earlier pieces decide */
        piece->start = piece->end = UINT64_MAX;
        return 0;
    }
    code = scan_rows(w, from, at, (size_t)(limit - from), size);
    return code ? code : sv_csv_pack(w);
}
