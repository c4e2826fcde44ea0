/* SPDX-License-Identifier: MIT */
/* Switch (Fedus et al. 2021, arXiv 2101.03961): the most probable expert alone, weighted by its
 * probability. In training a capacity per sequence may drop tokens, which then leave by the
 * residual; the jitter on the router's input is the MoE layer's (jitter.c). */
#include "model/router_parts.h"

static void forward(const dsm_exec *x, const dsm_route *r)
{
    dsm_route_softmax(x, r);
    dsm_route_select(x, r);
    dsm_route_plain_gates(x, r);
    if (r->mode->training) dsm_capacity_apply(r, r->config->capacity_factor);
}

static void backward(const dsm_exec *x, const dsm_route *r, dsm_real *dlogit, const dsm_real *dgate,
                     dsm_real *dscore)
{
    dsm_route_plain_gates_bwd(x, r, dgate, dscore);
    dsm_route_softmax_bwd(x, r, dlogit, dscore);
}

const dsm_router dsm_router_switch = {.name = "switch",
                                      .has_weight = true,
                                      .ranks = true,
                                      .picks = 1,
                                      .forward = forward,
                                      .backward = backward};
