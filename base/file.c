#include "file.h"

#include "alloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int sv_file_read_open(sv_buffer *buffer, int fd, const char *path, size_t max_bytes, sv_error *error)
{
    struct stat about;
    int code = SV_OK;
    size_t start = buffer->size;
    if (!fstat(fd, &about) && S_ISDIR(about.st_mode))
        code = sv_error_set(error, SV_E_IO, "%s: expected a file, got a folder", path);
    else if (about.st_size > 0 && (!max_bytes || (size_t)about.st_size <= max_bytes))
        code = sv_buffer_reserve(buffer, (size_t)about.st_size);
    while (!code) {
        char chunk[16384];
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            code = sv_error_set(error, SV_E_IO, "%s: cannot be read: %s", path, strerror(errno));
        if (got <= 0)
            break;
        code = max_bytes && buffer->size - start + (size_t)got > max_bytes ? SV_E_LIMIT : sv_buffer_append(buffer, chunk, (size_t)got);
    }
    if (code == SV_E_LIMIT)
        sv_error_set(error, code, "%s: larger than the limit of %zu bytes", path, max_bytes ? max_bytes : buffer->max);
    if (code == SV_E_MEMORY)
        sv_error_set(error, code, "%s: out of memory", path);
    if (code)
        buffer->size = start;
    return code;
}

int sv_file_read(sv_buffer *buffer, const char *path, size_t max_bytes, sv_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sv_error_set(error, SV_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    int code = sv_file_read_open(buffer, fd, path, max_bytes, error);
    close(fd);
    return code;
}

int sv_write_all(int fd, const void *bytes, size_t length)
{
    for (const char *from = bytes; length;) {
        ssize_t put = write(fd, from, length);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        from += put;
        length -= (size_t)put;
    }
    return 0;
}

int sv_file_write(const char *path, const void *bytes, size_t length, sv_error *error)
{
    size_t size = strlen(path) + 16;
    char *temporary = sv_malloc(size);
    if (!temporary)
        return sv_error_set(error, SV_E_MEMORY, "%s: out of memory", path);
    snprintf(temporary, size, "%s.XXXXXX", path);
    int code = SV_OK, fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        code = sv_error_set(error, SV_E_IO, "%s: cannot be written: %s", path, strerror(errno));
        sv_free(temporary);
        return code;
    }
    mode_t mask = umask(0);
    umask(mask);
    int bad = sv_write_all(fd, bytes, length) || fchmod(fd, 0666 & ~mask) || fsync(fd);
    int saved = errno;
    if (close(fd) && !bad) {
        bad = 1;
        saved = errno;
    }
    if (!bad && rename(temporary, path)) {
        bad = 1;
        saved = errno;
    }
    if (bad) {
        code = sv_error_set(error, SV_E_IO, "%s: cannot be written: %s", path, strerror(saved));
        unlink(temporary);
    }
    sv_free(temporary);
    return code;
}

int sv_folder_make(const char *path, sv_error *error)
{
    char *copy = sv_strdup(path);
    if (!copy)
        return sv_error_set(error, SV_E_MEMORY, "%s: out of memory", path);
    struct stat last;
    int code = SV_OK, is_there = !mkdir(copy, 0777) || (errno == EEXIST && !stat(copy, &last) && S_ISDIR(last.st_mode)); /* most often all above it are there */
    for (char *p = copy + 1; !is_there; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char was = *p;
        *p = '\0';
        struct stat about;
        if (*copy && mkdir(copy, 0777) && (errno != EEXIST || stat(copy, &about) || !S_ISDIR(about.st_mode))) {
            code = sv_error_set(error, SV_E_IO, "%s: cannot be made: %s", copy, strerror(errno));
            break;
        }
        if (!was)
            break;
        *p = was;
    }
    sv_free(copy);
    return code;
}

/* at: the folder that name stands in. Opens without following links, so a link is removed, never walked through. */
static int remove_at(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : unlinkat(at, name, 0);
    DIR *folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        return -1;
    }
    int bad = 0;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            bad |= remove_at(fd, entry->d_name);
    closedir(folder);
    return bad ? -1 : unlinkat(at, name, AT_REMOVEDIR);
}

int sv_folder_remove(const char *path, sv_error *error)
{
    if (remove_at(AT_FDCWD, path))
        return sv_error_set(error, SV_E_IO, "%s: cannot be removed: %s", path, strerror(errno));
    return SV_OK;
}

char *sv_path_join(const char *a, const char *b)
{
    if (!*a || *b == '/')
        return sv_strdup(b);
    size_t length = strlen(a), size = length + strlen(b) + 2;
    char *joined = sv_malloc(size);
    if (joined)
        snprintf(joined, size, "%s%s%s", a, a[length - 1] == '/' ? "" : "/", b);
    return joined;
}

int sv_path_is_inside(const char *path)
{
    for (const char *p = path;; p++) {
        const char *segment = p;
        while (*p && *p != '/') {
            if ((unsigned char)*p < 32 || *p == 127 || *p == '\\')
                return 0;
            p++;
        }
        size_t length = (size_t)(p - segment);
        if (length == 0 || (length == 1 && segment[0] == '.') || (length == 2 && segment[0] == '.' && segment[1] == '.'))
            return 0;
        if (!*p)
            return 1;
    }
}
