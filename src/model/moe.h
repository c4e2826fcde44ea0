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
#include "model/distill.h"
#include "model/ffn.h"

/* What forward leaves; pick and gate of `route` are always the layer's own. */
typedef struct dsm_moe_act {
    dsm_route route; /* logit, score, distilled (R, E), pick, gate (R, slots) */
    dsm_distill_act distill;
    dsm_dispatch dispatch;
    dsm_balance_act balance;
    dsm_ffn_act experts; /* (P) rows: dsm_router_pairs */
    dsm_ffn_act shared;  /* (R) rows */
    dsm_ffn_act beside;  /* the same apart from the experts' memory, for DSM_MOE_FEW rows */
} dsm_moe_act;

/* Rows up to which, when not training, shared and routed experts are done together: decoding then
 * reads the weights of both in one loop. */
enum { DSM_MOE_FEW = 8 };

typedef struct dsm_moe_scratch {
    dsm_real *work;            /* (R, E) */
    int32_t *order;            /* (R) where experts choose */
    dsm_real *rows;            /* (P, D) outputs of the experts, sorted; backward: gradients */
    dsm_real *seen;            /* (R, D) the router's input when jittered; NULL: no jitter */
    dsm_real *drow_gate;       /* (P) gradient by each row's gate; backward from here on */
    dsm_real *dgate;           /* (R, slots) */
    dsm_real *dscore, *dlogit; /* (R, E) */
    dsm_real *dseen;           /* (R, D) */
    dsm_real *dfeature;        /* (R, W) of the distilled router */
} dsm_moe_scratch;

/* Memory that layers share: what they do not keep. ffn: gate, up and activations of any FFN. */
dsm_moe_act dsm_moe_carve_shared(dsm_arena *a, const dsm_shape *g, const dsm_ffn_act *ffn);
/* One layer: what it keeps, and for the rest what is shared. */
dsm_moe_act dsm_moe_carve(const dsm_homes *at, const dsm_shape *g, const dsm_moe_act *shared);
dsm_moe_scratch dsm_moe_carve_scratch(dsm_arena *a, const dsm_shape *g);

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
