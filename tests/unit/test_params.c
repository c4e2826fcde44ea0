/* SPDX-License-Identifier: MIT */
/* The parameter table: names and shapes of released models, layout of the flat arrays, views on
 * them and on values in other types, and initialisation. */
#include "support/support.h"

#include "model/params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static dsm_model_config small(void)
{
    dsm_model_config c;
    dsm_model_config_defaults(&c);
    strcpy(c.model_type, "deepseek");
    c.vocab_size = 50, c.hidden_size = 20, c.intermediate_size = 24, c.moe_intermediate_size = 8;
    c.num_hidden_layers = 3, c.num_attention_heads = 4, c.num_key_value_heads = 2, c.head_dim = 6;
    c.n_shared_experts = 2, c.n_routed_experts = 5, c.num_experts_per_tok = 2;
    c.first_k_dense_replace = 1;
    return c;
}

static dsm_model *create(const dsm_model_config *c, unsigned flags)
{
    dsm_model *m;
    dsm_err err;
    assert_ok(dsm_model_create(&m, c, flags, &err));
    return m;
}

static void assert_shape(const dsm_model *m, const char *name, int ndim, int64_t rows, int64_t cols)
{
    const dsm_param *p = dsm_model_find(m, name);
    if (!p) fail_msg("there is no %s", name);
    if (p->ndim != ndim || p->rows != rows || p->cols != cols)
        fail_msg("%s: (%lld, %lld), expected (%lld, %lld)", name, (long long)p->rows,
                 (long long)p->cols, (long long)rows, (long long)cols);
}

/* DeepSeekMoE 16B, without memory for its values: 28 layers, the first dense. */
static void names_are_those_of_the_16b(void **state)
{
    (void)state;
    dsm_model_config c;
    dsm_model_config_defaults(&c);
    strcpy(c.model_type, "deepseek");
    c.hidden_size = 2048, c.intermediate_size = 10944, c.moe_intermediate_size = 1408;
    c.num_hidden_layers = 28, c.num_attention_heads = c.num_key_value_heads = 16;
    c.n_shared_experts = 2, c.n_routed_experts = 64, c.num_experts_per_tok = 6;
    c.first_k_dense_replace = 1;
    dsm_model *m = create(&c, 0);
    assert_int_equal(m->n_params, 3 + 28 * 6 + 3 + 27 * (1 + 64 * 3 + 3));
    assert_shape(m, "model.embed_tokens.weight", 2, 102400, 2048);
    assert_shape(m, "lm_head.weight", 2, 102400, 2048);
    assert_shape(m, "model.norm.weight", 1, 1, 2048);
    assert_shape(m, "model.layers.0.mlp.gate_proj.weight", 2, 10944, 2048);
    assert_shape(m, "model.layers.27.self_attn.o_proj.weight", 2, 2048, 2048);
    assert_shape(m, "model.layers.27.input_layernorm.weight", 1, 1, 2048);
    assert_shape(m, "model.layers.27.post_attention_layernorm.weight", 1, 1, 2048);
    assert_shape(m, "model.layers.1.mlp.gate.weight", 2, 64, 2048);
    assert_shape(m, "model.layers.1.mlp.experts.63.down_proj.weight", 2, 2048, 1408);
    assert_shape(m, "model.layers.1.mlp.experts.0.up_proj.weight", 2, 1408, 2048);
    assert_shape(m, "model.layers.1.mlp.shared_experts.gate_proj.weight", 2, 2816, 2048);
    assert_null(dsm_model_find(m, "model.layers.0.mlp.gate.weight"));
    assert_null(dsm_model_find(m, "model.layers.1.mlp.experts.64.up_proj.weight"));
    assert_null(dsm_model_find(m, "model.layers.1.self_attn.q_proj.bias"));
    dsm_model_free(m);
}

static void rows_are_aligned_and_apart(void **state)
{
    (void)state;
    dsm_model_config c = small();
    c.attention_bias = true;
    dsm_model *m = create(&c, DSM_MODEL_VALUES | DSM_MODEL_GRADS);
    int64_t end = 0;
    for (int64_t i = 0; i < m->n_params; i++) {
        const dsm_param *p = &m->params[i];
        assert_true(p->offset >= end && p->offset % 16 == 0);
        assert_ptr_equal(p->mat.data, m->values + p->offset);
        assert_int_equal(p->decay, p->ndim == 2);
        end = p->offset + p->rows * p->cols;
    }
    assert_true(end <= m->n_elements);
    assert_ptr_equal(m->layers[1].attn.gqa.bk.w,
                     dsm_model_find(m, "model.layers.1.self_attn.k_proj.bias")->mat.data);
    dsm_model_free(m);
}

static void state_rows_belong_to_the_model(void **state)
{
    (void)state;
    dsm_model_config c = small();
    c.bias = DSM_BIAS_MULTIPLICATIVE;
    dsm_model *m = create(&c, 0);
    const dsm_param *p = dsm_model_find(m, "model.layers.2.mlp.gate.e_score_correction_bias");
    assert_non_null(p);
    assert_int_equal(p->offset, -1);
    assert_ptr_equal(p->mat.data, m->layers[2].moe.bias);
    assert_true(m->layers[2].moe.bias[4] == 1);
    dsm_model_free(m);

    c = small();
    c.router = DSM_ROUTER_HASH, c.num_experts_per_tok = 1;
    m = create(&c, 0);
    p = dsm_model_find(m, "model.layers.1.mlp.gate.hash_table");
    assert_non_null(p);
    assert_true(p->offset == -1 && p->mat.dtype == DSM_I32 && p->cols == 50);
    assert_ptr_equal(p->mat.data, m->layers[1].moe.hash);
    assert_null(dsm_model_find(m, "model.layers.1.mlp.gate.weight"));
    dsm_model_free(m);
}

/* Values of a file: bf16 and unaligned. Norms are converted, matrices are seen where they are. */
static void a_mapping_can_be_bound(void **state)
{
    (void)state;
    dsm_model_config c = small();
    c.tie_word_embeddings = true;
    dsm_model *m = create(&c, 0);
    dsm_err err;
    assert_fails(dsm_model_bind(m, &err), DSM_ESHAPE, "model.embed_tokens.weight: found no values");
    unsigned char *file = malloc(1 + 2 * 50 * 24);
    for (int i = 0; i < 50 * 24; i++) {
        uint16_t v = dsm_f32_to_bf16((float)(i % 7));
        memcpy(file + 1 + 2 * i, &v, 2);
    }
    for (int64_t i = 0; i < m->n_params; i++) {
        m->params[i].mat.data = file + 1;
        m->params[i].mat.dtype = DSM_BF16;
    }
    assert_ok(dsm_model_bind(m, &err));
    for (int i = 0; i < 20; i++) {
        assert_true(m->norm.w[i] == (float)(i % 7));
        assert_true(m->layers[2].ffn_norm.w[i] == (float)(i % 7));
    }
    assert_int_equal(m->layers[1].moe.experts.down[4].dtype, DSM_BF16);
    assert_ptr_equal(m->layers[1].moe.experts.down[4].data, file + 1);
    assert_ptr_equal(m->head.w.data, m->embed.w.data);
    assert_false(m->layers[1].moe.experts.merged); /* all rows are one place here */
    free(file);
    dsm_model_free(m);
}

/* --- initialisation --------------------------------------------------------------------------- */

static void initialise(dsm_model *m, int threads, uint64_t seed)
{
    dsm_exec x;
    dsm_err err;
    dsm_kernels k;
    dsm_kernels_init(&k, 0);
    assert_ok(dsm_exec_init(&x, &k, threads, &err));
    dsm_model_init_random(m, &x, seed);
    dsm_exec_free(&x);
}

static void values_depend_on_seed_and_name_alone(void **state)
{
    (void)state;
    dsm_model_config c = small();
    dsm_model *a = create(&c, DSM_MODEL_VALUES), *b = create(&c, DSM_MODEL_VALUES);
    initialise(a, 1, 7);
    initialise(b, 3, 7);
    assert_memory_equal(a->values, b->values, sizeof(dsm_real) * (size_t)a->n_elements);
    initialise(b, 1, 8);
    assert_memory_not_equal(a->embed.w.data, b->embed.w.data, 100);
    dsm_model_free(b);
    c.first_k_dense_replace = 0; /* other layers, other places; the same name, the same values */
    b = create(&c, DSM_MODEL_VALUES);
    initialise(b, 1, 7);
    assert_memory_equal(a->layers[2].attn.gqa.q.w.data, b->layers[2].attn.gqa.q.w.data,
                        sizeof(dsm_real) * 24 * 20);
    assert_memory_not_equal(a->layers[2].attn.gqa.q.w.data, a->layers[1].attn.gqa.q.w.data, 100);
    dsm_model_free(a);
    dsm_model_free(b);
}

/* 50 000 draws: the mean errs by 1 / 224 and the deviation by 1 / 316 of sigma; four of each. */
static void values_are_normal(void **state)
{
    (void)state;
    dsm_model_config c = small();
    c.vocab_size = 2500, c.initializer_range = 0.006;
    dsm_model *m = create(&c, DSM_MODEL_VALUES);
    initialise(m, 2, 1);
    const dsm_real *w = m->embed.w.data;
    double sum = 0, squares = 0, beyond = 0, n = 50000;
    for (int i = 0; i < 50000; i++) {
        double z = (double)w[i] / 0.006;
        sum += z;
        squares += z * z;
        beyond += fabs(z) > 2;
    }
    assert_true(fabs(sum / n) < 4.0 / 224);
    assert_true(fabs(sqrt(squares / n) - 1) < 4.0 / 316);
    assert_true(fabs(beyond / n - 0.0455) < 0.004); /* 0.00093 each */
    assert_true(m->norm.w[19] == 1);
    dsm_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_the_16b),
        cmocka_unit_test(rows_are_aligned_and_apart),
        cmocka_unit_test(state_rows_belong_to_the_model),
        cmocka_unit_test(a_mapping_can_be_bound),
        cmocka_unit_test(values_depend_on_seed_and_name_alone),
        cmocka_unit_test(values_are_normal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
