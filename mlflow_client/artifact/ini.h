/* ini.h: one value out of text like that of the AWS profile files. */
#ifndef MLF_INI_H
#define MLF_INI_H

#include <stddef.h>

/* The value of key in [section], trimmed, copied; the caller's (sv_free). NULL when it is absent or memory is out. Comments: '#' or ';' at a line's beginning. */
char *mlf_ini_value(const char *text, const char *section, const char *key);

#endif
