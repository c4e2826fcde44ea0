/* SPDX-License-Identifier: MIT */
/* train/schedule: the numbers that the papers print. */
#include "support/support.h"

#include "train/schedule.h"

#include <math.h>
#include <string.h>

static dsm_recipe recipe(int64_t steps, int kind, int64_t warmup, double peak)
{
    dsm_recipe r;
    dsm_recipe_defaults(&r);
    r.steps = steps;
    r.schedule.kind = kind;
    r.schedule.warmup = warmup;
    r.optimizer.peak_lr = peak;
    return r;
}

/* The rate of the papers' step (from 1) against peak·factor^decays. */
static void expect(const dsm_schedule *s, int64_t paper_step, double lr)
{
    double found = dsm_schedule_lr(s, paper_step - 1);
    if (fabs(found - lr) > 1e-12 * lr)
        fail_msg("step %lld: rate %.9g, expected %.9g", (long long)paper_step, found, lr);
}

static void warmup_is_linear(void **state)
{
    (void)state;
    dsm_recipe r = recipe(25000, DSM_SCHEDULE_STEP_DECAY, 2000, 1.08e-3);
    dsm_schedule s;
    dsm_schedule_init(&s, &r);
    expect(&s, 1, 1.08e-3 / 2000);
    expect(&s, 1000, 1.08e-3 / 2);
    expect(&s, 2000, 1.08e-3);
    expect(&s, 2001, 1.08e-3);
}

/* DeepSeekMoE 2B and 16B, Loss-Free 3B: the last step at each rate. */
static void step_decay_falls_where_the_papers_say(void **state)
{
    (void)state;
    static const int64_t runs[][3] = {
        {25000, 20000, 22500}, {106449, 85159, 95804}, {56514, 45211, 50862}};
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        dsm_recipe r = recipe(runs[i][0], DSM_SCHEDULE_STEP_DECAY, 2000, 7.8e-4);
        dsm_schedule s;
        dsm_schedule_init(&s, &r);
        expect(&s, runs[i][1], 7.8e-4);
        expect(&s, runs[i][1] + 1, 7.8e-4 * 0.316);
        expect(&s, runs[i][2], 7.8e-4 * 0.316);
        expect(&s, runs[i][2] + 1, 7.8e-4 * 0.316 * 0.316);
        expect(&s, runs[i][0], 7.8e-4 * 0.316 * 0.316);
    }
}

/* Loss-Free 1B: warm-up 1000, 1e-3 to 1e-4. */
static void cosine_ends_at_its_share(void **state)
{
    (void)state;
    dsm_recipe r = recipe(9000, DSM_SCHEDULE_COSINE, 1000, 1e-3);
    dsm_schedule s;
    dsm_schedule_init(&s, &r);
    expect(&s, 1000, 1e-3);
    expect(&s, 5000, 1e-3 * 0.55); /* half way: (1 + 0.1) / 2 */
    expect(&s, 9000, 1e-4);
    assert_true(dsm_schedule_lr(&s, 7000) < dsm_schedule_lr(&s, 6000));
}

static void constant_stays(void **state)
{
    (void)state;
    dsm_recipe r = recipe(100, DSM_SCHEDULE_CONSTANT, 0, 1e-5);
    dsm_schedule s;
    dsm_schedule_init(&s, &r);
    expect(&s, 1, 1e-5);
    expect(&s, 100, 1e-5);
}

static void batch_without_a_ramp_is_constant(void **state)
{
    (void)state;
    dsm_recipe r = recipe(10, DSM_SCHEDULE_CONSTANT, 0, 1e-3);
    assert_int_equal(dsm_schedule_sequences(&r, 0), 32);
    dsm_schedule s;
    dsm_schedule_init(&s, &r);
    assert_int_equal(s.total_tokens, 10 * 32 * 512);
}

/* DeepSeek-V2: 2304 to 9216 sequences of 4096 over the first 225B tokens. */
static void ramp_grows_in_whole_micro_batches(void **state)
{
    (void)state;
    dsm_recipe r = recipe(220000, DSM_SCHEDULE_STEP_DECAY, 2000, 2.4e-4);
    r.data.seq_len = 4096;
    r.batch.sequences = 9216;
    r.batch.micro = 16;
    r.batch.ramp.from = 2304;
    r.batch.ramp.tokens = 225000000000;
    assert_int_equal(dsm_schedule_sequences(&r, 0), 2304);
    assert_int_equal(dsm_schedule_sequences(&r, 112500000000), 5760);
    assert_int_equal(dsm_schedule_sequences(&r, 225000000000), 9216);
    int64_t before = 0, tokens = 0;
    for (int64_t s = 0; s < r.steps; s++) {
        int64_t n = dsm_schedule_sequences(&r, tokens);
        assert_true(n >= before && n <= 9216 && n % 16 == 0);
        before = n;
        tokens += n * 4096;
    }
    dsm_schedule s;
    dsm_schedule_init(&s, &r);
    assert_int_equal(s.total_tokens, tokens);
}

/* With a ramp, shares of tokens fall later than shares of steps. */
static void decays_can_count_tokens(void **state)
{
    (void)state;
    dsm_recipe r = recipe(1000, DSM_SCHEDULE_STEP_DECAY, 0, 1.0);
    r.data.seq_len = 16;
    r.batch.sequences = 40;
    r.batch.micro = 1;
    r.batch.ramp.from = 10;
    r.batch.ramp.tokens = 1000 * 16 * 10;
    r.schedule.at = (dsm_number_list){.n = 2, .item = {0.6, 0.9}};
    r.schedule.unit = DSM_UNIT_TOKENS;
    dsm_schedule s;
    dsm_schedule_init(&s, &r);
    assert_true(s.decay[0] > 600 && s.decay[1] > 900 && s.decay[1] < 1000);
    int64_t tokens = 0;
    for (int64_t step = 0; step < 1000; step++) {
        assert_int_equal(step >= s.decay[0], tokens >= (int64_t)(0.6 * (double)s.total_tokens));
        tokens += dsm_schedule_sequences(&r, tokens) * 16;
    }
    assert_int_equal(tokens, s.total_tokens);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warmup_is_linear),
        cmocka_unit_test(step_decay_falls_where_the_papers_say),
        cmocka_unit_test(cosine_ends_at_its_share),
        cmocka_unit_test(constant_stays),
        cmocka_unit_test(batch_without_a_ramp_is_constant),
        cmocka_unit_test(ramp_grows_in_whole_micro_batches),
        cmocka_unit_test(decays_can_count_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
