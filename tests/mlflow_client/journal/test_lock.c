#include "file.h"
#include "lock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[32] = "/tmp/mlf_lock_XXXXXX";

static void make_dir(void)
{
    cr_assert(mkdtemp(dir));
}

static void remove_dir(void)
{
    sv_folder_remove(dir, NULL);
}

TestSuite(lock, .init = make_dir, .fini = remove_dir, .timeout = 60);

static const char *path_of(int i)
{
    static _Thread_local char path[64];
    snprintf(path, sizeof path, "%s/%d", dir, i);
    return path;
}

Test(lock, one_holder_who_is_named)
{
    mlf_lock first = MLF_LOCK_INIT, second = MLF_LOCK_INIT;
    char holder[96], expected[32];
    cr_assert_eq(mlf_lock_take(&first, path_of(0)), 0);
    cr_assert_eq(mlf_lock_take(&second, path_of(0)), EAGAIN);
    mlf_lock_holder(&second, holder, sizeof holder);
    snprintf(expected, sizeof expected, ", process %ld", (long)getpid());
    cr_assert(strstr(holder, expected), "%s", holder);
    mlf_lock_release(&second);
    mlf_lock_release(&first);
    cr_assert_eq(mlf_lock_take(&second, path_of(0)), 0);
    mlf_lock_release(&second);
    mlf_lock_release(&second);
}

/* Whoever may write into the folder must not have us write elsewhere. */
Test(lock, a_link_is_not_followed)
{
    mlf_lock lock = MLF_LOCK_INIT;
    cr_assert_eq(sv_file_write(path_of(1), "precious", 8, NULL), 0);
    cr_assert_eq(symlink("1", path_of(2)), 0);
    cr_assert_eq(mlf_lock_take(&lock, path_of(2)), ELOOP);
    cr_assert_eq(lock.fd, -1);
    sv_buffer text = SV_BUFFER_INIT(0);
    cr_assert_eq(sv_file_read(&text, path_of(1), 0, NULL), 0);
    cr_assert_eq(text.size, 8);
    sv_buffer_free(&text);
}

static atomic_int has_forked;

/* Takes and releases one lock after another; how many. */
static void *take_and_release(void *count)
{
    while (!atomic_load(&has_forked)) {
        mlf_lock lock = MLF_LOCK_INIT;
        cr_assert_eq(mlf_lock_take(&lock, path_of(*(int *)count)), 0);
        mlf_lock_release(&lock);
        ++*(int *)count;
    }
    return NULL;
}

/* Wherever a fork() meets it: children that live on hold none of the locks. */
Test(lock, no_child_has_one)
{
    enum { CHILDREN = 40 };
    pid_t children[CHILDREN];
    pthread_t thread;
    int count = 0;
    mlf_lock held = MLF_LOCK_INIT;
    cr_assert_eq(mlf_lock_take(&held, path_of(-1)), 0);
    pthread_create(&thread, NULL, take_and_release, &count);
    for (int i = 0; i < CHILDREN; i++) {
        usleep(500);
        if (!(children[i] = fork())) {
            pause();
            _exit(0);
        }
    }
    atomic_store(&has_forked, 1);
    pthread_join(thread, NULL);
    mlf_lock_release(&held);
    for (int i = -1; i < count; i++) {
        mlf_lock again = MLF_LOCK_INIT;
        cr_expect_eq(mlf_lock_take(&again, path_of(i)), 0, "%d of %d", i, count);
        mlf_lock_release(&again);
    }
    for (int i = 0; i < CHILDREN; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
}
