/* csv_dictionary.h: the distinct texts of one column in one piece of a file, numbered in order of first appearance. For the csv files alone. */
#ifndef SV_CSV_DICTIONARY_H
#define SV_CSV_DICTIONARY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SV_CSV_PADDING = 32 }; /* readable bytes behind every text that is looked up */

typedef struct sv_csv_slot {
    uint64_t low, high; /* the text's first 16 bytes; of longer ones a hash and the first 8 */
    uint32_t length;
    int32_t code; /* -1: free */
} sv_csv_slot;

typedef struct sv_csv_dictionary {
    sv_csv_slot *slots; /* (n_slots), a power of two */
    uint32_t n_slots, n_used;
    uint32_t count;     /* texts */
    uint32_t *ends;     /* (count): where each text ends in bytes */
    uint32_t ends_capacity;
    char *bytes;
    size_t size, capacity;
} sv_csv_dictionary;

void sv_csv_dictionary_clear(sv_csv_dictionary *dictionary); /* forgets, keeps the memory */
void sv_csv_dictionary_free(sv_csv_dictionary *dictionary);

/* ---- finding, which happens once a cell ---- */

enum { SV_CSV_SHORT = 16 }; /* texts up to here are their own key */

static inline uint64_t sv_csv_word(const char *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* Without a branch on the length, which nobody can predict: bytes behind the text are masked out. */
static inline sv_csv_slot sv_csv_short_key(const char *text, size_t length)
{
    size_t low = length < 8 ? length : 8, high = length - low;
    uint64_t low_mask = low ? UINT64_MAX >> (64 - 8 * low) : 0, high_mask = high ? UINT64_MAX >> (64 - 8 * high) : 0;
    return (sv_csv_slot){.low = sv_csv_word(text) & low_mask, .high = sv_csv_word(text + 8) & high_mask, .length = (uint32_t)length, .code = -1};
}

static inline uint32_t sv_csv_place(const sv_csv_slot *key)
{
    uint64_t h = (key->low ^ (key->high * UINT64_C(0x9e3779b97f4a7c15)) ^ key->length) * UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(h >> 32);
}

/* The code of a text of at most SV_CSV_SHORT bytes, or -1. SV_CSV_PADDING bytes behind it can be read. */
static inline int32_t sv_csv_dictionary_find_short(const sv_csv_dictionary *d, const char *text, size_t length)
{
    if (!d->n_slots) return -1;
    sv_csv_slot key = sv_csv_short_key(text, length);
    for (uint32_t i = sv_csv_place(&key) & (d->n_slots - 1); d->slots[i].code >= 0; i = (i + 1) & (d->n_slots - 1)) {
        const sv_csv_slot *slot = &d->slots[i];
        if (((slot->low ^ key.low) | (slot->high ^ key.high) | (slot->length ^ key.length)) == 0) return slot->code;
    }
    return -1;
}

/* The text's code, new when alias is below 0, or alias for a text that stands for another one; -1 when memory is out. SV_CSV_PADDING bytes behind text can be read. */
int32_t sv_csv_dictionary_add(sv_csv_dictionary *dictionary, const char *text, size_t length, int32_t alias);
int32_t sv_csv_dictionary_find(const sv_csv_dictionary *dictionary, const char *text, size_t length); /* the code, or -1 */

const char *sv_csv_dictionary_text(const sv_csv_dictionary *dictionary, uint32_t code, size_t *length);

#endif
