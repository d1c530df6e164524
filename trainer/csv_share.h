/* csv_share.h: a file's pieces on several ranks: each parses its share, then all have all. For the csv files alone. */
#ifndef SV_CSV_SHARE_H
#define SV_CSV_SHARE_H

#include "csv_assemble.h"

/* This rank's pieces of n_pieces: [*first, *end). */
void sv_csv_share_of(size_t *first, size_t *end, size_t n_pieces);

/* Exchanges the pieces that the ranks parsed. The memory behind them becomes *kept (sv_free), to be kept until they are assembled. Every rank calls it. SV_E_NETWORK, SV_E_MEMORY. */
int sv_csv_share_pieces(char **kept, sv_csv_file *file, sv_error *error);

#endif
