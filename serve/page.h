/* page.h: the pages for people, embedded when the program is built. */
#ifndef SV_PAGE_H
#define SV_PAGE_H

#include "span.h"

typedef struct sv_page {
    sv_span html;
    const char *policy; /* its Content-Security-Policy: nothing from outside, only this script and this style */
} sv_page;

extern const sv_page sv_page_ui, sv_page_docs;

#endif
