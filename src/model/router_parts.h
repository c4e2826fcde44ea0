/* SPDX-License-Identifier: MIT */
/* What the scored routers (all but hash) have in common, each over all tokens in parallel: scores,
 * choice, gates, and the derivatives of the first and the last. */
#ifndef DSMOE_MODEL_ROUTER_PARTS_H
#define DSMOE_MODEL_ROUTER_PARTS_H

#include "model/router.h"

extern const dsm_router dsm_router_softmax, dsm_router_sigmoid, dsm_router_switch,
    dsm_router_gshard, dsm_router_hash, dsm_router_expert_choice, dsm_router_stable;

/* Run fn(arg, t) for every token t of r, in chunks on the pool. */
typedef void (*dsm_token_fn)(const dsm_route *r, void *arg, int64_t t);
void dsm_route_tokens(const dsm_exec *x, const dsm_route *r, dsm_token_fn fn, void *arg);

/* score = softmax(logit); and its derivative: dlogit_i += s_i (ds_i - Σ_j s_j ds_j). */
void dsm_route_softmax(const dsm_exec *x, const dsm_route *r);
void dsm_route_softmax_bwd(const dsm_exec *x, const dsm_route *r, dsm_real *dlogit,
                           const dsm_real *dscore);

/* score = sigmoid(logit), each by itself; and its derivative: dlogit_i += s_i (1 - s_i) ds_i. */
void dsm_route_sigmoid(const dsm_exec *x, const dsm_route *r);
void dsm_route_sigmoid_bwd(const dsm_exec *x, const dsm_route *r, dsm_real *dlogit,
                           const dsm_real *dscore);

/* pick: the K largest, descending, ties to the lower expert, of what selects: the logit (the order
 * of the score without its rounding), or with a selection bias score + bias or score · bias. With
 * n_group only the experts of the topk_group best groups stand to choice, ties to the lower group.
 * With mode->mask_top the round(mask_top·E) experts of highest score (without bias) are disabled
 * first, and all this is done with the others. */
void dsm_route_select(const dsm_exec *x, const dsm_route *r);

/* gate_k = c · s_k, or c · s_k / S with S = Σ_j s_j over the picks if norm_topk_prob and K > 1. c
 * is 1 for deepseek; routed_scaling_factor for deepseek_v2 when not normalised, and for
 * deepseek_v3. And the derivative, added to dscore: ds_k += c · dg_k, or c / S · (dg_k - Σ_j g_j
 * dg_j / c). */
void dsm_route_gates(const dsm_exec *x, const dsm_route *r);
void dsm_route_gates_bwd(const dsm_exec *x, const dsm_route *r, const dsm_real *dgate,
                         dsm_real *dscore);

/* gate_k = s_k of the picks that are taken, 0 elsewhere; and the derivative, added to dscore. */
void dsm_route_plain_gates(const dsm_exec *x, const dsm_route *r);
void dsm_route_plain_gates_bwd(const dsm_exec *x, const dsm_route *r, const dsm_real *dgate,
                               dsm_real *dscore);

#endif
