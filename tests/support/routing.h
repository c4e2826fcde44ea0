/* SPDX-License-Identifier: MIT */
/* One routing on its own, for tests of routers, capacity and balance: buffers of a dsm_route with
 * room for small shapes, random logits, and a truth kernel table. */
#ifndef DSMOE_TESTS_ROUTING_H
#define DSMOE_TESTS_ROUTING_H

#include "kernels/kernels.h"
#include "model/router.h"

enum { ROUTING_MAX = 8192 }; /* elements of each buffer */

typedef struct routing {
    dsm_model_config config;
    dsm_route_mode mode;
    dsm_kernels kernels;
    dsm_exec exec;
    dsm_route r;
    int32_t tokens[ROUTING_MAX], hash[ROUTING_MAX], pick[ROUTING_MAX], order[ROUTING_MAX];
    dsm_real logit[ROUTING_MAX], distilled[ROUTING_MAX], score[ROUTING_MAX], gate[ROUTING_MAX],
        work[ROUTING_MAX], bias[ROUTING_MAX];
} routing;

/* A routing of T tokens in sequences of seq_len over E experts, K picks; logits N(0, 1) of seed
 * (of the distilled router too). Where experts choose, K is their average and r.K is E.
 * The config is a small DeepSeekMoE with router `kind`; change it before routing_run. */
void routing_open(routing *g, dsm_router_kind kind, int64_t T, int64_t seq_len, int64_t E,
                  int64_t K, unsigned seed);
void routing_run(routing *g);
void routing_close(routing *g);

#endif
