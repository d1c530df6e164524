/* reply.h: what a server's answer means. Everything in it is untrusted: status first, then JSON is tried, with bounds on size and depth. */
#ifndef MLF_REPLY_H
#define MLF_REPLY_H

#include "mlflow_client.h"

#include <jansson.h>
#include <stddef.h>

/* The JSON object in text[0..length); an empty text is {}. MLF_E_REPLY names what came instead (HTML, truncated, too deep, not an object). New reference. */
int mlf_reply_json(json_t **out, const char *text, size_t length, mlf_error *error);

/* An answer that is not 2xx: fills *error with code, status, error_code and message. what: "POST /api/…", for the message. Returns the code.
   retriable: the transport would try again; a 4xx that is no refusal of MLflow's own may pass, too, which only who can wait is told. */
int mlf_reply_error(mlf_error *error, const char *what, int status, const char *body, size_t length, int retriable);

/* MLflow's error_code in the body, copied; empty when there is none. */
void mlf_reply_error_code(char *into, size_t size, const char *body, size_t length);

#endif
