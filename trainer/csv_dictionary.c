#include "csv_dictionary.h"
#include "alloc.h"
#include "prng.h"

#include <string.h>

enum { FIRST_SLOTS = 64 };

static uint64_t load(const char *at, size_t length)
{
    uint64_t word = sv_csv_word(at);
    return length >= 8 ? word : word & ((UINT64_C(1) << (8 * length)) - 1);
}

static sv_csv_slot key_of(const char *text, size_t length)
{
    if (length <= SV_CSV_SHORT)
        return sv_csv_short_key(text, length);
    sv_csv_slot key = {.length = (uint32_t)length, .code = -1, .high = sv_csv_word(text)};
    for (size_t i = 0; i < length; i += 8)
        key.low = sv_mix64(key.low ^ load(text + i, length - i));
    return key;
}

static int same(const sv_csv_dictionary *d, const sv_csv_slot *a, const sv_csv_slot *key, const char *text)
{
    size_t length;
    if (a->low != key->low || a->high != key->high || a->length != key->length)
        return 0;
    return key->length <= SV_CSV_SHORT || !memcmp(sv_csv_dictionary_text(d, (uint32_t)a->code, &length), text, key->length);
}

static const sv_csv_slot *find(const sv_csv_dictionary *d, const sv_csv_slot *key, const char *text)
{
    for (uint32_t i = sv_csv_place(key) & (d->n_slots - 1); d->slots[i].code >= 0; i = (i + 1) & (d->n_slots - 1))
        if (same(d, &d->slots[i], key, text))
            return &d->slots[i];
    return NULL;
}

static void insert(sv_csv_dictionary *d, const sv_csv_slot *slot)
{
    uint32_t i = sv_csv_place(slot) & (d->n_slots - 1);
    while (d->slots[i].code >= 0)
        i = (i + 1) & (d->n_slots - 1);
    d->slots[i] = *slot;
    d->n_used++;
}

static int make_slots(sv_csv_dictionary *d, uint32_t n_slots)
{
    sv_csv_slot *old = d->slots;
    uint32_t n_old = d->n_slots;
    sv_csv_slot *slots = sv_array(n_slots, sizeof *slots);
    if (!slots)
        return -1;
    for (uint32_t i = 0; i < n_slots; i++)
        slots[i].code = -1;
    d->slots = slots;
    d->n_slots = n_slots;
    d->n_used = 0;
    for (uint32_t i = 0; i < n_old; i++)
        if (old[i].code >= 0)
            insert(d, &old[i]);
    sv_free(old);
    return 0;
}

static int store_text(sv_csv_dictionary *d, const char *text, size_t length)
{
    if (d->count == d->ends_capacity) {
        uint32_t capacity = d->ends_capacity ? d->ends_capacity * 2 : FIRST_SLOTS;
        uint32_t *ends = sv_realloc(d->ends, capacity * sizeof *ends);
        if (!ends)
            return -1;
        d->ends = ends;
        d->ends_capacity = capacity;
    }
    if (d->capacity - d->size < length) {
        size_t capacity = d->capacity * 2 + length + 256;
        char *bytes = capacity > UINT32_MAX ? NULL : sv_realloc(d->bytes, capacity);
        if (!bytes)
            return -1;
        d->bytes = bytes;
        d->capacity = capacity;
    }
    if (length)
        memcpy(d->bytes + d->size, text, length);
    d->size += length;
    d->ends[d->count++] = (uint32_t)d->size;
    return 0;
}

int32_t sv_csv_dictionary_find(const sv_csv_dictionary *d, const char *text, size_t length)
{
    sv_csv_slot key = key_of(text, length);
    const sv_csv_slot *slot = d->n_slots ? find(d, &key, text) : NULL;
    return slot ? slot->code : -1;
}

int32_t sv_csv_dictionary_add(sv_csv_dictionary *d, const char *text, size_t length, int32_t alias)
{
    if (d->n_used * 2 >= d->n_slots && make_slots(d, d->n_slots ? d->n_slots * 2 : FIRST_SLOTS))
        return -1;
    sv_csv_slot key = key_of(text, length);
    const sv_csv_slot *slot = find(d, &key, text);
    if (slot)
        return slot->code;
    if (alias < 0 && store_text(d, text, length))
        return -1;
    key.code = alias < 0 ? (int32_t)d->count - 1 : alias;
    if (alias < 0 || length <= SV_CSV_SHORT) /* the text of a longer alias stands nowhere to compare with */
        insert(d, &key);
    return key.code;
}

void sv_csv_dictionary_clear(sv_csv_dictionary *d)
{
    for (uint32_t i = 0; i < d->n_slots; i++)
        d->slots[i].code = -1;
    d->n_used = d->count = 0;
    d->size = 0;
}

void sv_csv_dictionary_free(sv_csv_dictionary *d)
{
    sv_free(d->slots);
    sv_free(d->ends);
    sv_free(d->bytes);
    *d = (sv_csv_dictionary){0};
}

const char *sv_csv_dictionary_text(const sv_csv_dictionary *d, uint32_t code, size_t *length)
{
    uint32_t start = code ? d->ends[code - 1] : 0;
    *length = d->ends[code] - start;
    return d->bytes + start;
}
