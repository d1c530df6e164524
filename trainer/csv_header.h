/* csv_header.h: the first line of a CSV file: its delimiter, its names. For the csv files alone. */
#ifndef SV_CSV_HEADER_H
#define SV_CSV_HEADER_H

#include "csv_read.h"

typedef struct sv_csv_header {
    char **names; /* (n_names), in one block: sv_free() */
    size_t n_names;
    char delimiter;
    uint64_t first_row; /* the offset behind the header; without one the offset of the first byte that is no byte order mark */
} sv_csv_header;

int sv_csv_header_read(sv_csv_header *header, const sv_source *source, const sv_csv_options *options, sv_error *error);

#endif
