/* SPDX-License-Identifier: MIT */
/* The tiled algorithms, compiled per instruction set (DSM_VARIANT) over that set's dsm_tile. */
#ifndef DSMOE_KERNELS_TILED_TILED_H
#define DSMOE_KERNELS_TILED_TILED_H

#include "kernels/chunk.h"
#include "kernels/tiled/blocks.h"
#include "kernels/tiled/tile.h"
#include "kernels/variant.h"

extern const dsm_tile DSM_K(tile);
#define TILE (&DSM_K(tile)) /* what this compilation runs on */

dsm_linear_fn DSM_K(linear_tiled);
/* Few rows in every group, done; or false. */
bool DSM_K(linear_few)(const dsm_exec *x, const dsm_linear *op, const dsm_blocks *blocks);
/* Quantised weights and rows that may be rounded, done; or false. */
bool DSM_K(linear_many)(const dsm_exec *x, const dsm_linear *op, const dsm_blocks *blocks);
/* Up to DSM_DOT_MAX_ROWS rows of y and some of its columns, by dot products. */
void DSM_K(few_rows)(const dsm_linear *op, const dsm_blocks *blocks, const dsm_mat *w,
                     dsm_range rows, dsm_range columns, unsigned char *scratch);
/* linear_tiled with another set of kernels for quantised weights. */
void DSM_K(linear_blocks)(const dsm_exec *x, const dsm_linear *op, const dsm_blocks *blocks);
dsm_linear_input_fn DSM_K(linear_input_tiled);
dsm_linear_weight_fn DSM_K(linear_weight_tiled);
dsm_attention_fn DSM_K(attention_tiled);
dsm_attention_bwd_fn DSM_K(attention_bwd_tiled);
dsm_decode_fn DSM_K(decode_tiled), DSM_K(decode_join); /* all of it; its second pass */
dsm_softmax_fn DSM_K(softmax_tiled);
dsm_xent_fn DSM_K(xent_tiled);
dsm_swiglu_fn DSM_K(swiglu_tiled);
dsm_swiglu_bwd_fn DSM_K(swiglu_bwd_tiled);
dsm_topk_fn DSM_K(topk_tiled);

dsm_x8_bytes_fn DSM_K(x8_bytes);
dsm_x8_make_fn DSM_K(x8_make);

/* n columns as panels of nearly equal width, whole vectors each but the last. */
static inline int64_t dsm_panel_count(const dsm_tile *t, int64_t n)
{
    return dsm_chunk_count(dsm_chunk_count(n, t->lanes), t->vectors);
}

static inline dsm_range dsm_panel(const dsm_tile *t, int64_t n, int64_t p)
{
    int64_t vectors = dsm_chunk_count(n, t->lanes), panels = dsm_panel_count(t, n);
    dsm_range c = {p * vectors / panels * t->lanes, (p + 1) * vectors / panels * t->lanes};
    if (c.end > n) c.end = n;
    return c;
}

/* Floats per k of the packed panel. */
static inline int64_t dsm_panel_width(const dsm_tile *t, dsm_range columns)
{
    return dsm_chunk_count(columns.end - columns.begin, t->lanes) * t->lanes;
}

#endif
