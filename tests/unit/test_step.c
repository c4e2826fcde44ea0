/* SPDX-License-Identifier: MIT */
/* train/step and train/optimizer: decay on matrices only, the clip, parameters untouched by a step
 * that fails, and no allocation inside a step. */
#include "support/support.h"

#include "dsmoe/dsmoe.h"
#include "kernels/kernels.h"
#include "train/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- counting allocations ----------------------------------------------------------------------
 */

/* glibc lets a program define malloc; sanitizers have their own, so there nothing is counted. */
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 1
static volatile int counting, allocations;

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
    if (counting) __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    if (counting) __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    if (counting) __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
    return __libc_realloc(p, n);
}
#endif

/* --- a stepper on a tiny model ------------------------------------------------------------------
 */

enum { T = 16, N_SEQ = 6, MICRO = 4, E = 64 };

typedef struct lab {
    dsm_kernels kernels;
    dsm_exec x;
    dsm_model *model;
    dsm_stepper stepper;
    int32_t tokens[N_SEQ * T], targets[N_SEQ * T];
} lab;

static dsm_model_config lab_config(void)
{
    dsm_model_config c;
    dsm_model_config_defaults(&c);
    strcpy(c.model_type, "deepseek");
    c.vocab_size = 50;
    c.hidden_size = 16;
    c.intermediate_size = 24;
    c.moe_intermediate_size = 8;
    c.num_hidden_layers = 3; /* what the last keeps fits in gradients of the others */
    c.num_attention_heads = c.num_key_value_heads = 2;
    c.head_dim = 8;
    c.n_shared_experts = 1;
    c.n_routed_experts = E;
    c.num_experts_per_tok = 2;
    c.first_k_dense_replace = 1;
    return c;
}

/* micro and the largest step decide where activations live. */
static void lab_start_model(lab *b, const dsm_model_config *c, double weight_decay, int64_t micro,
                            int64_t sequences)
{
    dsm_err err;
    memset(&b->x, 0, sizeof b->x);
    dsm_kernels_init(&b->kernels, dsm_runtime_cpu_flags());
    assert_ok(dsm_exec_init(&b->x, &b->kernels, 2, &err));
    assert_ok(dsm_model_create(&b->model, c, DSM_MODEL_VALUES | DSM_MODEL_GRADS, &err));
    dsm_model_init_random(b->model, &b->x, 1);
    const dsm_stepper_options o = {
        .seq_len = T,
        .micro = micro,
        .sequences = sequences,
        .balance = {.expert = 0.01, .z = 0.001, .distill = 1, .devices = 1, .per_sequence = true},
        .adamw =
            {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = weight_decay, .clip = 1},
        .seed = 1,
    };
    assert_ok(dsm_stepper_init(&b->stepper, b->model, &b->x, &o, &err));
    for (int i = 0; i < N_SEQ * T; i++) {
        b->tokens[i] = i * 7 % 50;
        b->targets[i] = (i * 7 + 11) % 50;
    }
}

static void lab_start_with(lab *b, double weight_decay, int64_t micro, int64_t sequences)
{
    dsm_model_config c = lab_config();
    lab_start_model(b, &c, weight_decay, micro, sequences);
}

static void lab_start(lab *b, double weight_decay)
{
    lab_start_with(b, weight_decay, MICRO, N_SEQ);
}

static void lab_stop(lab *b)
{
    dsm_stepper_free(&b->stepper);
    dsm_model_free(b->model);
    dsm_exec_free(&b->x);
}

static dsm_status step(lab *b, int64_t n, dsm_step *out, dsm_err *err)
{
    return dsm_stepper_run(&b->stepper, n, 1e-2, b->tokens, b->targets, N_SEQ, out, err);
}

/* --- tests --------------------------------------------------------------------------------------
 */

static void nothing_allocates_inside_a_step(void **state)
{
    (void)state;
#ifdef COUNTS_ALLOCATIONS
    dsm_err err;
    dsm_step s;
    lab b;
    lab_start(&b, 0.1);
    assert_ok(step(&b, 0, &s, &err));
    counting = 1;
    dsm_status first = step(&b, 1, &s, &err), second = step(&b, 2, &s, &err);
    counting = 0;
    assert_ok(first);
    assert_ok(second);
    assert_int_equal(allocations, 0);
    counting = 1; /* the counter counts */
    void *volatile p = malloc(1);
    counting = 0;
    free(p);
    assert_int_equal(allocations, 1);
    lab_stop(&b);
#else
    skip();
#endif
}

static void a_step_counts_what_it_did(void **state)
{
    (void)state;
    dsm_err err;
    dsm_step s;
    lab b;
    lab_start(&b, 0.1);
    assert_ok(step(&b, 0, &s, &err));
    assert_int_equal(s.targets, N_SEQ * T);
    assert_true(fabs(s.loss - log(50.0)) < 0.2);
    assert_true(s.balance > 0.009 && s.grad_norm > 0);
    assert_int_equal(b.stepper.loads[0].E, 0);
    int64_t routed = 0;
    for (int e = 0; e < E; e++)
        routed += b.stepper.loads[1].count[e];
    assert_int_equal(routed, N_SEQ * T * 2);
    double before = s.loss;
    for (int64_t i = 1; i < 30; i++)
        assert_ok(step(&b, i, &s, &err));
    assert_true(s.loss < 0.5 * before); /* the same batch again and again */
    lab_stop(&b);
}

/* StableMoE: the distilled router moves in the first stage and not by a bit in the second, whether
 * or not a step accumulates; everything else goes on. */
static void the_distilled_router_freezes(void **state)
{
    (void)state;
    for (int whole = 0; whole < 2; whole++) {
        dsm_err err;
        dsm_step s;
        lab b;
        dsm_model_config c = lab_config();
        c.router = DSM_ROUTER_STABLE, c.num_experts_per_tok = 1, c.distilled_width = 6;
        lab_start_model(&b, &c, 0.1, whole ? N_SEQ : MICRO, N_SEQ);
        b.stepper.options.freeze = 2;
        float *before = malloc((size_t)b.model->n_elements * sizeof *before);
        for (int64_t n = 0; n < 4; n++) {
            memcpy(before, b.model->values, (size_t)b.model->n_elements * sizeof *before);
            assert_ok(step(&b, n, &s, &err));
            assert_true((s.distill > 0) == (n < 2));
            for (int64_t i = 0; i < b.model->n_params; i++) {
                const dsm_param *p = &b.model->params[i];
                bool same = memcmp(before + p->offset, b.model->values + p->offset,
                                   sizeof *before * (size_t)(p->rows * p->cols)) == 0;
                if (same != (p->distilled && n >= 2))
                    fail_msg("step %d: %s %s", (int)n, p->name, same ? "rested" : "moved");
            }
        }
        free(before);
        lab_stop(&b);
    }
}

/* Without gradients only decay moves a weight: w · (1 - lr · decay), and norms stay. */
static void only_matrices_decay(void **state)
{
    (void)state;
    lab b;
    lab_start(&b, 0.5);
    size_t n = (size_t)b.model->n_elements;
    float *before = malloc(n * sizeof *before);
    memcpy(before, b.model->values, n * sizeof *before);
    dsm_gradients_clear(&b.x, b.model);
    const dsm_adamw_settings *adamw = &b.stepper.options.adamw;
    dsm_optimizer_step(&b.stepper.optimizer, &b.x, adamw, 0.25, 1, 1.0);
    for (int64_t i = 0; i < b.model->n_params; i++) {
        const dsm_param *p = &b.model->params[i];
        for (int64_t j = 0; j < p->rows * p->cols; j++) {
            float was = before[p->offset + j], is = b.model->values[p->offset + j];
            float expected = p->ndim == 2 ? was * (1 - 0.25f * 0.5f) : was;
            if (fabsf(is - expected) > 2e-7f * fabsf(was))
                fail_msg("%s[%d]: %g became %g, expected %g", p->name, (int)j, (double)was,
                         (double)is, (double)expected);
        }
    }
    free(before);
    lab_stop(&b);
}

static void clipping_scales_only_what_is_too_long(void **state)
{
    (void)state;
    assert_true(dsm_clip_factor(0.5, 1.0) == 1.0);
    assert_true(dsm_clip_factor(4.0, 1.0) == 0.25);
    assert_true(dsm_clip_factor(4.0, 0.0) == 1.0); /* 0: off */
    assert_true(dsm_clip_factor(0.0, 1.0) == 1.0);
}

/* A value that is not finite, in the weights or in a gradient, is named and changes nothing. */
static void what_is_not_finite_is_named(void **state)
{
    (void)state;
    dsm_err err;
    dsm_step s;
    lab b;
    lab_start(&b, 0.1);
    assert_ok(step(&b, 0, &s, &err));
    size_t bytes = (size_t)b.model->n_elements * sizeof(float);
    float *before = malloc(bytes);
    const dsm_param *p = dsm_model_find(b.model, "model.layers.1.self_attn.o_proj.weight");
    b.model->values[p->offset + 3] = NAN;
    memcpy(before, b.model->values, bytes);
    assert_fails(step(&b, 1, &s, &err), DSM_ENONFINITE, "step 2: the loss is not finite");
    assert_true(test_contains(err.msg, p->name));
    assert_memory_equal(before, b.model->values, bytes);
    b.model->grads[p->offset + 7] = INFINITY;
    assert_string_equal(dsm_gradient_nonfinite(&b.x, b.model), p->name);
    free(before);
    lab_stop(&b);
}

/* Finite losses whose gradient overflows: a down projection of huge weights that see only zeros.
 * The first parameter in the table that it reaches is named, also where the search through the
 * network uses the gradients' memory. */
static void a_gradient_that_is_not_finite_is_named(void **state)
{
    (void)state;
    const struct {
        const char *name;
        float value;
    } rows[] = {{"model.layers.0.mlp.gate_proj.weight", 0},
                {"model.layers.0.mlp.up_proj.weight", 0},
                {"model.layers.0.mlp.down_proj.weight", 3e38f},
                {"model.norm.weight", 1e3f}};
    for (int whole = 0; whole < 2; whole++) {
        dsm_err err;
        dsm_step s;
        lab b;
        lab_start_with(&b, 0.1, whole ? N_SEQ : MICRO, N_SEQ);
        assert_true(whole == (dsm_net_holds(b.stepper.net).lent > 0));
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            const dsm_param *p = dsm_model_find(b.model, rows[i].name);
            for (int64_t j = 0; j < p->rows * p->cols; j++)
                b.model->values[p->offset + j] = rows[i].value;
        }
        assert_fails(step(&b, 0, &s, &err), DSM_ENONFINITE, "step 1: the gradient is not finite");
        if (!test_contains(err.msg, "the gradient of model.embed_tokens.weight"))
            fail_msg("found: %s", err.msg);
        lab_stop(&b);
    }
}

/* A step of one micro-batch, with activations in the memory of gradients and with their own. */
static void where_activations_live_changes_nothing(void **state)
{
    (void)state;
    dsm_err err;
    dsm_step s;
    lab own, lent;
    lab_start_with(&own, 0.1, N_SEQ, N_SEQ + 1);
    lab_start_with(&lent, 0.1, N_SEQ, N_SEQ);
    for (int64_t i = 0; i < 3; i++) {
        assert_ok(step(&own, i, &s, &err));
        assert_ok(step(&lent, i, &s, &err));
    }
    size_t bytes = (size_t)own.model->n_elements * sizeof(float);
    assert_memory_equal(own.model->values, lent.model->values, bytes);
    assert_memory_equal(own.model->grads, lent.model->grads, bytes); /* zero between rows, too */
    assert_fails(
        dsm_stepper_run(&lent.stepper, 3, 1e-2, lent.tokens, lent.targets, N_SEQ + 1, &s, &err),
        DSM_ERANGE, "found 7 sequences, expected at most 6");
    lab_stop(&own);
    lab_stop(&lent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_allocates_inside_a_step),
        cmocka_unit_test(a_step_counts_what_it_did),
        cmocka_unit_test(the_distilled_router_freezes),
        cmocka_unit_test(only_matrices_decay),
        cmocka_unit_test(clipping_scales_only_what_is_too_long),
        cmocka_unit_test(what_is_not_finite_is_named),
        cmocka_unit_test(a_gradient_that_is_not_finite_is_named),
        cmocka_unit_test(where_activations_live_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
