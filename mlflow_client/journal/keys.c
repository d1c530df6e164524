#include "keys.h"

#include "alloc.h"
#include "client_error.h"
#include "validate.h"

#include <string.h>

/* Open addressing; never more than half full. A table that grew too small is kept until the end: somebody may still be reading it. */
struct mlf_key_table {
    mlf_key_table *smaller;
    size_t mask;
    _Atomic(mlf_key *) slots[];
};

static uint64_t hash_text(const char *text, size_t length)
{
    uint64_t hash = 0x9e3779b97f4a7c15u ^ length, word;
    for (; length >= 8; length -= 8, text += 8) {
        memcpy(&word, text, 8);
        hash = (hash ^ word) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
    }
    word = 0;
    memcpy(&word, text, length);
    hash = (hash ^ word) * 0xc4ceb9fe1a85ec53u;
    return hash ^ hash >> 29;
}

static mlf_key_table *new_table(size_t size, mlf_key_table *smaller)
{
    mlf_key_table *table = sv_calloc(1, sizeof *table + size * sizeof *table->slots);
    if (table) {
        table->mask = size - 1;
        table->smaller = smaller;
    }
    return table;
}

int mlf_keys_init(mlf_keys *keys, mlf_error *error)
{
    mlf_key_table *table = new_table(64, NULL);
    if (!table)
        return mlf_error_memory(error);
    keys->count = 0;
    atomic_init(&keys->table, table);
    pthread_mutex_init(&keys->lock, NULL);
    return MLF_OK;
}

void mlf_keys_free(mlf_keys *keys)
{
    mlf_key_table *table = atomic_load(&keys->table);
    if (!table)
        return;
    for (size_t i = 0; i <= table->mask; i++)
        sv_free(atomic_load(&table->slots[i]));
    while (table) {
        mlf_key_table *smaller = table->smaller;
        sv_free(table);
        table = smaller;
    }
    atomic_store(&keys->table, NULL);
    pthread_mutex_destroy(&keys->lock);
}

static mlf_key *find(mlf_key_table *table, uint64_t hash, const char *text, size_t length, size_t *slot)
{
    for (size_t at = hash & table->mask;; at = (at + 1) & table->mask) {
        mlf_key *key = atomic_load_explicit(&table->slots[at], memory_order_acquire);
        if (!key) {
            *slot = at;
            return NULL;
        }
        if (key->hash == hash && key->length == length && !memcmp(key->text, text, length))
            return key;
    }
}

static mlf_key_table *grow(mlf_keys *keys, mlf_key_table *old)
{
    mlf_key_table *table = new_table(2 * (old->mask + 1), old);
    if (!table)
        return NULL;
    for (size_t i = 0; i <= old->mask; i++) {
        mlf_key *key = atomic_load_explicit(&old->slots[i], memory_order_relaxed);
        size_t at = key ? key->hash & table->mask : 0;
        if (!key)
            continue;
        while (atomic_load_explicit(&table->slots[at], memory_order_relaxed))
            at = (at + 1) & table->mask;
        atomic_store_explicit(&table->slots[at], key, memory_order_relaxed);
    }
    atomic_store_explicit(&keys->table, table, memory_order_release);
    return table;
}

static const mlf_key *add(mlf_keys *keys, uint64_t hash, const char *text, size_t length, mlf_error *error)
{
    size_t slot;
    mlf_key_table *table = atomic_load_explicit(&keys->table, memory_order_relaxed);
    mlf_key *key = find(table, hash, text, length, &slot);
    if (key)
        return key;
    if (keys->count >= MLF_KEYS_MAX) {
        mlf_error_set(error, MLF_E_ARGUMENT, "metric '%.80s': more than %d different keys", text, MLF_KEYS_MAX);
        return NULL;
    }
    if (keys->count >= (table->mask + 1) / 2) {
        table = grow(keys, table);
        if (table)
            find(table, hash, text, length, &slot);
    }
    key = table ? sv_malloc(sizeof *key + length + 1) : NULL;
    if (!key) {
        mlf_error_memory(error);
        return NULL;
    }
    *key = (mlf_key){.hash = hash, .index = keys->count++, .length = (uint32_t)length};
    memcpy(key->text, text, length + 1);
    atomic_store_explicit(&table->slots[slot], key, memory_order_release);
    return key;
}

const mlf_key *mlf_keys_get(mlf_keys *keys, const char *text, mlf_error *error)
{
    size_t slot, length = strlen(text);
    uint64_t hash = hash_text(text, length);
    const mlf_key *key = find(atomic_load_explicit(&keys->table, memory_order_acquire), hash, text, length, &slot);
    if (key)
        return key;
    if (mlf_check_key("metric", text, error))
        return NULL;
    pthread_mutex_lock(&keys->lock);
    key = add(keys, hash, text, length, error);
    pthread_mutex_unlock(&keys->lock);
    return key;
}
