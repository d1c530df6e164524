/* aws_keys.h: who we are to AWS, found where Amazon's own SDKs look: the environment, web identity (EKS), the profile's files, a container's
   address (ECS, EKS pod identity), the instance's metadata (IMDSv2). Left out: SSO, credential processes, roles assumed from another profile. */
#ifndef MLF_AWS_KEYS_H
#define MLF_AWS_KEYS_H

#include "mlflow_client.h"

#include <stddef.h>
#include <stdint.h>

typedef struct mlf_aws_keys {
    char *id, *secret, *token; /* id NULL: none were found, requests go unsigned; token NULL: none */
    int64_t expires_ms;        /* since the epoch; 0: never */
    const char *from;          /* where they were found, for messages; static */
} mlf_aws_keys;

#define MLF_AWS_KEYS_INIT {NULL, NULL, NULL, 0, "nowhere"}

/* 0 also when there are none. An error when a place that was named does not work. Blocks. */
int mlf_aws_keys_find(mlf_aws_keys *out, mlf_client *client, const char *region, mlf_error *error);
/* Takes them out of an answer: of the security token service, of a container's or an instance's own address. from: static. */
int mlf_aws_keys_read_xml(mlf_aws_keys *out, const char *answer, size_t length, mlf_error *error);
int mlf_aws_keys_read_json(mlf_aws_keys *out, const char *answer, size_t length, const char *from, mlf_error *error);
void mlf_aws_keys_free(mlf_aws_keys *keys); /* wipes; not the struct */

/* AWS_REGION, AWS_DEFAULT_REGION, the profile's, else us-east-1. The caller's (sv_free); NULL when memory is out. */
char *mlf_aws_region(void);

#endif
