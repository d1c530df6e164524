/* Large blocks in a folder: contents, zeros, growing and shrinking across the bound, and that they are that folder's files. */
#include "alloc.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LARGE = 3 * SV_SPILL_BYTES };

static char folder[] = "/tmp/test-alloc-XXXXXX";

static void begin(void)
{
    cr_assert(mkdtemp(folder));
    cr_assert_eq(sv_alloc_spill(folder), 0);
}

static void end(void)
{
    DIR *listing = opendir(folder);
    size_t files = 0;
    for (struct dirent *entry; (entry = readdir(listing));)
        files += entry->d_name[0] != '.';
    closedir(listing);
    cr_assert_eq(sv_alloc_spill(NULL), 0);
    cr_assert_eq(rmdir(folder), 0);
    cr_assert_eq(files, 0, "files without names, got %zu with one", files);
}

/* What /proc says lies behind an address. */
static int is_in_folder(const void *block)
{
    char line[4096];
    FILE *maps = fopen("/proc/self/maps", "r");
    int found = 0;
    while (fgets(line, sizeof line, maps)) {
        uintptr_t first, last;
        if (sscanf(line, "%lx-%lx", &first, &last) == 2 && (uintptr_t)block >= first && (uintptr_t)block < last)
            found = strstr(line, folder) != NULL;
    }
    fclose(maps);
    return found;
}

Test(alloc, large_blocks_live_in_the_folder, .init = begin, .fini = end)
{
    char *small = sv_malloc(1000), *large = sv_malloc(LARGE), *zeros = sv_calloc(LARGE, 1), *aligned = sv_aligned(64, LARGE);
    cr_assert(small && large && zeros && aligned);
    cr_assert(is_in_folder(large) && is_in_folder(zeros) && is_in_folder(aligned) && !is_in_folder(small));
    cr_assert_eq((uintptr_t)aligned % 64, 0);
    for (size_t i = 0; i < LARGE; i++)
        cr_assert_eq(zeros[i], 0);
    memset(large, 7, LARGE);
    sv_free(small);
    sv_free(large);
    sv_free(zeros);
    sv_free(aligned);
    cr_assert(!is_in_folder(large));
}

Test(alloc, blocks_keep_their_bytes_across_the_bound, .init = begin, .fini = end)
{
    unsigned char *block = sv_malloc(5000);
    static const size_t sizes[] = {9000, LARGE, 2 * LARGE, 100, LARGE, LARGE + 1};
    for (size_t i = 0; i < 100; i++)
        block[i] = (unsigned char)i;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        block = sv_realloc(block, sizes[s]);
        cr_assert(block && is_in_folder(block) == (sizes[s] >= SV_SPILL_BYTES), "%zu bytes", sizes[s]);
        for (size_t i = 0; i < 100; i++)
            cr_assert_eq(block[i], i);
    }
    cr_assert_null(sv_malloc(SIZE_MAX / 2)); /* no disk is that large */
    sv_free(block);
    block = sv_realloc(NULL, LARGE);
    cr_assert(block && is_in_folder(block));
    sv_free(block);
}

Test(alloc, without_a_folder_all_is_memory)
{
    char *block = sv_malloc(LARGE);
    cr_assert(block && !is_in_folder(block));
    sv_free(block);
    cr_assert_eq(sv_alloc_spill("/nowhere/at/all"), -1);
    cr_assert_eq(errno, ENOENT);
    block = sv_malloc(LARGE);
    cr_assert(block && !is_in_folder(block));
    sv_free(block);
}
