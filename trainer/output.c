#include "output.h"
#include "alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int sv_output_open(sv_output *output, const char *path, sv_error *error)
{
    *output = (sv_output)SV_OUTPUT_INIT;
    if (!strcmp(path, "-")) {
        output->descriptor = STDOUT_FILENO;
        return 0;
    }
    char *behind_links = realpath(path, NULL); /* a link stays, what it names is replaced */
    struct stat about;
    int through = !stat(path, &about) && !S_ISREG(about.st_mode); /* a pipe or a device is written to, never replaced */
    size_t length = strlen(behind_links ? behind_links : path);
    output->path = sv_strdup(behind_links ? behind_links : path);
    output->temporary = sv_malloc(length + 12);
    free(behind_links);
    if (!output->path || !output->temporary) {
        sv_output_discard(output);
        return sv_error_set(error, SV_E_MEMORY, "%s: out of memory", path);
    }
    snprintf(output->temporary, length + 12, "%s.tmpXXXXXX", output->path);
    if (through)
        output->temporary[0] = '\0';
    output->descriptor = through ? open(path, O_WRONLY | O_CLOEXEC) : mkostemp(output->temporary, O_CLOEXEC);
    if (output->descriptor < 0) {
        int why = errno;
        output->temporary[0] = '\0';
        sv_output_discard(output);
        return sv_error_set(error, SV_E_IO, "%s: cannot be written: %s", path, strerror(why));
    }
    if (through)
        return 0;
    mode_t mask = umask(0);
    umask(mask);
    if (fchmod(output->descriptor, 0666 & ~mask)) {
        sv_output_discard(output);
        return sv_error_set(error, SV_E_IO, "%s: cannot be written: %s", path, strerror(errno));
    }
    return 0;
}

int sv_output_write(sv_output *output, const void *bytes, size_t length, sv_error *error)
{
    const char *at = bytes;
    while (length) {
        ssize_t wrote = write(output->descriptor, at, length);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return sv_error_set(error, SV_E_IO, "%s: cannot be written: %s", output->path ? output->path : "standard output", strerror(errno));
        at += wrote;
        length -= (size_t)wrote;
    }
    return 0;
}

int sv_output_commit(sv_output *output, sv_error *error)
{
    int code = 0;
    if (!output->path)
        return 0;
    if (fsync(output->descriptor) && errno != EINVAL)
        code = sv_error_set(error, SV_E_IO, "%s: cannot be written: %s", output->path, strerror(errno));
    if (close(output->descriptor) && !code)
        code = sv_error_set(error, SV_E_IO, "%s: cannot be written: %s", output->path, strerror(errno));
    output->descriptor = -1;
    if (!code && output->temporary[0] && rename(output->temporary, output->path))
        code = sv_error_set(error, SV_E_IO, "%s: cannot be written: %s", output->path, strerror(errno));
    if (!code)
        output->temporary[0] = '\0';
    sv_output_discard(output);
    return code;
}

void sv_output_discard(sv_output *output)
{
    if (output->descriptor >= 0 && output->path)
        close(output->descriptor);
    if (output->temporary && output->temporary[0])
        unlink(output->temporary);
    sv_free(output->path);
    sv_free(output->temporary);
    *output = (sv_output)SV_OUTPUT_INIT;
}

int sv_output_folder_check(const char *path, sv_error *error)
{
    struct stat about;
    char *place = sv_strdup(*path ? path : ".");
    if (!place)
        return sv_error_set(error, SV_E_MEMORY, "%s: out of memory", path);
    int missing;
    while ((missing = stat(place, &about)) && errno == ENOENT) { /* up to the folder in which the first missing one would be made */
        char *slash = strrchr(place, '/');
        if (!slash || slash == place)
            strcpy(place, slash ? "/" : ".");
        else
            *slash = '\0';
    }
    int why = missing ? errno : !S_ISDIR(about.st_mode) ? ENOTDIR : access(place, W_OK | X_OK) ? errno : 0;
    if (why)
        sv_error_set(error, SV_E_CONFIG, "%s: cannot be written: %s: %s", path, place, strerror(why));
    sv_free(place);
    return why ? SV_E_CONFIG : 0;
}
