/* tls.h: TLS 1.2 and 1.3 for the server, by OpenSSL. A changed certificate is taken for new connections without a restart. */
#ifndef SV_TLS_H
#define SV_TLS_H

#include "error.h"

#include <stddef.h>
#include <sys/types.h>

typedef struct sv_tls sv_tls;
typedef struct ssl_st sv_ssl;

/* Reads the chain and the key (PEM). SV_E_CONFIG when they are unreadable or do not belong together. Copies the paths. */
int sv_tls_new(sv_tls **out, const char *certificate_path, const char *key_path, sv_error *error);
void sv_tls_free(sv_tls *tls); /* accepts NULL */

/* Reads the files again when either changed since. 1: taken, 0: unchanged, negative: refused, the old certificate stays. Any thread. */
int sv_tls_reload(sv_tls *tls, sv_error *error);

/* A connection's state on fd (non-blocking); NULL when memory is out. */
sv_ssl *sv_tls_begin(sv_tls *tls, int fd);
int sv_tls_handshake(sv_ssl *ssl);      /* 1 done, 0 not yet, -1 failed */
int sv_tls_wants_write(const sv_ssl *ssl);
ssize_t sv_tls_read(sv_ssl *ssl, void *bytes, size_t size);        /* as recv(2): 0 at the end, -1 with errno (EAGAIN) */
ssize_t sv_tls_write(sv_ssl *ssl, const void *bytes, size_t size); /* as send(2) */
void sv_tls_goodbye(sv_ssl *ssl);                                  /* sends close_notify, does not wait */
void sv_tls_end(sv_ssl *ssl);

#endif
