#include "lock.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- fork() ---- */

unsigned mlf_fork_generation;
static mlf_lock *all_open;
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
    pthread_mutex_lock(&all_lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&all_lock);
}

static void after_fork_in_child(void)
{
    mlf_fork_generation++;
    for (const mlf_lock *lock = all_open; lock; lock = lock->next)
        close(lock->fd);
    all_open = NULL;
    pthread_mutex_unlock(&all_lock);
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* ---- the file ---- */

/* A fork() waits for it: no child may come into being that has the file open and does not know it. 0, or errno. */
static int open_file(mlf_lock *lock, const char *path)
{
    pthread_once(&fork_once, watch_forks);
    pthread_mutex_lock(&all_lock);
    lock->fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    int why = lock->fd < 0 ? errno : 0;
    if (!why) {
        lock->next = all_open;
        all_open = lock;
    }
    pthread_mutex_unlock(&all_lock);
    return why;
}

/* A child that was just born may have the file open until it comes to run, so closing it here would not be enough. */
void mlf_lock_release(mlf_lock *lock)
{
    struct flock range = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    mlf_lock **place = &all_open;
    pthread_mutex_lock(&all_lock);
    while (*place && *place != lock)
        place = &(*place)->next;
    if (*place) {
        *place = lock->next;
        fcntl(lock->fd, F_OFD_SETLK, &range);
        close(lock->fd);
    }
    lock->fd = -1;
    pthread_mutex_unlock(&all_lock);
}

int mlf_lock_take(mlf_lock *lock, const char *path)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int why = open_file(lock, path);
    if (why)
        return why;
    if (fcntl(lock->fd, F_OFD_SETLK, &range))
        return errno == EACCES ? EAGAIN : errno;
    char host[65] = "", line[96];
    gethostname(host, sizeof host - 1);
    int length = snprintf(line, sizeof line, "%s %ld\n", host, (long)getpid());
    if (ftruncate(lock->fd, 0) || pwrite(lock->fd, line, (size_t)length, 0) < 0)
        sv_log(SV_LOG_DEBUG, "%s: cannot name its holder: %s", path, strerror(errno));
    return 0;
}

void mlf_lock_holder(const mlf_lock *lock, char *holder, size_t size)
{
    ssize_t got = pread(lock->fd, holder, size - 1, 0);
    holder[got > 0 ? got : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
    char *space = strrchr(holder, ' ');
    size_t used = strlen(holder);
    if (space && used + sizeof ", process" < size) { /* "host 123" */
        memmove(space + sizeof ", process" - 1, space, strlen(space) + 1);
        memcpy(space, ", process", sizeof ", process" - 1);
    }
}
