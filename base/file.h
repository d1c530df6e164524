/* file.h: whole files and folders, safely: nothing half-written, nothing outside its folder. */
#ifndef SV_FILE_H
#define SV_FILE_H

#include "buffer.h"
#include "error.h"

#include <stddef.h>

/* Appends the file's bytes; SV_E_LIMIT when it holds more than max_bytes (0: the buffer's own ceiling alone). "-" is not special. */
int sv_file_read(sv_buffer *buffer, const char *path, size_t max_bytes, sv_error *error);
int sv_file_read_open(sv_buffer *buffer, int fd, const char *path, size_t max_bytes, sv_error *error); /* the rest of one that is open; path: for messages */

/* All of it, whatever interrupts: 0, or -1 with errno. */
int sv_write_all(int fd, const void *bytes, size_t length);

/* Writes to a temporary name beside path, fsyncs, renames: readers see the old file or the new one, never a part. */
int sv_file_write(const char *path, const void *bytes, size_t length, sv_error *error);

/* mkdir -p. */
int sv_folder_make(const char *path, sv_error *error);

/* Removes the folder and all in it; does not follow links. A missing folder is no error. */
int sv_folder_remove(const char *path, sv_error *error);

/* a + "/" + b, or b alone when it is absolute or a is empty. The caller's (sv_free); NULL when memory is out. */
char *sv_path_join(const char *a, const char *b);

/* 1 when path, taken relative to any folder, stays inside it: not absolute, no "..", no ".", no empty segment, no NUL or control byte, no backslash. */
int sv_path_is_inside(const char *path);

#endif
