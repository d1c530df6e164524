/* python_number.h: text -> number as Python's int() and float() read it: blanks around it, underscores between digits, digits of other scripts. */
#ifndef SV_PYTHON_NUMBER_H
#define SV_PYTHON_NUMBER_H

#include "span.h"

#include <stdint.h>

/* int(text). Returns 0; -1 when Python would raise; 1 when it is an integer beyond int64. */
int sv_python_int(sv_span text, int64_t *value);

/* float(text): 0, or -1 when Python would raise. */
int sv_python_float(sv_span text, double *value);

#endif
