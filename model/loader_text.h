/* loader_text.h: loader/native_tabular_v1.py as bytes; made when building. Private to model/. */
#ifndef SV_LOADER_TEXT_H
#define SV_LOADER_TEXT_H

extern const char sv_loader_text[];
extern const unsigned long sv_loader_length;

#endif
