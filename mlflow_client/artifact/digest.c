#include "digest.h"

#include "alloc.h"
#include "client_error.h"
#include "crc32c.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>
#include <unistd.h>

int mlf_digest_begin(mlf_digest *digest, int kinds, mlf_error *error)
{
    *digest = (mlf_digest){.kinds = kinds};
    if (kinds & MLF_DIGEST_MD5 && (!(digest->md5 = EVP_MD_CTX_new()) || !EVP_DigestInit_ex(digest->md5, EVP_md5(), NULL)))
        goto failed;
    if (kinds & MLF_DIGEST_SHA256 && (!(digest->sha256 = EVP_MD_CTX_new()) || !EVP_DigestInit_ex(digest->sha256, EVP_sha256(), NULL)))
        goto failed;
    return 0;
failed:
    mlf_digest_free(digest);
    return mlf_error_set(error, MLF_E_MEMORY, "MD5 or SHA-256 cannot be had from libcrypto");
}

void mlf_digest_only(mlf_digest *digest, int kinds)
{
    digest->kinds &= kinds;
    if (!(kinds & MLF_DIGEST_MD5)) {
        EVP_MD_CTX_free(digest->md5);
        digest->md5 = NULL;
    }
}

void mlf_digest_add(mlf_digest *digest, const void *bytes, size_t length)
{
    digest->bytes += (int64_t)length;
    if (digest->kinds & MLF_DIGEST_CRC32C)
        digest->crc32c = mlf_crc32c(digest->crc32c, bytes, length);
    if (digest->md5)
        EVP_DigestUpdate(digest->md5, bytes, length);
    if (digest->sha256)
        EVP_DigestUpdate(digest->sha256, bytes, length);
}

int mlf_digest_add_file(mlf_digest *digest, int fd, int64_t offset, int64_t length, mlf_error *error)
{
    enum { CHUNK_BYTES = 256 << 10 };
    char *chunk = sv_malloc(CHUNK_BYTES);
    int code = chunk ? 0 : mlf_error_memory(error);
    for (int64_t at = 0; !code && at < length;) {
        int64_t left = length - at;
        ssize_t got = pread(fd, chunk, left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES, offset + at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            code = mlf_error_set(error, MLF_E_IO, "a file that is being uploaded: %s", got ? strerror(errno) : "it has become shorter");
        else
            mlf_digest_add(digest, chunk, (size_t)got);
        at += got;
    }
    sv_free(chunk);
    return code;
}

void mlf_digest_md5(mlf_digest *digest, unsigned char out[16])
{
    EVP_DigestFinal_ex(digest->md5, out, NULL);
}

void mlf_digest_sha256(mlf_digest *digest, unsigned char out[32])
{
    EVP_DigestFinal_ex(digest->sha256, out, NULL);
}

void mlf_digest_free(mlf_digest *digest)
{
    EVP_MD_CTX_free(digest->md5);
    EVP_MD_CTX_free(digest->sha256);
    digest->md5 = digest->sha256 = NULL;
}

void mlf_hex(char *out, const unsigned char *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < length; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * length] = '\0';
}

int mlf_base64_exact(unsigned char *out, size_t length, const char *text)
{
    unsigned char decoded[96];
    size_t size = strlen(text), padding = 0;
    if (length > 64 || size != (length + 2) / 3 * 4)
        return -1;
    while (padding < 2 && text[size - 1 - padding] == '=')
        padding++;
    int got = EVP_DecodeBlock(decoded, (const unsigned char *)text, (int)size);
    if (got < 0 || (size_t)got - padding != length)
        return -1;
    memcpy(out, decoded, length);
    return 0;
}

void mlf_crc32c_to_base64(char out[MLF_CRC32C_TEXT], uint32_t crc32c)
{
    const unsigned char bytes[4] = {(unsigned char)(crc32c >> 24), (unsigned char)(crc32c >> 16), (unsigned char)(crc32c >> 8), (unsigned char)crc32c};
    EVP_EncodeBlock((unsigned char *)out, bytes, sizeof bytes);
}

int mlf_crc32c_from_base64(uint32_t *out, const char *text)
{
    unsigned char bytes[4];
    if (mlf_base64_exact(bytes, sizeof bytes, text))
        return -1;
    *out = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    return 0;
}

void mlf_sha256_hex(char out[65], const void *bytes, size_t length)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(bytes, length, digest);
    mlf_hex(out, digest, sizeof digest);
}
