/* SPDX-License-Identifier: MIT */
/* The routers by kind, and the parts that scored routers share (router_parts.h).
 *
 * Everything here is O(T·E), so tokens are handled whole, a chunk of them per work item; no token
 * looks at another, so results do not depend on threads. */
#include "model/router.h"

#include "kernels/kernels.h"
#include "model/family.h"
#include "model/router_parts.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 64 }; /* tokens of one work item */

const dsm_router *dsm_router_of(dsm_router_kind kind)
{
    static const dsm_router *const routers[DSM_N_ROUTERS] = {
        [DSM_ROUTER_SOFTMAX] = &dsm_router_softmax,
        [DSM_ROUTER_SIGMOID] = &dsm_router_sigmoid,
        [DSM_ROUTER_SWITCH] = &dsm_router_switch,
        [DSM_ROUTER_GSHARD] = &dsm_router_gshard,
        [DSM_ROUTER_HASH] = &dsm_router_hash,
        [DSM_ROUTER_STABLE] = &dsm_router_stable,
        [DSM_ROUTER_EXPERT_CHOICE] = &dsm_router_expert_choice,
    };
    return routers[kind];
}

int64_t dsm_router_picks(const dsm_model_config *c)
{
    int64_t fixed = dsm_router_of(c->router)->picks;
    return fixed ? fixed : c->num_experts_per_tok;
}

int64_t dsm_router_slots(const dsm_model_config *c, int64_t K)
{
    if (c->n_routed_experts == 0) return 0;
    return dsm_router_of(c->router)->by_expert ? c->n_routed_experts : K;
}

/* An expert takes a token even of a chunk that is shorter than E/K. */
int64_t dsm_router_pairs(const dsm_model_config *c, int64_t K, int64_t T)
{
    int64_t pairs = T * K, E = c->n_routed_experts;
    if (E == 0) return 0;
    return dsm_router_of(c->router)->by_expert && pairs < E ? E : pairs;
}

bool dsm_route_by_expert(const dsm_model_config *c, const dsm_route_mode *mode)
{
    return dsm_router_of(c->router)->by_expert && !mode->causal;
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

/* --- sigmoid ---------------------------------------------------------------------------------- */

static void sigmoid_token(const dsm_route *r, void *arg, int64_t t)
{
    (void)arg;
    for (int64_t i = t * r->E; i < (t + 1) * r->E; i++)
        r->score[i] = 1 / (1 + dsm_exp(-r->logit[i]));
}

void dsm_route_sigmoid(const dsm_exec *x, const dsm_route *r)
{
    dsm_route_tokens(x, r, sigmoid_token, NULL);
}

static void sigmoid_bwd_token(const dsm_route *r, void *arg, int64_t t)
{
    const gradients *g = arg;
    for (int64_t i = t * r->E; i < (t + 1) * r->E; i++)
        g->down[i] += r->score[i] * (1 - r->score[i]) * g->up[i];
}

void dsm_route_sigmoid_bwd(const dsm_exec *x, const dsm_route *r, dsm_real *dlogit,
                           const dsm_real *dscore)
{
    dsm_route_tokens(x, r, sigmoid_bwd_token, &(gradients){dscore, dlogit});
}

/* --- selection --------------------------------------------------------------------------- */

static bool limits_groups(const dsm_model_config *c)
{
    return c->topk_method != DSM_TOPK_GREEDY && c->topk_group < c->n_group;
}

/* DeepSeek-V3 ranks a group by the sum of its two best experts, V2 by the best alone. */
static bool sums_two(const dsm_model_config *c)
{
    return c->topk_method == DSM_TOPK_NOAUX_TC;
}

/* work = what selects: the steered score; the score where groups add it up; else the logit, which
 * orders as the score does, without its rounding. */
static void steer_token(const dsm_route *r, void *arg, int64_t t)
{
    (void)arg;
    const dsm_real *from = (r->bias || sums_two(r->config) ? r->score : r->logit) + t * r->E;
    dsm_real *out = r->work + t * r->E;
    bool multiply = r->config->bias == DSM_BIAS_MULTIPLICATIVE;
    for (int64_t e = 0; e < r->E; e++)
        out[e] = !r->bias ? from[e] : multiply ? from[e] * r->bias[e] : from[e] + r->bias[e];
}

static dsm_real group_score(const dsm_real *v, int64_t n, bool two)
{
    dsm_real best = -INFINITY, second = -INFINITY;
    for (int64_t e = 0; e < n; e++) {
        if (v[e] > best)
            second = best, best = v[e];
        else if (v[e] > second)
            second = v[e];
    }
    return two ? best + second : best;
}

/* How many groups come before group g: ties go to the lower. */
static int64_t rank_of(const dsm_real *score, int64_t n, int64_t g)
{
    int64_t before = 0;
    for (int64_t h = 0; h < n; h++)
        before += score[h] > score[g] || (score[h] == score[g] && h < g);
    return before;
}

/* Disable the n most probable experts of a token, ties to the lower expert. */
static void mask_token(const dsm_route *r, void *arg, int64_t t)
{
    int64_t n = *(const int64_t *)arg;
    const dsm_real *z = r->logit + t * r->E; /* in the order of the scores */
    dsm_real *out = r->work + t * r->E;
    for (; n > 0; n--) {
        int64_t best = -1;
        for (int64_t e = 0; e < r->E; e++)
            if (!isinf(out[e]) && (best < 0 || z[e] > z[best])) best = e;
        if (best >= 0) out[best] = -INFINITY;
    }
}

/* Exclude every expert outside the topk_group best groups. */
static void limit_token(const dsm_route *r, void *arg, int64_t t)
{
    (void)arg;
    const dsm_model_config *c = r->config;
    int64_t n = r->E / c->n_group;
    dsm_real *out = r->work + t * r->E, score[DSM_MAX_GROUPS];
    for (int64_t g = 0; g < c->n_group; g++)
        score[g] = group_score(out + g * n, n, sums_two(c));
    for (int64_t g = 0; g < c->n_group; g++) {
        if (rank_of(score, c->n_group, g) < c->topk_group) continue;
        for (int64_t e = g * n; e < (g + 1) * n; e++)
            out[e] = -INFINITY;
    }
}

void dsm_route_select(const dsm_exec *x, const dsm_route *r)
{
    bool limited = limits_groups(r->config);
    int64_t masked = dsm_route_masked(r->mode, r->config);
    bool plain = !r->bias && !limited && masked == 0;
    if (!plain) dsm_route_tokens(x, r, steer_token, NULL);
    if (masked > 0) dsm_route_tokens(x, r, mask_token, &masked);
    if (limited) dsm_route_tokens(x, r, limit_token, NULL);
    x->kernels->topk(x, r->pick, plain ? r->logit : r->work, r->T, r->E, r->K);
}

/* --- what an analysis changes ---------------------------------------------------------------- */

int64_t dsm_route_picks(const dsm_route_mode *mode, const dsm_model_config *c)
{
    return mode->active > 0 ? mode->active : dsm_router_picks(c);
}

int64_t dsm_route_masked(const dsm_route_mode *mode, const dsm_model_config *c)
{
    return (int64_t)lround(mode->mask_top * (double)c->n_routed_experts);
}

static dsm_status check_kind(const dsm_route_mode *mode, const dsm_model_config *c, dsm_err *err)
{
    if (mode->training)
        return dsm_fail(err, DSM_EUSAGE, "routing: changed for an analysis and for training");
    if (c->n_routed_experts == 0)
        return dsm_fail(err, DSM_EUSAGE,
                        "the model is dense: no routed experts to mask or to choose, no shared "
                        "experts to drop");
    if (mode->drop_shared && c->n_shared_experts == 0)
        return dsm_fail(err, DSM_EUSAGE, "the model has no shared experts to drop");
    const dsm_router *r = dsm_router_of(c->router);
    if ((mode->active > 0 || mode->mask_top > 0) && !r->ranks)
        return dsm_fail(
            err, DSM_EUSAGE, "router %s: %s; none can be masked, nor others chosen", r->name,
            r->by_expert ? "experts choose their tokens" : "the token alone decides its expert");
    return DSM_OK;
}

dsm_status dsm_route_mode_check(const dsm_route_mode *mode, const dsm_model_config *c, dsm_err *err)
{
    if (mode->active == 0 && mode->mask_top == 0 && !mode->drop_shared) return DSM_OK;
    DSM_TRY(check_kind(mode, c, err));
    int64_t E = c->n_routed_experts, K = dsm_route_picks(mode, c);
    int64_t allowed = limits_groups(c) ? E / c->n_group * c->topk_group : E;
    if (mode->active < 0 || mode->active > allowed)
        return dsm_fail(err, DSM_ERANGE, "active experts: found %lld, expected 1 to %lld%s",
                        (long long)mode->active, (long long)allowed,
                        allowed < E ? ", those of a token's groups" : "");
    if (!(mode->mask_top >= 0 && mode->mask_top < 1))
        return dsm_fail(err, DSM_ERANGE, "masked share: found %g, expected 0 to less than 1",
                        mode->mask_top);
    int64_t left = allowed - dsm_route_masked(mode, c);
    if (left >= K) return DSM_OK;
    return dsm_fail(err, DSM_ERANGE,
                    "masked share: %g of %lld experts leaves %lld%s, expected at least the %lld "
                    "that a token picks",
                    mode->mask_top, (long long)E, (long long)(left > 0 ? left : 0),
                    allowed < E ? " in a token's groups" : "", (long long)K);
}

/* --- gates ------------------------------------------------------------------------------- */

/* gate = scale · score, or scale · score / Σ of the picked scores. */
typedef struct gate_rule {
    bool normalised;
    dsm_real scale;
} gate_rule;

/* DeepSeekMoE never scales; V2 normalises or scales; V3 does both. */
static gate_rule rule_of(const dsm_route *r)
{
    const dsm_model_config *c = r->config;
    unsigned family = dsm_family_of(c->model_type)->bit;
    bool normalised = c->norm_topk_prob && r->K > 1;
    bool scaled = family == DSM_FAMILY_V3 || (family == DSM_FAMILY_V2 && !normalised);
    return (gate_rule){normalised, scaled ? (dsm_real)c->routed_scaling_factor : 1};
}

/* What a picked score is multiplied by to be its gate. */
static dsm_real gate_factor(const dsm_route *r, const gate_rule *rule, int64_t t)
{
    if (!rule->normalised) return rule->scale;
    dsm_real sum = (dsm_real)1e-20;
    for (int64_t k = 0; k < r->K; k++)
        sum += r->score[t * r->E + dsm_pick_expert(r->pick[t * r->K + k])];
    return rule->scale / sum;
}

static void gate_token(const dsm_route *r, void *arg, int64_t t)
{
    dsm_real factor = gate_factor(r, arg, t);
    for (int64_t i = t * r->K; i < (t + 1) * r->K; i++)
        r->gate[i] = factor * r->score[t * r->E + r->pick[i]];
}

void dsm_route_gates(const dsm_exec *x, const dsm_route *r)
{
    gate_rule rule = rule_of(r);
    dsm_route_tokens(x, r, gate_token, &rule);
}

typedef struct gate_gradients {
    gate_rule rule;
    const dsm_real *dgate;
    dsm_real *dscore;
} gate_gradients;

static void gate_bwd_token(const dsm_route *r, void *arg, int64_t t)
{
    const gate_gradients *g = arg;
    const dsm_real *gate = r->gate + t * r->K, *dgate = g->dgate + t * r->K;
    dsm_real factor = gate_factor(r, &g->rule, t), mean = 0;
    for (int64_t k = 0; g->rule.normalised && k < r->K; k++)
        mean += gate[k] / g->rule.scale * dgate[k];
    for (int64_t k = 0; k < r->K; k++) { /* a gate that is not taken is no function of its score */
        int32_t pick = r->pick[t * r->K + k];
        g->dscore[t * r->E + dsm_pick_expert(pick)] += factor * ((pick < 0 ? 0 : dgate[k]) - mean);
    }
}

void dsm_route_gates_bwd(const dsm_exec *x, const dsm_route *r, const dsm_real *dgate,
                         dsm_real *dscore)
{
    dsm_route_tokens(x, r, gate_bwd_token, &(gate_gradients){rule_of(r), dgate, dscore});
}

/* --- plain gates --------------------------------------------------------------------------- */

static void plain_gate_token(const dsm_route *r, void *arg, int64_t t)
{
    (void)arg;
    for (int64_t i = t * r->K; i < (t + 1) * r->K; i++)
        r->gate[i] = r->pick[i] < 0 ? 0 : r->score[t * r->E + r->pick[i]];
}

void dsm_route_plain_gates(const dsm_exec *x, const dsm_route *r)
{
    dsm_route_tokens(x, r, plain_gate_token, NULL);
}

static void plain_gate_bwd_token(const dsm_route *r, void *arg, int64_t t)
{
    const gradients *g = arg;
    for (int64_t i = t * r->K; i < (t + 1) * r->K; i++)
        if (r->pick[i] >= 0) g->down[t * r->E + r->pick[i]] += g->up[i];
}

void dsm_route_plain_gates_bwd(const dsm_exec *x, const dsm_route *r, const dsm_real *dgate,
                               dsm_real *dscore)
{
    dsm_route_tokens(x, r, plain_gate_bwd_token, &(gradients){dgate, dscore});
}
