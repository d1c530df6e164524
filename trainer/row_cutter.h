/* row_cutter.h: where a CSV row ends, by libcsv's rules, without looking at what it holds: for programs that pass rows on as they are. */
#ifndef SV_ROW_CUTTER_H
#define SV_ROW_CUTTER_H

#include <stddef.h>

typedef struct sv_row_cutter {
    char delimiter, quote;
    int trim;
    /* the state of libcsv's parser between two bytes */
    enum { SV_CUT_BEFORE_ROW, SV_CUT_BEFORE_CELL, SV_CUT_PLAIN, SV_CUT_QUOTED, SV_CUT_MAYBE_CLOSED, SV_CUT_MAYBE_CLOSED_BLANK } state;
} sv_row_cutter;

/* The row that begins in text[0..length), blank lines before it left out: *start and *end (before the line end); the bytes used up to and with the line end.
   0: the row goes on behind length. at_end: nothing comes behind; a last row without line end is whole then. */
size_t sv_row_cut(const sv_row_cutter *cutter, const char *text, size_t length, int at_end, size_t *start, size_t *end);

#endif
