/* SPDX-License-Identifier: MIT */
/* Rotary scaling against transformers (tools/rope_numbers.py), and the score factor of YaRN against
 * the values that DeepSeek-V2's report and configurations imply. */
#include "support/support.h"

#include "model/rope.h"

#include <math.h>
#include <string.h>

enum { PAIRS = 8, DIM = 64 };

static const int pairs[PAIRS] = {0, 1, 9, 11, 16, 22, 25, 31};

typedef struct scaling {
    dsm_rope_scaling rope;
    double theta;
    int64_t length;
    double frequency[PAIRS], amplitude;
} scaling;

#define YARN(factor_, orig)                                                                        \
    .kind = DSM_ROPE_YARN, .factor = (factor_), .original_max_position_embeddings = (orig)

/* clang-format off */
static const scaling cases[] = {
    {{.kind = DSM_ROPE_LINEAR, .factor = 4}, 1e4, 2048,
     {0.25, 0.18747355, 0.0187473539, 0.0105424123, 0.00249999994, 0.000444569858, 0.000187473546,
      3.33380376e-05}, 1},
    {{.kind = DSM_ROPE_DYNAMIC, .factor = 2, .original_max_position_embeddings = 2048}, 1e4, 2048,
     {1, 0.749894202, 0.0749894157, 0.0421696492, 0.00999999978, 0.00177827943, 0.000749894185,
      0.00013335215}, 1},
    {{.kind = DSM_ROPE_DYNAMIC, .factor = 2, .original_max_position_embeddings = 2048}, 1e4, 7000,
     {1, 0.708413363, 0.0449345894, 0.0225504022, 0.00402335217, 0.000508520636, 0.000180787683,
      2.28501667e-05}, 1},
    {{.kind = DSM_ROPE_LLAMA3, .factor = 8, .original_max_position_embeddings = 8192,
      .low_freq_factor = 1, .high_freq_factor = 4}, 5e5, 131072,
     {1, 0.663601279, 0.0249554086, 0.0109895291, 0.000524846022, 1.50962178e-05, 4.41153452e-06,
      3.7673226e-07}, 1},
    {{YARN(40, 4096), .beta_fast = 32, .beta_slow = 1, .mscale = 0.707, .mscale_all_dim = 0.707},
     1e4, 163840,
     {1, 0.749894202, 0.0749894157, 0.0390069261, 0.00550000044, 0.00017782794, 1.87473543e-05,
      3.33380353e-06}, 1},
    {{YARN(4, 4096), .beta_fast = 32, .beta_slow = 1, .mscale = 1}, 1e4, 16384,
     {1, 0.749894202, 0.0749894157, 0.039736785, 0.00653846189, 0.000547162897, 0.000187473546,
      3.33380376e-05}, 1.13862944},
    {{YARN(40, 4096), .beta_fast = 16, .beta_slow = 2, .mscale = 1, .mscale_all_dim = 0.5}, 1e4,
     163840,
     {1, 0.749894202, 0.0749894157, 0.0421696492, 0.00566666666, 4.44569851e-05, 1.87473543e-05,
      3.33380353e-06}, 1.15572199},
    {{YARN(2, 32), .beta_fast = 32, .beta_slow = 1, .mscale = 1, .attention_factor = 1.25}, 1e4, 64,
     {1, 0.687403023, 0.0374947079, 0.0210848246, 0.00499999989, 0.000889139716, 0.000374947092,
      6.66760752e-05}, 1.25},
};
/* clang-format on */

/* The table's row of position 1 holds each frequency as an angle. */
static void frequencies_are_those_of_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const scaling *s = &cases[i];
        dsm_model_config c;
        dsm_real row[DIM];
        dsm_model_config_defaults(&c);
        c.head_dim = DIM, c.rope_theta = s->theta, c.rope = s->rope;
        dsm_rope_fill(row, 1, 2, &c, s->length);
        for (int k = 0; k < PAIRS; k++) {
            double cosine = (double)row[2 * pairs[k]], sine = (double)row[2 * pairs[k] + 1];
            double f = atan2(sine, cosine), a = hypot(sine, cosine);
            if (fabs(f - s->frequency[k]) > 1e-6 * s->frequency[k] || fabs(a - s->amplitude) > 1e-6)
                fail_msg("case %d, pair %d: found %.9g and %.9g, expected %.9g and %.9g", (int)i,
                         pairs[k], f, a, s->frequency[k], s->amplitude);
        }
    }
}

static void positions_may_begin_anywhere(void **state)
{
    (void)state;
    dsm_model_config c;
    dsm_real whole[5 * DIM], part[2 * DIM];
    dsm_model_config_defaults(&c);
    c.head_dim = DIM, c.rope = cases[4].rope;
    dsm_rope_fill(whole, 0, 5, &c, 5);
    dsm_rope_fill(part, 3, 5, &c, 5);
    assert_memory_equal(whole + 3 * DIM, part, sizeof part);
    assert_true(whole[0] == 1 && whole[1] == 0);
}

/* V2-Lite and V2-Chat: 1.26080² ; V2.5 and V3: 1.36889². Plain attention has no such factor. */
static void scores_are_sharpened_by_the_second_mscale(void **state)
{
    (void)state;
    dsm_model_config c;
    dsm_err err;
    assert_int_equal(dsm_model_config_defaults_of(&c, "deepseek_v2", "test", &err), DSM_OK);
    assert_true(dsm_rope_score_factor(&c) == 1);
    c.rope = cases[4].rope;
    assert_true(fabs(dsm_rope_score_factor(&c) - 1.58963) < 1e-5);
    c.rope.mscale_all_dim = 1;
    assert_true(fabs(dsm_rope_score_factor(&c) - 1.87385) < 1e-5);
    c.rope.mscale_all_dim = 0;
    assert_true(dsm_rope_score_factor(&c) == 1);
    dsm_model_config_defaults(&c);
    c.rope = cases[4].rope;
    assert_true(dsm_rope_score_factor(&c) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies_are_those_of_transformers),
        cmocka_unit_test(positions_may_begin_anywhere),
        cmocka_unit_test(scores_are_sharpened_by_the_second_mscale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
