/* crc32c.h: the Castagnoli checksum (polynomial 0x1EDC6F41, reflected), as in iSCSI and ext4. */
#ifndef MLF_CRC32C_H
#define MLF_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from crc (0 to begin). By the processor's own instruction where it has one, else by table. */
uint32_t mlf_crc32c(uint32_t crc, const void *bytes, size_t length);

/* By table always: what the tests compare with. */
uint32_t mlf_crc32c_table(uint32_t crc, const void *bytes, size_t length);

#endif
