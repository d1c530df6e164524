/* traffic_split.c: see traffic_split.h. */
#include "traffic_split.h"

#include "number.h"
#include "request_id.h"

#include <string.h>

int sv_split_parse(const char *text, double *share, sv_error *error)
{
    const char *slash = strchr(text, '/');
    double champion = -1, challenger = -1;
    int bad = !slash || sv_parse_double(text, (size_t)(slash - text), &champion) || sv_parse_double(slash + 1, strlen(slash + 1), &challenger);
    if (bad || !(champion >= 0 && challenger >= 0 && champion + challenger > 0 && champion + challenger < 1e9))
        return sv_error_set(error, SV_E_CONFIG, "in 'split': expected the champion's and the challenger's parts, such as 90/10, got '%s'", text);
    *share = challenger / (champion + challenger);
    return 0;
}

int sv_split_picks(const sv_split *split, sv_span key)
{
    return (double)(sv_request_hash(key) >> 11) * 0x1p-53 < split->share;
}
