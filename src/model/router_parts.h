/* SPDX-License-Identifier: MIT */
/* What the scored routers (softmax, sigmoid, switch, gshard) have in common, each over all tokens
 * in parallel: scores, choice, gates, and the derivatives of the first and the last. */
#ifndef DSMOE_MODEL_ROUTER_PARTS_H
#define DSMOE_MODEL_ROUTER_PARTS_H

#include "model/router.h"

extern const dsm_router dsm_router_softmax, dsm_router_sigmoid, dsm_router_switch,
    dsm_router_gshard, dsm_router_hash;

/* Run fn(arg, t) for every token t of r, in chunks on the pool. */
typedef void (*dsm_token_fn)(const dsm_route *r, void *arg, int64_t t);
void dsm_route_tokens(const dsm_exec *x, const dsm_route *r, dsm_token_fn fn, void *arg);

/* score = softmax(logit); and its derivative: dlogit_i += s_i (ds_i - Σ_j s_j ds_j). */
void dsm_route_softmax(const dsm_exec *x, const dsm_route *r);
void dsm_route_softmax_bwd(const dsm_exec *x, const dsm_route *r, dsm_real *dlogit,
                           const dsm_real *dscore);

/* pick: the K largest, descending, ties to the lower expert, of what selects: the logit (the order
 * of the score without its rounding); with a selection bias score + bias or score · bias; with
 * mode->mask_top the same with the highest round(mask_top·E) experts of each token disabled. */
void dsm_route_select(const dsm_exec *x, const dsm_route *r);

/* gate_k = s_k / Σ_j s_j over the picks if norm_topk_prob and K > 1, else routed_scaling_factor ·
 * s_k; and its derivative, added to dscore: ds_k += (dg_k - Σ_j g_j dg_j) / S, or factor · dg_k. */
void dsm_route_gates(const dsm_exec *x, const dsm_route *r);
void dsm_route_gates_bwd(const dsm_exec *x, const dsm_route *r, const dsm_real *dgate,
                         dsm_real *dscore);

#endif
