/* tls.c: see tls.h. */
#include "tls.h"

#include "alloc.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/stat.h>

struct sv_tls {
    pthread_mutex_t lock; /* guards context and the stamps */
    SSL_CTX *context;
    char *certificate_path, *key_path;
    struct timespec certificate_time, key_time;
};

static struct timespec modified(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_mtim : (struct timespec){0, 0};
}

static int refuse(sv_error *error, SSL_CTX *context, const char *what, const char *path)
{
    char reason[200] = "unknown reason";
    unsigned long code = ERR_get_error();
    if (code)
        ERR_error_string_n(code, reason, sizeof reason);
    SSL_CTX_free(context);
    ERR_clear_error();
    return sv_error_set(error, SV_E_CONFIG, "tls: %s %s: expected readable PEM, got: %s", what, path, reason);
}

static int load(SSL_CTX **out, const char *certificate_path, const char *key_path, sv_error *error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context)
        return sv_error_set(error, SV_E_MEMORY, "tls: out of memory");
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    if (SSL_CTX_use_certificate_chain_file(context, certificate_path) != 1)
        return refuse(error, context, "certificate", certificate_path);
    if (SSL_CTX_use_PrivateKey_file(context, key_path, SSL_FILETYPE_PEM) != 1)
        return refuse(error, context, "key", key_path);
    if (SSL_CTX_check_private_key(context) != 1)
        return refuse(error, context, "the key does not belong to the certificate:", key_path);
    *out = context;
    return 0;
}

int sv_tls_new(sv_tls **out, const char *certificate_path, const char *key_path, sv_error *error)
{
    sv_tls *tls = sv_calloc(1, sizeof *tls);
    if (!tls)
        return sv_error_set(error, SV_E_MEMORY, "tls: out of memory");
    pthread_mutex_init(&tls->lock, NULL);
    tls->certificate_path = sv_strdup(certificate_path);
    tls->key_path = sv_strdup(key_path);
    tls->certificate_time = modified(certificate_path);
    tls->key_time = modified(key_path);
    int code = tls->certificate_path && tls->key_path ? load(&tls->context, certificate_path, key_path, error)
                                                      : sv_error_set(error, SV_E_MEMORY, "tls: out of memory");
    if (code) {
        sv_tls_free(tls);
        return code;
    }
    *out = tls;
    return 0;
}

void sv_tls_free(sv_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    sv_free(tls->certificate_path);
    sv_free(tls->key_path);
    pthread_mutex_destroy(&tls->lock);
    sv_free(tls);
}

static int same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

int sv_tls_reload(sv_tls *tls, sv_error *error)
{
    struct timespec certificate_time = modified(tls->certificate_path), key_time = modified(tls->key_path);
    if (same_time(certificate_time, tls->certificate_time) && same_time(key_time, tls->key_time))
        return 0;
    SSL_CTX *context = NULL;
    int code = load(&context, tls->certificate_path, tls->key_path, error);
    if (code)
        return code;
    pthread_mutex_lock(&tls->lock);
    SSL_CTX *old = tls->context;
    tls->context = context;
    tls->certificate_time = certificate_time;
    tls->key_time = key_time;
    pthread_mutex_unlock(&tls->lock);
    SSL_CTX_free(old); /* open connections hold their own reference */
    return 1;
}

sv_ssl *sv_tls_begin(sv_tls *tls, int fd)
{
    pthread_mutex_lock(&tls->lock);
    SSL *ssl = SSL_new(tls->context);
    pthread_mutex_unlock(&tls->lock);
    if (ssl && SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

int sv_tls_handshake(sv_ssl *ssl)
{
    ERR_clear_error();
    int result = SSL_accept(ssl);
    if (result == 1)
        return 1;
    int reason = SSL_get_error(ssl, result);
    return reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

int sv_tls_wants_write(const sv_ssl *ssl)
{
    return SSL_want_write(ssl);
}

/* SSL's answer in the words of recv(2) and send(2). */
static ssize_t as_posix(sv_ssl *ssl, int result)
{
    if (result > 0)
        return result;
    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        errno = EPIPE;
        return -1;
    }
}

static int bounded(size_t size)
{
    return size > INT32_MAX ? INT32_MAX : (int)size;
}

ssize_t sv_tls_read(sv_ssl *ssl, void *bytes, size_t size)
{
    ERR_clear_error();
    return as_posix(ssl, SSL_read(ssl, bytes, bounded(size)));
}

ssize_t sv_tls_write(sv_ssl *ssl, const void *bytes, size_t size)
{
    ERR_clear_error();
    return as_posix(ssl, SSL_write(ssl, bytes, bounded(size)));
}

void sv_tls_goodbye(sv_ssl *ssl)
{
    ERR_clear_error();
    SSL_shutdown(ssl);
}

void sv_tls_end(sv_ssl *ssl)
{
    SSL_free(ssl);
}
