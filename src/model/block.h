/* SPDX-License-Identifier: MIT */
/* One layer of the network: attention and FFN (dense or MoE), each on the normed residual stream.
 *
 *   h = x + Attention(norm1(x)),   out = h + FFN(norm2(h))
 *
 * In training a layer keeps what memory.h says; otherwise layers share one set of activations, and
 * x, h and out are the same memory. */
#ifndef DSMOE_MODEL_BLOCK_H
#define DSMOE_MODEL_BLOCK_H

#include "model/attention.h"
#include "model/ffn.h"
#include "model/moe.h"

typedef struct dsm_block_act {
    dsm_real *x, *h; /* (R, D) the stream before attention, and before the FFN */
    void *attn;      /* of the attention kind */
    bool again;      /* h and attn are not kept: backward computes them again */
    dsm_ffn_act ffn; /* dense layers */
    dsm_moe_act moe; /* MoE layers */
} dsm_block_act;

typedef struct dsm_block_scratch {
    dsm_block_act shared; /* what layers do not keep */
    dsm_real *norm;       /* (R, D) a normed stream */
    dsm_real *rstd;       /* (R) of that norm */
    dsm_moe_scratch moe;
    void *attn;      /* backward from here on */
    dsm_real *dnorm; /* (R, D) gradient by a normed stream */
} dsm_block_scratch;

/* Carve what all layers share, then each layer. */
dsm_block_scratch dsm_block_carve_scratch(dsm_arena *a, const dsm_shape *g);
dsm_block_act dsm_block_carve(const dsm_homes *at, const dsm_shape *g, bool is_moe,
                              const dsm_block_scratch *w);

/* out (R, D) = block(s->x); out may be s->x when not training. */
void dsm_block_forward(const dsm_ctx *c, const dsm_layer_params *p, dsm_block_act *s,
                       const dsm_block_scratch *w, dsm_real *out);
/* dstream (R, D): gradient by out, turned into the gradient by s->x in place. */
void dsm_block_backward(const dsm_ctx *c, const dsm_layer_params *p, dsm_block_act *s,
                        const dsm_block_scratch *w, dsm_real *dstream);

/* norm.c: y = w ⊙ x / rms(x), and its backward, which adds to dx. */
void dsm_norm_forward(const dsm_ctx *c, const dsm_vector *w, dsm_real *y, dsm_real *rstd,
                      const dsm_real *x, int64_t rows);
void dsm_norm_backward(const dsm_ctx *c, const dsm_vector *w, dsm_real *dx, const dsm_real *dy,
                       const dsm_real *x, const dsm_real *rstd, int64_t rows);

#endif
