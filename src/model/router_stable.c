/* SPDX-License-Identifier: MIT */
/* StableMoE (Dai et al. 2022, arXiv 2204.08396): the best expert alone, weighted by σ(z).
 *
 * In the first stage of training the best is that of the logits z, and the distilled router learns
 * to tell it from the token alone (distill.c). In the second stage, and wherever nothing is
 * trained, the distilled router decides; z is left with the weight. */
#include "kernels/kernels.h"
#include "model/router_parts.h"

static void forward(const dsm_exec *x, const dsm_route *r)
{
    bool learns = r->mode->training && !r->mode->distilled;
    dsm_route_sigmoid(x, r);
    x->kernels->topk(x, r->pick, learns ? r->logit : r->distilled, r->T, r->E, r->K);
    dsm_route_plain_gates(x, r);
}

static void backward(const dsm_exec *x, const dsm_route *r, dsm_real *dlogit, const dsm_real *dgate,
                     dsm_real *dscore)
{
    dsm_route_plain_gates_bwd(x, r, dgate, dscore);
    dsm_route_sigmoid_bwd(x, r, dlogit, dscore);
}

const dsm_router dsm_router_stable = {.name = "stable",
                                      .has_weight = true,
                                      .sigmoid = true,
                                      .picks = 1,
                                      .forward = forward,
                                      .backward = backward};
