/* SPDX-License-Identifier: MIT */
/* Counter-based random numbers: a pure function of (seed, stream, step, index).
 *
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) with
 *   key     = (seed low, seed high)
 *   counter = (index low, index high, step low 32 bits, stream)
 * so that no draw depends on threads, ranks or on how many draws came before it. */
#ifndef DSMOE_CORE_RNG_H
#define DSMOE_CORE_RNG_H

#include <stdint.h>

typedef enum dsm_stream {
    DSM_STREAM_INIT = 1,    /* parameter initialisation; step = hash of the parameter's name */
    DSM_STREAM_SHUFFLE = 2, /* data order; step = epoch */
    DSM_STREAM_MIX = 3,     /* which source the next sequence comes from */
    DSM_STREAM_JITTER = 4,  /* Switch: router input noise */
    DSM_STREAM_SECOND = 5,  /* GShard: random second choice */
    DSM_STREAM_HASH = 6,    /* Hash layer: random table; index = token id, step = layer */
    DSM_STREAM_SAMPLE = 7,  /* generation; index = position */
    DSM_STREAM_TEST = 8,    /* tests and benchmarks */
    DSM_STREAM_CHUNK = 9,   /* Expert Choice: order of the tokens that chunks are cut from */
    DSM_STREAM_DROP = 12    /* sequences that token dropping spares; index = sequence */
} dsm_stream;

typedef struct dsm_rng {
    uint64_t seed;
    uint32_t stream, step;
} dsm_rng;

/* Four independent 32-bit words. */
void dsm_rng_words(const dsm_rng *r, uint64_t index, uint32_t out[4]);

/* Uniform in [0, 1): 24 bits of word 0. */
float dsm_rng_uniform(const dsm_rng *r, uint64_t index);

/* Uniform in [0, 1): 53 bits of words 0 and 1. */
double dsm_rng_uniform53(const dsm_rng *r, uint64_t index);

/* Standard normal by Box-Muller in double from words 0…3. */
double dsm_rng_normal(const dsm_rng *r, uint64_t index);

/* Uniform integer in [0, n), n >= 1, unbiased to 2^-64 · n: floor(w·n / 2^64) of the 64-bit word w.
 */
uint64_t dsm_rng_below(const dsm_rng *r, uint64_t index, uint64_t n);

/* FNV-1a of a name folded to 32 bits, the `step` of DSM_STREAM_INIT. */
uint32_t dsm_rng_name(const char *name);

/* Entry `index` of the pseudo-random permutation of 0 … n-1 that (seed, stream, step) names: a
 * Feistel network over the next even power of two with cycle walking, so a shuffled order of any
 * length needs no memory. */
uint64_t dsm_rng_permute(const dsm_rng *r, uint64_t index, uint64_t n);

#endif
