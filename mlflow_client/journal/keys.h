/* keys.h: each metric key is kept once for a client's life and then known by its address. Looking a known key up takes no lock. */
#ifndef MLF_KEYS_H
#define MLF_KEYS_H

#include "mlflow_client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { MLF_KEYS_MAX = 1 << 22 }; /* distinct keys of one client */

typedef struct mlf_key {
    uint64_t hash;
    uint32_t index; /* 0, 1, … in the order of their first use */
    uint32_t length;
    char text[]; /* NUL-terminated */
} mlf_key;

typedef struct mlf_key_table mlf_key_table;

typedef struct mlf_keys {
    _Atomic(mlf_key_table *) table;
    pthread_mutex_t lock; /* of whoever adds */
    uint32_t count;
} mlf_keys;

int mlf_keys_init(mlf_keys *keys, mlf_error *error);
void mlf_keys_free(mlf_keys *keys);

/* The key of that text, checked and added when it is new. NULL: MLF_E_ARGUMENT or MLF_E_MEMORY is in *error. Any thread; lives as long as keys. */
const mlf_key *mlf_keys_get(mlf_keys *keys, const char *text, mlf_error *error);

#endif
