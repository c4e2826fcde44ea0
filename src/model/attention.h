/* SPDX-License-Identifier: MIT */
/* The attention interface: a few functions chosen once per model, each kind with its own state.
 *
 * forward adds the sublayer's output to the residual stream y (R, D); with a cache it appends this
 * pass's positions and attends to all of them. backward overwrites dx (R, D). `act` is what carve
 * made: what backward needs when training, else mere working memory that layers share. What carve
 * and carve_scratch return lies in `stay`, the tensors it points to in `a`. */
#ifndef DSMOE_MODEL_ATTENTION_H
#define DSMOE_MODEL_ATTENTION_H

#include "model/ctx.h"

typedef struct dsm_attention_kind {
    const char *name;
    int64_t (*cache_width)(const dsm_model_config *c);  /* elements a position takes in one layer */
    int64_t (*cache_unit)(const dsm_model_config *c);   /* of which all parts of it are multiples */
    int64_t (*decode_width)(const dsm_model_config *c); /* elements that decoding sums per head */
    void *(*carve)(dsm_arena *stay, dsm_arena *a, const dsm_model_config *c, int64_t R,
                   bool training);
    void *(*carve_scratch)(dsm_arena *stay, dsm_arena *a, const dsm_model_config *c,
                           int64_t R); /* for backward */
    void (*forward)(const dsm_ctx *c, const dsm_attn_params *p, void *act, dsm_real *y,
                    const dsm_real *x);
    void (*backward)(const dsm_ctx *c, const dsm_attn_params *p, void *act, void *scratch,
                     dsm_real *dx, const dsm_real *dy, const dsm_real *x);
} dsm_attention_kind;

extern const dsm_attention_kind dsm_attention_gqa; /* attn_gqa.c: multi-head, grouped-query */
extern const dsm_attention_kind dsm_attention_mla; /* attn_mla.c: multi-head latent */

/* Decode the queries of op over the cached rows of this layer: op lacks what the cache knows. */
void dsm_attend_stored(const dsm_ctx *c, dsm_decode *op);

/* What attention over a few stored positions at a time needs besides: see dsm_attend_past. */
typedef struct dsm_past {
    dsm_real *part, *part_lse; /* as out and lse of the attention */
} dsm_past;

/* Attention of op (out and lse wanted) over the whole past and this pass's rows, whose keys and
 * values show(arg, begin, end) puts where op reads them: first the positions from the last multiple
 * of DSM_CACHE_PAST on, those of this pass included, then all before, DSM_CACHE_PAST at a time. */
typedef void dsm_show_fn(const dsm_ctx *c, void *arg, int64_t begin, int64_t end);
void dsm_attend_past(const dsm_ctx *c, dsm_attention *op, const dsm_past *past, dsm_show_fn *show,
                     void *arg);

const dsm_attention_kind *dsm_attention_of(const dsm_model_config *c);

#endif
