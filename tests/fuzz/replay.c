/* replay.c: runs a fuzz target over every file of a corpus folder, and over each file's every prefix; one TAP line a file.
   The input ends at an unreadable page, so that a read past the end stops the program. */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_LIMIT = 1 << 20, PREFIX_LIMIT = 512 };
static uint8_t *page_end;

static void make_guarded_memory(void)
{
    uint8_t *block = mmap(NULL, INPUT_LIMIT + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED || mprotect(block + INPUT_LIMIT, 4096, PROT_NONE)) {
        perror("guarded memory");
        exit(1);
    }
    page_end = block + INPUT_LIMIT;
}

static void run(const uint8_t *bytes, size_t size)
{
    memcpy(page_end - size, bytes, size);
    LLVMFuzzerTestOneInput(page_end - size, size);
}

static int replay(const char *path)
{
    static uint8_t bytes[INPUT_LIMIT];
    FILE *file = fopen(path, "rb");
    if (!file)
        return -1;
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    run(bytes, size);
    size_t step = size / PREFIX_LIMIT + 1;
    for (size_t prefix = 0; prefix < size; prefix += step)
        run(bytes, prefix);
    return 0;
}

int main(int argc, char **argv)
{
    DIR *folder = argc > 1 ? opendir(argv[1]) : NULL;
    if (!folder) {
        printf("Bail out! no corpus folder %s\n", argc > 1 ? argv[1] : "");
        return 1;
    }
    make_guarded_memory();
    int count = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        int bad = replay(path);
        printf("%s %d - %s\n", bad ? "not ok" : "ok", ++count, entry->d_name);
        fflush(stdout);
    }
    closedir(folder);
    printf("1..%d\n", count);
    return count == 0;
}
