/* SPDX-License-Identifier: MIT */
/* Quantised weights times many rows of x: what an instruction set provides by hand.
 *
 * Lanes are rows of w, so nothing is summed across them: `width` rows make a panel, in which four
 * values of k of every row stand side by side, as an integer dot instruction wants them. A row of x
 * is rounded to int8 as for few rows (blocks.h), and four of its values are broadcast to all lanes.
 * After 32 values (16 in q6_k) the integer sums meet the scales, which are a vector as well.
 *
 * Against float products an element is off as with few rows: each x by at most half of its step. */
#ifndef DSMOE_KERNELS_TILED_MANY_H
#define DSMOE_KERNELS_TILED_MANY_H

#include "core/dtype.h"

#include <stddef.h>
#include <stdint.h>

enum { DSM_QUAD = 4 }; /* rows of x that are packed and multiplied together */

/* Part of 32 values of four rounded rows: x ≈ d · q. Rows past the end are zeros. */
typedef struct dsm_x8_quad {
    int8_t q[8][DSM_QUAD][4];
    int32_t start[2][DSM_QUAD]; /* of each half: minus Σ q, times what the panel's weights are above
                                   their meaning; where both halves share a scale, [0] has both */
    float d[DSM_QUAD];
    float sum[DSM_QUAD]; /* Σ q, which a part's offset is multiplied with */
} dsm_x8_quad;

typedef struct dsm_many {
    int64_t width;     /* rows of w in a panel */
    size_t part_bytes; /* of a panel of 32 values */

    /* `rows` <= 4 rows x of K values as quads, one per 32 values, for weights of type t. */
    void (*round)(dsm_x8_quad *to, const float *const *x, int64_t rows, int64_t K, dsm_dtype t);
    /* Parts `first` … first + n - 1 of `rows` <= width rows of w (row_bytes apart) as a panel;
     * whole blocks. Lanes past the last row hold anything. */
    void (*pack)(void *panel, const void *w, size_t row_bytes, dsm_dtype t, int64_t rows,
                 int64_t first, int64_t n);
    /* c (4, width) += n parts of a quad of x times the panel. */
    void (*multiply)(float *c, const dsm_x8_quad *x, const void *panel, dsm_dtype t, int64_t n);
} dsm_many;

#endif
