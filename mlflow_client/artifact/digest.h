/* digest.h: what a store says of a file's bytes, and what came: size, MD5, CRC32C. */
#ifndef MLF_DIGEST_H
#define MLF_DIGEST_H

#include "mlflow_client.h"

#include <stddef.h>
#include <stdint.h>

typedef enum mlf_digest_kind { MLF_DIGEST_MD5 = 1, MLF_DIGEST_CRC32C = 2, MLF_DIGEST_SHA256 = 4 } mlf_digest_kind;

/* Kinds are those asked for at the beginning. */
typedef struct mlf_digest {
    int kinds;
    int64_t bytes;
    uint32_t crc32c;
    void *md5, *sha256; /* EVP_MD_CTX */
} mlf_digest;

int mlf_digest_begin(mlf_digest *digest, int kinds, mlf_error *error);
void mlf_digest_only(mlf_digest *digest, int kinds); /* the others are not wanted after all */
void mlf_digest_add(mlf_digest *digest, const void *bytes, size_t length);
/* length bytes of a file from offset on; a file that ends before is an error. */
int mlf_digest_add_file(mlf_digest *digest, int fd, int64_t offset, int64_t length, mlf_error *error);
void mlf_digest_md5(mlf_digest *digest, unsigned char out[16]);       /* ends that kind */
void mlf_digest_sha256(mlf_digest *digest, unsigned char out[32]);    /* ends that kind */
void mlf_digest_free(mlf_digest *digest);

void mlf_hex(char *out, const unsigned char *bytes, size_t length); /* 2 * length + 1 bytes, lower case */
/* Base64 text to exactly `length` bytes: 0, or -1 when it is not that. */
int mlf_base64_exact(unsigned char *out, size_t length, const char *text);

/* A CRC32C as S3 and Google say it: its four bytes, the highest first, in base64. From: 0, or -1 when the text is none. */
enum { MLF_CRC32C_TEXT = 9 };
void mlf_crc32c_to_base64(char out[MLF_CRC32C_TEXT], uint32_t crc32c);
int mlf_crc32c_from_base64(uint32_t *out, const char *text);

/* The SHA-256 of bytes as 64 hex digits and a NUL. */
void mlf_sha256_hex(char out[65], const void *bytes, size_t length);

#endif
