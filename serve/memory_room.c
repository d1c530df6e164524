/* memory_room.c: see memory_room.h. Control groups (v2, and v1's memory controller): a limit of any ancestor holds. Inside a container the path in /proc may
   be the host's, of which nothing is mounted; its own limit then stands at the top. */
#include "memory_room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The number in a file; the largest there is when there is no such file, or no number in it ("max"). */
static uint64_t read_limit(const char *path)
{
    uint64_t limit = UINT64_MAX;
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%lu", &limit) != 1)
        limit = UINT64_MAX;
    if (file)
        fclose(file);
    return limit;
}

/* The least limit of a group and those above it. group: "/a/b", shortened on the way. */
static uint64_t group_limit(const char *top, char *group, const char *name)
{
    char path[PATH_BYTES + 64];
    uint64_t limit = UINT64_MAX;
    for (char *end = group + strlen(group);; end = strrchr(group, '/')) {
        *end = '\0';
        snprintf(path, sizeof path, "%s%s/%s", top, group, name);
        limit = least(limit, read_limit(path));
        if (!strchr(group, '/'))
            return limit;
    }
}

static uint64_t groups_limit(void)
{
    char line[PATH_BYTES];
    uint64_t limit = UINT64_MAX;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
        if (!group || group[1] != '/')
            continue;
        *group++ = '\0';
        if (!names[1])
            limit = least(limit, group_limit("/sys/fs/cgroup", group, "memory.max"));
        else if (strstr(names, "memory"))
            limit = least(limit, group_limit("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
    }
    if (file)
        fclose(file);
    return limit;
}

uint64_t sv_memory_room(void)
{
    struct rlimit space;
    uint64_t room = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (getrlimit(RLIMIT_AS, &space) == 0)
        room = least(room, space.rlim_cur);
    return least(room, groups_limit());
}
