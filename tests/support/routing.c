/* SPDX-License-Identifier: MIT */
#include "support/routing.h"

#include "core/rng.h"
#include "support/support.h"

#include <string.h>

static void fill_logits(routing *g, unsigned seed)
{
    dsm_rng rng = {seed, DSM_STREAM_TEST, 0};
    for (int64_t i = 0; i < g->r.T * g->r.E; i++)
        g->logit[i] = (dsm_real)dsm_rng_normal(&rng, (uint64_t)i);
    rng.step = 1;
    for (int64_t i = 0; i < g->r.T * g->r.E; i++)
        g->distilled[i] = (dsm_real)dsm_rng_normal(&rng, (uint64_t)i);
}

void routing_open(routing *g, dsm_router_kind kind, int64_t T, int64_t seq_len, int64_t E,
                  int64_t K, unsigned seed)
{
    dsm_err err;
    memset(g, 0, sizeof *g);
    assert_true(T * E <= ROUTING_MAX && T * K <= ROUTING_MAX);
    dsm_model_config_defaults(&g->config);
    strcpy(g->config.model_type, "deepseek");
    g->config.n_routed_experts = E;
    g->config.num_experts_per_tok = K;
    g->config.router = kind;
    dsm_kernels_init(&g->kernels, 0);
    assert_ok(dsm_exec_init(&g->exec, &g->kernels, 1, &err));
    g->r = (dsm_route){.config = &g->config,
                       .mode = &g->mode,
                       .T = T,
                       .E = E,
                       .K = kind == DSM_ROUTER_EXPERT_CHOICE ? E : K,
                       .active = K,
                       .seq_len = seq_len,
                       .tokens = g->tokens,
                       .hash = g->hash,
                       .logit = g->logit,
                       .distilled = g->distilled,
                       .score = g->score,
                       .pick = g->pick,
                       .gate = g->gate,
                       .work = g->work,
                       .order = g->order};
    fill_logits(g, seed);
}

void routing_run(routing *g)
{
    dsm_router_of(g->config.router)->forward(&g->exec, &g->r);
}

void routing_close(routing *g)
{
    dsm_exec_free(&g->exec);
}
