/* SPDX-License-Identifier: MIT */
/* Loss-Free Balancing's own gate (arXiv 2408.15664, section 3; DeepSeek-V3): s = sigmoid(logit),
 * each expert by itself; the K largest of score + bias (or score · bias) picked; gates from the
 * original scores, with the same two options as the softmax router. */
#include "model/router_parts.h"

static void sigmoid_token(const dsm_route *r, void *arg, int64_t t)
{
    (void)arg;
    for (int64_t i = t * r->E; i < (t + 1) * r->E; i++)
        r->score[i] = 1 / (1 + dsm_exp(-r->logit[i]));
}

static void forward(const dsm_exec *x, const dsm_route *r)
{
    dsm_route_tokens(x, r, sigmoid_token, NULL);
    dsm_route_select(x, r);
    dsm_route_gates(x, r);
}

/* ds/dz = s (1 - s) */

typedef struct gradients {
    const dsm_real *dscore;
    dsm_real *dlogit;
} gradients;

static void sigmoid_bwd_token(const dsm_route *r, void *arg, int64_t t)
{
    const gradients *g = arg;
    for (int64_t i = t * r->E; i < (t + 1) * r->E; i++)
        g->dlogit[i] += r->score[i] * (1 - r->score[i]) * g->dscore[i];
}

static void backward(const dsm_exec *x, const dsm_route *r, dsm_real *dlogit, const dsm_real *dgate,
                     dsm_real *dscore)
{
    dsm_route_gates_bwd(x, r, dgate, dscore);
    dsm_route_tokens(x, r, sigmoid_bwd_token, &(gradients){dscore, dlogit});
}

const dsm_router dsm_router_sigmoid = {
    .name = "sigmoid", .has_weight = true, .forward = forward, .backward = backward};
