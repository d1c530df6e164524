/* mlflow_error.h: error bodies as MLflow's scoring server writes them. */
#ifndef SV_MLFLOW_ERROR_H
#define SV_MLFLOW_ERROR_H

#include "http_reply.h"

typedef enum sv_refusal {
    SV_REFUSE_INPUT,  /* 400 BAD_REQUEST, "Invalid input. …" of MlflowInvalidInputException */
    SV_REFUSE_MODEL,  /* 400 BAD_REQUEST: the model met something unexpected */
    SV_REFUSE_SCHEMA, /* 400 INVALID_PARAMETER_VALUE (SCHEMA_ENFORCEMENT_FAILED) */
    SV_REFUSE_PARAMS, /* 400 INVALID_PARAMETER_VALUE */
    SV_REFUSE_LIMIT   /* 413 RESOURCE_EXHAUSTED: more rows or values than one request may hold */
} sv_refusal;

/* Replaces the reply by {"error_code", "message", "sqlstate", "error_class"}. */
void sv_mlflow_refuse(sv_reply *reply, sv_refusal refusal, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
