/* SPDX-License-Identifier: MIT */
/* Checksums of a token shard: without them nothing behind would ever be reached. */
#ifndef DSMOE_TESTS_FIX_SHARD_H
#define DSMOE_TESTS_FIX_SHARD_H

#include <stdint.h>
#include <string.h>
#include <zlib.h>

enum { SHARD_HEADER = 72, SHARD_BODY_CRC = 64, SHARD_HEADER_CRC = 68 };

static inline void fuzz_put_crc(char *at, const char *data, size_t n)
{
    uint32_t crc = n ? (uint32_t)crc32_z(0, (const unsigned char *)data, n) : 0;
    memcpy(at, &crc, sizeof crc);
}

/* Make them fit the other bytes of a shard of n bytes. */
static inline void fuzz_fix_shard(char *shard, size_t n)
{
    if (n < SHARD_HEADER) return;
    fuzz_put_crc(shard + SHARD_BODY_CRC, shard + SHARD_HEADER, n - SHARD_HEADER);
    fuzz_put_crc(shard + SHARD_HEADER_CRC, shard, SHARD_HEADER_CRC);
}

#endif
