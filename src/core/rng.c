/* SPDX-License-Identifier: MIT */
#include "core/rng.h"

#include <assert.h>
#include <math.h>

static void philox_round(uint32_t c[4], const uint32_t k[2])
{
    uint64_t a = (uint64_t)0xD2511F53u * c[0];
    uint64_t b = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t x0 = (uint32_t)(b >> 32) ^ c[1] ^ k[0];
    uint32_t x2 = (uint32_t)(a >> 32) ^ c[3] ^ k[1];
    c[0] = x0;
    c[1] = (uint32_t)b;
    c[2] = x2;
    c[3] = (uint32_t)a;
}

void dsm_rng_words(const dsm_rng *r, uint64_t index, uint32_t out[4])
{
    uint32_t k[2] = {(uint32_t)r->seed, (uint32_t)(r->seed >> 32)};
    out[0] = (uint32_t)index;
    out[1] = (uint32_t)(index >> 32);
    out[2] = r->step;
    out[3] = r->stream;
    for (int i = 0; i < 10; i++) {
        philox_round(out, k);
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
}

float dsm_rng_uniform(const dsm_rng *r, uint64_t index)
{
    uint32_t w[4];
    dsm_rng_words(r, index, w);
    return (float)(w[0] >> 8) * 0x1p-24f;
}

static double unit53(uint32_t hi, uint32_t lo)
{
    return (double)((((uint64_t)hi << 32) | lo) >> 11) * 0x1p-53;
}

double dsm_rng_uniform53(const dsm_rng *r, uint64_t index)
{
    uint32_t w[4];
    dsm_rng_words(r, index, w);
    return unit53(w[0], w[1]);
}

double dsm_rng_normal(const dsm_rng *r, uint64_t index)
{
    uint32_t w[4];
    dsm_rng_words(r, index, w);
    double u = 1.0 - unit53(w[0], w[1]); /* (0, 1] */
    double v = unit53(w[2], w[3]);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586476925 * v);
}

uint64_t dsm_rng_below(const dsm_rng *r, uint64_t index, uint64_t n)
{
    assert(n >= 1);
    uint32_t w[4];
    dsm_rng_words(r, index, w);
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)(((wide)(((uint64_t)w[0] << 32) | w[1]) * n) >> 64);
}

uint32_t dsm_rng_name(const char *name)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001B3u;
    return (uint32_t)(h ^ (h >> 32));
}

static uint64_t feistel(const dsm_rng *r, uint64_t x, int half_bits)
{
    uint64_t mask = (1ull << half_bits) - 1;
    uint64_t left = x >> half_bits, right = x & mask;
    for (uint64_t round = 0; round < 6; round++) {
        uint32_t w[4];
        dsm_rng_words(r, right | (round << 56), w);
        uint64_t f = (((uint64_t)w[0] << 32) | w[1]) & mask;
        uint64_t next = left ^ f;
        left = right;
        right = next;
    }
    return (left << half_bits) | right;
}

uint64_t dsm_rng_permute(const dsm_rng *r, uint64_t index, uint64_t n)
{
    assert(index < n && n <= 1ull << 56);
    int half_bits = 1;
    while (half_bits < 28 && (1ull << (2 * half_bits)) < n)
        half_bits++;
    uint64_t x = index;
    do {
        x = feistel(r, x, half_bits);
    } while (x >= n);
    return x;
}
