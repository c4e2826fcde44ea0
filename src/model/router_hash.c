/* SPDX-License-Identifier: MIT */
/* Hash layer (Roller et al. 2021, arXiv 2106.04426): a fixed expert per token id, weight one. There
 * is nothing to learn and nothing to balance.
 *
 * Random: the expert is a uniform draw of (hash_seed, layer, id). Balanced: tokens by falling
 * frequency (ties: lower id first), each to the expert with the fewest occurrences so far (ties:
 * lower expert). */
#include "core/rng.h"
#include "model/params.h"
#include "model/router_parts.h"

#include <stdlib.h>
#include <string.h>

static void forward(const dsm_exec *x, const dsm_route *r)
{
    (void)x;
    for (int64_t t = 0; t < r->T; t++) {
        r->pick[t] = r->hash[r->tokens[t]];
        r->gate[t] = 1;
    }
}

static void backward(const dsm_exec *x, const dsm_route *r, dsm_real *dlogit, const dsm_real *dgate,
                     dsm_real *dscore)
{
    (void)x, (void)r, (void)dlogit, (void)dgate, (void)dscore; /* gates are constant */
}

const dsm_router dsm_router_hash = {
    .name = "hash", .has_weight = false, .picks = 1, .forward = forward, .backward = backward};

/* --- tables ------------------------------------------------------------------------------ */

static void fill_random(int32_t *table, const dsm_model_config *c, int64_t layer)
{
    dsm_rng rng = {(uint64_t)c->hash_seed, DSM_STREAM_HASH, (uint32_t)layer};
    for (int64_t v = 0; v < c->vocab_size; v++)
        table[v] = (int32_t)dsm_rng_below(&rng, (uint64_t)v, (uint64_t)c->n_routed_experts);
}

/* Balanced over equal frequencies: the experts take turns. */
static void fill_in_turn(int32_t *table, const dsm_model_config *c)
{
    for (int64_t v = 0; v < c->vocab_size; v++)
        table[v] = (int32_t)(v % c->n_routed_experts);
}

void dsm_model_hash_reset(dsm_model *m)
{
    for (int64_t l = 0; l < m->config.num_hidden_layers; l++) {
        int32_t *table = m->layers[l].moe.hash;
        if (!table) continue;
        if (m->config.hash == DSM_HASH_RANDOM)
            fill_random(table, &m->config, l);
        else
            fill_in_turn(table, &m->config);
    }
}

typedef struct token_count {
    uint64_t count;
    int64_t id;
} token_count;

static int by_falling_count(const void *a, const void *b)
{
    const token_count *x = a, *y = b;
    if (x->count != y->count) return x->count < y->count ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int64_t emptiest(const uint64_t *load, int64_t n)
{
    int64_t best = 0;
    for (int64_t e = 1; e < n; e++)
        if (load[e] < load[best]) best = e;
    return best;
}

static void deal(int32_t *table, const token_count *order, int64_t n_tokens, uint64_t *load,
                 int64_t n_experts)
{
    memset(load, 0, sizeof *load * (size_t)n_experts);
    for (int64_t i = 0; i < n_tokens; i++) {
        int64_t e = emptiest(load, n_experts);
        table[order[i].id] = (int32_t)e;
        load[e] += order[i].count;
    }
}

dsm_status dsm_model_hash_balance(dsm_model *m, const uint64_t *counts, dsm_err *err)
{
    const dsm_model_config *c = &m->config;
    if (c->router != DSM_ROUTER_HASH || c->hash != DSM_HASH_BALANCED) return DSM_OK;
    token_count *order = malloc(sizeof *order * (size_t)c->vocab_size);
    uint64_t *load = malloc(sizeof *load * (size_t)(c->n_routed_experts + 1));
    dsm_status status = DSM_OK;
    if (!order || !load) {
        status = dsm_fail(err, DSM_ENOMEM, "hash table: out of memory");
        goto done;
    }
    for (int64_t v = 0; v < c->vocab_size; v++)
        order[v] = (token_count){counts[v], v};
    qsort(order, (size_t)c->vocab_size, sizeof *order, by_falling_count);
    for (int64_t l = 0; l < c->num_hidden_layers; l++)
        if (m->layers[l].moe.hash)
            deal(m->layers[l].moe.hash, order, c->vocab_size, load, c->n_routed_experts);
done:
    free(order);
    free(load);
    return status;
}
