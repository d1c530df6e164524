/* inside.h: files written below one folder, reached segment by segment without following a link, visible only when whole. */
#ifndef MLF_INSIDE_H
#define MLF_INSIDE_H

#include "mlflow_client.h"

/* Opens the folder, made (with its parents) when missing. *fd is the caller's. */
int mlf_inside_root(int *fd, const char *folder, mlf_error *error);

/* A file on its way: bytes go to fd, a temporary name beside the final one. */
typedef struct mlf_incoming {
    int fd, folder_fd; /* -1: none */
    char name[256];    /* final, one segment */
    int unsynced;      /* 1: commit leaves out the fsync */
    char temporary[40];
} mlf_incoming;

#define MLF_INCOMING_INIT {-1, -1, "", 0, ""}

/* relative must be inside (sv_path_is_inside); folders on the way are made. MLF_E_IO also when a segment is a link. */
int mlf_inside_create(mlf_incoming *out, int root_fd, const char *relative, mlf_error *error);
int mlf_inside_write(mlf_incoming *incoming, const void *bytes, size_t length, mlf_error *error);
int mlf_inside_commit(mlf_incoming *incoming, mlf_error *error); /* fsync, rename */
void mlf_inside_abort(mlf_incoming *incoming);                   /* removes what commit did not make visible; harmless after it */

/* Gives the open file a second name: 0; 1: the file system does not (another one, no right to it, no /proc). */
int mlf_inside_link(int root_fd, const char *relative, int fd, mlf_error *error);

/* Moves the file from below one root to the same relative path below another. */
int mlf_inside_move(int from_fd, int to_fd, const char *relative, mlf_error *error);

/* Moves what stands under one name directly below a folder. */
int mlf_inside_move_as(int from_fd, const char *name, int to_fd, const char *relative, mlf_error *error);

#endif
