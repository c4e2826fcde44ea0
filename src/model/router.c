/* SPDX-License-Identifier: MIT */
/* The routers by kind, and the parts that scored routers share (router_parts.h).
 *
 * Everything here is O(T·E), so tokens are handled whole, a chunk of them per work item; no token
 * looks at another, so results do not depend on threads. */
#include "model/router.h"

#include "kernels/kernels.h"
#include "model/router_parts.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 64 }; /* tokens of one work item */

const dsm_router *dsm_router_of(dsm_router_kind kind)
{
    static const dsm_router *const routers[DSM_N_ROUTERS] = {
        [DSM_ROUTER_SOFTMAX] = &dsm_router_softmax, [DSM_ROUTER_SIGMOID] = &dsm_router_sigmoid,
        [DSM_ROUTER_SWITCH] = &dsm_router_switch,   [DSM_ROUTER_GSHARD] = &dsm_router_gshard,
        [DSM_ROUTER_HASH] = &dsm_router_hash,
    };
    return routers[kind];
}

int64_t dsm_router_picks(const dsm_model_config *c)
{
    int64_t fixed = dsm_router_of(c->router)->picks;
    return fixed ? fixed : c->num_experts_per_tok;
}

typedef struct token_loop {
    const dsm_route *r;
    dsm_token_fn fn;
    void *arg;
} token_loop;

static void run_chunk(void *arg, int64_t item, int worker)
{
    (void)worker;
    const token_loop *loop = arg;
    int64_t end = (item + 1) * CHUNK < loop->r->T ? (item + 1) * CHUNK : loop->r->T;
    for (int64_t t = item * CHUNK; t < end; t++)
        loop->fn(loop->r, loop->arg, t);
}

void dsm_route_tokens(const dsm_exec *x, const dsm_route *r, dsm_token_fn fn, void *arg)
{
    token_loop loop = {r, fn, arg};
    dsm_pool_run(x->pool, (r->T + CHUNK - 1) / CHUNK, run_chunk, &loop);
}

/* --- softmax ---------------------------------------------------------------------------------- */

void dsm_route_softmax(const dsm_exec *x, const dsm_route *r)
{
    x->kernels->softmax(x, r->score, r->logit, r->T, r->E);
}

typedef struct gradients {
    const dsm_real *up; /* of the part's output */
    dsm_real *down;     /* of its input */
} gradients;

static void softmax_bwd_token(const dsm_route *r, void *arg, int64_t t)
{
    const gradients *g = arg;
    const dsm_real *s = r->score + t * r->E, *ds = g->up + t * r->E;
    dsm_real *dz = g->down + t * r->E;
    dsm_real mean = 0;
    for (int64_t e = 0; e < r->E; e++)
        mean += s[e] * ds[e];
    for (int64_t e = 0; e < r->E; e++)
        dz[e] += s[e] * (ds[e] - mean);
}

void dsm_route_softmax_bwd(const dsm_exec *x, const dsm_route *r, dsm_real *dlogit,
                           const dsm_real *dscore)
{
    dsm_route_tokens(x, r, softmax_bwd_token, &(gradients){dscore, dlogit});
}

/* --- selection --------------------------------------------------------------------------- */

static void steer_token(const dsm_route *r, void *arg, int64_t t)
{
    (void)arg;
    const dsm_real *s = r->score + t * r->E;
    dsm_real *out = r->work + t * r->E;
    bool multiply = r->config->bias == DSM_BIAS_MULTIPLICATIVE;
    for (int64_t e = 0; e < r->E; e++)
        out[e] = multiply ? s[e] * r->bias[e] : s[e] + r->bias[e];
}

/* Disable the n best experts of a token, ties to the lower expert. */
static void mask_token(const dsm_route *r, void *arg, int64_t t)
{
    int64_t n = *(const int64_t *)arg;
    dsm_real *out = r->work + t * r->E;
    for (; n > 0; n--) {
        int64_t best = 0;
        for (int64_t e = 1; e < r->E; e++)
            if (out[e] > out[best]) best = e;
        out[best] = -INFINITY;
    }
}

/* How many experts mask_top disables: at least K remain. */
static int64_t masked_experts(const dsm_route *r)
{
    int64_t n = (int64_t)lround(r->mode->mask_top * (double)r->E);
    return n < r->E - r->K ? n : r->E - r->K;
}

void dsm_route_select(const dsm_exec *x, const dsm_route *r)
{
    int64_t masked = masked_experts(r);
    const dsm_real *select = r->bias || masked > 0 ? r->work : r->logit;
    if (r->bias)
        dsm_route_tokens(x, r, steer_token, NULL);
    else if (masked > 0)
        memcpy(r->work, r->logit, sizeof *r->work * (size_t)(r->T * r->E));
    if (masked > 0) dsm_route_tokens(x, r, mask_token, &masked);
    x->kernels->topk(x, r->pick, select, r->T, r->E, r->K);
}

/* --- gates ------------------------------------------------------------------------------- */

static bool is_normalised(const dsm_route *r)
{
    return r->config->norm_topk_prob && r->K > 1;
}

static dsm_real picked_sum(const dsm_route *r, int64_t t)
{
    dsm_real sum = 0;
    for (int64_t k = 0; k < r->K; k++)
        sum += r->score[t * r->E + r->pick[t * r->K + k]];
    return sum + (dsm_real)1e-20;
}

static void gate_token(const dsm_route *r, void *arg, int64_t t)
{
    (void)arg;
    dsm_real factor =
        is_normalised(r) ? 1 / picked_sum(r, t) : (dsm_real)r->config->routed_scaling_factor;
    for (int64_t i = t * r->K; i < (t + 1) * r->K; i++)
        r->gate[i] = factor * r->score[t * r->E + r->pick[i]];
}

void dsm_route_gates(const dsm_exec *x, const dsm_route *r)
{
    dsm_route_tokens(x, r, gate_token, NULL);
}

static void gate_bwd_token(const dsm_route *r, void *arg, int64_t t)
{
    const gradients *g = arg;
    const dsm_real *gate = r->gate + t * r->K, *dgate = g->up + t * r->K;
    bool normalised = is_normalised(r);
    dsm_real factor =
        normalised ? 1 / picked_sum(r, t) : (dsm_real)r->config->routed_scaling_factor;
    dsm_real mean = 0;
    for (int64_t k = 0; normalised && k < r->K; k++)
        mean += gate[k] * dgate[k];
    for (int64_t k = 0; k < r->K; k++)
        g->down[t * r->E + r->pick[t * r->K + k]] += factor * (dgate[k] - mean);
}

void dsm_route_gates_bwd(const dsm_exec *x, const dsm_route *r, const dsm_real *dgate,
                         dsm_real *dscore)
{
    dsm_route_tokens(x, r, gate_bwd_token, &(gradients){dgate, dscore});
}
