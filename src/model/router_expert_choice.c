/* SPDX-License-Identifier: MIT */
/* Expert Choice (Zhou et al. 2022, arXiv 2202.09368): s = softmax over the experts, and each expert
 * takes the k tokens of a chunk with the largest s, weighted by s; a token may be taken by many
 * experts or by none. Chunks of n tokens have k = n·K/E, so K experts take a token on average and
 * the load is even by construction.
 *
 * A chunk is a run of tokens of the micro-batch: a sequence, part of one, or several. With
 * "shuffle" chunks are cut from the tokens in an order drawn by (seed, step), the same in every
 * layer. A micro-batch that chunks do not divide is cut in as many as fit, as equal as can be; a
 * chunk has E/K tokens at least, so that each expert gets one.
 *
 * What an expert takes depends on tokens to come: there is no causal form, and evaluation in the
 * same chunks leaks the future (Loss-Free Balancing, arXiv 2408.15664, appendix). Generation
 * cannot do that: there each token takes the K experts that are best for it. */
#include "core/rng.h"
#include "kernels/kernels.h"
#include "model/router_parts.h"

/* How many chunks: whole ones, at least one. */
static int64_t chunk_count(const dsm_route *r)
{
    int64_t least = (r->E + r->active - 1) / r->active;
    int64_t wanted = r->config->chunk > 0 ? r->config->chunk : r->seq_len;
    int64_t n = r->T / (wanted > least ? wanted : least);
    return n > 1 ? n : 1;
}

static void order_token(const dsm_route *r, void *arg, int64_t t)
{
    const dsm_rng rng = {r->mode->seed, DSM_STREAM_CHUNK, r->mode->step};
    (void)arg;
    r->order[t] = r->config->shuffle ? (int32_t)dsm_rng_permute(&rng, (uint64_t)t, (uint64_t)r->T)
                                     : (int32_t)t;
}

static void swap(dsm_real *a, dsm_real *b)
{
    dsm_real was = *a;
    *a = *b;
    *b = was;
}

/* The value that k of v (n) come before in falling order; v is reordered. Quickselect with three
 * parts, so that equal values, and NaN, which are equal to everything, cost one pass. */
static dsm_real value_at_rank(dsm_real *v, int64_t n, int64_t k)
{
    int64_t begin = 0, end = n;
    for (;;) {
        dsm_real pivot = v[begin + (end - begin) / 2];
        int64_t equal = begin, below = end, i = begin;
        while (i < below) {
            if (v[i] > pivot)
                swap(&v[i++], &v[equal++]);
            else if (v[i] < pivot)
                swap(&v[i], &v[--below]);
            else
                i++;
        }
        if (k >= equal && k < below) return pivot;
        if (k < equal)
            end = equal;
        else
            begin = below;
    }
}

/* The k-th largest score of expert e among tokens (n); *ties: how many of those equal to it are
 * taken. v (n) is scratch. */
static dsm_real threshold(const dsm_route *r, const int32_t *tokens, int64_t n, int64_t e,
                          int64_t k, dsm_real *v, int64_t *ties)
{
    for (int64_t j = 0; j < n; j++)
        v[j] = r->score[tokens[j] * r->E + e];
    dsm_real least = value_at_rank(v, n, k - 1);
    *ties = k;
    for (int64_t j = 0; j < n; j++)
        *ties -= v[j] > least;
    return least;
}

/* One expert takes its tokens of one chunk; ties go to those that come first. */
static void take_tokens(void *arg, int64_t item, int worker)
{
    (void)worker;
    const dsm_route *r = arg;
    int64_t chunks = chunk_count(r), chunk = item / r->E, e = item % r->E;
    int64_t begin = chunk * r->T / chunks, n = (chunk + 1) * r->T / chunks - begin;
    int64_t k = n * r->active / r->E > 1 ? n * r->active / r->E : 1, ties;
    const int32_t *tokens = r->order + begin;
    dsm_real least = threshold(r, tokens, n, e, k, r->work + begin * r->E + e * n, &ties);
    for (int64_t j = 0; j < n; j++) {
        int64_t slot = tokens[j] * r->E + e;
        bool taken = r->score[slot] > least || (r->score[slot] == least && ties-- > 0);
        r->pick[slot] = taken ? (int32_t)e : DSM_NO_PICK;
    }
}

static void forward(const dsm_exec *x, const dsm_route *r)
{
    dsm_route_softmax(x, r);
    if (dsm_route_by_expert(r->config, r->mode)) {
        dsm_route_tokens(x, r, order_token, NULL);
        dsm_pool_run(x->pool, chunk_count(r) * r->E, take_tokens, (void *)(uintptr_t)r);
    } else {
        dsm_route_select(x, r);
    }
    dsm_route_plain_gates(x, r);
}

static void backward(const dsm_exec *x, const dsm_route *r, dsm_real *dlogit, const dsm_real *dgate,
                     dsm_real *dscore)
{
    dsm_route_plain_gates_bwd(x, r, dgate, dscore);
    dsm_route_softmax_bwd(x, r, dlogit, dscore);
}

const dsm_router dsm_router_expert_choice = {.name = "expert_choice",
                                             .has_weight = true,
                                             .by_expert = true,
                                             .forward = forward,
                                             .backward = backward};
