/* ledger.c: see ledger.h. Shards, each a ring of predictions in order of arrival and a table of chains over it; the oldest makes room for the newest. */
#include "ledger.h"

#include "alloc.h"
#include "clock.h"
#include "error.h"
#include "prng.h"
#include "request_id.h"

#include <pthread.h>

#define N_SHARDS 16
#define NOBODY UINT32_MAX

typedef struct entry {
    uint64_t key; /* 0: none */
    sv_tapped prediction;
    uint32_t version, is_told, next; /* next: in its chain, or NOBODY */
} entry;

typedef struct shard {
    _Alignas(64) pthread_mutex_t lock;
    uint32_t newest; /* the entry that the next prediction takes */
    entry *entries;  /* (n) */
    uint32_t *first; /* (n): of each chain, or NOBODY */
} shard;

struct sv_ledger {
    uint64_t seed; /* nobody outside can choose ids that meet */
    uint32_t n;    /* of a shard; a power of two */
    shard shards[N_SHARDS];
};

int sv_ledger_new(sv_ledger **out, size_t n)
{
    sv_ledger *ledger = sv_aligned(64, sizeof *ledger);
    if (!ledger)
        return SV_E_MEMORY;
    memset(ledger, 0, sizeof *ledger);
    for (ledger->n = 1; (size_t)ledger->n * N_SHARDS < n;)
        ledger->n *= 2;
    ledger->seed = sv_mix64((uint64_t)sv_monotonic_ns() ^ (uint64_t)(uintptr_t)ledger);
    int code = 0;
    for (size_t s = 0; s < N_SHARDS; s++) {
        shard *part = &ledger->shards[s];
        pthread_mutex_init(&part->lock, NULL);
        part->entries = sv_calloc(ledger->n, sizeof *part->entries);
        part->first = sv_array(ledger->n, sizeof *part->first);
        if (!part->entries || !part->first)
            code = SV_E_MEMORY;
        else
            memset(part->first, 0xff, ledger->n * sizeof *part->first);
    }
    if (code)
        sv_ledger_free(ledger);
    else
        *out = ledger;
    return code;
}

void sv_ledger_free(sv_ledger *ledger)
{
    if (!ledger)
        return;
    for (size_t s = 0; s < N_SHARDS; s++) {
        pthread_mutex_destroy(&ledger->shards[s].lock);
        sv_free(ledger->shards[s].entries);
        sv_free(ledger->shards[s].first);
    }
    sv_free(ledger);
}

size_t sv_ledger_size(const sv_ledger *ledger)
{
    return (size_t)ledger->n * N_SHARDS;
}

static uint64_t key_of(const sv_ledger *ledger, uint64_t id_hash, size_t slot, size_t row)
{
    uint64_t key = sv_mix64(id_hash ^ ledger->seed ^ sv_mix64(slot << 32 | row));
    return key ? key : 1;
}

static shard *shard_of(sv_ledger *ledger, uint64_t key)
{
    return &ledger->shards[key >> 60];
}

static uint32_t *chain_of(const sv_ledger *ledger, shard *part, uint64_t key)
{
    return &part->first[key & (ledger->n - 1)];
}

static entry *find(const sv_ledger *ledger, shard *part, uint64_t key)
{
    for (uint32_t at = *chain_of(ledger, part, key); at != NOBODY; at = part->entries[at].next)
        if (part->entries[at].key == key)
            return &part->entries[at];
    return NULL;
}

static void unlink_entry(const sv_ledger *ledger, shard *part, uint32_t which)
{
    uint32_t *link = chain_of(ledger, part, part->entries[which].key);
    while (*link != which)
        link = &part->entries[*link].next;
    *link = part->entries[which].next;
}

static entry *take_oldest(const sv_ledger *ledger, shard *part, uint64_t key)
{
    uint32_t which = part->newest;
    entry *e = &part->entries[which];
    part->newest = (which + 1) & (ledger->n - 1);
    if (e->key)
        unlink_entry(ledger, part, which);
    uint32_t *first = chain_of(ledger, part, key);
    *e = (entry){.key = key, .next = *first};
    *first = which;
    return e;
}

void sv_ledger_add(sv_ledger *ledger, size_t slot, sv_span id, uint32_t version, const sv_tapped *rows, size_t n)
{
    uint64_t id_hash = sv_request_hash(id);
    for (size_t row = 0; row < n; row++) {
        uint64_t key = key_of(ledger, id_hash, slot, row);
        shard *part = shard_of(ledger, key);
        pthread_mutex_lock(&part->lock);
        entry *e = find(ledger, part, key);
        if (!e)
            e = take_oldest(ledger, part, key);
        e->prediction = rows[row];
        e->version = version;
        pthread_mutex_unlock(&part->lock);
    }
}

sv_ledger_found sv_ledger_take(sv_ledger *ledger, size_t slot, sv_span id, size_t row, sv_tapped *prediction, uint32_t *version)
{
    uint64_t key = key_of(ledger, sv_request_hash(id), slot, row);
    shard *part = shard_of(ledger, key);
    pthread_mutex_lock(&part->lock);
    entry *e = find(ledger, part, key);
    sv_ledger_found found = !e ? SV_LEDGER_UNKNOWN : e->is_told ? SV_LEDGER_TOLD : SV_LEDGER_FOUND;
    if (found == SV_LEDGER_FOUND) {
        *prediction = e->prediction;
        *version = e->version;
        e->is_told = 1;
    }
    pthread_mutex_unlock(&part->lock);
    return found;
}
