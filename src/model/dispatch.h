/* SPDX-License-Identifier: MIT */
#ifndef DSMOE_MODEL_DISPATCH_H
#define DSMOE_MODEL_DISPATCH_H

#include "core/arena.h"
#include "model/router.h"

/* The (token, choice) pairs of a routing, sorted by expert and then by token: the rows of the
 * experts' buffers. */
typedef struct dsm_dispatch {
    int32_t *begin; /* (E+1) first row of each expert */
    int32_t *rows;  /* (T·K) token of each row */
    int32_t *pos;   /* (T, K) row of each choice, -1: not taken */
} dsm_dispatch;

dsm_dispatch dsm_dispatch_carve(dsm_arena *a, int64_t T, int64_t K, int64_t E);

/* One counting sort, O(T·K + E). This is the one place where the host looks at routing counts. */
void dsm_dispatch_sort(const dsm_dispatch *d, const dsm_route *r);

#endif
