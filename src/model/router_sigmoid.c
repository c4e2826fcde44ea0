/* SPDX-License-Identifier: MIT */
/* Loss-Free Balancing's own gate (arXiv 2408.15664, section 3; DeepSeek-V3): s = sigmoid(logit),
 * each expert by itself; the K largest of score + bias (or score · bias) picked; gates from the
 * original scores, with the same two options as the softmax router. */
#include "model/router_parts.h"

static void forward(const dsm_exec *x, const dsm_route *r)
{
    dsm_route_sigmoid(x, r);
    dsm_route_select(x, r);
    dsm_route_gates(x, r);
}

static void backward(const dsm_exec *x, const dsm_route *r, dsm_real *dlogit, const dsm_real *dgate,
                     dsm_real *dscore)
{
    dsm_route_gates_bwd(x, r, dgate, dscore);
    dsm_route_sigmoid_bwd(x, r, dlogit, dscore);
}

const dsm_router dsm_router_sigmoid = {.name = "sigmoid",
                                       .has_weight = true,
                                       .ranks = true,
                                       .sigmoid = true,
                                       .forward = forward,
                                       .backward = backward};
