/* levels.c: the distinct texts of a column: an array in order of arrival and an open-addressed hash table of codes beside it. */
#include "alloc.h"
#include "arena.h"
#include "table.h"
#include "utf8.h"

#include <string.h>

typedef struct level {
    const char *text;
    uint32_t length, hash;
} level;

struct sv_levels {
    sv_arena texts;
    level *items; // (count), capacity slots / 2
    uint32_t *slots; // (slot_mask + 1): code + 1, 0 for an empty slot
    uint32_t slot_mask;
    uint32_t count;
};

enum { FIRST_SLOTS = 16 };

static uint32_t hash_text(const char *text, size_t length)
{
    uint64_t hash = length * 0x9e3779b97f4a7c15u, word;
    for (; length >= 8; text += 8, length -= 8) {
        memcpy(&word, text, 8);
        hash = (hash ^ word) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
    }
    word = 0;
    for (size_t i = 0; i < length; i++)
        word |= (uint64_t)(unsigned char)text[i] << 8 * i;
    hash = (hash ^ word) * 0xff51afd7ed558ccdu;
    return (uint32_t)(hash ^ hash >> 32);
}

int sv_levels_new(sv_levels **out)
{
    sv_levels *levels = sv_calloc(1, sizeof *levels);
    if (levels) {
        levels->items = sv_array(FIRST_SLOTS / 2, sizeof *levels->items);
        levels->slots = sv_calloc(FIRST_SLOTS, sizeof *levels->slots);
        levels->slot_mask = FIRST_SLOTS - 1;
    }
    if (!levels || !levels->items || !levels->slots) {
        sv_levels_free(levels);
        *out = NULL;
        return SV_E_MEMORY;
    }
    *out = levels;
    return 0;
}

void sv_levels_free(sv_levels *levels)
{
    if (!levels)
        return;
    sv_arena_free(&levels->texts);
    sv_free(levels->items);
    sv_free(levels->slots);
    sv_free(levels);
}

int sv_levels_copy(sv_levels **out, const sv_levels *levels)
{
    int code = sv_levels_new(out);
    for (uint32_t i = 0; !code && i < levels->count; i++) {
        int32_t added = sv_levels_add(*out, levels->items[i].text, levels->items[i].length);
        code = added < 0 ? added : 0;
    }
    if (code) {
        sv_levels_free(*out);
        *out = NULL;
    }
    return code;
}

size_t sv_levels_count(const sv_levels *levels)
{
    return levels->count;
}

const char *sv_levels_text(const sv_levels *levels, size_t code, size_t *length)
{
    if (length)
        *length = levels->items[code].length;
    return levels->items[code].text;
}

/* The slot that holds the text, or the empty one where it would go. */
static uint32_t *find_slot(const sv_levels *levels, const char *text, size_t length, uint32_t hash)
{
    for (uint32_t at = hash & levels->slot_mask;; at = (at + 1) & levels->slot_mask) {
        uint32_t *slot = &levels->slots[at];
        if (!*slot)
            return slot;
        const level *item = &levels->items[*slot - 1];
        if (item->hash == hash && item->length == length && !memcmp(item->text, text, length))
            return slot;
    }
}

int32_t sv_levels_find(const sv_levels *levels, const char *text, size_t length)
{
    return (int32_t)*find_slot(levels, text, length, hash_text(text, length)) - 1;
}

static int grow(sv_levels *levels)
{
    uint32_t n_slots = 2 * (levels->slot_mask + 1);
    level *items = sv_realloc(levels->items, n_slots / 2 * sizeof *items);
    if (!items)
        return SV_E_MEMORY;
    levels->items = items;
    uint32_t *slots = sv_calloc(n_slots, sizeof *slots);
    if (!slots)
        return SV_E_MEMORY;
    sv_free(levels->slots);
    levels->slots = slots;
    levels->slot_mask = n_slots - 1;
    for (uint32_t i = 0; i < levels->count; i++)
        *find_slot(levels, items[i].text, items[i].length, items[i].hash) = i + 1;
    return 0;
}

int32_t sv_levels_add(sv_levels *levels, const char *text, size_t length)
{
    uint32_t hash = hash_text(text, length), *slot = find_slot(levels, text, length, hash);
    if (*slot)
        return (int32_t)*slot - 1;
    if (levels->count >= SV_LEVELS_MAX || length > SV_LEVEL_LENGTH_MAX)
        return SV_E_LIMIT;
    if (2 * levels->count > levels->slot_mask) {
        if (grow(levels))
            return SV_E_MEMORY;
        slot = find_slot(levels, text, length, hash);
    }
    const char *copy = sv_arena_strndup(&levels->texts, text, length);
    if (!copy)
        return SV_E_MEMORY;
    levels->items[levels->count] = (level){copy, (uint32_t)length, hash};
    *slot = ++levels->count;
    return (int32_t)levels->count - 1;
}

int sv_levels_check_utf8(const sv_levels *levels, const char *column, sv_error *error)
{
    for (uint32_t i = 0; levels && i < levels->count; i++) {
        size_t length = levels->items[i].length;
        if (length && memchr(levels->items[i].text, 0, length))
            return sv_error_set(error, SV_E_INPUT, "%s: a text holds a NUL byte: '%.100s' and more", column, levels->items[i].text);
        if (sv_utf8_whole(levels->items[i].text, length))
            continue;
        int code = sv_error_set(error, SV_E_INPUT, "%s: the text '%.100s' is not UTF-8", column, levels->items[i].text);
        sv_error_hint(error, "convert the file first, as in: iconv -f LATIN1 -t UTF-8");
        return code;
    }
    return 0;
}
