#include "row_cutter.h"

static int is_blank(const sv_row_cutter *c, char byte)
{
    return c->trim && (byte == ' ' || byte == '\t') && byte != c->delimiter;
}

/* One byte on; 1 when it ended a row. */
static int step(sv_row_cutter *c, char byte)
{
    int is_end = byte == '\n' || byte == '\r', inside = c->state == SV_CUT_QUOTED;
    if (is_end && !inside) {
        int ended = c->state != SV_CUT_BEFORE_ROW;
        c->state = SV_CUT_BEFORE_ROW;
        return ended;
    }
    switch (c->state) {
    case SV_CUT_BEFORE_ROW:
    case SV_CUT_BEFORE_CELL:
        if (is_blank(c, byte))
            break;
        c->state = byte == c->delimiter ? SV_CUT_BEFORE_CELL : byte == c->quote ? SV_CUT_QUOTED : SV_CUT_PLAIN;
        break;
    case SV_CUT_PLAIN:
        if (byte == c->delimiter)
            c->state = SV_CUT_BEFORE_CELL;
        break;
    case SV_CUT_QUOTED:
        if (byte == c->quote)
            c->state = SV_CUT_MAYBE_CLOSED;
        break;
    case SV_CUT_MAYBE_CLOSED:
    case SV_CUT_MAYBE_CLOSED_BLANK:
        if (byte == c->delimiter)
            c->state = SV_CUT_BEFORE_CELL;
        else if (is_blank(c, byte))
            c->state = SV_CUT_MAYBE_CLOSED_BLANK;
        else if (byte == c->quote && c->state == SV_CUT_MAYBE_CLOSED_BLANK)
            c->state = SV_CUT_MAYBE_CLOSED; /* the quote before was content, this one may close */
        else
            c->state = SV_CUT_QUOTED; /* two quotes, or a quote in the middle */
        break;
    }
    return 0;
}

size_t sv_row_cut(const sv_row_cutter *cutter, const char *text, size_t length, int at_end, size_t *start, size_t *end)
{
    sv_row_cutter c = *cutter;
    size_t i = 0;
    c.state = SV_CUT_BEFORE_ROW;
    *start = 0;
    for (; i < length; i++) {
        if (step(&c, text[i])) {
            *end = i;
            i++;
            return i + (i < length && text[i - 1] == '\r' && text[i] == '\n');
        }
        if (c.state == SV_CUT_BEFORE_ROW && (text[i] == '\n' || text[i] == '\r'))
            *start = i + 1;
    }
    *end = length;
    return at_end && c.state != SV_CUT_BEFORE_ROW ? length : 0;
}
