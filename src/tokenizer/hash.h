/* SPDX-License-Identifier: MIT */
/* One multiplicative hash for byte strings and integers of this folder's tables. Not for keys that
 * somebody wants to collide on purpose: tables here bound their probe lengths by growing. */
#ifndef DSMOE_TOKENIZER_HASH_H
#define DSMOE_TOKENIZER_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t dsm_hash_u64(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    return x ^ x >> 32;
}

static inline uint64_t dsm_load_u64(const void *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline uint64_t dsm_load_u32(const void *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* The last n (0…7) bytes at p as one word, without reading past them. */
static inline uint64_t dsm_load_tail(const unsigned char *p, size_t n)
{
    if (n >= 4) return dsm_load_u32(p) << 32 | dsm_load_u32(p + n - 4);
    if (n == 0) return 0;
    return (uint64_t)p[0] << 16 | (uint64_t)p[n >> 1] << 8 | p[n - 1];
}

/* Hash of a byte string. */
static inline uint64_t dsm_hash_bytes(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint64_t h = (uint64_t)n * 0x9E3779B97F4A7C15u;
    for (; n >= 8; p += 8, n -= 8) {
        h = (h ^ dsm_load_u64(p)) * 0xD6E8FEB86659FD93u;
        h ^= h >> 29;
    }
    return dsm_hash_u64(h ^ dsm_load_tail(p, n));
}

#endif
