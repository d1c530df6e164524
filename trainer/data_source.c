#include "data_source.h"
#include "alloc.h"
#include "generate.h"
#include "mlflow_client.h"
#include "number.h"
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define MEMORY_MAX ((size_t)16 << 30) /* of what has to be held in memory: pipes, compressed files */

static int out_of_memory(const char *name, sv_error *error)
{
    return sv_error_set(error, SV_E_MEMORY, "%s: out of memory", name);
}

static int failed_read(const char *name, sv_error *error)
{
    return sv_error_set(error, SV_E_IO, "%s: cannot be read: %s", name, strerror(errno));
}

static int slurp(sv_buffer *out, const char *name, int descriptor, sv_error *error)
{
    for (;;) {
        int code = sv_buffer_reserve(out, (out->size < (1 << 20) ? 1 << 16 : out->size / 2));
        if (code)
            return sv_error_set(error, code, "%s: more than fits into memory", name);
        ssize_t got = read(descriptor, out->data + out->size, out->capacity - out->size - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed_read(name, error);
        if (!got)
            return 0;
        out->size += (size_t)got;
    }
}

static int keep(sv_source *source, sv_buffer *bytes, sv_error *error)
{
    source->size = bytes->size;
    source->memory = sv_buffer_take(bytes);
    source->own_memory = 1;
    return source->memory ? 0 : out_of_memory(source->name, error);
}

/* gzip members one after the other, as gzip itself reads them. */
static int inflate_all(sv_buffer *out, const char *name, const char *bytes, size_t size, sv_error *error)
{
    z_stream stream = {0};
    int code = 0, status = Z_OK;
    if (inflateInit2(&stream, 15 + 16) != Z_OK)
        return out_of_memory(name, error);
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    size_t left = size;
    while (!code) {
        stream.avail_in = left > UINT_MAX ? UINT_MAX : (uInt)left;
        size_t offered = stream.avail_in;
        if ((code = sv_buffer_reserve(out, out->size < (1 << 20) ? 1 << 18 : out->size / 2))) {
            sv_error_set(error, code, "%s: more than fits into memory once unpacked", name);
            break;
        }
        size_t room = out->capacity - out->size - 1;
        stream.next_out = (Bytef *)out->data + out->size;
        stream.avail_out = room > UINT_MAX ? UINT_MAX : (uInt)room;
        size_t asked = stream.avail_out;
        status = inflate(&stream, Z_NO_FLUSH);
        out->size += asked - stream.avail_out;
        left -= offered - stream.avail_in;
        if (status == Z_STREAM_END && left)
            inflateReset(&stream);
        else if (status == Z_STREAM_END)
            break;
        else if (status != Z_OK)
            code = sv_error_set(error, SV_E_INPUT, "%s: not whole gzip data: %s", name, stream.msg ? stream.msg : "it ends too early");
    }
    inflateEnd(&stream);
    return code;
}

static int unpack(sv_source *source, sv_error *error)
{
    sv_buffer plain = SV_BUFFER_INIT(MEMORY_MAX);
    int code = inflate_all(&plain, source->name, source->memory, source->size, error);
    if (!code) {
        sv_free(source->memory);
        source->memory = NULL;
        code = keep(source, &plain, error);
    }
    sv_buffer_free(&plain);
    return code;
}

static int is_gzip(const sv_source *source)
{
    unsigned char magic[2];
    size_t got = 0;
    return !sv_source_read(source, 0, magic, 2, &got, NULL) && got == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
}

static int open_descriptor(sv_source *source, int descriptor, sv_error *error)
{
    struct stat about;
    source->descriptor = descriptor; /* closed with the source, also after a failure */
    if (fstat(descriptor, &about))
        return failed_read(source->name, error);
    if (S_ISDIR(about.st_mode))
        return sv_error_set(error, SV_E_IO, "%s: expected a file, got a folder", source->name);
    source->size = (uint64_t)about.st_size;
    if (S_ISREG(about.st_mode) && !is_gzip(source))
        return 0;
    sv_buffer bytes = SV_BUFFER_INIT(MEMORY_MAX);
    int code = slurp(&bytes, source->name, descriptor, error);
    source->descriptor = -1;
    if (descriptor != STDIN_FILENO)
        close(descriptor);
    if (!code)
        code = keep(source, &bytes, error);
    sv_buffer_free(&bytes);
    return !code && is_gzip(source) ? unpack(source, error) : code;
}

static int append(void *context, const char *bytes, size_t length, sv_error *error)
{
    int code = sv_buffer_append(context, bytes, length);
    return code ? sv_error_set(error, code, "generate: more than fits into memory") : 0;
}

/* rows=N,seed=S in any order, each optional. */
static int open_generated(sv_source *source, const char *arguments, sv_error *error)
{
    int64_t values[2] = {50000, 42};
    static const char *const names[2] = {"rows=", "seed="};
    for (const char *at = arguments; *at;) {
        size_t length = strcspn(at, ",");
        int which = 0;
        while (which < 2 && strncmp(at, names[which], 5) != 0)
            which++;
        if (which == 2 || length < 5 || sv_parse_int64(at + 5, length - 5, &values[which]) || values[which] < (which == 0))
            return sv_error_set(error, SV_E_CONFIG, "generate: expected rows=N,seed=S, got %.100s", arguments);
        at += length + (at[length] == ',');
    }
    if (values[0] > 1000000000)
        return sv_error_set(error, SV_E_CONFIG, "generate: expected at most 1000000000 rows, got %.100s", arguments);
    sv_buffer bytes = SV_BUFFER_INIT(MEMORY_MAX);
    int code = sv_generate(values[0], (uint64_t)values[1], append, &bytes, error);
    if (!code)
        code = keep(source, &bytes, error);
    sv_buffer_free(&bytes);
    return code;
}

/* Anything in a store: gs://, s3://, http(s)://, mlflow-artifacts:, runs:/…, models:/…; all of it into memory. */
static int open_remote(sv_source *source, const char *uri, sv_error *error)
{
    mlf_error inner = MLF_ERROR_INIT;
    mlf_client *client = NULL;
    mlf_source *stream = NULL;
    sv_buffer bytes = SV_BUFFER_INIT(MEMORY_MAX);
    int code = mlf_client_new(&client, NULL, &inner);
    if (!code)
        code = mlf_source_open(&stream, client, uri, &inner);
    for (size_t got = 1; !code && got;) {
        if (sv_buffer_reserve(&bytes, bytes.size < (1 << 20) ? 1 << 18 : bytes.size / 2)) {
            code = sv_error_set(error, SV_E_LIMIT, "%s: more than fits into memory", source->name);
            break;
        }
        code = mlf_source_read(stream, bytes.data + bytes.size, bytes.capacity - bytes.size - 1, &got, &inner);
        bytes.size += code ? 0 : got;
    }
    mlf_source_close(stream);
    mlf_client_free(client);
    if (code && inner.code)
        code = sv_error_set(error, inner.code == MLF_E_MEMORY ? SV_E_MEMORY : SV_E_NETWORK, "%s: cannot be read: %s", source->name, inner.message[0] ? inner.message : mlf_code_name(inner.code));
    if (!code)
        code = keep(source, &bytes, error);
    sv_buffer_free(&bytes);
    return !code && is_gzip(source) ? unpack(source, error) : code;
}

static int is_remote(const char *uri)
{
    size_t scheme = strspn(uri, "abcdefghijklmnopqrstuvwxyz0123456789+-");
    return scheme && !strncmp(uri + scheme, ":/", 2) && strncmp(uri, "file:", 5) != 0;
}

int sv_source_open(sv_source *source, const char *uri, sv_error *error)
{
    *source = (sv_source)SV_SOURCE_INIT;
    if (!(source->name = sv_secret_hidden(uri)))
        return out_of_memory("data", error);
    int code, descriptor;
    if (!strncmp(uri, "generate:", 9)) {
        code = open_generated(source, uri + 9, error);
    } else if (is_remote(uri)) {
        code = open_remote(source, uri, error);
    } else if (!strcmp(uri, "-")) {
        code = open_descriptor(source, STDIN_FILENO, error);
    } else {
        const char *path = !strncmp(uri, "file://", 7) ? uri + 7 : uri;
        descriptor = open(path, O_RDONLY | O_CLOEXEC);
        if (descriptor < 0)
            code = sv_error_set(error, SV_E_IO, "%s: cannot be read: %s", source->name, strerror(errno));
        else
            code = open_descriptor(source, descriptor, error);
    }
    if (code)
        sv_source_close(source);
    return code;
}

int sv_source_from_memory(sv_source *source, const char *name, const char *bytes, size_t size, sv_error *error)
{
    *source = (sv_source){.name = sv_strdup(name), .descriptor = -1, .memory = (char *)(uintptr_t)bytes, .size = size};
    return source->name ? 0 : out_of_memory(name, error);
}

int sv_source_read(const sv_source *source, uint64_t offset, void *out, size_t length, size_t *got, sv_error *error)
{
    *got = 0;
    if (offset >= source->size)
        return 0;
    if (length > source->size - offset)
        length = (size_t)(source->size - offset);
    if (source->descriptor < 0) {
        memcpy(out, source->memory + offset, length);
        *got = length;
        return 0;
    }
    while (*got < length) {
        ssize_t count = pread(source->descriptor, (char *)out + *got, length - *got, (off_t)(offset + *got));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return failed_read(source->name, error);
        if (!count)
            return sv_error_set(error, SV_E_IO, "%s: became shorter while it was read", source->name);
        *got += (size_t)count;
    }
    return 0;
}

void sv_source_close(sv_source *source)
{
    if (source->descriptor >= 0 && source->descriptor != STDIN_FILENO)
        close(source->descriptor);
    if (source->own_memory)
        sv_free(source->memory);
    sv_free(source->name);
    *source = (sv_source)SV_SOURCE_INIT;
}
