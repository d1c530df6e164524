/* frame_date.c: see frame_date.h. A text is read into its parts; which parts it has is its form, by which pandas holds all rows to the first. */
#include "frame_date.h"

#include "date.h"

#include <math.h>
#include <stdlib.h>

#define NANOSECONDS_A_DAY 86400000000000.0
#define LONG_LIMIT 9223372036854775808.0

/* What a text holds: year, month, day, hour, minute, second, fraction; the letter between date and time; a zone; digits without hyphens. */
typedef struct moment {
    int n_parts;
    char separator;
    int is_zoned, is_basic;
    int parts[6];
    int zone_minutes;
} moment;

static int read_number(const char **p, const char *end, int n_digits, int *value)
{
    *value = 0;
    for (int i = 0; i < n_digits; i++, ++*p) {
        if (*p == end || **p < '0' || **p > '9')
            return -1;
        *value = *value * 10 + **p - '0';
    }
    return 0;
}

static int read_basic(sv_span text, moment *m)
{
    const char *p = text.text, *end = p + text.size;
    *m = (moment){.n_parts = 3, .is_basic = 1};
    return text.size == 8 && !read_number(&p, end, 4, &m->parts[0]) && !read_number(&p, end, 2, &m->parts[1]) && !read_number(&p, end, 2, &m->parts[2]) ? 0 : -1;
}

/* Z, +HH, +HHMM or +HH:MM up to the end. */
static int read_zone(const char *p, const char *end, moment *m)
{
    int hours = 0, minutes = 0;
    if (p == end)
        return 0;
    m->is_zoned = 1;
    if (*p == 'Z')
        return p + 1 == end ? 0 : -1;
    int sign = *p == '-' ? -1 : 1;
    if ((*p != '+' && *p != '-') || (p++, read_number(&p, end, 2, &hours)))
        return -1;
    if (p < end && *p == ':')
        p++;
    if (p < end && read_number(&p, end, 2, &minutes))
        return -1;
    m->zone_minutes = sign * (hours * 60 + minutes);
    return p == end && hours < 24 && minutes < 60 ? 0 : -1;
}

/* YYYY[-MM[-DD[THH[:MM[:SS[.fraction]]]]]], and a zone behind a time */
static int read_moment(sv_span text, moment *m)
{
    static const char before[] = {0, '-', '-', 'T', ':', ':'};
    const char *p = text.text, *end = p + text.size;
    *m = (moment){.parts = {0, 1, 1}};
    for (; m->n_parts < 6; m->n_parts++) {
        int i = m->n_parts;
        if (i > 0) {
            if (p == end || (*p != before[i] && !(i == 3 && *p == ' ')))
                break;
            m->separator = i == 3 ? *p : m->separator;
            p++;
        }
        if (read_number(&p, end, i ? 2 : 4, &m->parts[i]))
            return -1;
    }
    if (m->n_parts == 6 && p < end && *p == '.') {
        const char *first = ++p;
        while (p < end && *p >= '0' && *p <= '9')
            p++;
        m->n_parts = p > first && p - first <= 9 ? 7 : 0;
    }
    if (m->n_parts == 0 || m->parts[3] > 23 || m->parts[4] > 59 || m->parts[5] > 59)
        return -1;
    return m->n_parts < 4 ? -(p < end) : read_zone(p, end, m);
}

static int days_of(const moment *m, double *days)
{
    char text[11];
    double date;
    for (int i = 0, at = 0; i < 3; i++) {
        for (int n = i ? 2 : 4, value = m->parts[i]; n > 0; n--, value /= 10)
            text[at + n - 1] = (char)('0' + value % 10);
        at += i ? 3 : 5;
        text[at - 1] = '-';
    }
    if (sv_date_parse(text, 10, &date))
        return -1;
    *days = date + floor((m->parts[3] * 60 + m->parts[4] - m->zone_minutes) / 1440.0);
    return fabs(*days) <= SV_FRAME_LAST_DAY ? 0 : -1;
}

static int is_alike(const moment *a, const moment *b)
{
    return a->n_parts == b->n_parts && a->separator == b->separator && a->is_zoned == b->is_zoned && a->is_basic == b->is_basic &&
           a->zone_minutes == b->zone_minutes;
}

static int is_missing(const sv_json *cell)
{
    static const char *const words[] = {"", "NaT", "nat", "NaN", "nan"};
    if (!cell || cell->kind == SV_JSON_NULL || (cell->kind == SV_JSON_REAL && isnan(cell->real)))
        return 1;
    for (size_t i = 0; cell->kind == SV_JSON_TEXT && i < sizeof words / sizeof *words; i++)
        if (sv_span_is(cell->text, words[i]))
            return 1;
    return 0;
}

/* A number of nanoseconds; a fraction of one is dropped. A real beyond a long is missing, unless texts stand beside it. */
static int from_number(const sv_json *cell, int among_texts, double *days)
{
    if (cell->kind == SV_JSON_LONG) {
        int64_t whole = cell->whole / 86400000000000, rest = cell->whole % 86400000000000;
        *days = (double)(whole - (rest < 0));
        return cell->whole == INT64_MIN ? -1 : 0;
    }
    if (cell->kind != SV_JSON_REAL)
        return -1;
    int fits = cell->real > -LONG_LIMIT && cell->real < LONG_LIMIT;
    *days = fits ? floor(trunc(cell->real) / NANOSECONDS_A_DAY) : NAN;
    return fits || !among_texts ? 0 : -1;
}

sv_date_fault sv_frame_dates(const sv_json *const *cells, size_t n_rows, double *days, size_t *bad)
{
    moment first = {0}, m;
    const sv_json *begin = NULL;
    int among_texts = 0;
    sv_date_fault fault = SV_DATE_FINE;
    for (size_t row = 0; row < n_rows; row++)
        among_texts |= cells[row] && cells[row]->kind == SV_JSON_TEXT;
    for (size_t row = 0; row < n_rows; row++) {
        days[row] = NAN;
        if (is_missing(cells[row]))
            continue;
        *bad = row;
        int is_text = cells[row]->kind == SV_JSON_TEXT;
        if (begin && begin->kind == SV_JSON_TEXT && !is_text)
            return SV_DATE_NO_DATE;
        if (is_text ? (read_moment(cells[row]->text, &m) && read_basic(cells[row]->text, &m)) || days_of(&m, &days[row])
                    : from_number(cells[row], among_texts, &days[row]))
            return SV_DATE_NO_DATE;
        if (!begin) {
            begin = cells[row];
            first = m = is_text ? m : first;
        }
        if (is_text && begin->kind == SV_JSON_TEXT && !is_alike(&first, &m))
            return SV_DATE_NO_DATE;
        fault = is_text && m.is_zoned ? SV_DATE_ZONED : fault;
    }
    return fault;
}

int sv_frame_array_date(const sv_json *cell, double *days)
{
    static const sv_json truths[] = {{.kind = SV_JSON_LONG, .whole = 0}, {.kind = SV_JSON_LONG, .whole = 1}};
    moment m;
    *days = NAN;
    if (!cell)
        return 0;
    switch (cell->kind) {
    case SV_JSON_NULL:
        return 0;
    case SV_JSON_FALSE:
    case SV_JSON_TRUE:
        return from_number(&truths[cell->kind == SV_JSON_TRUE], 0, days);
    case SV_JSON_LONG:
        return from_number(cell, 0, days);
    case SV_JSON_TEXT:
        if (sv_span_is(cell->text, "") || sv_span_is(cell->text, "NaT"))
            return 0;
        return read_moment(cell->text, &m) || days_of(&m, days) ? -1 : 0;
    default:
        return -1;
    }
}

int sv_frame_plain_date(const sv_json *cell, double *days)
{
    return cell->kind == SV_JSON_TEXT ? sv_date_parse(cell->text.text, cell->text.size, days) : -1;
}
