#include "memory_file.h"

#include "client_error.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int mlf_memory_file(int *fd, const void *bytes, size_t length, mlf_error *error)
{
    *fd = memfd_create("mlflow-artifact", MFD_CLOEXEC);
    if (*fd < 0)
        return mlf_error_set(error, MLF_E_IO, "memory for an artifact of %zu bytes: %s", length, strerror(errno));
    for (const char *from = bytes; length;) {
        ssize_t put = write(*fd, from, length);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            int code = mlf_error_set(error, MLF_E_IO, "memory for an artifact: %s", strerror(errno));
            close(*fd);
            *fd = -1;
            return code;
        }
        from += put;
        length -= (size_t)put;
    }
    return 0;
}
