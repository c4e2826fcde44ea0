/* SPDX-License-Identifier: MIT */
/* Volumes of communication, one function per kind. Collectives are counted as rings run them: each
 * device of n sends (n-1)/n of the data in a reduce-scatter or an all-gather, twice that in an
 * all-reduce, which is also the least that is possible. */
#include "model/traffic.h"

#include "model/router.h"

const dsm_traffic_kind dsm_traffic_kinds[DSM_N_TRAFFIC] = {
    [DSM_TRAFFIC_EXPERTS] = {"experts", "experts, over data", "params (g + w) (n-1)/n"},
    [DSM_TRAFFIC_OTHERS] = {"others", "the rest, over both", "params (g + w) (n-1)/n"},
    [DSM_TRAFFIC_TOKENS] = {"tokens", "tokens to experts", "4 MoE-layers m t D a r"},
    [DSM_TRAFFIC_TENSOR] = {"tensor", "tensor parts", "2 (N-1)/N m t D a (4 layers + ends)"},
    [DSM_TRAFFIC_PIPE] = {"pipe", "stage to stage", "m t D a neighbours"},
};

/* --- where a token's experts lie ---------------------------------------------------------------
 */

static double choose(int64_t n, int64_t k)
{
    double ways = 1;
    if (k < 0 || k > n) return 0;
    for (int64_t i = 0; i < k; i++)
        ways *= (double)(n - i) / (double)(k - i);
    return ways;
}

/* Of `pool` experts, K different ones picked at random: is one of `own` among them? */
static double hit(int64_t pool, int64_t own, int64_t K)
{
    double miss = 1;
    for (int64_t i = 0; i < K && miss > 0; i++)
        miss *= pool - own - i > 0 ? (double)(pool - own - i) / (double)(pool - i) : 0;
    return 1 - miss;
}

bool dsm_is_device_limited(const dsm_model_config *c)
{
    return c->topk_method != DSM_TOPK_GREEDY && c->n_group > 1;
}

/* Probability that a device has an expert of a token whose M groups of G are equally likely. */
static double hit_in_groups(const dsm_model_config *c, int64_t X)
{
    int64_t G = c->n_group, M = c->topk_group, K = dsm_router_picks(c);
    int64_t size = c->n_routed_experts / G, own = c->n_routed_experts / X, pool = M * size;
    if (X > G) return (double)M / (double)G * hit(pool, own, K);
    double p = 0;
    for (int64_t j = 1; j <= G / X; j++) /* of the device's G/X groups, j are among the token's */
        p += choose(G / X, j) * choose(G - G / X, M - j) / choose(G, M) * hit(pool, j * size, K);
    return p;
}

double dsm_layout_reach(const dsm_model_config *c, int64_t expert)
{
    int64_t E = c->n_routed_experts;
    if (E == 0) return 0;
    if (dsm_is_device_limited(c)) return (double)expert * hit_in_groups(c, expert);
    return (double)expert * hit(E, E / expert, dsm_router_picks(c));
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t dsm_layout_reach_limit(const dsm_model_config *c, int64_t expert)
{
    if (c->n_routed_experts == 0) return 0;
    int64_t most = smaller(expert, dsm_router_picks(c));
    if (!dsm_is_device_limited(c)) return most;
    int64_t devices_of_group = expert > c->n_group ? expert / c->n_group : 1;
    return smaller(most, c->topk_group * devices_of_group);
}

/* --- volumes -----------------------------------------------------------------------------------
 */

dsm_train_bytes dsm_train_bytes_of(dsm_train_dtype dtype)
{
    static const dsm_train_bytes bytes[DSM_N_TRAIN_DTYPES] = {
        [DSM_TRAIN_F32] = {.weight = 4, .gradient = 4, .optimizer = 8, .activation = 4},
        [DSM_TRAIN_BF16] = {.weight = 2, .gradient = 4, .optimizer = 12, .activation = 2},
    };
    return bytes[dtype];
}

/* (n-1)/n: the share that leaves each of n devices. */
static double leaving(int64_t n)
{
    return (double)(n - 1) / (double)n;
}

void dsm_traffic_fill(dsm_stage_plan *p, const dsm_model_config *c, const dsm_layout_options *o,
                      int64_t n_moe)
{
    const dsm_layout *l = &o->layout;
    const dsm_train_bytes b = dsm_train_bytes_of(o->dtype);
    bool is_first = p->stage == 0, is_last = p->stage == l->pipe - 1;
    double sync = (double)(b.gradient + b.weight), others = (double)(p->params - p->expert_params);
    double stream = (double)(p->micro_batches * o->micro * o->seq_len) *
                    (double)(c->hidden_size * b.activation);           /* m t D a */
    double away = dsm_layout_reach(c, l->expert) * leaving(l->expert); /* r */
    p->traffic[DSM_TRAFFIC_EXPERTS] = (double)p->expert_params * sync * leaving(l->data);
    p->traffic[DSM_TRAFFIC_OTHERS] = others * sync * leaving(l->data * l->expert);
    p->traffic[DSM_TRAFFIC_TOKENS] = 4 * (double)n_moe * stream * away;
    p->traffic[DSM_TRAFFIC_TENSOR] =
        2 * leaving(l->tensor) * stream * (double)(4 * p->n_layers + is_first + is_last);
    p->traffic[DSM_TRAFFIC_PIPE] = stream * (double)(!is_first + !is_last);
    p->traffic_total = 0;
    for (int i = 0; i < DSM_N_TRAFFIC; i++)
        p->traffic_total += p->traffic[i];
}
