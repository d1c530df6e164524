/* stream.h: the bytes of data.jrn: appended at one end, read by offset. When the disk takes no more, the rest waits in memory (bounded) and goes to the
   disk once it does again. One thread appends, commits and settles; any thread reads. Leaves out what the bytes mean: record.h. */
#ifndef MLF_STREAM_H
#define MLF_STREAM_H

#include "buffer.h"
#include "error.h"

#include <pthread.h>
#include <stdint.h>

enum {
    MLF_STREAM_HEAD = 16,              /* "MLFJRN1\n" and eight bytes of zero: where the first frame stands */
    MLF_STREAM_MEMORY = 64 << 20,      /* bytes that may wait in memory while the disk refuses them */
    MLF_STREAM_RETRY_MS = 1000         /* how often a refusing disk is asked again */
};

typedef struct mlf_stream {
    pthread_mutex_t lock; /* over all below but fd; never held during I/O */
    int fd;               /* -1: memory alone */
    char *path;           /* for messages */
    uint64_t file_end;    /* good bytes of the file */
    uint64_t synced;      /* bytes of the file known to survive a power cut */
    uint64_t gap;         /* offset = byte of the file + gap: what was sent from memory and never needed the disk */
    sv_buffer tail;       /* bytes that the disk has refused so far; begins at offset file_end + gap */
    uint64_t taken;       /* offset below which nobody reads again */
    int64_t retry_ns;     /* when to ask the disk again (monotonic) */
    int refusing, warned;
} mlf_stream;

/* fd is the stream's from now on (-1: memory alone); the file's good part ends at file_end. path: a label, copied. */
int mlf_stream_open(mlf_stream *stream, int fd, const char *path, uint64_t file_end, sv_error *error);
void mlf_stream_close(mlf_stream *stream);

/* Whole frames. SV_E_LIMIT when the disk refuses and the memory for it is full: nothing was taken then. */
int mlf_stream_append(mlf_stream *stream, const void *bytes, size_t length);

/* Makes what was appended survive a power cut: 1; 0: nothing was asked of the disk, as it is already so or all of it has been taken; SV_E_IO. */
int mlf_stream_commit(mlf_stream *stream);

/* Tries the disk again for what waits in memory, and drops from memory what was taken. To be called now and then. */
void mlf_stream_settle(mlf_stream *stream);

uint64_t mlf_stream_end(mlf_stream *stream);
int mlf_stream_is_refusing(mlf_stream *stream);

/* Says that everything below offset will not be read again. */
void mlf_stream_take(mlf_stream *stream, uint64_t offset);

/* The byte of the file that an offset stands for: what position.h keeps. */
uint64_t mlf_stream_file_offset(mlf_stream *stream, uint64_t offset);

/* The whole frame at offset into *frame (emptied first): 1; 0 at the end of the stream; negative sv_code, SV_E_INPUT when the frame is damaged. */
int mlf_stream_read(mlf_stream *stream, uint64_t offset, sv_buffer *frame, sv_error *error);

/* Behind damage: the place of the first whole frame at offset or after it into *found, the frame into *frame: 1; 0 when none follows; negative sv_code. */
int mlf_stream_find(mlf_stream *stream, uint64_t offset, uint64_t *found, sv_buffer *frame, sv_error *error);

#endif
