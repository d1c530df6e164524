/* date.c: Howard Hinnant, "chrono-compatible low-level date algorithms" (2014): years begin on the first of March, eras have 400 years. */
#include "date.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

long sv_date_days(long year, int month, int day)
{
    year -= month <= 2;
    long era = (year >= 0 ? year : year - 399) / 400, year_of_era = year - era * 400;
    long day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static int read_digits(const char *text, size_t n, int *value)
{
    *value = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        *value = *value * 10 + text[i] - '0';
    }
    return 0;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

static int is_time_of_day(const char *text, size_t length)
{
    if (length < 2 || (text[0] != 'T' && text[0] != ' '))
        return 0;
    for (size_t i = 1; i < length; i++)
        if (!strchr("0123456789:.+-Z", text[i]) || !text[i])
            return 0;
    return 1;
}

int sv_date_parse(const char *text, size_t length, double *days)
{
    int year, month, day;
    if (length < 10 || length > 40 || text[4] != '-' || text[7] != '-' || (length > 10 && !is_time_of_day(text + 10, length - 10)))
        return -1;
    if (read_digits(text, 4, &year) || read_digits(text + 5, 2, &month) || read_digits(text + 8, 2, &day))
        return -1;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return -1;
    *days = (double)sv_date_days(year, month, day);
    return 0;
}

void sv_date_format(char out[SV_DATE_SIZE], double days)
{
    out[0] = '\0';
    if (!(days >= -719162 && days < 2932897)) // 0001-01-01 … 9999-12-31
        return;
    long z = (long)floor(days) + 719468, era = z / 146097, day_of_era = z - era * 146097;
    long year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    long day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100), from_march = (5 * day_of_year + 2) / 153;
    int month = (int)(from_march < 10 ? from_march + 3 : from_march - 9), day = (int)(day_of_year - (153 * from_march + 2) / 5 + 1);
    int year = (int)(year_of_era + era * 400 + (month <= 2));
    snprintf(out, SV_DATE_SIZE, "%04d-%02d-%02d", year % 10000, month % 100, day % 100);
}
