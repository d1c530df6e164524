#include "outcome.h"

#include "client_error.h"

#include <stdio.h>
#include <string.h>

/* curl's failures by what they mean here; the others are the network's weather. */
static const struct {
    CURLcode curl;
    int code, retriable;
} meanings[] = {
    {CURLE_OUT_OF_MEMORY, MLF_E_MEMORY, 0},
    {CURLE_URL_MALFORMAT, MLF_E_ARGUMENT, 0},
    {CURLE_UNSUPPORTED_PROTOCOL, MLF_E_REPLY, 0},
    {CURLE_COULDNT_RESOLVE_PROXY, MLF_E_CONNECT, 1},
    {CURLE_PEER_FAILED_VERIFICATION, MLF_E_TLS, 0},
    {CURLE_SSL_CERTPROBLEM, MLF_E_TLS, 0},
    {CURLE_SSL_CACERT_BADFILE, MLF_E_TLS, 0},
    {CURLE_SSL_ISSUER_ERROR, MLF_E_TLS, 0},
    {CURLE_SSL_CIPHER, MLF_E_TLS, 0},
    {CURLE_SSL_PINNEDPUBKEYNOTMATCH, MLF_E_TLS, 0},
    {CURLE_WEIRD_SERVER_REPLY, MLF_E_REPLY, 0},
    {CURLE_FILESIZE_EXCEEDED, MLF_E_REPLY, 0},
    {CURLE_BAD_CONTENT_ENCODING, MLF_E_REPLY, 0},
};

int mlf_outcome_set(mlf_outcome *outcome, int code, int retriable, const char *message)
{
    outcome->code = code;
    outcome->retriable = retriable;
    mlf_text_copy(outcome->message, sizeof outcome->message, message, strlen(message));
    return code;
}

int mlf_outcome_of_stop(mlf_outcome *outcome, mlf_stop stopped, size_t ceiling)
{
    char message[160];
    switch (stopped) {
    case MLF_STOP_TOO_LARGE:
        snprintf(message, sizeof message, "the answer is larger than %zu bytes", ceiling);
        return mlf_outcome_set(outcome, MLF_E_REPLY, 0, message);
    case MLF_STOP_HEADERS:
        return mlf_outcome_set(outcome, MLF_E_REPLY, 0, "the head of the answer is too large");
    case MLF_STOP_MEMORY:
        return mlf_outcome_set(outcome, MLF_E_MEMORY, 0, "out of memory");
    case MLF_STOP_SHORT:
        return mlf_outcome_set(outcome, MLF_E_IO, 0, "the file became shorter while it was sent");
    case MLF_STOP_READ:
        return mlf_outcome_set(outcome, MLF_E_IO, 0, "what was to be sent could not be read");
    case MLF_STOP_WRITE:
        return mlf_outcome_set(outcome, MLF_E_IO, 0, "what came could not be written");
    default:
        return mlf_outcome_set(outcome, MLF_E_STATE, 0, "cancelled");
    }
}

int mlf_outcome_of_curl(mlf_outcome *outcome, CURLcode result, const char *text)
{
    const char *message = *text ? text : curl_easy_strerror(result);
    char hinted[sizeof outcome->message];
    if (result == CURLE_PEER_FAILED_VERIFICATION && strstr(message, "certificate problem")) { /* nobody known signed it; elsewhere it is another's */
        snprintf(hinted, sizeof hinted, "%.200s; CURL_CA_BUNDLE names a file of authorities to trust", message);
        message = hinted;
    }
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (meanings[i].curl == result)
            return mlf_outcome_set(outcome, meanings[i].code, meanings[i].retriable, message);
    if (result ==
        CURLE_SSL_CONNECT_ERROR) { /* a handshake that was cut is weather; one that was refused will be refused again */
        int cut = strstr(message, "SYSCALL") || strstr(message, "reset") || strstr(message, "unexpected eof");
        return mlf_outcome_set(outcome, cut ? MLF_E_CONNECT : MLF_E_TLS, cut, message);
    }
    return mlf_outcome_set(outcome, MLF_E_CONNECT, 1, message);
}
