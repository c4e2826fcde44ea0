/* SPDX-License-Identifier: MIT */
/* The micro-kernels that the tiled algorithms (linear_tiled.c, attn_tiled.c) are built from: what
 * an instruction set has to provide by hand.
 *
 * A panel holds B of C = A·B as the inner loop reads it: for each k, `width` = vectors·lanes
 * floats, zeros past the last column. A stays where it is, one pointer per row, or is a panel as
 * well. */
#ifndef DSMOE_KERNELS_TILED_TILE_H
#define DSMOE_KERNELS_TILED_TILE_H

#include "core/dtype.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    DSM_TILE_MAX_ROWS = 8,
    DSM_TILE_MAX_VECTORS = 3,
    DSM_DOT_MAX_ROWS = 8 /* of the few-rows path */
};

/* c[i][j] (=|+=) Σ_k a[i][k] · b[k][j] for the kernel's rows i and j < n <= width.
 * By rows: a[i] points to row i. By panel: a[0] holds, for each k, tile->rows floats. */
typedef void dsm_tile_fn(int64_t k, const float *const *a, const float *b, float *c, int64_t c_rs,
                         int64_t n, bool accumulate);

/* y[i·y_rs + j] (=|+=) <x[i], w_j> for m rows x and n rows w_j of K stored elements, w_rs apart. */
typedef void dsm_dot_fn(int64_t K, const float *const *x, const void *w, dsm_dtype t, int64_t w_rs,
                        int64_t n, float *y, int64_t y_rs, bool accumulate);

typedef struct dsm_tile {
    int rows, lanes, vectors; /* of the largest kernel: rows × (vectors · lanes) accumulators */
    int64_t block_m;          /* rows that share one packing of a panel */
    int64_t block_k;          /* depth of a panel that streams well from the second-level cache */
    dsm_tile_fn *by_rows[DSM_TILE_MAX_VECTORS][DSM_TILE_MAX_ROWS]; /* [vectors-1][rows-1] */
    dsm_tile_fn *by_panel[DSM_TILE_MAX_VECTORS][DSM_TILE_MAX_ROWS];
    dsm_dot_fn *dot[DSM_DOT_MAX_ROWS]; /* [m-1] */

    /* panel[k][j] = src[j][k] for j < n (zero up to width), k < K; row stride rs in elements. */
    void (*pack_transposed)(float *panel, int64_t width, const void *src, dsm_dtype t, int64_t rs,
                            int64_t n, int64_t K);
    /* panel[k][j] = src[map[k]][j] for j < n (zero up to width), k < K; map NULL: k itself. */
    void (*pack_rows)(float *panel, int64_t width, const void *src, dsm_dtype t, int64_t rs,
                      const int32_t *map, int64_t n, int64_t K);
    /* A by panel: for each `rows` columns of src (K, n), for each k, those columns; map as above.
     */
    void (*pack_columns)(float *a, const float *src, int64_t rs, const int32_t *map, int64_t n,
                         int64_t K);

    /* Rows of n >= 1 elements, by an exp good to 2 ulp:
     *   row_max         the largest
     *   row_exp         e = exp(scale · s - top), returns their sum; e may be s, or NULL: no store
     *   row_exp_grad    s = exp(scale · s - lse), then dp = scale · s · (dp - delta)
     *   row_swiglu…     SwiGLU and its gradients, as in ref/act_ref.c; dg, du may be g, u; returns
     *                   the gate's */
    float (*row_max)(const float *s, int64_t n);
    float (*row_exp)(float *e, const float *s, int64_t n, float scale, float top);
    void (*row_exp_grad)(float *s, float *dp, int64_t n, float scale, float lse, float delta);
    void (*row_swiglu)(float *h, const float *g, const float *u, float gate, int64_t n);
    float (*row_swiglu_bwd)(float *dg, float *du, float *dh, const float *g, const float *u,
                            float gate, int64_t n);
} dsm_tile;

#endif
