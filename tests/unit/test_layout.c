/* SPDX-License-Identifier: MIT */
/* Grids of devices: parts that add up to the whole, volumes by hand, reach against enumeration. */
#include "support/papers.h"

#include "dsmoe/layout.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* V 20, d 8, 4 heads of 2 (2 for keys), 4 layers of which the first is dense with width 12, then 1
 * shared and 4 routed experts of width 6, 2 active. */
static dsm_model_config small(void)
{
    dsm_model_config c;
    dsm_model_config_defaults(&c);
    strcpy(c.model_type, "deepseek");
    c.vocab_size = 20, c.hidden_size = 8, c.num_attention_heads = 4, c.num_key_value_heads = 2;
    c.head_dim = 2, c.num_hidden_layers = 4, c.first_k_dense_replace = 1;
    c.intermediate_size = 12, c.moe_intermediate_size = 6;
    c.n_shared_experts = 1, c.n_routed_experts = 4, c.num_experts_per_tok = 2;
    return c;
}

static dsm_layout_options grid(int64_t data, int64_t expert, int64_t tensor, int64_t pipe)
{
    return (dsm_layout_options){.layout = {data, expert, tensor, pipe}, .seq_len = 64, .micro = 2};
}

static dsm_stage_plan stage_of(const dsm_model_config *c, dsm_layout_options o, int64_t stage)
{
    dsm_stage_plan p;
    dsm_err err;
    assert_ok(dsm_layout_check(c, &o, &err));
    assert_ok(dsm_layout_plan(&p, c, &o, stage, &err));
    return p;
}

/* --- memory ----------------------------------------------------------------------------------- */

static void one_device_is_the_plan(void **state)
{
    (void)state;
    static const char *const names[] = {"deepseekmoe-16b", "deepseek-v2", "dense-0.2b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        dsm_model_config c = test_paper_config(names[i]);
        dsm_stage_plan s = stage_of(&c, grid(1, 1, 1, 1), 0);
        dsm_plan p;
        dsm_err err;
        assert_ok(dsm_plan_make(&p, &c, &(dsm_plan_options){64, 2, true}, &err));
        assert_int_equal(s.params, p.params);
        assert_memory_equal(&s.serve, &p.memory.serve, sizeof s.serve);
        for (int k = 0; k < DSM_N_RECOMPUTE; k++) {
            const dsm_plan_training *t = &p.memory.train.with[k];
            assert_int_equal(s.train.activations[k], t->activations + t->scratch);
            /* rows of the flat arrays begin at multiples of 16: here parameters alone count */
            double more = (double)(t->total - s.train.total[k]);
            assert_true(more >= 0 && more < 1e-3 * (double)t->total);
        }
        assert_true(s.traffic_total == 0);
    }
}

/* Experts of X devices and everything else once, over the stages, are the model. */
static void parts_add_up(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        int64_t expert, pipe;
    } cases[] = {{"deepseekmoe-16b", 4, 3},
                 {"deepseek-v2", 8, 16},
                 {"deepseek-llm-67b", 1, 7},
                 {"gshard-2b", 16, 9},
                 {"lossfree-1b", 2, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dsm_model_config c = test_paper_config(cases[i].config);
        dsm_plan whole;
        dsm_err err;
        int64_t params = 0, layers = 0;
        for (int64_t s = 0; s < cases[i].pipe; s++) {
            dsm_stage_plan p = stage_of(&c, grid(3, cases[i].expert, 1, cases[i].pipe), s);
            assert_int_equal(p.first_layer, layers);
            layers += p.n_layers;
            params += p.params - p.expert_params + cases[i].expert * p.expert_params;
        }
        assert_ok(dsm_plan_make(&whole, &c, &(dsm_plan_options){64, 1, false}, &err));
        assert_int_equal(layers, c.num_hidden_layers);
        assert_int_equal(params, whole.params);
    }
}

/* By hand: half of each matrix that is split, all of norms and router; a half of two layers. */
static void a_split_model_by_hand(void **state)
{
    (void)state;
    dsm_model_config c = small();
    const int64_t attention = 2 * 64 + 2 * 32, norms = 2 * 8, router = 4 * 8;
    const int64_t dense = 3 * 8 * 12, expert = 3 * 8 * 6, matrix = 20 * 8;
    dsm_stage_plan first = stage_of(&c, grid(1, 2, 2, 2), 0);
    dsm_stage_plan last = stage_of(&c, grid(1, 2, 2, 2), 1);
    assert_int_equal(first.expert_params, 2 * expert / 2);
    assert_int_equal(first.params, matrix / 2 + 2 * (attention / 2 + norms) + dense / 2 + router +
                                       expert / 2 + first.expert_params);
    assert_int_equal(last.expert_params, 2 * 2 * expert / 2);
    assert_int_equal(last.params, 8 + matrix / 2 + 2 * (attention / 2 + norms + router) +
                                      2 * expert / 2 + last.expert_params);
    assert_int_equal(first.train.weights, 4 * first.params);
    c.tie_word_embeddings = true; /* both ends have the matrix */
    assert_int_equal(stage_of(&c, grid(1, 2, 2, 2), 0).params, first.params);
    assert_int_equal(stage_of(&c, grid(1, 2, 2, 2), 1).params, last.params);
    assert_int_equal(stage_of(&c, grid(1, 2, 2, 4), 1).params,
                     attention / 2 + norms + router + expert / 2 + expert);
}

static void optimiser_state_is_shared(void **state)
{
    (void)state;
    dsm_model_config c = test_paper_config("deepseekmoe-16b");
    dsm_layout_options o = grid(8, 4, 1, 1);
    dsm_stage_plan p = stage_of(&c, o, 0);
    int64_t others = p.params - p.expert_params;
    assert_int_equal(p.train.optimizer, 8 * ((p.expert_params + 7) / 8 + (others + 31) / 32));
    o.dtype = DSM_TRAIN_BF16;
    dsm_stage_plan mixed = stage_of(&c, o, 0);
    assert_int_equal(mixed.train.weights, 2 * p.params);
    assert_int_equal(mixed.train.gradients, 4 * p.params);
    assert_int_equal(mixed.train.optimizer, p.train.optimizer / 8 * 12);
    for (int i = 0; i < DSM_N_RECOMPUTE; i++)
        assert_int_equal(mixed.train.activations[i], p.train.activations[i] / 4 * 2);
}

/* Stage s keeps P - s micro-batches at most; scratch is there once. */
static void earlier_stages_keep_more(void **state)
{
    (void)state;
    dsm_model_config c = test_paper_config("dense-0.2b");
    dsm_layout_options o = grid(1, 1, 1, 3);
    c.num_hidden_layers = 3;
    int64_t kept[3];
    for (int s = 0; s < 3; s++) {
        dsm_stage_plan p = stage_of(&c, o, s);
        assert_int_equal(p.in_flight, 3 - s);
        assert_int_equal(p.micro_batches, 3);
        kept[s] = p.train.activations[DSM_RECOMPUTE_NONE];
    }
    assert_true(kept[0] > kept[1] && kept[0] - kept[1] == kept[1] - kept[2]);
    o.step = 2; /* one micro-batch: nothing to keep ahead */
    assert_int_equal(stage_of(&c, o, 0).in_flight, 1);
}

static void caches_are_split(void **state)
{
    (void)state;
    dsm_model_config plain = test_paper_config("deepseekmoe-16b"),
                     latent = test_paper_config("deepseek-v2-lite");
    double all = (double)stage_of(&plain, grid(1, 1, 1, 1), 0).serve.kv_cache;
    double part = (double)stage_of(&plain, grid(1, 1, 4, 2), 0).serve.kv_cache;
    assert_true(fabs(part / all - 1.0 / 8) < 0.01);
    all = (double)stage_of(&latent, grid(1, 1, 1, 1), 0).serve.kv_cache;
    part = (double)stage_of(&latent, grid(1, 1, 4, 1), 0).serve.kv_cache;
    assert_true(part > 0.6 * all); /* latents are on every device; what decoding works in is not */
}

/* --- where a token's experts lie -------------------------------------------------------------- */

static int ones(unsigned bits)
{
    int n = 0;
    for (; bits; bits &= bits - 1)
        n++;
    return n;
}

/* Devices of X that hold one of the experts in `picks`. */
static int devices_of(unsigned picks, int E, int X)
{
    int n = 0;
    for (int x = 0; x < X; x++)
        n += (picks >> (x * E / X) & ((1u << E / X) - 1)) != 0;
    return n;
}

/* Every choice of M of G groups, then of K of their experts, once: mean and largest reach. */
static double enumerate(int E, int K, int G, int M, int X, int *most)
{
    double sum = 0, count = 0;
    *most = 0;
    for (unsigned groups = 0; groups < 1u << G; groups++) {
        if (ones(groups) != M) continue;
        unsigned pool = 0;
        for (int g = 0; g < G; g++)
            if (groups >> g & 1) pool |= ((1u << E / G) - 1) << (g * E / G);
        for (unsigned picks = 0; picks < 1u << E; picks++) {
            if (ones(picks) != K || (picks & ~pool)) continue;
            int n = devices_of(picks, E, X);
            sum += n, count++;
            if (n > *most) *most = n;
        }
    }
    return sum / count;
}

static void reach_is_what_enumeration_finds(void **state)
{
    (void)state;
    static const struct {
        int E, K, G, M;
    } cases[] = {{8, 1, 1, 1}, {8, 3, 1, 1}, {8, 8, 1, 1}, {8, 2, 4, 1},
                 {8, 2, 4, 2}, {8, 3, 4, 2}, {8, 4, 2, 1}, {12, 3, 6, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int X = 1; X <= cases[i].E; X *= 2) {
            dsm_model_config c = test_paper_config("deepseek-v2");
            int E = cases[i].E, G = cases[i].G, most;
            if (E % X != 0 || (G > 1 && X % G != 0 && G % X != 0)) continue;
            c.n_routed_experts = E, c.num_experts_per_tok = cases[i].K;
            c.n_group = G, c.topk_group = cases[i].M;
            double mean = enumerate(E, cases[i].K, G, cases[i].M, X, &most);
            if (fabs(dsm_layout_reach(&c, X) - mean) > 1e-12 * mean)
                fail_msg("case %zu, %d devices: %g, enumerated %g", i, X, dsm_layout_reach(&c, X),
                         mean);
            assert_int_equal(dsm_layout_reach_limit(&c, X), most);
        }
}

/* DeepSeek-V2's 8 devices: at most 3 of them; of V2-Lite's experts, up to 6 of 8. */
static void device_limits_bound_the_reach(void **state)
{
    (void)state;
    dsm_model_config v2 = test_paper_config("deepseek-v2"),
                     lite = test_paper_config("deepseek-v2-lite");
    dsm_model_config dense = test_paper_config("dense-0.2b");
    assert_int_equal(dsm_layout_reach_limit(&v2, 8), 3);
    assert_int_equal(dsm_layout_reach_limit(&lite, 8), 6);
    assert_true(dsm_layout_reach(&v2, 8) < 3 && dsm_layout_reach(&lite, 8) > 4);
    assert_true(dsm_layout_reach(&dense, 1) == 0);
}

/* --- communication ---------------------------------------------------------------------------- */

/* The formulas of layout.h with numbers: t = 2·64 tokens, m = 3 micro-batches, D = 8, four bytes.
 */
static void volumes_by_hand(void **state)
{
    (void)state;
    dsm_model_config c = small();
    dsm_layout_options o = grid(4, 2, 2, 2);
    o.step = 4 * 2 * 2 * 3;
    dsm_stage_plan p = stage_of(&c, o, 1);
    const double stream = 3 * 2 * 64 * 8 * 4, others = (double)(p.params - p.expert_params);
    const double reach =
        2 * (1 - 1.0 / 6); /* of 4 experts 2 are picked: both elsewhere in 1 of 6 */
    assert_int_equal(p.micro_batches, 3);
    assert_true(fabs(p.traffic[DSM_TRAFFIC_EXPERTS] - (double)p.expert_params * 8 * 3 / 4) < 1e-6);
    assert_true(fabs(p.traffic[DSM_TRAFFIC_OTHERS] - others * 8 * 7 / 8) < 1e-6);
    assert_true(fabs(p.traffic[DSM_TRAFFIC_TOKENS] - 4 * 2 * stream * reach / 2) < 1e-6);
    assert_true(fabs(p.traffic[DSM_TRAFFIC_TENSOR] - 2 * 0.5 * stream * (4 * 2 + 1)) < 1e-6);
    assert_true(fabs(p.traffic[DSM_TRAFFIC_PIPE] - stream) < 1e-6);
    dsm_stage_plan first = stage_of(&c, o, 0);
    assert_true(fabs(first.traffic[DSM_TRAFFIC_TOKENS] * 2 - p.traffic[DSM_TRAFFIC_TOKENS]) < 1e-6);
    o.dtype = DSM_TRAIN_BF16;
    dsm_stage_plan mixed = stage_of(&c, o, 1);
    assert_true(fabs(mixed.traffic[DSM_TRAFFIC_OTHERS] - others * 6 * 7 / 8) < 1e-6);
    assert_true(fabs(mixed.traffic[DSM_TRAFFIC_PIPE] - stream / 2) < 1e-6);
}

static void middle_stages_have_two_neighbours(void **state)
{
    (void)state;
    dsm_model_config c = small();
    dsm_layout_options o = grid(1, 1, 1, 4);
    double end = stage_of(&c, o, 0).traffic[DSM_TRAFFIC_PIPE];
    assert_true(end > 0 && stage_of(&c, o, 1).traffic[DSM_TRAFFIC_PIPE] == 2 * end);
    assert_true(stage_of(&c, o, 3).traffic[DSM_TRAFFIC_PIPE] == end);
}

/* --- mistakes --------------------------------------------------------------------------------- */

static void layouts_are_read(void **state)
{
    (void)state;
    dsm_layout l;
    dsm_err err;
    assert_ok(dsm_layout_parse(&l, "pipe=2,data=8,expert=4", &err));
    assert_true(l.data == 8 && l.expert == 4 && l.tensor == 1 && l.pipe == 2);
    assert_int_equal(dsm_layout_devices(&l), 64);
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"", "found \"\", expected data, expert, tensor or pipe"},
        {"data=8,", "found \"\""},
        {"dat=8", "unknown axis dat; did you mean data?"},
        {"data", "data: found \"\", expected 1 to"},
        {"data=0", "data: found \"0\""},
        {"data=8x", "data: found \"8x\""},
        {"data=99999", "found \"99999\", expected 1 to 32768"},
        {"data=2,data=2", "data: found twice"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_fails(dsm_layout_parse(&l, wrong[i].text, &err), DSM_EUSAGE, wrong[i].message);
}

static void layouts_that_do_not_divide_are_refused(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *config;
        dsm_layout layout;
        const char *message; /* "": none */
    } cases[] = {
        {"deepseekmoe-16b", {1, 3, 1, 1}, "n_routed_experts: found 64, expected a multiple of expert 3"},
        {"deepseekmoe-16b", {1, 1, 3, 1}, "num_attention_heads: found 16, expected a multiple of tensor 3"},
        {"deepseek-llm-67b", {1, 1, 16, 1}, "num_key_value_heads: found 8"},
        {"deepseekmoe-2b", {1, 1, 2, 1}, "moe_intermediate_size: found 853"},
        {"dense-0.2b", {1, 1, 2, 1}, "intermediate_size: found 3413"},
        {"lossfree-1b", {1, 1, 8, 1}, ""},
        {"dense-0.2b", {1, 2, 1, 1}, "n_routed_experts: found none"},
        {"deepseekmoe-2b", {1, 1, 1, 10}, "pipe: found 10, expected at most num_hidden_layers 9"},
        {"deepseek-v2", {1, 5, 1, 1}, "expert: found 5, expected a divisor or a multiple of n_group 8"},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dsm_model_config c = test_paper_config(cases[i].config);
        dsm_layout_options o = {.layout = cases[i].layout, .seq_len = 64, .micro = 1};
        dsm_err err;
        if (*cases[i].message)
            assert_fails(dsm_layout_check(&c, &o, &err), DSM_ESHAPE, cases[i].message);
        else
            assert_ok(dsm_layout_check(&c, &o, &err));
    }
}

static void steps_are_whole_micro_batches(void **state)
{
    (void)state;
    dsm_model_config c = small();
    dsm_layout_options o = grid(4, 2, 1, 2);
    dsm_err err;
    assert_ok(dsm_layout_check(&c, &o, &err));
    assert_int_equal(o.step, 4 * 2 * 2 * 2);
    o.step = 24;
    assert_fails(dsm_layout_check(&c, &o, &err), DSM_ERANGE,
                 "step: found 24 sequences, expected a multiple of 16 (data 4 x expert 2 x 2");
    o.seq_len = 0;
    assert_fails(dsm_layout_check(&c, &o, &err), DSM_ERANGE, "sequences of 0 tokens");
    o = grid(1, 1, 1, 2);
    c.moe_layer_freq = 2;
    assert_fails(dsm_layout_check(&c, &o, &err), DSM_ESHAPE, "moe_layer_freq: found 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_device_is_the_plan),
        cmocka_unit_test(parts_add_up),
        cmocka_unit_test(a_split_model_by_hand),
        cmocka_unit_test(optimiser_state_is_shared),
        cmocka_unit_test(earlier_stages_keep_more),
        cmocka_unit_test(caches_are_split),
        cmocka_unit_test(reach_is_what_enumeration_finds),
        cmocka_unit_test(device_limits_bound_the_reach),
        cmocka_unit_test(volumes_by_hand),
        cmocka_unit_test(middle_stages_have_two_neighbours),
        cmocka_unit_test(layouts_are_read),
        cmocka_unit_test(layouts_that_do_not_divide_are_refused),
        cmocka_unit_test(steps_are_whole_micro_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
