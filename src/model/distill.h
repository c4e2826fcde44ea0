/* SPDX-License-Identifier: MIT */
/* StableMoE's distilled router (Dai et al. 2022, arXiv 2204.08396, section 3): a small embedding of
 * each token against one centroid per expert, nothing of the stream,
 *
 *   ẑ_t = Ê D[token_t]          D (V, W), Ê (E, W)
 *
 * which learns the picks of the first stage, and from the second on, frozen, makes them:
 *
 *   L = β mean_t (logsumexp(ẑ_t) - ẑ_t,pick_t)
 *
 * The mean is over the micro-batch, as the LM loss is one; the paper's sums have the same ratio. No
 * gradient leaves D and Ê. */
#ifndef DSMOE_MODEL_DISTILL_H
#define DSMOE_MODEL_DISTILL_H

#include "model/ctx.h"

typedef struct dsm_distill_act {
    dsm_real *feature; /* (R, W) D[token]; NULL: another router */
    dsm_real *loss;    /* (R) */
} dsm_distill_act;

dsm_distill_act dsm_distill_carve(dsm_arena *a, const dsm_shape *g);

/* r->distilled = ẑ, where the pass needs it. */
void dsm_distill_forward(const dsm_ctx *c, const dsm_distilled_params *p, const dsm_distill_act *s,
                         const dsm_route *r);
/* *loss += L of r's picks in the first stage of training. Uses r->work. */
void dsm_distill_loss(const dsm_ctx *c, const dsm_distill_act *s, const dsm_route *r);
/* Its gradients, times c->weight. dlogit (R, E), dfeature (R, W): scratch. */
void dsm_distill_backward(const dsm_ctx *c, const dsm_distilled_params *p, const dsm_distill_act *s,
                          const dsm_route *r, dsm_real *dlogit, dsm_real *dfeature);

#endif
