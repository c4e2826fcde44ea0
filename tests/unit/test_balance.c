/* SPDX-License-Identifier: MIT */
/* Balance losses at points where their value is known, load statistics, and the loss-free bias. */
#include "support/routing.h"
#include "support/support.h"

#include "model/balance.h"

#include <math.h>
#include <string.h>

static routing g;
static dsm_arena memory;

static dsm_balance_loss losses_of(const dsm_balance *b)
{
    dsm_balance_loss loss = {0};
    dsm_arena measure = {0};
    dsm_err err;
    int64_t n_seq = g.r.T / g.r.seq_len;
    dsm_balance_carve(&measure, b, n_seq, g.r.T, g.r.E);
    assert_ok(dsm_arena_init(&memory, measure.used, "balance", &err));
    dsm_balance_act act = dsm_balance_carve(&memory, b, n_seq, g.r.T, g.r.E);
    dsm_balance_forward(&g.exec, b, &g.r, &act, &loss);
    dsm_arena_free(&memory);
    return loss;
}

/* Equal scores, and picks that visit all experts, and all pairs of devices, equally often. */
static void make_uniform(dsm_router_kind kind)
{
    routing_open(&g, kind, 64, 16, 8, 2, 1);
    memset(g.logit, 0, sizeof g.logit);
    routing_run(&g);
    for (int t = 0; t < 64; t++) { /* experts on two of the four devices, each equally often */
        g.pick[2 * t] = t % 8;
        g.pick[2 * t + 1] = (t + 2) % 8;
    }
}

static void a_uniform_load_costs_exactly_the_factors(void **state)
{
    (void)state;
    for (int kind = DSM_ROUTER_SOFTMAX; kind <= DSM_ROUTER_SIGMOID; kind++)
        for (int per_sequence = 0; per_sequence < 2; per_sequence++) {
            const dsm_balance b = {.expert = 0.01,
                                   .device = 0.05,
                                   .communication = 0.02,
                                   .devices = 4,
                                   .device_limit = 2,
                                   .per_sequence = per_sequence};
            make_uniform((dsm_router_kind)kind);
            dsm_balance_loss loss = losses_of(&b);
            /* powers of two everywhere: only the factors themselves are rounded, a few times */
            assert_true(fabs(loss.expert - 0.01) < 1e-16);
            assert_true(fabs(loss.device - 0.05) < 1e-16);
            assert_true(fabs(loss.communication - 0.02) < 1e-16);
            assert_true(loss.z == 0);
            routing_close(&g);
        }
}

/* All tokens on one expert with all the score: E times the factor. */
static void a_collapsed_router_costs_most(void **state)
{
    (void)state;
    const dsm_balance b = {.expert = 1,
                           .device = 1,
                           .communication = 1,
                           .devices = 4,
                           .device_limit = 1,
                           .per_sequence = true};
    routing_open(&g, DSM_ROUTER_SWITCH, 32, 8, 8, 1, 1);
    for (int i = 0; i < 32 * 8; i++)
        g.logit[i] = i % 8 == 5 ? 60.0f : 0.0f;
    routing_run(&g);
    dsm_balance_loss loss = losses_of(&b);
    assert_true(fabs(loss.expert - 8) < 1e-6);
    assert_true(fabs(loss.device - 4) < 1e-6);
    assert_true(fabs(loss.communication - 4) < 1e-6);
    routing_close(&g);
}

/* Two sequences, each all on its own expert: unbalanced by sequence, balanced as a batch. */
static void scope_matters(void **state)
{
    (void)state;
    dsm_balance b = {.expert = 1, .per_sequence = true};
    routing_open(&g, DSM_ROUTER_SWITCH, 16, 8, 2, 1, 1);
    for (int t = 0; t < 16; t++)
        g.logit[2 * t + t / 8] = 60, g.logit[2 * t + 1 - t / 8] = 0;
    routing_run(&g);
    assert_true(fabs(losses_of(&b).expert - 2) < 1e-6);
    b.per_sequence = false;
    assert_true(fabs(losses_of(&b).expert - 1) < 1e-6);
    routing_close(&g);
}

static void z_loss_is_the_mean_square(void **state)
{
    (void)state;
    const dsm_balance b = {.z = 0.5};
    routing_open(&g, DSM_ROUTER_SOFTMAX, 8, 8, 4, 2, 1);
    for (int i = 0; i < 32; i++)
        g.logit[i] = 3;
    routing_run(&g);
    double lse = 3 + log(4.0);
    assert_true(fabs(losses_of(&b).z - 0.5 * lse * lse) < 1e-12);
    routing_close(&g);
}

static void z_loss_of_any_logits(void **state)
{
    (void)state;
    const dsm_balance b = {.z = 0.25};
    double expected = 0;
    routing_open(&g, DSM_ROUTER_SIGMOID, 24, 8, 5, 2, 3);
    routing_run(&g);
    for (int t = 0; t < 24; t++) {
        double sum = 0;
        for (int e = 0; e < 5; e++)
            sum += exp((double)g.logit[5 * t + e]);
        expected += 0.25 * log(sum) * log(sum) / 24;
    }
    assert_true(fabs(losses_of(&b).z - expected) < 1e-14);
    routing_close(&g);
}

/* StableMoE's loss: nothing when even, Σ over its tokens of (E - 1) σ when one expert has them all,
 * and nothing once the routing is frozen. */
static void stable_has_its_own_loss(void **state)
{
    (void)state;
    const dsm_balance b = {.expert = 0.5, .per_sequence = true};
    dsm_err err;
    routing_open(&g, DSM_ROUTER_STABLE, 32, 16, 8, 1, 1);
    g.mode.training = true;
    for (int i = 0; i < 32 * 8; i++)
        g.logit[i] = i % 8 == i / 8 % 8 ? 2 : 0; /* token t wants t mod 8 */
    routing_run(&g);
    assert_true(losses_of(&b).expert == 0);
    for (int i = 0; i < 32 * 8; i++)
        g.logit[i] = i % 8 == 3 ? 2 : 0;
    routing_run(&g);
    assert_true(fabs(losses_of(&b).expert - 0.5 * 7 / (1 + exp(-2.0))) < 1e-6);
    g.mode.distilled = true;
    assert_true(losses_of(&b).expert == 0);
    assert_fails(dsm_balance_check(&(dsm_balance){.device = 0.1}, &g.config, &err), DSM_EUSAGE,
                 "balance.device: found 0.1 with router stable");
    routing_close(&g);
}

/* Expert Choice is even whatever its scores are. */
static void expert_choice_costs_the_factor(void **state)
{
    (void)state;
    const dsm_balance b = {.expert = 0.01, .device = 0.05, .devices = 4, .per_sequence = true};
    routing_open(&g, DSM_ROUTER_EXPERT_CHOICE, 64, 16, 8, 2, 6);
    routing_run(&g);
    assert_true(fabs(losses_of(&b).expert - 0.01) < 1e-9);
    assert_true(fabs(losses_of(&b).device - 0.05) < 1e-9);
    routing_close(&g);
}

/* Choices count before any drop. */
static void drops_do_not_change_the_losses(void **state)
{
    (void)state;
    const dsm_balance b = {.expert = 1, .device = 1, .communication = 1, .devices = 2};
    routing_open(&g, DSM_ROUTER_GSHARD, 32, 16, 8, 2, 4);
    routing_run(&g);
    dsm_balance_loss before = losses_of(&b);
    assert_true(dsm_capacity_apply(&g.r, 0.5) > 0);
    dsm_balance_loss after = losses_of(&b);
    assert_memory_equal(&before, &after, sizeof before);
    routing_close(&g);
}

static void load_is_counted(void **state)
{
    (void)state;
    int64_t count[8], other_count[8];
    dsm_load load = {.E = 8, .count = count}, other = {.E = 8, .count = other_count};
    dsm_load_clear(&load);
    dsm_load_clear(&other);
    assert_true(dsm_load_max_vio(&load) == 0);
    make_uniform(DSM_ROUTER_SOFTMAX);
    dsm_load_add(&load, &g.r);
    assert_int_equal(load.tokens, 64);
    assert_int_equal(load.picks, 128);
    assert_true(dsm_load_max_vio(&load) == 0);
    assert_int_equal(dsm_load_dead(&load), 0);
    assert_true(fabs(load.entropy / 64 - log(8.0)) < 1e-6);
    assert_true(fabs(load.score_max / 64 - 0.125) < 1e-7);

    for (int i = 0; i < 128; i++)
        g.pick[i] = i == 0 ? ~3 : 3; /* one of them dropped */
    dsm_load_add(&other, &g.r);
    assert_true(fabs(dsm_load_max_vio(&other) - 7) < 1e-12);
    assert_int_equal(dsm_load_dead(&other), 7);
    assert_int_equal(other.dropped, 1);
    dsm_load_merge(&load, &other);
    assert_int_equal(load.count[3], 16 + 128);
    assert_int_equal(load.tokens, 128);
    routing_close(&g);
}

static void entropy_of_sigmoid_scores_is_of_their_shares(void **state)
{
    (void)state;
    int64_t count[6];
    dsm_load load = {.E = 6, .count = count};
    dsm_load_clear(&load);
    routing_open(&g, DSM_ROUTER_SIGMOID, 3, 3, 6, 2, 8);
    routing_run(&g);
    double expected = 0;
    for (int t = 0; t < 3; t++) {
        double sum = 0;
        for (int e = 0; e < 6; e++)
            sum += (double)g.score[6 * t + e];
        for (int e = 0; e < 6; e++)
            expected -= (double)g.score[6 * t + e] / sum * log((double)g.score[6 * t + e] / sum);
    }
    dsm_load_add(&load, &g.r);
    assert_true(fabs(load.entropy - expected) < 1e-12);
    routing_close(&g);
}

static void bias_moves_against_the_load(void **state)
{
    (void)state;
    int64_t count[4] = {10, 20, 30, 20};
    dsm_load load = {.E = 4, .count = count, .picks = 80};
    dsm_real bias[4] = {1, 1, 1, 1};
    dsm_bias_update(bias, &load, 0.25, DSM_BIAS_SIGN);
    assert_true(bias[0] == 1.25f && bias[1] == 1 && bias[2] == 0.75f && bias[3] == 1);
    dsm_bias_update(bias, &load, 0.5, DSM_BIAS_PROPORTIONAL);
    assert_true(bias[0] == 1.5f && bias[1] == 1 && bias[2] == 0.5f && bias[3] == 1);
    load.picks = 0; /* nothing routed: nothing moves */
    dsm_bias_update(bias, &load, 0.5, DSM_BIAS_PROPORTIONAL);
    assert_true(bias[0] == 1.5f);
}

static void impossible_groups_are_refused(void **state)
{
    (void)state;
    dsm_model_config c;
    dsm_err err;
    dsm_model_config_defaults(&c);
    c.n_routed_experts = 6;
    assert_fails(dsm_balance_check(&(dsm_balance){.devices = 4}, &c, &err), DSM_ESHAPE,
                 "balance.devices: found 4, expected a divisor of n_routed_experts 6");
    assert_fails(dsm_balance_check(&(dsm_balance){.devices = 3, .device_limit = 4}, &c, &err),
                 DSM_ERANGE, "balance.device_limit: found 4");
    assert_fails(dsm_balance_check(&(dsm_balance){.z = -1}, &c, &err), DSM_ERANGE, "balance.z");
    assert_ok(dsm_balance_check(&(dsm_balance){.devices = 3, .device_limit = 3}, &c, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uniform_load_costs_exactly_the_factors),
        cmocka_unit_test(a_collapsed_router_costs_most),
        cmocka_unit_test(scope_matters),
        cmocka_unit_test(z_loss_is_the_mean_square),
        cmocka_unit_test(z_loss_of_any_logits),
        cmocka_unit_test(stable_has_its_own_loss),
        cmocka_unit_test(expert_choice_costs_the_factor),
        cmocka_unit_test(drops_do_not_change_the_losses),
        cmocka_unit_test(load_is_counted),
        cmocka_unit_test(entropy_of_sigmoid_scores_is_of_their_shares),
        cmocka_unit_test(bias_moves_against_the_load),
        cmocka_unit_test(impossible_groups_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
