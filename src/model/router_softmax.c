/* SPDX-License-Identifier: MIT */
/* DeepSeekMoE (arXiv 2401.06066, eq. 9-11): s = softmax over the routed experts, the K largest
 * picked, gates the scores themselves. Released variants divide the gates by their sum
 * (norm_topk_prob) or multiply them by routed_scaling_factor; DeepSeek-V2 picks within the best
 * groups of experts (2405.04434, section 2.2.2). With a selection bias this is
 * Loss-Free Balancing over softmax scores (2408.15664, appendix C): the bias steers the choice and
 * never the weight. */
#include "model/router_parts.h"

static void forward(const dsm_exec *x, const dsm_route *r)
{
    dsm_route_softmax(x, r);
    dsm_route_select(x, r);
    dsm_route_gates(x, r);
}

static void backward(const dsm_exec *x, const dsm_route *r, dsm_real *dlogit, const dsm_real *dgate,
                     dsm_real *dscore)
{
    dsm_route_gates_bwd(x, r, dgate, dscore);
    dsm_route_softmax_bwd(x, r, dlogit, dscore);
}

const dsm_router dsm_router_softmax = {
    .name = "softmax", .has_weight = true, .ranks = true, .forward = forward, .backward = backward};
