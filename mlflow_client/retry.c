#include "retry.h"

#include "number.h"

#include <curl/curl.h>
#include <math.h>
#include <string.h>

#define MAX_WAIT_S 120.0
#define MAX_RETRY_AFTER_MS ((int64_t)6 * 3600 * 1000)
#define FAR_S 253402300800 /* the year 10000: curl reads later ones, too, whose milliseconds no 64 bits hold */

/* Permanent, whatever the status says. */
static int is_permanent(const char *error_code, const char *body)
{
    static const char *const names[] = {"FEATURE_DISABLED", "INVALID_STATE", "NOT_IMPLEMENTED",
                                        "INVALID_PARAMETER_VALUE"};
    for (size_t i = 0; error_code && i < sizeof names / sizeof *names; i++)
        if (!strcmp(error_code, names[i])) return 1;
    return body && strstr(body, "Endpoint") && strstr(body, "disabled");
}

int mlf_retry_status(int status, int has_retry_after, const char *error_code, const char *body)
{
    if (error_code && !strcmp(error_code, "TEMPORARILY_UNAVAILABLE")) return 1; /* says so itself */
    switch (status) {
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        return !is_permanent(error_code, body);
    case 413:
        return has_retry_after;
    default:
        return 0;
    }
}

int64_t mlf_retry_wait_ms(const mlf_settings *settings, int retry, double uniform)
{
    if (retry <= 1) return 0;
    double seconds = settings->backoff_factor * exp2(retry > 40 ? 40 : retry - 1) + settings->backoff_jitter * uniform;
    return (int64_t)(1000 * fmin(seconds, MAX_WAIT_S));
}

int64_t mlf_retry_after_ms(const char *header, int64_t now_ms)
{
    if (!header) return -1;
    header += strspn(header, " \t");
    size_t length = strlen(header);
    while (length && strchr(" \t\r\n", header[length - 1]))
        length--;
    double seconds;
    int64_t wait;
    if (length && strspn(header, "0123456789.") == length && !sv_parse_double(header, length, &seconds)) {
        wait = seconds < 1e6 ? (int64_t)(seconds * 1000) : MAX_RETRY_AFTER_MS;
    } else {
        time_t when = curl_getdate(header, NULL);
        if (!length || when == -1) return -1;
        wait = when > FAR_S ? MAX_RETRY_AFTER_MS : (int64_t)when * 1000 - now_ms;
    }
    return wait < 0 ? 0 : wait > MAX_RETRY_AFTER_MS ? MAX_RETRY_AFTER_MS : wait;
}
