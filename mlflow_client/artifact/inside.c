#include "inside.h"

#include "client_error.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

int mlf_inside_root(int *fd, const char *folder, mlf_error *error)
{
    sv_error made = SV_ERROR_INIT;
    if (sv_folder_make(folder, &made))
        return mlf_error_set(error, MLF_E_IO, "%s", made.message);
    *fd = open(folder, FOLDER);
    return *fd < 0 ? mlf_error_set(error, MLF_E_IO, "%s: cannot be opened: %s", folder, strerror(errno)) : 0;
}

/* Opens the folder that relative's last segment stands in, and copies that segment to name. Makes what is missing. */
static int open_parent(int *out, char name[256], int root_fd, const char *relative, mlf_error *error)
{
    if (!sv_path_is_inside(relative))
        return mlf_error_set(error, MLF_E_ARGUMENT, "'%.300s': a path that does not stay inside its folder", relative);
    int at = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
    for (const char *rest = relative; at >= 0;) {
        size_t length = strcspn(rest, "/");
        if (length > 255) {
            errno = ENAMETOOLONG;
            break;
        }
        memcpy(name, rest, length);
        name[length] = '\0';
        if (!rest[length]) {
            *out = at;
            return 0;
        }
        if (mkdirat(at, name, 0777) && errno != EEXIST)
            break;
        int next = openat(at, name, FOLDER | O_NOFOLLOW);
        int saved = errno;
        close(at);
        errno = saved;
        at = next;
        rest += length + 1;
    }
    int saved = errno;
    if (at >= 0)
        close(at);
    return mlf_error_set(error, MLF_E_IO, "%.300s: cannot be written: %s", relative, strerror(saved));
}

int mlf_inside_create(mlf_incoming *out, int root_fd, const char *relative, mlf_error *error)
{
    *out = (mlf_incoming)MLF_INCOMING_INIT;
    int code = open_parent(&out->folder_fd, out->name, root_fd, relative, error);
    for (int attempt = 0; !code && out->fd < 0; attempt++) {
        unsigned long long salt = 0;
        if (getrandom(&salt, sizeof salt, 0) != (ssize_t)sizeof salt)
            salt = (unsigned long long)getpid() + (unsigned long long)attempt;
        snprintf(out->temporary, sizeof out->temporary, ".mlf-%016llx.part", salt);
        out->fd = openat(out->folder_fd, out->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (out->fd < 0 && (errno != EEXIST || attempt > 8))
            code = mlf_error_set(error, MLF_E_IO, "%.300s: cannot be written: %s", relative, strerror(errno));
    }
    if (code)
        mlf_inside_abort(out);
    return code;
}

int mlf_inside_write(mlf_incoming *incoming, const void *bytes, size_t length, mlf_error *error)
{
    return sv_write_all(incoming->fd, bytes, length) ? mlf_error_set(error, MLF_E_IO, "%s: cannot be written: %s", incoming->name, strerror(errno)) : 0;
}

int mlf_inside_commit(mlf_incoming *incoming, mlf_error *error)
{
    if ((!incoming->unsynced && fsync(incoming->fd)) ||
        renameat(incoming->folder_fd, incoming->temporary, incoming->folder_fd, incoming->name))
        return mlf_error_set(error, MLF_E_IO, "%s: cannot be written: %s", incoming->name, strerror(errno));
    incoming->temporary[0] = '\0';
    return 0;
}

void mlf_inside_abort(mlf_incoming *incoming)
{
    if (incoming->fd >= 0) {
        close(incoming->fd);
        if (incoming->temporary[0])
            unlinkat(incoming->folder_fd, incoming->temporary, 0);
    }
    if (incoming->folder_fd >= 0)
        close(incoming->folder_fd);
    *incoming = (mlf_incoming)MLF_INCOMING_INIT;
}

int mlf_inside_link(int root_fd, const char *relative, int fd, mlf_error *error)
{
    char name[256], open_file[40];
    int at = -1, code = open_parent(&at, name, root_fd, relative, error);
    if (code)
        return code;
    snprintf(open_file, sizeof open_file, "/proc/self/fd/%d", fd);
    int refused = linkat(AT_FDCWD, open_file, at, name, AT_SYMLINK_FOLLOW) != 0;
    close(at);
    return refused;
}

int mlf_inside_move_as(int from_fd, const char *name, int to_fd, const char *relative, mlf_error *error)
{
    char target[256];
    int to = -1, code = open_parent(&to, target, to_fd, relative, error);
    if (!code && renameat(from_fd, name, to, target))
        code = mlf_error_set(error, MLF_E_IO, "%.300s: cannot be written: %s", relative, strerror(errno));
    if (to >= 0)
        close(to);
    return code;
}

int mlf_inside_move(int from_fd, int to_fd, const char *relative, mlf_error *error)
{
    char name[256];
    int from = -1, code = open_parent(&from, name, from_fd, relative, error);
    if (!code)
        code = mlf_inside_move_as(from, name, to_fd, relative, error);
    if (from >= 0)
        close(from);
    return code;
}
