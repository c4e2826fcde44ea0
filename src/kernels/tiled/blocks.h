/* SPDX-License-Identifier: MIT */
/* Quantised weights (core/quant.h) times a few rows of x: what an instruction set provides by hand.
 *
 * Integer instructions multiply eight-bit values four at a time, so a row of x is rounded to int8
 * once per call, with a scale per 32 values, or per 256 where the weight's blocks are that long.
 * The products of a block are exact integers; a scale of the weight times one of x makes them
 * float. Against float products of the same weights each x errs by at most half of its scale, which
 * is the largest |x| of its 32 (256) values / 127. */
#ifndef DSMOE_KERNELS_TILED_BLOCKS_H
#define DSMOE_KERNELS_TILED_BLOCKS_H

#include "kernels/tiled/many.h"

#include <stdbool.h>
#include <stdint.h>

enum { DSM_BLOCKS_MAX_ROWS = 8 };

/* A rounded row: x ≈ d · q. Arrays are padded with zeros to whole 256 values and 64-byte aligned.
 */
typedef struct dsm_x8 {
    int8_t *q;
    int32_t *start; /* per four values: minus their sum, times what the stored weights are above
                       their meaning (128 for q8_0 read as unsigned, 8 for q4_0, 32 for q6_k) */
    float *d;       /* per four values, so that lanes of sums can be scaled as vectors */
    float *sum; /* per 32 values: d Σ q, which a block's min is multiplied with (Σ x itself would
                   not cancel what rounding did to the other term) */
} dsm_x8;

/* y[i·y_rs + j] (=|+=) <x[i], w_j> for the kernel's rows x and n rows w_j of K values. */
typedef void dsm_blocks_dot_fn(int64_t K, const dsm_x8 *x, const void *w, dsm_dtype t, int64_t n,
                               float *y, int64_t y_rs, bool accumulate);

typedef struct dsm_blocks {
    dsm_blocks_dot_fn *dot[DSM_BLOCKS_MAX_ROWS]; /* [rows of x - 1] */
    /* n values of a row, from a block's start, as floats. */
    void (*unpack)(float *y, const void *row, dsm_dtype t, int64_t n);
    const dsm_many *many;
} dsm_blocks;

/* Of an instruction set (DSM_VARIANT): bytes of one rounded row, and making one of x (K) at
 * `memory` (64-byte aligned) for weights of type t. */
typedef size_t dsm_x8_bytes_fn(int64_t K);
typedef dsm_x8 dsm_x8_make_fn(void *memory, const float *x, int64_t K, dsm_dtype t);

#endif
