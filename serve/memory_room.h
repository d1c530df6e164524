/* memory_room.h: how much memory this process may use: the machine's, its container's or control group's, or what ulimit allows, whichever is least. */
#ifndef SV_MEMORY_ROOM_H
#define SV_MEMORY_ROOM_H

#include <stdint.h>

uint64_t sv_memory_room(void); /* bytes */

#endif
