/* csv_dictionary.h: the distinct texts of one column in one piece of a file, numbered in order of first appearance. For the csv files alone. */
#ifndef SV_CSV_DICTIONARY_H
#define SV_CSV_DICTIONARY_H

#include <stddef.h>
#include <stdint.h>

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

/* The text's code, new when alias is below 0, or alias for a text that stands for another one; -1 when memory is out. SV_CSV_PADDING bytes behind text can be read. */
int32_t sv_csv_dictionary_add(sv_csv_dictionary *dictionary, const char *text, size_t length, int32_t alias);
int32_t sv_csv_dictionary_find(const sv_csv_dictionary *dictionary, const char *text, size_t length); /* the code, or -1 */

const char *sv_csv_dictionary_text(const sv_csv_dictionary *dictionary, uint32_t code, size_t *length);

#endif
