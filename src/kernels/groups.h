/* SPDX-License-Identifier: MIT */
/* The rows of a grouped linear map: where they stand, and how they are numbered as items. */
#ifndef DSMOE_KERNELS_GROUPS_H
#define DSMOE_KERNELS_GROUPS_H

#include "kernels/kernels.h"

/* Row r of x, through its map if there is one. */
static inline const dsm_real *dsm_x_row(const dsm_linear *op, int64_t r)
{
    return op->x + (op->x_rows ? op->x_rows[r] : r) * op->x_rs;
}

/* The same of dy. */
static inline const dsm_real *dsm_dy_row(const dsm_linear *op, int64_t r)
{
    return op->y + (op->dy_rows ? op->dy_rows[r] : r) * op->y_rs;
}

/* Blocks of block_m rows of all groups under one numbering without a table: group g starts at
 * number begin[g] / block_m + g. That leaves it room for all its blocks; the few numbers that no
 * block takes are empty items. */
static inline int64_t dsm_first_block(const dsm_linear *op, int64_t block_m, int64_t g)
{
    return op->begin[g] / block_m + g;
}

static inline int64_t dsm_group_of_block(const dsm_linear *op, int64_t block_m, int64_t number)
{
    int64_t lo = 0, hi = op->n_groups - 1;
    while (lo < hi) {
        int64_t mid = (lo + hi + 1) / 2;
        if (dsm_first_block(op, block_m, mid) <= number)
            lo = mid;
        else
            hi = mid - 1;
    }
    return lo;
}

#endif
