/* probe.c: can journals be kept in a folder? Tries what logging does there: make the folder, lock, write and sync a file. Leaves nothing behind but the folder. */
#include "client_error.h"
#include "file.h"
#include "folder.h"
#include "lock.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int failed(mlf_error *error, int code, const char *dir, const char *what)
{
    return mlf_error_set(error, code, "%.600s: %s: %s", dir, what, strerror(errno));
}

static int try_file(const char *path, const char *dir, mlf_error *error)
{
    static const char block[4096];
    mlf_lock lock = MLF_LOCK_INIT;
    errno = mlf_lock_take(&lock, path);
    if (lock.fd < 0)
        return failed(error, MLF_E_IO, dir, "no file can be made");
    int code = errno ? failed(error, MLF_E_UNSUPPORTED, dir, "no lock can be had") : MLF_OK;
    ssize_t put = code ? 0 : pwrite(lock.fd, block, sizeof block, 0);
    if (put >= 0 && put < (ssize_t)sizeof block)
        errno = ENOSPC;
    if (!code && (put != (ssize_t)sizeof block || fdatasync(lock.fd)))
        code = failed(error, MLF_E_IO, dir, "a file cannot be written");
    unlink(path);
    mlf_lock_release(&lock);
    return code;
}

int mlf_journal_probe(int64_t *room_bytes, const char *dir, int write, mlf_error *error)
{
    struct statvfs about;
    char key[MLF_JOURNAL_KEY + 1];
    sv_error made = SV_ERROR_INIT;
    sv_buffer path = SV_BUFFER_INIT(4096);
    *room_bytes = -1;
    int code = write && sv_folder_make(dir, &made) ? mlf_error_from_base(error, &made) : mlf_journal_key(key, error);
    if (!code && !statvfs(dir, &about))
        *room_bytes = (int64_t)about.f_bavail * (int64_t)about.f_frsize;
    if (!code && write && sv_buffer_format(&path, "%s/.probe-%s", dir, key))
        code = mlf_error_memory(error);
    if (!code && write)
        code = try_file(path.data, dir, error);
    sv_buffer_free(&path);
    return code;
}
