/* SPDX-License-Identifier: MIT */
/* What every router promises: picks are the best, ties go to the lower expert, gates come from the
 * original scores, and the options do what their papers say. */
#include "support/routing.h"
#include "support/support.h"

#include "core/rng.h"
#include "model/balance.h"
#include "model/params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static routing g; /* large: not on the stack */

static const dsm_router_kind scored[] = {DSM_ROUTER_SOFTMAX, DSM_ROUTER_SIGMOID, DSM_ROUTER_SWITCH,
                                         DSM_ROUTER_GSHARD};
enum { N_SCORED = sizeof scored / sizeof *scored };

static int64_t picks_of(dsm_router_kind kind)
{
    int64_t fixed = dsm_router_of(kind)->picks;
    return fixed ? fixed : 3;
}

static void picks_are_the_best_in_order(void **state)
{
    (void)state;
    for (int i = 0; i < N_SCORED; i++) {
        int64_t K = picks_of(scored[i]);
        routing_open(&g, scored[i], 40, 20, 11, K, 1);
        routing_run(&g);
        for (int64_t t = 0; t < 40; t++)
            for (int64_t k = 0; k < K; k++) {
                int64_t better = 0;
                for (int64_t e = 0; e < 11; e++)
                    better += g.logit[t * 11 + e] > g.logit[t * 11 + g.pick[t * K + k]];
                assert_int_equal(better, k);
            }
        routing_close(&g);
    }
}

static void ties_go_to_the_lower_expert(void **state)
{
    (void)state;
    for (int i = 0; i < N_SCORED; i++)
        for (int biased = 0; biased < 2; biased++) {
            int64_t K = picks_of(scored[i]);
            routing_open(&g, scored[i], 4, 4, 8, K, 1);
            memset(g.logit, 0, sizeof g.logit);
            if (biased) g.r.bias = g.bias; /* all zero: still a tie */
            routing_run(&g);
            for (int64_t j = 0; j < 4 * K; j++)
                assert_int_equal(g.pick[j], j % K);
            routing_close(&g);
        }
}

/* Expert 7 gets a bias no score can match: it is picked everywhere, and each gate is still its own
 * score. */
static void a_huge_bias_changes_picks_and_never_weights(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        for (int multiply = 0; multiply < 2; multiply++) {
            routing_open(&g, scored[i], 30, 30, 9, 2, 3);
            g.config.bias = multiply ? DSM_BIAS_MULTIPLICATIVE : DSM_BIAS_ADDITIVE;
            for (int e = 0; e < 9; e++)
                g.bias[e] = multiply ? 1 : 0;
            g.bias[7] = 1e6f;
            routing_run(&g); /* without */
            int without = 0;
            for (int t = 0; t < 30; t++)
                without += g.pick[2 * t] == 7 || g.pick[2 * t + 1] == 7;
            g.r.bias = g.bias;
            routing_run(&g);
            assert_true(without < 30);
            for (int t = 0; t < 30; t++) {
                assert_int_equal(g.pick[2 * t], 7);
                for (int k = 0; k < 2; k++)
                    assert_true(g.gate[2 * t + k] == g.score[t * 9 + g.pick[2 * t + k]]);
            }
            routing_close(&g);
        }
}

/* c · s, and c · s / Σ with norm_topk_prob: what c is depends on the family (docs/formats.md). */
static void gates_follow_the_rule_of_the_family(void **state)
{
    (void)state;
    const struct {
        const char *family;
        float plain, normalised;
    } rules[] = {{"deepseek", 1, 1}, {"deepseek_v2", 2.5f, 1}, {"deepseek_v3", 2.5f, 2.5f}};
    for (int i = 0; i < 6; i++) {
        routing_open(&g, scored[i % 2], 20, 20, 8, 3, 5);
        strcpy(g.config.model_type, rules[i / 2].family);
        g.config.routed_scaling_factor = 2.5;
        routing_run(&g);
        for (int j = 0; j < 60; j++)
            assert_true(g.gate[j] == rules[i / 2].plain * g.score[j / 3 * 8 + g.pick[j]]);
        g.config.norm_topk_prob = true;
        routing_run(&g);
        for (int t = 0; t < 20; t++) {
            float sum = g.gate[3 * t] + g.gate[3 * t + 1] + g.gate[3 * t + 2];
            assert_true(fabsf(sum - rules[i / 2].normalised) < 1e-6f);
        }
        routing_close(&g);
    }
}

/* --- groups ------------------------------------------------------------------------------- */

enum { GROUPS = 4, KEPT = 2, PER_GROUP = 3, MEMBERS = GROUPS * PER_GROUP, PICKS = 4 };

static void open_grouped(dsm_router_kind kind, dsm_topk_method method, unsigned seed)
{
    routing_open(&g, kind, 60, 60, MEMBERS, PICKS, seed);
    g.config.n_group = GROUPS, g.config.topk_group = KEPT, g.config.topk_method = method;
}

/* The group's rank figure written once more: of `select`, the best, or the two best together. */
static float figure_of(const float *select, int group, bool two)
{
    float best[2] = {-1e30f, -1e30f};
    for (int e = group * PER_GROUP; e < (group + 1) * PER_GROUP; e++) {
        float v = select[e];
        if (v > best[0])
            best[1] = best[0], best[0] = v;
        else if (v > best[1])
            best[1] = v;
    }
    return two ? best[0] + best[1] : best[0];
}

static bool is_kept(const float *select, int group, bool two)
{
    int before = 0;
    for (int h = 0; h < GROUPS; h++)
        before += figure_of(select, h, two) > figure_of(select, group, two);
    return before < KEPT;
}

/* Pick k of a token: kept group, and exactly k better experts in kept groups. */
static void assert_picks(const float *select, const int32_t *pick, bool two)
{
    for (int k = 0; k < PICKS; k++) {
        int better = 0;
        assert_true(is_kept(select, pick[k] / PER_GROUP, two));
        for (int e = 0; e < MEMBERS; e++)
            better += is_kept(select, e / PER_GROUP, two) && select[e] > select[pick[k]];
        assert_int_equal(better, k);
    }
}

static int best_of(const float *select)
{
    int best = 0;
    for (int e = 1; e < MEMBERS; e++)
        if (select[e] > select[best]) best = e;
    return best;
}

static void groups_limit_the_choice(void **state)
{
    (void)state;
    int changed = 0;
    for (int i = 0; i < 4; i++) {
        bool two = i % 2;
        open_grouped(scored[i / 2], two ? DSM_TOPK_NOAUX_TC : DSM_TOPK_GROUP_LIMITED, 11);
        routing_run(&g);
        for (int t = 0; t < 60; t++) {
            const float *s = g.score + t * MEMBERS;
            assert_picks(s, g.pick + t * PICKS, two);
            changed += !is_kept(s, best_of(s) / PER_GROUP, two);
        }
        routing_close(&g);
    }
    assert_true(changed > 0); /* the two figures are not the same thing */
}

/* A bias below every score makes all sums negative: excluded experts must still lose to them. */
static void excluded_experts_lose_to_negative_ones(void **state)
{
    (void)state;
    float select[MEMBERS];
    open_grouped(DSM_ROUTER_SIGMOID, DSM_TOPK_NOAUX_TC, 12);
    for (int e = 0; e < MEMBERS; e++)
        g.bias[e] = -5 + 0.05f * (float)(e % 5);
    g.config.bias = DSM_BIAS_ADDITIVE;
    g.r.bias = g.bias;
    routing_run(&g);
    for (int t = 0; t < 60; t++) {
        for (int e = 0; e < MEMBERS; e++)
            select[e] = g.score[t * MEMBERS + e] + g.bias[e];
        assert_picks(select, g.pick + t * PICKS, true);
        for (int k = 0; k < PICKS; k++) /* and the bias is in no gate */
            assert_true(g.gate[t * PICKS + k] == g.score[t * MEMBERS + g.pick[t * PICKS + k]]);
    }
    routing_close(&g);
}

static void equal_groups_go_to_the_lower(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        open_grouped(scored[i], i ? DSM_TOPK_NOAUX_TC : DSM_TOPK_GROUP_LIMITED, 1);
        memset(g.logit, 0, sizeof g.logit);
        for (int t = 0; t < 60; t++)
            for (int e = 0; e < PER_GROUP; e++)
                g.logit[t * MEMBERS + 2 * PER_GROUP + e] = 1; /* group 2 wins, 0 is next */
        routing_run(&g);
        for (int t = 0; t < 60; t++) {
            const int32_t expected[PICKS] = {6, 7, 8, 0};
            assert_memory_equal(g.pick + t * PICKS, expected, sizeof expected);
        }
        routing_close(&g);
    }
}

/* --- what an analysis changes --------------------------------------------------------------- */

/* One token's choice, written down naively: experts[e] says who may still be picked. */
typedef struct choice {
    bool may[MEMBERS];
    float select[MEMBERS];
} choice;

static int best_allowed(const choice *c, const float *by)
{
    int best = -1;
    for (int e = 0; e < MEMBERS; e++)
        if (c->may[e] && (best < 0 || by[e] > by[best])) best = e;
    return best;
}

/* The group's figure over those that may be picked. */
static float allowed_figure(const choice *c, int group, bool two)
{
    float select[MEMBERS];
    for (int e = 0; e < MEMBERS; e++)
        select[e] = c->may[e] ? c->select[e] : -1e30f;
    return figure_of(select, group, two);
}

static void keep_best_groups(choice *c, bool two)
{
    float figure[GROUPS];
    for (int h = 0; h < GROUPS; h++)
        figure[h] = allowed_figure(c, h, two);
    for (int h = 0; h < GROUPS; h++) {
        int before = 0;
        for (int other = 0; other < GROUPS; other++)
            before += figure[other] > figure[h];
        for (int e = h * PER_GROUP; before >= KEPT && e < (h + 1) * PER_GROUP; e++)
            c->may[e] = false;
    }
}

/* Mask the most probable, leave the best groups, pick the K best of the rest. */
static void check_token(int64_t t, int masked, bool limited, bool two)
{
    const float *score = g.score + t * MEMBERS;
    choice c;
    for (int e = 0; e < MEMBERS; e++) {
        c.may[e] = true;
        c.select[e] = score[e] + (g.r.bias ? g.bias[e] : 0);
    }
    for (; masked > 0; masked--)
        c.may[best_allowed(&c, score)] = false;
    if (limited) keep_best_groups(&c, two);
    for (int64_t k = 0; k < g.r.K; k++) {
        int e = best_allowed(&c, c.select);
        assert_int_equal(g.pick[t * g.r.K + k], e);
        assert_true(g.gate[t * g.r.K + k] == score[e]);
        c.may[e] = false;
    }
}

static void check_overrides(bool limited, bool two)
{
    for (int masked = 0; masked <= 2; masked++)
        for (int K = 1; K <= PICKS; K++) {
            g.r.K = K;
            g.mode.mask_top = (masked + 0.3) / MEMBERS; /* rounds to `masked` */
            routing_run(&g);
            for (int64_t t = 0; t < 60; t++)
                check_token(t, masked, limited, two);
        }
}

/* Every router that ranks experts, for fewer and more picks than it has, with the best masked. */
static void masking_and_counts_are_those_of_the_naive_choice(void **state)
{
    (void)state;
    for (int i = 0; i < N_SCORED; i++) {
        routing_open(&g, scored[i], 60, 60, MEMBERS, PICKS, 14);
        check_overrides(false, false);
        routing_close(&g);
    }
}

/* A bias steers the choice among the rest, but what is masked is what is most probable. */
static void masking_does_not_see_the_bias(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        routing_open(&g, scored[i], 60, 60, MEMBERS, PICKS, 15);
        for (int e = 0; e < MEMBERS; e++)
            g.bias[e] = 0.1f * (float)(e % 5) - 0.2f;
        g.config.bias = DSM_BIAS_ADDITIVE;
        g.r.bias = g.bias;
        check_overrides(false, false);
        routing_close(&g);
    }
}

static void masking_comes_before_groups(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool two = i % 2;
        open_grouped(scored[i / 2], two ? DSM_TOPK_NOAUX_TC : DSM_TOPK_GROUP_LIMITED, 16);
        check_overrides(true, two);
        routing_close(&g);
    }
}

static void impossible_overrides_are_refused(void **state)
{
    (void)state;
    dsm_err err;
    open_grouped(DSM_ROUTER_SOFTMAX, DSM_TOPK_GROUP_LIMITED, 1); /* 6 of 12 stand to choice */
    const struct {
        dsm_route_mode mode;
        dsm_status code;
        const char *text;
    } cases[] = {
        {{.active = 7}, DSM_ERANGE, "active experts: found 7, expected 1 to 6, those of a token's"},
        {{.active = -1}, DSM_ERANGE, "found -1, expected 1 to 6"},
        {{.mask_top = -0.1}, DSM_ERANGE, "masked share: found -0.1, expected 0 to less than 1"},
        {{.mask_top = 1}, DSM_ERANGE, "masked share: found 1,"},
        {{.mask_top = 0.25}, DSM_ERANGE, "0.25 of 12 experts leaves 3 in a token's groups, exp"},
        {{.mask_top = 0.25, .active = 3}, DSM_OK, ""},
        {{.drop_shared = true}, DSM_EUSAGE, "no shared experts"},
        {{.training = true, .active = 2}, DSM_EUSAGE, "training"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        err.msg[0] = 0;
        assert_fails(dsm_route_mode_check(&cases[i].mode, &g.config, &err), cases[i].code,
                     cases[i].text);
    }
    g.config.router = DSM_ROUTER_HASH;
    assert_fails(dsm_route_mode_check(&(dsm_route_mode){.active = 2}, &g.config, &err), DSM_EUSAGE,
                 "router hash");
    g.config.n_routed_experts = 0;
    assert_fails(dsm_route_mode_check(&(dsm_route_mode){.drop_shared = true}, &g.config, &err),
                 DSM_EUSAGE, "the model is dense");
    routing_close(&g);
}

static void gshard_renormalises(void **state)
{
    (void)state;
    routing_open(&g, DSM_ROUTER_GSHARD, 20, 20, 8, 2, 7);
    g.config.renormalize = true;
    routing_run(&g);
    for (int t = 0; t < 20; t++) {
        float s1 = g.score[8 * t + g.pick[2 * t]], s2 = g.score[8 * t + g.pick[2 * t + 1]];
        assert_true(fabsf(g.gate[2 * t] - s1 / (s1 + s2)) < 2e-7f);
        assert_true(fabsf(g.gate[2 * t] + g.gate[2 * t + 1] - 1) < 4e-7f);
    }
    routing_close(&g);
}

/* The second choice stays with chance min(1, 2 g2 / (g1 + g2)): counted over tokens with equal
 * logits. */
static void gshard_second_choice_is_random(void **state)
{
    (void)state;
    enum { TOKENS = 2000 };
    const double share = 0.2; /* of the second: kept with chance 0.4 */
    routing_open(&g, DSM_ROUTER_GSHARD, TOKENS, TOKENS, 3, 2, 1);
    g.config.random_second = true;
    for (int t = 0; t < TOKENS; t++) {
        g.logit[3 * t] = logf((float)(1 - share));
        g.logit[3 * t + 1] = logf((float)share);
        g.logit[3 * t + 2] = -30;
    }
    g.mode = (dsm_route_mode){.training = true, .seed = 2, .step = 3};
    routing_run(&g);
    int kept = 0;
    for (int t = 0; t < TOKENS; t++) {
        kept += g.pick[2 * t + 1] >= 0;
        assert_int_equal(dsm_pick_expert(g.pick[2 * t + 1]), 1);
        assert_true((g.gate[2 * t + 1] == 0) == (g.pick[2 * t + 1] < 0));
    }
    /* 800 expected, standard deviation 22: five of them */
    assert_in_range(kept, 800 - 110, 800 + 110);
    g.mode.training = false;
    routing_run(&g);
    for (int t = 0; t < TOKENS; t++)
        assert_true(g.pick[2 * t + 1] >= 0);
    routing_close(&g);
}

static void hash_follows_its_table(void **state)
{
    (void)state;
    routing_open(&g, DSM_ROUTER_HASH, 50, 50, 7, 1, 1);
    for (int i = 0; i < 50; i++) {
        g.tokens[i] = i * 3 % 10;
        g.hash[i % 10] = (i % 10) * 5 % 7;
    }
    routing_run(&g);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(g.pick[i], g.hash[g.tokens[i]]);
        assert_true(g.gate[i] == 1);
    }
    routing_close(&g);
}

/* --- Expert Choice ------------------------------------------------------------------------ */

enum { CHOSEN_T = 60, CHOSEN_E = 6, CHOSEN_K = 2 };

static void open_choice(int64_t chunk, bool shuffle, unsigned seed)
{
    routing_open(&g, DSM_ROUTER_EXPERT_CHOICE, CHOSEN_T, 20, CHOSEN_E, CHOSEN_K, seed);
    g.config.chunk = chunk, g.config.shuffle = shuffle;
    g.mode = (dsm_route_mode){.seed = 3, .step = 7};
    routing_run(&g);
}

static bool is_taken(int64_t t, int e)
{
    int32_t pick = g.pick[t * CHOSEN_E + e];
    assert_true(pick == e || pick == DSM_NO_PICK);
    assert_true(g.gate[t * CHOSEN_E + e] == (pick == e ? g.score[t * CHOSEN_E + e] : 0));
    return pick == e;
}

/* Of n tokens in `order`, expert e takes n·K/E, and none that is left is better than one of them.
 */
static void check_chunk(const int32_t *order, int64_t n, int e)
{
    float worst_taken = 2, best_left = -1;
    int64_t taken = 0;
    for (int64_t j = 0; j < n; j++) {
        float s = g.score[order[j] * CHOSEN_E + e];
        if (is_taken(order[j], e))
            taken++, worst_taken = fminf(worst_taken, s);
        else
            best_left = fmaxf(best_left, s);
    }
    assert_int_equal(taken, n * CHOSEN_K / CHOSEN_E);
    assert_true(worst_taken >= best_left);
}

static void experts_take_the_best_of_each_chunk(void **state)
{
    (void)state;
    /* chunk length asked for, and the number of chunks that come of 60 tokens, 20 a sequence */
    static const int64_t cases[][2] = {{0, 3},    {20, 3}, {10, 6}, {40, 1},
                                       {1000, 1}, {13, 4}, {1, 20}};
    const dsm_rng rng = {3, DSM_STREAM_CHUNK, 7};
    int32_t order[CHOSEN_T];
    for (int i = 0; i < 14; i++) {
        int64_t n = cases[i / 2][1];
        open_choice(cases[i / 2][0], i % 2, 9);
        for (uint64_t t = 0; t < CHOSEN_T; t++)
            order[t] = (int32_t)(i % 2 ? dsm_rng_permute(&rng, t, CHOSEN_T) : t);
        for (int64_t c = 0; c < n; c++)
            for (int e = 0; e < CHOSEN_E; e++)
                check_chunk(order + c * CHOSEN_T / n, (c + 1) * CHOSEN_T / n - c * CHOSEN_T / n, e);
        routing_close(&g);
    }
}

static void expert_choice_is_even_and_counts_what_was_taken(void **state)
{
    (void)state;
    int64_t count[CHOSEN_E];
    dsm_load load = {.E = CHOSEN_E, .count = count};
    open_choice(10, true, 4);
    dsm_load_clear(&load);
    dsm_load_add(&load, &g.r);
    assert_int_equal(load.picks, 6 * CHOSEN_E * 3); /* ⌊10·2/6⌋ of each chunk */
    assert_int_equal(load.dropped, 0);
    assert_true(dsm_load_max_vio(&load) == 0);
    routing_close(&g);
}

/* Equal scores: the first of the chunk; nothing comparable: none, and it ends. */
static void expert_choice_breaks_ties(void **state)
{
    (void)state;
    open_choice(0, false, 1);
    for (int damaged = 0; damaged < 2; damaged++) {
        for (int i = 0; i < CHOSEN_T * CHOSEN_E; i++)
            g.logit[i] = damaged ? NAN : 0;
        routing_run(&g);
        for (int t = 0; t < CHOSEN_T; t++)
            for (int e = 0; e < CHOSEN_E; e++)
                assert_int_equal(g.pick[t * CHOSEN_E + e],
                                 !damaged && t % 20 < 6 ? e : DSM_NO_PICK);
    }
    routing_close(&g);
}

/* What a token gets depends on one that comes later: the leak. Without tokens to come it does not:
 * each takes its own best. */
static void expert_choice_looks_ahead_unless_told_not_to(void **state)
{
    (void)state;
    int32_t before[CHOSEN_T * CHOSEN_E];
    for (int causal = 0; causal < 2; causal++) {
        open_choice(0, false, 5);
        g.mode.causal = causal;
        if (causal) g.r.K = CHOSEN_K;
        assert_true(dsm_route_by_expert(&g.config, &g.mode) == !causal);
        routing_run(&g);
        memcpy(before, g.pick, sizeof before);
        for (int e = 0; e < CHOSEN_E; e++)
            g.logit[19 * CHOSEN_E + e] = e == 2 ? 30 : 0; /* the last token of the first sequence */
        routing_run(&g);
        int changed = memcmp(before, g.pick, sizeof *before * (size_t)(19 * g.r.K)) != 0;
        assert_int_equal(changed, !causal);
        routing_close(&g);
    }
    routing_open(&g, DSM_ROUTER_SOFTMAX, CHOSEN_T, 20, CHOSEN_E, CHOSEN_K, 5);
    routing_run(&g);
    assert_memory_equal(before, g.pick, sizeof *before * 19 * CHOSEN_K);
    routing_close(&g);
}

/* --- StableMoE ------------------------------------------------------------------------------ */

static void assert_picks_follow(const dsm_real *logit)
{
    for (int t = 0; t < 30; t++) {
        for (int e = 0; e < 7; e++)
            assert_true(logit[7 * t + g.pick[t]] >= logit[7 * t + e]);
        double z = (double)g.logit[7 * t + g.pick[t]];
        assert_true(fabs((double)g.gate[t] - 1 / (1 + exp(-z))) < 2e-7);
    }
}

/* Only training's first stage looks at the stream. */
static void stable_follows_the_router_of_its_stage(void **state)
{
    (void)state;
    routing_open(&g, DSM_ROUTER_STABLE, 30, 30, 7, 1, 2);
    g.mode.training = true;
    routing_run(&g);
    assert_picks_follow(g.logit);
    g.mode.distilled = true;
    routing_run(&g);
    assert_picks_follow(g.distilled);
    g.mode = (dsm_route_mode){0};
    routing_run(&g);
    assert_picks_follow(g.distilled);
    routing_close(&g);
}

/* --- hash tables ------------------------------------------------------------------------- */

static dsm_model *hash_model(dsm_hash_kind kind, int64_t V, int64_t E)
{
    dsm_model_config c;
    dsm_model *m;
    dsm_err err;
    dsm_model_config_defaults(&c);
    strcpy(c.model_type, "deepseek");
    c.vocab_size = V, c.n_routed_experts = E, c.num_experts_per_tok = 1, c.num_hidden_layers = 2;
    c.router = DSM_ROUTER_HASH, c.hash = kind, c.hash_seed = 4;
    assert_ok(dsm_model_create(&m, &c, 0, &err));
    return m;
}

static void balanced_tables_level_the_load(void **state)
{
    (void)state;
    enum { VOCAB = 500, EXPERTS = 8 };
    uint64_t counts[VOCAB], load[EXPERTS] = {0}, total = 0;
    dsm_err err;
    dsm_model *m = hash_model(DSM_HASH_BALANCED, VOCAB, EXPERTS);
    for (uint64_t v = 0; v < VOCAB; v++)
        total += counts[v] = 100000 / (v + 8); /* Zipf-like, no token above its share */
    assert_ok(dsm_model_hash_balance(m, counts, &err));
    for (int v = 0; v < VOCAB; v++)
        load[m->layers[1].moe.hash[v]] += counts[v];
    for (int e = 0; e < EXPERTS; e++)
        assert_in_range(load[e] * EXPERTS, total - total / 100, total + total / 100);
    dsm_model_free(m);
}

static void random_tables_differ_by_layer_and_use_all_experts(void **state)
{
    (void)state;
    dsm_model *m = hash_model(DSM_HASH_RANDOM, 400, 8);
    const int32_t *a = m->layers[0].moe.hash, *b = m->layers[1].moe.hash;
    int used[8] = {0}, same = 0;
    for (int v = 0; v < 400; v++) {
        assert_in_range(a[v], 0, 7);
        used[a[v]]++;
        same += a[v] == b[v];
    }
    for (int e = 0; e < 8; e++)
        assert_in_range(used[e], 20, 90);
    assert_in_range(same, 20, 90); /* one in eight by chance */
    dsm_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(picks_are_the_best_in_order),
        cmocka_unit_test(ties_go_to_the_lower_expert),
        cmocka_unit_test(a_huge_bias_changes_picks_and_never_weights),
        cmocka_unit_test(gates_follow_the_rule_of_the_family),
        cmocka_unit_test(groups_limit_the_choice),
        cmocka_unit_test(excluded_experts_lose_to_negative_ones),
        cmocka_unit_test(equal_groups_go_to_the_lower),
        cmocka_unit_test(masking_and_counts_are_those_of_the_naive_choice),
        cmocka_unit_test(masking_does_not_see_the_bias),
        cmocka_unit_test(masking_comes_before_groups),
        cmocka_unit_test(impossible_overrides_are_refused),
        cmocka_unit_test(gshard_renormalises),
        cmocka_unit_test(gshard_second_choice_is_random),
        cmocka_unit_test(hash_follows_its_table),
        cmocka_unit_test(experts_take_the_best_of_each_chunk),
        cmocka_unit_test(expert_choice_is_even_and_counts_what_was_taken),
        cmocka_unit_test(expert_choice_breaks_ties),
        cmocka_unit_test(expert_choice_looks_ahead_unless_told_not_to),
        cmocka_unit_test(stable_follows_the_router_of_its_stage),
        cmocka_unit_test(balanced_tables_level_the_load),
        cmocka_unit_test(random_tables_differ_by_layer_and_use_all_experts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
