/* SPDX-License-Identifier: MIT */
/* GShard (Lepikhin et al. 2020, arXiv 2006.16668, algorithm 1): the two most probable experts.
 *
 * Gates are the probabilities g1, g2, or with "renormalize" their shares g1/(g1+g2), g2/(g1+g2). In
 * training, "random_second" keeps the second choice with chance 2·g2/(g1+g2), and a capacity per
 * sequence places all first choices before the second ones. Gates are not renormalised after a
 * drop. */
#include "core/rng.h"
#include "model/router_parts.h"

/* Σ of the picked scores that gates are divided by: 1 when they are not. */
static dsm_real divisor(const dsm_route *r, int64_t t)
{
    if (!r->config->renormalize) return 1;
    dsm_real sum = 0;
    for (int64_t i = t * r->K; i < (t + 1) * r->K; i++)
        sum += r->score[t * r->E + dsm_pick_expert(r->pick[i])];
    return sum;
}

static void gate_token(const dsm_route *r, void *arg, int64_t t)
{
    (void)arg;
    dsm_real sum = divisor(r, t);
    for (int64_t i = t * r->K; i < (t + 1) * r->K; i++)
        r->gate[i] = r->score[t * r->E + r->pick[i]] / sum;
}

static void second_token(const dsm_route *r, void *arg, int64_t t)
{
    const dsm_rng *rng = arg;
    const dsm_real *s = r->score + t * r->E;
    dsm_real g1 = s[r->pick[2 * t]], g2 = s[r->pick[2 * t + 1]];
    uint64_t position = (uint64_t)(r->mode->first_token + t);
    dsm_real u = dsm_rng_uniform(rng, position + ((uint64_t)r->layer << 40));
    if (2 * g2 / (g1 + g2) > u) return;
    r->pick[2 * t + 1] = ~r->pick[2 * t + 1];
    r->gate[2 * t + 1] = 0;
}

static void forward(const dsm_exec *x, const dsm_route *r)
{
    dsm_rng rng = {r->mode->seed, DSM_STREAM_SECOND, r->mode->step};
    dsm_route_softmax(x, r);
    dsm_route_select(x, r);
    dsm_route_tokens(x, r, gate_token, NULL);
    if (!r->mode->training) return;
    if (r->config->random_second) dsm_route_tokens(x, r, second_token, &rng);
    dsm_capacity_apply(r, r->config->capacity_factor);
}

/* g_k = s_k / S:  ds_k = (dg_k - Σ_j dg_j s_j / S) / S, where a choice that was not taken has dg =
 * 0. */

typedef struct gradients {
    const dsm_real *dgate;
    dsm_real *dscore;
} gradients;

static void gate_bwd_token(const dsm_route *r, void *arg, int64_t t)
{
    const gradients *g = arg;
    dsm_real sum = divisor(r, t), mean = 0;
    for (int64_t i = 2 * t; r->config->renormalize && i < 2 * t + 2; i++)
        mean += r->gate[i] * g->dgate[i]; /* gate is 0 where not taken */
    for (int64_t i = 2 * t; i < 2 * t + 2; i++) {
        dsm_real dgate = r->pick[i] < 0 ? 0 : g->dgate[i];
        g->dscore[t * r->E + dsm_pick_expert(r->pick[i])] += (dgate - mean) / sum;
    }
}

static void backward(const dsm_exec *x, const dsm_route *r, dsm_real *dlogit, const dsm_real *dgate,
                     dsm_real *dscore)
{
    dsm_route_tokens(x, r, gate_bwd_token, &(gradients){dgate, dscore});
    dsm_route_softmax_bwd(x, r, dlogit, dscore);
}

const dsm_router dsm_router_gshard = {.name = "gshard",
                                      .has_weight = true,
                                      .ranks = true,
                                      .picks = 2,
                                      .forward = forward,
                                      .backward = backward};
