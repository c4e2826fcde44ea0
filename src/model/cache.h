/* SPDX-License-Identifier: MIT */
/* A KV cache as attention sees it: one row per position and layer, as wide as the attention kind
 * says. */
#ifndef DSMOE_MODEL_CACHE_H
#define DSMOE_MODEL_CACHE_H

#include "core/arena.h"
#include "core/real.h"

#include <stdint.h>

typedef struct dsm_cache {
    int64_t capacity, length; /* positions */
    int64_t width;            /* elements of a row */
    int64_t n_layers;
    dsm_real **rows; /* (L) of (capacity, width) */
    dsm_arena memory;
} dsm_cache;

#endif
