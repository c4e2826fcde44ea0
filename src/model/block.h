/* SPDX-License-Identifier: MIT */
/* One layer of the network: attention and FFN (dense or MoE), each on the normed residual stream.
 *
 *   h = x + Attention(norm1(x)),   out = h + FFN(norm2(h))
 *
 * In training every activation of a layer is kept; otherwise layers share one set, and x, h and out
 * are the same memory. */
#ifndef DSMOE_MODEL_BLOCK_H
#define DSMOE_MODEL_BLOCK_H

#include "model/attention.h"
#include "model/ffn.h"
#include "model/moe.h"

typedef struct dsm_block_act {
    dsm_real *x, *h;           /* (R, D) the stream before attention, and before the FFN */
    dsm_real *x_norm, *h_norm; /* (R, D) */
    dsm_real *x_rstd, *h_rstd; /* (R) */
    void *attn;                /* of the attention kind */
    dsm_ffn_act ffn;           /* dense layers */
    dsm_moe_act moe;           /* MoE layers */
} dsm_block_act;

typedef struct dsm_block_scratch {
    dsm_moe_scratch moe;
    void *attn;      /* backward from here on */
    dsm_real *dnorm; /* (R, D) gradient by a normed stream */
} dsm_block_scratch;

/* The shape that activations are carved for. */
typedef struct dsm_block_shape {
    const dsm_model_config *config;
    const dsm_balance *balance;
    int64_t n_seq, R;
    bool training;
} dsm_block_shape;

/* Carve one layer; `like` is an earlier layer to share with (layers of the same kind, not
 * training), or NULL. x is the stream's memory when not training, else it is carved too. */
dsm_block_act dsm_block_carve(dsm_arena *a, const dsm_block_shape *shape, bool is_moe,
                              dsm_real *stream, const dsm_block_act *like);
dsm_block_scratch dsm_block_carve_scratch(dsm_arena *a, const dsm_block_shape *shape);

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
