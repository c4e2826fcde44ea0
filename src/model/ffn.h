/* SPDX-License-Identifier: MIT */
/* SwiGLU feed-forward, for one group of rows or many: a dense FFN, a shared expert, or all routed
 * experts of a layer, each on its own rows. */
#ifndef DSMOE_MODEL_FFN_H
#define DSMOE_MODEL_FFN_H

#include "model/ctx.h"

/* Which rows go where: rows begin[g] … begin[g+1]-1 of the group's buffers belong to group g, read
 * row rows[r] of x and, in backward, of dy (r itself if rows is NULL) and weigh gate[r] (1 if gate
 * is NULL). */
typedef struct dsm_rows {
    int n_groups;
    const int32_t *begin; /* (n_groups + 1) */
    const int32_t *rows;  /* (begin[n_groups]) */
    const dsm_real *gate; /* (begin[n_groups]) */
    dsm_real *dgate;      /* as gate; written by backward */
} dsm_rows;

/* What forward leaves and backward uses up. */
typedef struct dsm_ffn_act {
    dsm_real *gu;  /* (R, 2F): gate and up side by side */
    dsm_real *act; /* (R, F): γ silu(gate) ⊙ up; scratch that layers share */
    bool again;    /* gu is not kept: backward computes it again */
} dsm_ffn_act;

/* Memory of its own for gu where it is kept, else what `shared` has; act is always shared. */
dsm_ffn_act dsm_ffn_carve(dsm_arena *a, int64_t R, int64_t F, bool keep, const dsm_ffn_act *shared);

/* y (R, D) (=|+=) γ W_down[g] · (silu(W_gate[g] x) ⊙ W_up[g] x), x = x[rows[r]], γ = gate[r] */
void dsm_ffn_forward(const dsm_ctx *c, const dsm_ffn_params *p, const dsm_ffn_act *s,
                     const dsm_rows *at, dsm_real *y, bool accumulate, const dsm_real *x);

/* The same of up to DSM_FFNS at once, each with memory of its own: decoding reads the weights of
 * all in one loop, and then in another. */
enum { DSM_FFNS = 2 };
typedef struct dsm_ffn {
    const dsm_ffn_params *p;
    const dsm_ffn_act *s;
    const dsm_rows *at;
    dsm_real *y;
    bool accumulate;
} dsm_ffn;
void dsm_ffn_forward_all(const dsm_ctx *c, const dsm_ffn *f, int n, const dsm_real *x);

/* dx (R, D) = per row of the groups: not yet summed over the rows that read one x. */
void dsm_ffn_backward(const dsm_ctx *c, const dsm_ffn_params *p, const dsm_ffn_act *s,
                      const dsm_rows *at, dsm_real *dx, bool accumulate, const dsm_real *dy,
                      const dsm_real *x);

#endif
