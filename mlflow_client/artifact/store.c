#include "store.h"

#include "alloc.h"
#include "client.h"
#include "client_error.h"
#include "digest.h"
#include "retry.h"
#include "secret.h"

#include <string.h>
#include <time.h>

static const mlf_store_ops *const STORES[] = {&MLF_STORE_LOCAL, &MLF_STORE_PROXY, &MLF_STORE_S3, &MLF_STORE_GS};

/* 1 when scheme is one of the words. */
static int has_word(const char *words, const char *scheme)
{
    size_t length = strlen(scheme);
    if (!length)
        return !*words;
    for (const char *p = words; *p; p += strspn(p, " ")) {
        size_t word = strcspn(p, " ");
        if (word == length && !memcmp(p, scheme, length))
            return 1;
        p += word;
    }
    return 0;
}

static const mlf_store_ops *find_ops(const char *scheme)
{
    for (size_t i = 0; i < sizeof STORES / sizeof *STORES; i++)
        if (has_word(STORES[i]->schemes, scheme))
            return STORES[i];
    return NULL;
}

/* Fills store->ops and state; what was given when that fails is freed by mlf_store_close(). */
static int begin_store(mlf_store *store, const mlf_uri *uri, mlf_error *error)
{
    const mlf_store_ops *ops = find_ops(uri->scheme);
    if (!ops)
        return mlf_error_set(error, MLF_E_UNSUPPORTED, "%.300s: no store for '%s:'; known are folders, mlflow-artifacts:, http(s):, s3: and gs:", store->uri, uri->scheme);
    if (!store->client && ops != &MLF_STORE_LOCAL) {
        mlf_client_options options = MLF_CLIENT_OPTIONS_INIT;
        options.offline = 0;
        int code = mlf_client_new(&store->client, &options, error);
        if (code)
            return code;
        store->owns_client = 1;
    }
    int code = ops->open(store, uri, error);
    if (!code)
        store->ops = ops;
    return code;
}

static int new_store(mlf_store **out, mlf_client *client, const char *text, const mlf_uri *uri, mlf_error *error)
{
    mlf_store *store = sv_calloc(1, sizeof *store);
    int code = 0;
    if (!store || !(store->uri = sv_secret_hidden(text)))
        code = mlf_error_memory(error);
    else {
        store->client = client;
        code = begin_store(store, uri, error);
    }
    if (code)
        mlf_store_close(store);
    else
        *out = store;
    return code;
}

int mlf_store_open(mlf_store **out, mlf_client *client, const char *text, mlf_error *error)
{
    mlf_uri uri = MLF_URI_INIT;
    *out = NULL;
    int code = mlf_uri_parse(&uri, text, error);
    if (!code)
        code = new_store(out, client, text, &uri, error);
    mlf_uri_free(&uri);
    return code;
}

int mlf_store_open_folder(mlf_store **out, const char *folder, mlf_error *error)
{
    mlf_uri uri = MLF_URI_INIT;
    *out = NULL;
    int code = (uri.path = sv_strdup(folder)) ? new_store(out, NULL, folder, &uri, error) : mlf_error_memory(error);
    mlf_uri_free(&uri);
    return code;
}

void mlf_store_close(mlf_store *store)
{
    if (!store)
        return;
    if (store->ops)
        store->ops->close(store);
    if (store->owns_client)
        mlf_client_free(store->client);
    sv_free(store->uri);
    sv_free(store->prefix);
    sv_free(store);
}

void mlf_store_progress(mlf_store *store, int64_t bytes)
{
    if (store->progress && bytes)
        store->progress(store->progress_context, bytes);
}

/* ---- fetching: go on where it broke, then check ---- */

struct fetch {
    mlf_digest digest;
    mlf_bytes_fn *each;
    void *context;
    int consumer_failed;
    const mlf_object *object;
    int64_t *size_bytes; /* where the caller wants to know the size, or NULL */
};

static int pass_on(void *context, const void *bytes, size_t length, mlf_error *error)
{
    struct fetch *fetch = context;
    const mlf_object *object = fetch->object;
    if (!fetch->digest.bytes) {
        if (fetch->size_bytes)
            *fetch->size_bytes = object->size_bytes;
        mlf_digest_only(&fetch->digest, (object->has_md5 ? MLF_DIGEST_MD5 : 0) | (object->has_crc32c ? MLF_DIGEST_CRC32C : 0));
    }
    mlf_digest_add(&fetch->digest, bytes, length);
    int code = fetch->each(fetch->context, bytes, length, error);
    fetch->consumer_failed |= code != 0;
    return code;
}

static int check_bytes(struct fetch *fetch, const mlf_object *object, const char *uri, const char *path, mlf_error *error)
{
    unsigned char md5[16];
    if (object->size_bytes >= 0 && fetch->digest.bytes != object->size_bytes)
        return mlf_error_set(error, MLF_E_INTEGRITY, "%.300s %.300s: expected %lld bytes, got %lld", uri, path, (long long)object->size_bytes, (long long)fetch->digest.bytes);
    if (object->has_crc32c && fetch->digest.crc32c != object->crc32c)
        return mlf_error_set(error, MLF_E_INTEGRITY, "%.300s %.300s: expected the CRC32C %08x, got %08x", uri, path, object->crc32c, fetch->digest.crc32c);
    if (!object->has_md5 || !fetch->digest.md5)
        return 0;
    mlf_digest_md5(&fetch->digest, md5);
    if (!memcmp(md5, object->md5, sizeof md5))
        return 0;
    char expected[33], got[33];
    mlf_hex(expected, object->md5, sizeof md5);
    mlf_hex(got, md5, sizeof md5);
    return mlf_error_set(error, MLF_E_INTEGRITY, "%.300s %.300s: expected the MD5 %s, got %s", uri, path, expected, got);
}

/* As often in a row without a single new byte, and after such pauses, as the client retries any request. */
static int may_resume(const mlf_store *store, int resume)
{
    const mlf_settings *settings = store->client ? &store->client->settings : NULL;
    if (!settings || resume > settings->max_retries)
        return 0;
    int64_t ms = resume ? mlf_retry_wait_ms(settings, resume, 0.5) : 0;
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
    return 1;
}

int mlf_store_fetch(mlf_store *store, const char *path, int64_t *size_bytes, mlf_begun *begun, mlf_bytes_fn *each, void *context, mlf_error *error)
{
    mlf_object own = {.size_bytes = -1}, *object = begun ? &begun->object : &own;
    struct fetch fetch = {.each = each, .context = context, .object = object, .size_bytes = size_bytes};
    int64_t had = begun ? begun->bytes : 0;
    int code = mlf_digest_begin(&fetch.digest, store->ops->digests, error);
    if (!code && had && (code = mlf_digest_add_file(&fetch.digest, begun->fd, 0, had, error)))
        mlf_digest_free(&fetch.digest);
    if (code)
        return code;
    for (int resume = 0; !code; resume++) {
        mlf_error attempt = MLF_ERROR_INIT;
        int64_t before = fetch.digest.bytes;
        int got = store->ops->get(store, path, before, object, pass_on, &fetch, &attempt);
        if (!got)
            break;
        if (fetch.digest.bytes > before)
            resume = 0;
        if (!fetch.consumer_failed && attempt.retriable && fetch.digest.bytes > had && may_resume(store, resume))
            continue;
        code = got;
        if (error && !error->code)
            *error = attempt;
    }
    if (!code)
        code = check_bytes(&fetch, object, store->uri, path, error);
    mlf_digest_free(&fetch.digest);
    return code;
}
