/* SPDX-License-Identifier: MIT */
/* Token dropping: exactly the overflow, in the order the papers give. */
#include "support/routing.h"
#include "support/support.h"

#include "core/rng.h"
#include "model/drop.h"
#include "model/router_parts.h"

#include <math.h>
#include <string.h>

static routing g;

static int64_t taken(int64_t first, int64_t n_tokens, int64_t K, int32_t expert)
{
    int64_t n = 0;
    for (int64_t i = first * K; i < (first + n_tokens) * K; i++)
        n += g.pick[i] == expert;
    return n;
}

static int64_t wanted(int64_t first, int64_t n_tokens, int64_t K, int32_t expert)
{
    int64_t n = 0;
    for (int64_t i = first * K; i < (first + n_tokens) * K; i++)
        n += dsm_pick_expert(g.pick[i]) == expert;
    return n;
}

/* For every router with a capacity, factor, sequence and expert: min(wanted, capacity) stay. */
static void exactly_the_overflow_is_dropped(void **state)
{
    (void)state;
    const double factors[] = {0.3, 0.8, 1.0, 1.25, 2.0, 100.0};
    enum { T = 24, SEQUENCES = 3, E = 5 };
    for (int kind = DSM_ROUTER_SWITCH; kind <= DSM_ROUTER_GSHARD; kind++)
        for (size_t f = 0; f < sizeof factors / sizeof *factors; f++) {
            int64_t K = dsm_router_of((dsm_router_kind)kind)->picks;
            int64_t room = (int64_t)((double)(K * T) * factors[f] / E);
            if (room < 1) room = 1;
            routing_open(&g, (dsm_router_kind)kind, T * SEQUENCES, T, E, K, (unsigned)f + 1);
            g.mode.training = true;
            g.config.capacity_factor = factors[f];
            routing_run(&g);
            for (int64_t s = 0; s < SEQUENCES; s++)
                for (int32_t e = 0; e < E; e++) {
                    int64_t want = wanted(s * T, T, K, e);
                    assert_int_equal(taken(s * T, T, K, e), want < room ? want : room);
                }
            for (int64_t i = 0; i < T * SEQUENCES * K; i++)
                assert_true((g.gate[i] == 0) == (g.pick[i] < 0));
            routing_close(&g);
        }
}

/* Five tokens that all want 0 first and 1 second: the first ones stay, and drops are reported. */
static void first_come_first_served(void **state)
{
    (void)state;
    routing_open(&g, DSM_ROUTER_GSHARD, 5, 5, 5, 2, 1);
    for (int t = 0; t < 5; t++)
        for (int e = 0; e < 5; e++)
            g.logit[5 * t + e] = (dsm_real)-e;
    routing_run(&g);
    assert_int_equal(dsm_capacity_apply(&g.r, 1.0), 6); /* capacity 2 of 5, twice */
    for (int t = 0; t < 5; t++)
        for (int k = 0; k < 2; k++)
            assert_int_equal(g.pick[2 * t + k], t < 2 ? k : ~k);
    routing_close(&g);
}

/* Token 2 wants expert 0 first; tokens 0 and 1 have it as their second choice. Capacity one:
 * although it comes later, the first choice goes before. */
static void first_choices_go_before_second_ones(void **state)
{
    (void)state;
    routing_open(&g, DSM_ROUTER_GSHARD, 3, 3, 6, 2, 1);
    const int32_t pick[6] = {1, 0, 2, 0, 0, 3};
    memcpy(g.pick, pick, sizeof pick);
    assert_int_equal(dsm_capacity_apply(&g.r, 1.0), 2);
    assert_int_equal(g.pick[4], 0);
    assert_int_equal(g.pick[1], ~0);
    assert_int_equal(g.pick[3], ~0);
    routing_close(&g);
}

static void a_choice_not_taken_needs_no_room(void **state)
{
    (void)state;
    routing_open(&g, DSM_ROUTER_GSHARD, 3, 3, 6, 2, 1);
    const int32_t pick[6] = {~0, 1, 0, 2, 0, 3};
    memcpy(g.pick, pick, sizeof pick);
    assert_int_equal(dsm_capacity_apply(&g.r, 1.0), 1);
    assert_int_equal(g.pick[2], 0);
    assert_int_equal(g.pick[4], ~0);
    routing_close(&g);
}

static void no_factor_and_no_training_drop_nothing(void **state)
{
    (void)state;
    routing_open(&g, DSM_ROUTER_SWITCH, 30, 30, 4, 1, 1);
    assert_int_equal(dsm_capacity_apply(&g.r, 0.0), 0);
    g.config.capacity_factor = 0.1; /* but not training */
    routing_run(&g);
    for (int i = 0; i < 30; i++)
        assert_true(g.pick[i] >= 0);
    routing_close(&g);
}

/* --- by device -------------------------------------------------------------------------------- */

/* The definition, word for word: while a device has more than its budget, the pick of lowest
 * affinity goes, the last of equal ones. */
static void drop_one_by_one(int32_t *pick, const dsm_real *score, const bool *spared, int64_t T,
                            int64_t E, int64_t K, int64_t D, int64_t budget)
{
    for (int64_t d = 0; d < D; d++)
        for (;;) {
            int64_t n = 0, worst = -1;
            for (int64_t i = 0; i < T * K; i++) {
                if (pick[i] < 0 || pick[i] / (E / D) != d) continue;
                n++;
                if (spared[i / K]) continue;
                if (worst < 0 || score[i / K * E + pick[i]] <= score[worst / K * E + pick[worst]])
                    worst = i;
            }
            if (n <= budget || worst < 0) break;
            pick[worst] = ~pick[worst];
        }
}

static void a_device_keeps_what_it_likes_best(void **state)
{
    (void)state;
    enum { SEQUENCES = 12, T = 8 * SEQUENCES, E = 12, K = 3 };
    static int32_t expected[T * K], before[T * K];
    const struct {
        int64_t devices;
        double factor, spared;
        bool normalised, ties;
    } cases[] = {{4, 1, 0, false, false},  {4, 1, 0.3, true, false},  {3, 0.5, 0.1, false, false},
                 {12, 1.2, 0, true, true}, {1, 0.9, 1, false, false}, {4, 0.7, 0, false, true}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const dsm_drop d = {cases[k].factor, cases[k].spared, cases[k].devices};
        bool spared[T] = {false};
        routing_open(&g, DSM_ROUTER_SOFTMAX, T, T / SEQUENCES, E, K, (unsigned)k + 1);
        g.config.norm_topk_prob = cases[k].normalised;
        for (int t = 0; t < T; t++)
            for (int e = 0; e < E; e++) {
                g.logit[E * t + e] += (dsm_real)(e < 4); /* the first device is liked most */
                if (cases[k].ties) g.logit[E * t + e] = (dsm_real)((e + t % 2) % 4);
            }
        routing_run(&g);
        memcpy(before, g.pick, sizeof before);
        assert_int_equal(dsm_drop_apply(&g.exec, &d, &g.r), 0); /* not training */
        g.mode.training = true;
        int64_t n = dsm_drop_apply(&g.exec, &d, &g.r), seen = 0, n_spared = 0;
        for (int t = 0; t < T; t++) { /* a sequence that lost something is not spared */
            const dsm_rng rng = {g.mode.seed, DSM_STREAM_DROP, g.mode.step};
            spared[t] = (double)dsm_rng_uniform(&rng, (uint64_t)(t / (T / SEQUENCES))) < d.spared;
            n_spared += spared[t];
        }
        memcpy(expected, before, sizeof expected);
        drop_one_by_one(expected, g.score, spared, T, E, K, d.devices,
                        (int64_t)(d.factor * T * K / (double)d.devices));
        assert_memory_equal(g.pick, expected, sizeof expected);
        for (int i = 0; i < T * K; i++) {
            seen += g.pick[i] < 0;
            assert_true((g.gate[i] == 0) == (g.pick[i] < 0));
        }
        assert_int_equal(n, seen);
        assert_true(d.spared == 1 ? n == 0 && n_spared == T : n > 0);
        routing_close(&g);
    }
}

/* Backwards, picks held fixed: a gate that was dropped is a constant, those beside it are not. */
static void dropped_gates_have_no_gradient(void **state)
{
    (void)state;
    enum { T = 16, E = 6, K = 3 };
    static dsm_real dgate[T * K], dscore[T * E], dlogit[T * E];
    for (int normalised = 0; normalised < 2; normalised++) {
        const dsm_drop d = {.factor = 0.6, .devices = 2};
        routing_open(&g, DSM_ROUTER_SOFTMAX, T, T, E, K, 9);
        g.config.norm_topk_prob = normalised;
        g.mode.training = true;
        routing_run(&g);
        assert_true(dsm_drop_apply(&g.exec, &d, &g.r) > 0);
        memset(dscore, 0, sizeof dscore);
        memset(dlogit, 0, sizeof dlogit);
        for (int i = 0; i < T * K; i++)
            dgate[i] = (dsm_real)(i % 5) - 2; /* also where nothing was taken */
        dsm_route_gates_bwd(&g.exec, &g.r, dgate, dscore);
        for (int t = 0; t < T; t++)
            for (int k = 0; k < K; k++) {
                double sum = 0, inner = 0, expected = 0;
                for (int m = 0; m < K; m++)
                    sum += (double)g.score[E * t + dsm_pick_expert(g.pick[K * t + m])];
                for (int m = 0; m < K; m++)
                    if (g.pick[K * t + m] >= 0)
                        inner += (double)(dgate[K * t + m] * g.score[E * t + g.pick[K * t + m]]);
                if (g.pick[K * t + k] >= 0) expected = (double)dgate[K * t + k];
                if (normalised) expected = expected / sum - inner / (sum * sum);
                double found = (double)dscore[E * t + dsm_pick_expert(g.pick[K * t + k])];
                assert_true(fabs(found - expected) < 1e-4 * (1 + fabs(expected)));
            }
        routing_close(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_the_overflow_is_dropped),
        cmocka_unit_test(first_come_first_served),
        cmocka_unit_test(first_choices_go_before_second_ones),
        cmocka_unit_test(a_choice_not_taken_needs_no_room),
        cmocka_unit_test(no_factor_and_no_training_drop_nothing),
        cmocka_unit_test(a_device_keeps_what_it_likes_best),
        cmocka_unit_test(dropped_gates_have_no_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
