/* SPDX-License-Identifier: MIT */
#ifndef DSMOE_MODEL_DISPATCH_H
#define DSMOE_MODEL_DISPATCH_H

#include "core/arena.h"
#include "core/real.h"
#include "model/router.h"

/* The (token, choice) pairs of a routing that are taken, sorted by expert and then by token: the
 * rows of the experts' buffers, at most P. */
typedef struct dsm_dispatch {
    int32_t *begin; /* (E+1) first row of each expert */
    int32_t *rows;  /* (P) token of each row */
    int32_t *pos;   /* (T, K) row of each choice, -1: not taken */
    dsm_real *gate; /* (P) gate of each row */
} dsm_dispatch;

/* slots: T·K of the routing. */
dsm_dispatch dsm_dispatch_carve(dsm_arena *a, int64_t slots, int64_t P, int64_t E);

/* One counting sort, O(T·K + E). This is the one place where the host looks at routing counts. */
void dsm_dispatch_sort(const dsm_dispatch *d, const dsm_route *r);

/* A figure of each row back to its choice: out (T, K) = row[pos], 0 for choices not taken. */
void dsm_dispatch_unsort(const dsm_dispatch *d, const dsm_route *r, dsm_real *out,
                         const dsm_real *row);

#endif
