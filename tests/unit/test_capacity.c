/* SPDX-License-Identifier: MIT */
/* Token dropping: exactly the overflow, in the order the papers give. */
#include "support/routing.h"
#include "support/support.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_the_overflow_is_dropped),
        cmocka_unit_test(first_come_first_served),
        cmocka_unit_test(first_choices_go_before_second_ones),
        cmocka_unit_test(a_choice_not_taken_needs_no_room),
        cmocka_unit_test(no_factor_and_no_training_drop_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
