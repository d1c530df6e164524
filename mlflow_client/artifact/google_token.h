/* google_token.h: who we are to Google Cloud: a service account's key file or a user's (GOOGLE_APPLICATION_CREDENTIALS, else gcloud's own), else the
   metadata server (Cloud Run, GKE, Compute Engine). Left out: workload identity federation and impersonation.
   Source: RFC 7523; Google, "Using OAuth 2.0 for server to server applications". */
#ifndef MLF_GOOGLE_TOKEN_H
#define MLF_GOOGLE_TOKEN_H

#include "mlflow_client.h"

#include <stddef.h>
#include <stdint.h>

typedef struct mlf_google_token {
    char *text;         /* NULL: nobody, requests go without */
    int64_t expires_ms; /* since the epoch */
    const char *from;   /* for messages; static */
} mlf_google_token;

/* 0 also when nothing names credentials. Blocks. */
int mlf_google_token_get(mlf_google_token *out, mlf_client *client, mlf_error *error);
/* Takes it out of the answer, {"access_token", "expires_in"}. from: static. */
int mlf_google_token_read(mlf_google_token *out, const char *answer, size_t length, const char *from, mlf_error *error);
void mlf_google_token_free(mlf_google_token *token); /* wipes; not the struct */

#endif
