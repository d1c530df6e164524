#include "date_format.h"
#include "date.h"

#include <string.h>
#include <strings.h>

void sv_date_civil(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, of_era = days - era * 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100), shifted = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

static int digits(const char **at, const char *end, int least, int most, int *value)
{
    int n = 0;
    *value = 0;
    while (n < most && *at < end && **at >= '0' && **at <= '9') {
        *value = *value * 10 + (*(*at)++ - '0');
        n++;
    }
    return n < least ? -1 : 0;
}

static int month_name(const char **at, const char *end, int *month)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    for (int i = 0; i < 12 && end - *at >= 3; i++)
        if (!strncasecmp(*at, names + 3 * i, 3)) {
            *at += 3;
            *month = i + 1;
            return 0;
        }
    return -1;
}

int sv_date_scan(int64_t *days, const char *text, size_t length, const char *format)
{
    const char *at = text, *end = text + length;
    int year = 1970, month = 1, day = 1, ignored, wrong = 0;
    for (; *format && !wrong; format++) {
        if (*format != '%' || format[1] == '%' || !format[1]) {
            format += *format == '%' && format[1] == '%';
            wrong = at == end || *at++ != *format;
            continue;
        }
        switch (*++format) {
        case 'Y':
            wrong = digits(&at, end, 4, 4, &year);
            break;
        case 'y': /* POSIX: 69 … 99 are 19xx */
            wrong = digits(&at, end, 2, 2, &year);
            year += year < 69 ? 2000 : 1900;
            break;
        case 'm':
            wrong = digits(&at, end, 1, 2, &month);
            break;
        case 'd':
            wrong = digits(&at, end, 1, 2, &day);
            break;
        case 'b':
            wrong = month_name(&at, end, &month);
            break;
        case 'H':
            wrong = digits(&at, end, 1, 2, &ignored) || ignored > 23;
            break;
        case 'M':
            wrong = digits(&at, end, 1, 2, &ignored) || ignored > 59;
            break;
        case 'S':
            wrong = digits(&at, end, 1, 2, &ignored) || ignored > 60;
            break;
        default:
            wrong = 1;
        }
    }
    if (wrong || at != end || year < 1 || month < 1 || month > 12 || day < 1 || day > 31)
        return -1;
    int64_t back_year;
    int back_month, back_day;
    *days = sv_date_days(year, month, day);
    sv_date_civil(*days, &back_year, &back_month, &back_day);
    return back_day == day && back_month == month ? 0 : -1; /* 31 February */
}
