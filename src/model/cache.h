/* SPDX-License-Identifier: MIT */
/* A KV cache as attention sees it: one row per position and layer, as wide as the attention kind
 * says, of any element type that dsm_cache_open takes. */
#ifndef DSMOE_MODEL_CACHE_H
#define DSMOE_MODEL_CACHE_H

#include "core/arena.h"
#include "core/dtype.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    DSM_CACHE_FEW = 4,   /* tokens up to which attention reads stored rows as they are, */
    DSM_CACHE_PAST = 512 /* and positions of the past that it turns to dsm_real at a time else */
};

typedef struct dsm_cache {
    int64_t capacity, length; /* positions */
    int64_t width;            /* elements of a row */
    dsm_dtype dtype;
    size_t row_bytes;
    int64_t n_layers;
    unsigned char **rows; /* (L) of (capacity) rows */
    int64_t chunk;        /* keys of an item of the decode kernel, and */
    dsm_real *work;       /* its memory for DSM_CACHE_FEW tokens */
    dsm_arena memory;
} dsm_cache;

static inline void *dsm_cache_row(const dsm_cache *c, int layer, int64_t position)
{
    return c->rows[layer] + (size_t)position * c->row_bytes;
}

/* Rows that are dsm_real can be written and read in place. */
static inline bool dsm_cache_is_real(const dsm_cache *c)
{
    return c->dtype == DSM_REAL_DTYPE;
}

#endif
