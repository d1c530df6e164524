/* position.h: how far the server has acknowledged a journal, on disk. Two slots of 64 bytes written in turn, each with its checksum:
   a torn write spoils one, and the other, older one only causes something to be sent again. Not for threads. */
#ifndef MLF_POSITION_H
#define MLF_POSITION_H

#include "error.h"

#include <stdint.h>

typedef struct mlf_position {
    uint64_t generation; /* counts the writes; the larger of two good slots holds */
    uint64_t offset;     /* byte of data.jrn up to which everything was taken or refused by the server */
    uint64_t skip;       /* records of the frame that begins there which were taken, too */
    uint64_t points, ops; /* taken so far */
    uint64_t refused;    /* records the server refused for good; they stand in refused.jsonl */
    uint64_t ended;      /* 1: the run's end has been taken */
} mlf_position;

/* Reads the better slot; all zero when the file is missing or has no good slot. SV_E_IO when it cannot be read. */
int mlf_position_read(mlf_position *position, int fd, sv_error *error);

/* Counts generation up and writes the slot whose turn it is. Not synced: an older position is as right as a newer one. */
int mlf_position_write(mlf_position *position, int fd, sv_error *error);

#endif
