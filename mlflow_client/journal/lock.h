/* lock.h: who may write or send a journal: an open-file lock on the file `lock` in its folder. It ends with its process however that ends, holds between hosts
   where the file system's locks do, and no child of a fork() has it. */
#ifndef MLF_LOCK_H
#define MLF_LOCK_H

#include <stddef.h>

typedef struct mlf_lock {
    int fd;                /* -1: not open */
    struct mlf_lock *next; /* of all that are open in this process */
} mlf_lock;

#define MLF_LOCK_INIT {.fd = -1}

/* 0: it is ours, and the file says so; EAGAIN: another's; else errno of making the file (fd is -1), or of a lock that this file system does not keep (fd is not). Stays
   where it is in memory until mlf_lock_release(). */
int mlf_lock_take(mlf_lock *lock, const char *path);
void mlf_lock_release(mlf_lock *lock);

/* "HOST, process N" of another's lock; empty when it has not said so. */
void mlf_lock_holder(const mlf_lock *lock, char *holder, size_t size);

/* Counts the forks that led to this process. A handle made before the last one is not usable. */
extern unsigned mlf_fork_generation;

#endif
