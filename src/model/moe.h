/* SPDX-License-Identifier: MIT */
/* The MoE layer: route, dispatch, experts, combine, shared experts. One path for every router.
 *
 *   y_t += FFN_shared(x_t) + Σ_k gate[t,k] · FFN_pick[t,k](x_t)      (DeepSeekMoE eq. 9)
 *
 * Dense as several always-on experts is the same layer with nothing routed. */
#ifndef DSMOE_MODEL_MOE_H
#define DSMOE_MODEL_MOE_H

#include "model/ctx.h"
#include "model/dispatch.h"
#include "model/ffn.h"

/* What forward leaves; pick and gate of `route` stay the layer's own when the rest is shared. */
typedef struct dsm_moe_act {
    dsm_route route; /* logit, score (R, E), pick, gate (R, K) */
    dsm_dispatch dispatch;
    dsm_balance_act balance;
    dsm_ffn_act experts; /* (R·K) rows */
    dsm_ffn_act shared;  /* (R) rows */
    dsm_real *seen;      /* (R, D) the router's input when jittered; NULL: no jitter */
    dsm_real *rows;      /* (R·K, D) outputs of the experts, sorted */
} dsm_moe_act;

typedef struct dsm_moe_scratch {
    dsm_real *work;            /* (R, E), forward */
    dsm_real *drows;           /* (R·K, D), backward from here on */
    dsm_real *drow_gate;       /* (R·K) gradient by the gate of each row */
    dsm_real *dgate;           /* (R, K) */
    dsm_real *dscore, *dlogit; /* (R, E) */
    dsm_real *dseen;           /* (R, D) */
} dsm_moe_scratch;

/* Carve for R rows in n_seq sequences. `like`: share everything but picks and gates with it, or
 * NULL. */
dsm_moe_act dsm_moe_carve(dsm_arena *a, const dsm_model_config *c, const dsm_balance *b,
                          int64_t n_seq, int64_t R, bool training, const dsm_moe_act *like);
dsm_moe_scratch dsm_moe_carve_scratch(dsm_arena *a, const dsm_model_config *c, int64_t R,
                                      bool training);

/* y (R, D) += the layer of x (R, D). Adds the layer's balance losses to c->balance_loss. */
void dsm_moe_forward(const dsm_ctx *c, const dsm_moe_params *p, dsm_moe_act *s,
                     const dsm_moe_scratch *w, dsm_real *y, const dsm_real *x);
/* dx (R, D) = gradient by x, from dy and the balance losses (times c->weight). */
void dsm_moe_backward(const dsm_ctx *c, const dsm_moe_params *p, const dsm_moe_act *s,
                      const dsm_moe_scratch *w, dsm_real *dx, const dsm_real *dy,
                      const dsm_real *x);

/* Switch's jitter (jitter.c): out = x ⊙ U(1-ε, 1+ε) on the router's input, and dx += dout ⊙ the
 * same draws. Index of a draw: position·D + d + layer·2^40. */
void dsm_jitter_forward(const dsm_ctx *c, dsm_real *out, const dsm_real *x);
void dsm_jitter_backward(const dsm_ctx *c, dsm_real *dx, const dsm_real *dout);

#endif
