/* SPDX-License-Identifier: MIT */
/* The bill of a model: counts by hand, memory as training takes it. What the papers print is in
 * test_papers.c. */
#include "support/papers.h"

#include "dsmoe/plan.h"
#include "train/step.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct shape {
    int64_t L, d, H, Hk, V, dense_width, width, shared, routed, active, first_dense, T;
} shape;

static dsm_model_config config_of(const shape *p)
{
    dsm_model_config c;
    dsm_model_config_defaults(&c);
    strcpy(c.model_type, p->routed + p->shared > 0 ? "deepseek" : "llama");
    c.num_hidden_layers = p->L, c.hidden_size = p->d, c.num_attention_heads = p->H;
    c.num_key_value_heads = p->Hk, c.head_dim = p->d / p->H, c.vocab_size = p->V;
    c.intermediate_size = p->dense_width, c.moe_intermediate_size = p->width;
    c.n_shared_experts = p->shared, c.n_routed_experts = p->routed;
    c.num_experts_per_tok = p->active, c.first_k_dense_replace = p->first_dense;
    return c;
}

static dsm_plan plan_of(const shape *p)
{
    dsm_plan plan;
    dsm_err err;
    dsm_model_config c = config_of(p);
    assert_ok(dsm_plan_make(&plan, &c, &(dsm_plan_options){p->T, 1, false}, &err));
    return plan;
}

static void near(const char *name, const char *what, double got, double expected, double slack)
{
    if (fabs(got - expected) > slack)
        fail_msg("%s: %s %.4f, expected %g", name, what, got, expected);
}

/* The exact count of the 16B with its widths as they are: 75.90e12 (norms, here counted, add
 * 0.004); and what a causal mask saves. */
static void true_widths_are_counted(void **state)
{
    (void)state;
    dsm_model_config c = test_paper_config("deepseekmoe-16b");
    dsm_plan p;
    dsm_err err;
    assert_ok(dsm_plan_make(&p, &c, &(dsm_plan_options){4096, 1, false}, &err));
    near("16B", "1e12 FLOPs", p.train_flops_true_widths / 1e12, 75.90, 0.01);
    assert_true(p.active_ffns == 2);
    near("16B", "standard FFNs", p.active_ffns_rounded, 8 * 1408 / (8.0 / 3 * 2048), 1e-9);
    double attention = 12.0 * 28 * 2048 * 4096 * 4096;
    near("16B", "attention", p.train_flops_true_widths - p.train_flops_causal, attention / 2,
         1e-9 * attention);
}

/* Nominal widths: an exact part of a standard FFN is taken as it is, even where it could have been
 * rounded from another. */
static void widths_have_their_nominal_size(void **state)
{
    (void)state;
    static const struct {
        int64_t d, width;
        double size;
    } cases[] = {{1280, 853, 0.25},   {1280, 1024, 0.3}, {1280, 5120, 1.5}, {1280, 4096, 1.2},
                 {4096, 1408, 0.125}, {4096, 10944, 1},  {8192, 22016, 1},  {1280, 54613, 16}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const shape m = {1, cases[i].d, 2, 2, 8, cases[i].width, 1, 0, 0, 0, 0, 8};
        near("width", "standard FFNs", plan_of(&m).active_ffns, cases[i].size, 1e-12);
    }
}

/* DeepSeek-V2 and V2-Lite from their configurations: parameters in all, per token, and without the
 * embedding, which is how the V2 report counts (21B and 2.4B). The cache holds 576 values a layer.
 */
static void latent_models_are_counted(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        double params, active, active_no_embedding;
        int64_t cached;
    } cases[] = {
        {"deepseek-v2", 235.74, 21.38, 20.85, 576 * 60},
        {"deepseek-v2-lite", 15.706, 2.661, 2.451, 576 * 27},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = cases[i].config;
        dsm_model_config c = test_paper_config(path);
        dsm_plan p;
        dsm_err err;
        assert_ok(dsm_plan_make(&p, &c, &(dsm_plan_options){1024, 1, false}, &err));
        near(path, "1e9 parameters", (double)p.params / 1e9, cases[i].params, 0.005);
        near(path, "1e9 active", (double)p.active_params / 1e9, cases[i].active, 0.005);
        near(path, "without embedding", (double)p.active_params_no_embedding / 1e9,
             cases[i].active_no_embedding, 0.005);
        double cached = (double)(cases[i].cached * 1024 * 2); /* and what decoding works in */
        near(path, "cached bytes", (double)p.memory.serve.kv_cache, 1.04 * cached, 0.04 * cached);
    }
}

/* By hand for a small one: V 10, d 4, one dense layer of width 6 and one MoE layer of 1 + 3 experts
 * of width 2. */
static void a_small_model_by_hand(void **state)
{
    (void)state;
    const shape m = {2, 4, 2, 2, 10, 6, 2, 1, 3, 2, 1, 8};
    dsm_plan p = plan_of(&m);
    const int64_t attention = 4 * 16, norms = 2 * 4, dense = 3 * 4 * 6, expert = 3 * 4 * 2;
    const int64_t body = 2 * (attention + norms) + dense + 3 * 4 + 4;
    assert_int_equal(p.params, 2 * 40 + body + 4 * expert);
    assert_int_equal(p.active_params, 2 * 40 + body + 3 * expert);
    assert_int_equal(p.active_params_no_embedding, p.active_params - 40);
    assert_int_equal(p.params_no_embedding, p.params - 40);
    assert_int_equal(p.ffn_params, dense + 4 * expert);
    assert_int_equal(p.active_ffn_params, dense + 3 * expert);
    assert_int_equal(p.memory.serve.weights_bf16, 2 * p.params);
    /* keys and values of two layers and eight positions; red zones and tables beside them */
    assert_in_range(p.memory.serve.kv_cache, 2 * 8 * 2 * 4 * 2, 2 * 8 * 2 * 4 * 2 + 1024);
    assert_int_equal(p.memory.train.moments, 2 * p.memory.train.weights);
}

/* For every policy, in one micro-batch and in several: the figures are the sizes of the arenas that
 * training opens. */
static void the_bill_is_what_training_takes(void **state)
{
    (void)state;
    const shape m = {4, 32, 4, 2, 60, 40, 12, 1, 8, 3, 1, 16};
    enum { MICRO = 3 };
    for (int i = 0; i < 2 * DSM_N_RECOMPUTE; i++) {
        dsm_model_config c = config_of(&m);
        bool accumulates = i % 2;
        dsm_plan p;
        dsm_err err;
        dsm_kernels kernels;
        dsm_exec x;
        dsm_model *model;
        dsm_stepper stepper;
        const dsm_stepper_options o = {.seq_len = m.T,
                                       .micro = MICRO,
                                       .sequences = accumulates ? 2 * MICRO : MICRO,
                                       .recompute = (dsm_recompute)(i / 2)};
        assert_ok(dsm_plan_make(&p, &c, &(dsm_plan_options){m.T, MICRO, accumulates}, &err));
        dsm_kernels_init(&kernels, 0);
        assert_ok(dsm_exec_init(&x, &kernels, 1, &err));
        assert_ok(dsm_model_create(&model, &c, DSM_MODEL_VALUES | DSM_MODEL_GRADS, &err));
        assert_ok(dsm_stepper_init(&stepper, model, &x, &o, &err));
        const dsm_net_memory holds = dsm_net_holds(stepper.net);
        const dsm_plan_training *t = &p.memory.train.with[i / 2];
        assert_int_equal(t->activations, holds.activations);
        assert_int_equal(t->scratch, holds.scratch);
        assert_int_equal(t->lent, holds.lent);
        assert_true(accumulates == (t->lent == 0));
        const int64_t slack = 1024; /* red zones, and the table of spans */
        int64_t flat = p.memory.train.weights + p.memory.train.gradients;
        assert_in_range(model->flat.cap, flat, flat + slack);
        assert_in_range(stepper.optimizer.memory.cap, p.memory.train.moments,
                        p.memory.train.moments + slack);
        assert_int_equal(t->total, flat + p.memory.train.moments + t->activations + t->scratch);
        dsm_stepper_free(&stepper);
        dsm_model_free(model);
        dsm_exec_free(&x);
    }
}

/* Each policy keeps less than the one before, and lending leaves less to pay. */
static void policies_save_memory(void **state)
{
    (void)state;
    dsm_plan whole, parts;
    dsm_err err;
    dsm_model_config c = test_paper_config("deepseekmoe-2b");
    assert_ok(dsm_plan_make(&whole, &c, &(dsm_plan_options){512, 8, false}, &err));
    assert_ok(dsm_plan_make(&parts, &c, &(dsm_plan_options){512, 8, true}, &err));
    for (int i = 0; i < DSM_N_RECOMPUTE; i++) {
        const dsm_plan_training *w = &whole.memory.train.with[i], *t = &parts.memory.train.with[i];
        assert_int_equal(w->activations + w->lent, t->activations);
        assert_true(w->lent > 0 && t->lent == 0 && w->scratch == t->scratch);
        if (i > 0) assert_true(t->total < parts.memory.train.with[i - 1].total);
    }
}

static void a_tied_head_is_no_embedding(void **state)
{
    (void)state;
    const shape m = {1, 8, 2, 2, 10, 6, 1, 0, 0, 0, 0, 8};
    dsm_model_config c = config_of(&m);
    dsm_plan untied = plan_of(&m), tied;
    dsm_err err;
    c.tie_word_embeddings = true;
    assert_ok(dsm_plan_make(&tied, &c, &(dsm_plan_options){8, 1, false}, &err));
    assert_int_equal(tied.params, untied.params - 80);
    assert_int_equal(tied.active_params_no_embedding, untied.active_params_no_embedding);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    dsm_plan p;
    dsm_err err;
    dsm_model_config c = test_paper_config("deepseekmoe-16b");
    assert_fails(dsm_plan_make(&p, &c, &(dsm_plan_options){0, 1, false}, &err), DSM_ERANGE,
                 "found 1 sequences");
    c.num_experts_per_tok = 65;
    assert_fails(dsm_plan_make(&p, &c, &(dsm_plan_options){8, 1, false}, &err), DSM_ESHAPE,
                 "num_experts_per_tok: found 65");
}

/* A distilled router is trained and counted; a token uses one row of its embedding. */
static void distilled_routers_are_counted(void **state)
{
    (void)state;
    dsm_plan with, without;
    dsm_err err;
    dsm_model_config c = test_paper_config("switch-2b"); /* one expert per token */
    const dsm_plan_options o = {2048, 1, false};
    assert_ok(dsm_plan_make(&without, &c, &o, &err));
    c.router = DSM_ROUTER_STABLE;
    assert_ok(dsm_plan_make(&with, &c, &o, &err));
    assert_int_equal(with.params - without.params, 9 * 50 * (8192 + 16));
    assert_int_equal(with.active_params - without.active_params, 9 * 50 * (1 + 16));
}

/* Experts that choose pick as many tokens as tokens pick experts: the same arithmetic, and little
 * more memory (a slot for each expert of a token). */
static void expert_choice_costs_the_same(void **state)
{
    (void)state;
    dsm_plan choice, softmax;
    dsm_err err;
    dsm_model_config c = test_paper_config("deepseekmoe-2b");
    const dsm_plan_options o = {2048, 1, false};
    assert_ok(dsm_plan_make(&softmax, &c, &o, &err));
    c.router = DSM_ROUTER_EXPERT_CHOICE;
    assert_ok(dsm_plan_make(&choice, &c, &o, &err));
    assert_int_equal(choice.params, softmax.params);
    assert_int_equal(choice.active_params, softmax.active_params);
    assert_true(choice.train_flops_causal == softmax.train_flops_causal);
    int64_t more = choice.memory.train.with[0].total - softmax.memory.train.with[0].total;
    assert_true(more > 0 && more < softmax.memory.train.with[0].total / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(true_widths_are_counted),
        cmocka_unit_test(widths_have_their_nominal_size),
        cmocka_unit_test(latent_models_are_counted),
        cmocka_unit_test(a_small_model_by_hand),
        cmocka_unit_test(a_tied_head_is_no_embedding),
        cmocka_unit_test(the_bill_is_what_training_takes),
        cmocka_unit_test(policies_save_memory),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(distilled_routers_are_counted),
        cmocka_unit_test(expert_choice_costs_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
