/* csv_assemble.h: pieces of one or several files, one behind the other, as a table. For the csv files alone. */
#ifndef SV_CSV_ASSEMBLE_H
#define SV_CSV_ASSEMBLE_H

#include "csv_piece.h"

/* One file's pieces, parsed and checked. */
typedef struct sv_csv_file {
    sv_csv_plan plan;
    sv_csv_piece *pieces; /* (n_pieces) */
    size_t n_pieces;
    char **names;
} sv_csv_file;

/* Empties the pieces as it goes. The fields that are not SV_CSV_SKIP become the columns; team may be NULL. */
int sv_csv_assemble(sv_table *out, sv_csv_file *files, size_t n_files, sv_team *team, sv_error *error);

#endif
