#include "position.h"

#include "crc32c.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { SLOT = 64, FIELDS = 7 };

static void put_u64(unsigned char *at, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static uint64_t get_u64(const unsigned char *at)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

static int parse_slot(mlf_position *position, const unsigned char *slot)
{
    if (get_u64(slot + 56) != mlf_crc32c(0, slot, 56))
        return -1;
    *position = (mlf_position){get_u64(slot), get_u64(slot + 8), get_u64(slot + 16), get_u64(slot + 24), get_u64(slot + 32), get_u64(slot + 40), get_u64(slot + 48)};
    return 0;
}

int mlf_position_read(mlf_position *position, int fd, sv_error *error)
{
    unsigned char slots[2 * SLOT] = {0};
    *position = (mlf_position){0};
    ssize_t got;
    while ((got = pread(fd, slots, sizeof slots, 0)) < 0 && errno == EINTR)
        ;
    if (got < 0)
        return sv_error_set(error, SV_E_IO, "position: cannot be read: %s", strerror(errno));
    for (int i = 0; i < 2; i++) {
        mlf_position found;
        if (!parse_slot(&found, slots + i * SLOT) && found.generation > position->generation)
            *position = found;
    }
    return SV_OK;
}

int mlf_position_write(mlf_position *position, int fd, sv_error *error)
{
    position->generation++;
    const uint64_t fields[FIELDS] = {position->generation, position->offset, position->skip, position->points, position->ops, position->refused, position->ended};
    unsigned char slot[SLOT] = {0};
    for (int i = 0; i < FIELDS; i++)
        put_u64(slot + 8 * i, fields[i]);
    put_u64(slot + 56, mlf_crc32c(0, slot, 56));
    ssize_t put;
    while ((put = pwrite(fd, slot, SLOT, (off_t)(position->generation & 1) * SLOT)) < 0 && errno == EINTR)
        ;
    if (put != SLOT)
        return sv_error_set(error, SV_E_IO, "position: cannot be written: %s", put < 0 ? strerror(errno) : "short write");
    return SV_OK;
}
