/* SPDX-License-Identifier: MIT */
/* formats/gguf_*: models written as GGUF and read back, where rows go, which types tensors get, and
 * what is said of files that are no model. */
#include "unit/file_bench.h"

#include "formats/bind.h"
#include "formats/checkpoint.h"
#include "formats/gguf_config.h"
#include "formats/gguf_names.h"
#include "formats/gguf_save.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect_same_config(const dsm_model_config *a, const dsm_model_config *b)
{
    dsm_model_config x = *a, y = *b;
    /* what GGUF does not say, and the ids of a tokenizer that is not there */
    x.initializer_range = y.initializer_range;
    x.bos_token_id = x.eos_token_id = x.pad_token_id = -1;
    assert_memory_equal(x.model_type, y.model_type, sizeof x.model_type);
    dsm_err err;
    char *dir = test_make_dir();
    dsm_buf texts[2] = {{0}, {0}};
    const dsm_model_config *configs[2] = {&x, &y};
    for (int i = 0; i < 2; i++) {
        const char *path = test_path(dir, "config.json");
        assert_ok(dsm_model_config_write(configs[i], path, "f32", &err));
        assert_ok(dsm_fs_read(&texts[i], path, 1 << 20, &err));
    }
    assert_string_equal(texts[0].data, texts[1].data);
    dsm_buf_free(&texts[0]);
    dsm_buf_free(&texts[1]);
    test_remove_dir(dir);
}

static void round_trip(const dsm_model_config *c, dsm_dtype dtype, double relative)
{
    dsm_err err;
    file_bench b;
    dsm_model *mapped, *copied;
    file_bench_open(&b, c);
    assert_ok(file_bench_save(&b, dtype, false, &err));
    assert_ok(dsm_checkpoint_open(&mapped, b.path, 0, NULL, &err));
    assert_ok(dsm_checkpoint_open(&copied, b.path, DSM_MODEL_VALUES, NULL, &err));
    expect_same_config(c, &mapped->config);
    file_bench_compare(b.m, mapped, relative);
    file_bench_compare(mapped, copied, 0);
    dsm_model_free(mapped);
    dsm_model_free(copied);
    file_bench_close(&b);
}

static void reads_back_what_it_writes(void **state)
{
    (void)state;
    static const char *const types[] = {"llama", "deepseek"};
    static const struct {
        dsm_dtype dtype;
        double relative; /* half a step of a block's largest value, and its scale's rounding */
    } cases[] = {{DSM_F32, 0},           {DSM_BF16, 0x1p-8},    {DSM_F16, 0x1p-11},
                 {DSM_Q8_0, 0.57 / 127}, {DSM_Q4_0, 1.1 / 8},   {DSM_Q4_1, 1.1 / 15},
                 {DSM_Q4_K, 1.1 / 15},   {DSM_Q6_K, 0.57 / 127}};
    for (size_t t = 0; t < 2; t++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            dsm_model_config c = file_bench_config(types[t]);
            round_trip(&c, cases[i].dtype, cases[i].relative);
        }
    dsm_model_config c = file_bench_config("llama");
    c.tie_word_embeddings = true;
    c.attention_bias = true;
    c.rope_theta = 5e5;
    c.rope.kind = DSM_ROPE_YARN;
    c.rope.factor = 4;
    c.rope.original_max_position_embeddings = 8;
    round_trip(&c, DSM_F32, 0);
    c.hidden_size = 256; /* blocks of 256 */
    c.rope.kind = DSM_ROPE_LINEAR;
    round_trip(&c, DSM_Q4_K, 0.15);
    round_trip(&c, DSM_Q6_K, 0.04);
}

/* --- where rows go ---------------------------------------------------------------------------- */

/* In the file rows 2j and 2j + 1 of a head are rows j and j + Dh/2 of the parameter. */
static void pairs_stand_side_by_side(void **state)
{
    (void)state;
    dsm_err err;
    file_bench b;
    dsm_gguf *f;
    dsm_model_config c = file_bench_config("deepseek");
    c.attention_bias = true;
    file_bench_open(&b, &c);
    assert_ok(file_bench_save(&b, DSM_F32, false, &err));
    assert_ok(dsm_gguf_open(&f, b.path, &err));
    static const struct {
        const char *tensor, *parameter;
        int64_t heads;
    } cases[] = {{"blk.1.attn_q.weight", "model.layers.1.self_attn.q_proj.weight", 4},
                 {"blk.1.attn_k.weight", "model.layers.1.self_attn.k_proj.weight", 2},
                 {"blk.1.attn_q.bias", "model.layers.1.self_attn.q_proj.bias", 4},
                 {"blk.1.attn_k.bias", "model.layers.1.self_attn.k_proj.bias", 2}};
    for (size_t i = 0; i < 4; i++) {
        const float *found = dsm_gguf_find(f, cases[i].tensor)->data;
        const dsm_param *p = dsm_model_find(b.m, cases[i].parameter);
        const float *expected = p->mat.data;
        int64_t cols = p->ndim == 1 ? 1 : p->cols;
        for (int64_t h = 0; h < cases[i].heads; h++)
            for (int64_t j = 0; j < 4; j++)
                for (int64_t half = 0; half < 2; half++)
                    assert_memory_equal(found + (h * 8 + 2 * j + half) * cols,
                                        expected + (h * 8 + half * 4 + j) * cols,
                                        sizeof(float) * (size_t)cols);
    }
    const dsm_gguf_tensor *v = dsm_gguf_find(f, "blk.1.attn_v.weight");
    assert_memory_equal(
        v->data, dsm_model_find(b.m, "model.layers.1.self_attn.v_proj.weight")->mat.data, v->bytes);
    dsm_gguf_close(f);
    file_bench_close(&b);
}

static void experts_are_stacked_and_viewed(void **state)
{
    (void)state;
    dsm_err err;
    file_bench b;
    dsm_model *m;
    dsm_model_config c = file_bench_config("deepseek");
    file_bench_open(&b, &c);
    assert_ok(file_bench_save(&b, DSM_Q8_0, false, &err));
    assert_ok(dsm_checkpoint_open(&m, b.path, 0, NULL, &err));
    const dsm_mat *up = m->layers[1].moe.experts.up;
    for (int e = 1; e < 4; e++) /* one behind the other in the mapping: nothing was copied */
        assert_ptr_equal(up[e].data,
                         (const char *)up[0].data + (size_t)e * dsm_dtype_bytes(DSM_Q8_0, 32 * 32));
    const dsm_weights *w = dsm_bound_weights(m);
    assert_int_equal(w->n_files, 1);
    assert_true(w->stored < w->n);
    dsm_model_free(m);
    file_bench_close(&b);
}

/* A kv_b_proj in halves: heads 2, lora 3, nope 4, v 2. */
static void halves_make_kv_b_proj(void **state)
{
    (void)state;
    enum { H = 2, LORA = 3, NOPE = 4, V = 2 };
    dsm_err err;
    char *dir = test_make_dir();
    const char *path = test_path(dir, "halves.gguf");
    float k[H][LORA][NOPE], v[H][V][LORA];
    for (int i = 0; i < H * LORA * NOPE; i++)
        (&k[0][0][0])[i] = (float)i;
    for (int i = 0; i < H * V * LORA; i++)
        (&v[0][0][0])[i] = 100 + (float)i;
    const dsm_gguf_item items[] = {
        {"blk.3.attn_k_b.weight", 3, {H, LORA, NOPE}, DSM_F32},
        {"blk.3.attn_v_b.weight", 3, {H, V, LORA}, DSM_F32},
        {"blk.3.surprise", 1, {1}, DSM_F32},
    };
    dsm_gguf_meta meta = {0};
    dsm_gguf_writer writer;
    assert_ok(dsm_gguf_begin(&writer, path, &meta, items, 3, &err));
    assert_ok(dsm_gguf_write(&writer, k, sizeof k, &err));
    assert_ok(dsm_gguf_write(&writer, v, sizeof v, &err));
    assert_ok(dsm_gguf_write(&writer, v, 4, &err));
    assert_ok(dsm_gguf_commit(&writer, &err));
    dsm_model_config c = {
        .num_attention_heads = H, .kv_lora_rank = LORA, .qk_nope_head_dim = NOPE, .v_head_dim = V};
    dsm_gguf *f;
    dsm_weights *w;
    assert_ok(dsm_gguf_open(&f, path, &err));
    assert_ok(dsm_weights_of_gguf(&w, f, &c, &err));
    const dsm_st_tensor *t = dsm_weights_find(w, "model.layers.3.self_attn.kv_b_proj.weight");
    assert_non_null(t);
    assert_int_equal(t->shape[0], H * (NOPE + V));
    assert_int_equal(t->shape[1], LORA);
    const float *found = t->data;
    for (int h = 0; h < H; h++)
        for (int r = 0; r < NOPE + V; r++)
            for (int i = 0; i < LORA; i++)
                assert_true(found[(h * (NOPE + V) + r) * LORA + i] ==
                            (r < NOPE ? k[h][i][r] : v[h][r - NOPE][i]));
    assert_non_null(dsm_weights_find(w, "blk.3.surprise"));
    assert_int_equal(w->n, 2);
    dsm_weights_close(w);
    c.v_head_dim = 3;
    assert_ok(dsm_gguf_open(&f, path, &err));
    assert_fails(dsm_weights_of_gguf(&w, f, &c, &err), DSM_ESHAPE, "attn_k_b.weight (F32)");
    dsm_gguf_meta_free(&meta);
    test_remove_dir(dir);
}

/* Blocks of 5 bits by their definition; value i is 5 bits of 3 i + 1. */
static void turns_old_blocks_into_known_ones(void **state)
{
    (void)state;
    enum { ROWS = 2 };
    dsm_err err;
    dsm_model_config c = {.num_attention_heads = 1};
    for (int kind = 0; kind < 2; kind++) { /* q5_0 and q5_1 */
        dsm_buf b = {0};
        dsm_gguf *f;
        dsm_weights *w;
        size_t name = strlen("token_embd.weight");
        const uint64_t head[] = {0x0000000346554747, 1, 0, name};
        const uint64_t dims[] = {32, ROWS};
        const uint32_t n_dims = 2, type = kind ? 7 : 6;
        dsm_buf_add(&b, head, sizeof head);
        dsm_buf_str(&b, "token_embd.weight");
        dsm_buf_add(&b, &n_dims, 4);
        dsm_buf_add(&b, dims, sizeof dims);
        dsm_buf_add(&b, &type, 4);
        dsm_buf_add(&b, &(uint64_t){0}, 8);
        while (b.len % 32 != 0)
            dsm_buf_add(&b, "", 1);
        for (int r = 0; r < ROWS; r++) {
            uint8_t low[16] = {0};
            uint32_t high = 0;
            for (int i = 0; i < 32; i++) {
                unsigned q = (unsigned)(3 * i + 1) & 31;
                low[i % 16] |= (uint8_t)((q & 15) << (i < 16 ? 0 : 4));
                high |= (uint32_t)(q >> 4) << i;
            }
            dsm_buf_add(&b, &(uint16_t){dsm_f32_to_f16(0.5f)}, 2);
            if (kind) dsm_buf_add(&b, &(uint16_t){dsm_f32_to_f16(-3.0f)}, 2);
            dsm_buf_add(&b, &high, 4);
            dsm_buf_add(&b, low, sizeof low);
        }
        assert_ok(dsm_gguf_open_memory(&f, b.data, b.len, "old", &err));
        assert_ok(dsm_weights_of_gguf(&w, f, &c, &err));
        const dsm_st_tensor *t = dsm_weights_find(w, "model.embed_tokens.weight");
        assert_int_equal(t->dtype, kind ? DSM_F16 : DSM_Q8_0);
        dsm_real x[32 * ROWS];
        dsm_dtype_load(x, t->data, t->dtype, 32 * ROWS);
        for (int i = 0; i < 32 * ROWS; i++) {
            float q = (float)((3 * (i % 32) + 1) & 31);
            assert_true(x[i] == (kind ? 0.5f * q - 3.0f : 0.5f * (q - 16)));
        }
        dsm_weights_close(w);
        dsm_buf_free(&b);
    }
}

/* --- types ------------------------------------------------------------------------------------ */

static void chooses_types_that_fit(void **state)
{
    (void)state;
    dsm_model_config c = {.tie_word_embeddings = false};
    static const struct {
        const char *name;
        int ndim;
        int64_t cols;
        dsm_dtype wanted, expected;
    } cases[] = {
        {"model.norm.weight", 1, 256, DSM_Q4_K, DSM_F32},
        {"model.layers.0.mlp.gate.weight", 2, 256, DSM_Q8_0, DSM_F32},
        {"model.layers.0.mlp.gate_proj.weight", 2, 256, DSM_Q4_K, DSM_Q4_K},
        {"model.layers.0.mlp.gate_proj.weight", 2, 128, DSM_Q4_K, DSM_Q4_1},
        {"model.layers.0.mlp.gate_proj.weight", 2, 128, DSM_Q5_K, DSM_Q8_0},
        {"model.layers.0.mlp.gate_proj.weight", 2, 128, DSM_Q6_K, DSM_Q8_0},
        {"model.layers.0.mlp.gate_proj.weight", 2, 100, DSM_Q4_K, DSM_F16},
        {"model.layers.0.mlp.gate_proj.weight", 2, 100, DSM_Q8_0, DSM_F16},
        {"model.layers.0.mlp.gate_proj.weight", 2, 100, DSM_BF16, DSM_BF16},
        {"lm_head.weight", 2, 256, DSM_Q4_0, DSM_Q6_K},
        {"lm_head.weight", 2, 128, DSM_Q4_0, DSM_Q8_0},
        {"lm_head.weight", 2, 256, DSM_Q8_0, DSM_Q8_0},
        {"model.embed_tokens.weight", 2, 256, DSM_Q4_0, DSM_Q4_0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s", cases[i].name);
        const dsm_param p = {.name = name, .ndim = cases[i].ndim, .rows = 1, .cols = cases[i].cols};
        assert_string_equal(dsm_dtype_name(dsm_gguf_save_dtype(&c, &p, cases[i].wanted)),
                            dsm_dtype_name(cases[i].expected));
    }
    c.tie_word_embeddings = true;
    char embed[] = "model.embed_tokens.weight";
    const dsm_param p = {.name = embed, .ndim = 2, .rows = 1, .cols = 256};
    assert_int_equal(dsm_gguf_save_dtype(&c, &p, DSM_Q4_0), DSM_Q6_K);
}

static void names_go_both_ways(void **state)
{
    (void)state;
    static const char *const wrong[] = {"blk.01.attn_q.weight", "blk..attn_q.weight",
                                        "blk.1.attn_q.weightx", "blk.1234567890.attn_q.weight",
                                        "output.weight ",       ""};
    int64_t layer, expert;
    char text[DSM_GGUF_PARAMETER_MAX];
    const dsm_gguf_name *n = dsm_gguf_name_of_parameter(
        "model.layers.12.mlp.experts.7.down_proj.weight", &layer, &expert);
    assert_non_null(n);
    assert_int_equal(layer, 12);
    assert_int_equal(expert, 7);
    dsm_gguf_name_tensor(text, sizeof text, n, layer);
    assert_string_equal(text, "blk.12.ffn_down_exps.weight");
    assert_ptr_equal(dsm_gguf_name_of_tensor(text, &layer), n);
    dsm_gguf_name_parameter(text, sizeof text, n, 3, 5);
    assert_string_equal(text, "model.layers.3.mlp.experts.5.down_proj.weight");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_null(dsm_gguf_name_of_tensor(wrong[i], &layer));
}

/* --- what is said ----------------------------------------------------------------------------- */

static void a_different_router(dsm_model_config *c)
{
    c->router = DSM_ROUTER_GSHARD;
}

static void a_router_of_latents(dsm_model_config *c)
{
    *c = file_bench_config("deepseek_v2");
    c->n_routed_experts = 4, c->num_experts_per_tok = 2;
    c->router = DSM_ROUTER_EXPERT_CHOICE;
}

static void a_bias(dsm_model_config *c)
{
    c->bias = DSM_BIAS_ADDITIVE;
}

static void norms(dsm_model_config *c)
{
    c->norm_topk_prob = true;
}

static void scales(dsm_model_config *c)
{
    c->routed_scaling_factor = 2;
}

static void alternates(dsm_model_config *c)
{
    c->moe_layer_freq = 2;
}

static void rotates_dynamically(dsm_model_config *c)
{
    c->rope.kind = DSM_ROPE_DYNAMIC;
    c->rope.factor = 2;
}

static void refuses_what_gguf_cannot_say(void **state)
{
    (void)state;
    static const struct {
        void (*change)(dsm_model_config *c);
        const char *message;
    } cases[] = {
        {a_different_router, "a router other than softmax"},
        {a_router_of_latents, "a router other than softmax and sigmoid"},
        {a_bias, "a selection bias"},
        {norms, "norm_topk_prob"},
        {scales, "routed_scaling_factor"},
        {alternates, "moe_layer_freq"},
        {rotates_dynamically, "dynamic"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dsm_err err;
        dsm_gguf_meta meta = {0};
        dsm_model_config c = file_bench_config("deepseek");
        cases[i].change(&c);
        assert_fails(dsm_gguf_config_put(&meta, &c, DSM_F32, "m", &err), DSM_EFORMAT,
                     cases[i].message);
        dsm_gguf_meta_free(&meta);
    }
}

/* A file without tensors that says some things of a llama. */
static void expect_refused(void (*say)(dsm_gguf_meta *m), dsm_status code, const char *message)
{
    dsm_err err;
    char *dir = test_make_dir();
    const char *path = test_path(dir, "m.gguf");
    dsm_gguf_meta meta = {0};
    dsm_gguf_writer w;
    dsm_model *m;
    say(&meta);
    assert_ok(dsm_gguf_begin(&w, path, &meta, NULL, 0, &err));
    assert_ok(dsm_gguf_commit(&w, &err));
    assert_fails(dsm_checkpoint_open(&m, path, 0, NULL, &err), code, message);
    dsm_gguf_meta_free(&meta);
    test_remove_dir(dir);
}

static void says_nothing(dsm_gguf_meta *m)
{
    (void)m;
}

static void says_mamba(dsm_gguf_meta *m)
{
    dsm_gguf_put_text(m, "general.architecture", "mamba");
}

static void says_one_of_two(dsm_gguf_meta *m)
{
    dsm_gguf_put_u32(m, "split.count", 2);
}

static void says_llama(dsm_gguf_meta *m)
{
    dsm_model_config c = file_bench_config("llama");
    assert_int_equal(dsm_gguf_config_put(m, &c, DSM_F32, "m", NULL), DSM_OK);
}

static void says_mixtral(dsm_gguf_meta *m)
{
    says_llama(m);
    dsm_gguf_put_u32(m, "llama.expert_count", 8);
}

static void rotates_half_a_head(dsm_gguf_meta *m)
{
    dsm_gguf_put_text(m, "general.architecture", "llama");
    dsm_gguf_put_u32(m, "llama.attention.key_length", 8);
    dsm_gguf_put_u32(m, "llama.rope.dimension_count", 4);
}

static void says_heads_in_words(dsm_gguf_meta *m)
{
    dsm_gguf_put_text(m, "general.architecture", "llama");
    dsm_gguf_put_text(m, "llama.attention.head_count", "four");
}

static void tells_what_is_wrong(void **state)
{
    (void)state;
    expect_refused(says_nothing, DSM_EFORMAT, "general.architecture: found nothing");
    expect_refused(says_mamba, DSM_EFORMAT, "found mamba, expected llama, deepseek or deepseek2");
    expect_refused(
        says_one_of_two, DSM_EFORMAT,
        "part 1 of 2 of a model; name the first one, which ends in -00001-of-00002.gguf");
    expect_refused(says_mixtral, DSM_EFORMAT, "llama.expert_count: found 8");
    expect_refused(rotates_half_a_head, DSM_EFORMAT, "llama.rope.dimension_count: found 4");
    expect_refused(says_heads_in_words, DSM_EFORMAT, "head_count: found string");
    expect_refused(says_llama, DSM_ESHAPE, "tensors missing (model.embed_tokens.weight");
}

static bool stop_at_once(void *arg, double done, double total)
{
    (void)arg;
    assert_true(done > 0 && done <= total);
    return false;
}

static void a_stopped_job_leaves_nothing(void **state)
{
    (void)state;
    dsm_err err;
    file_bench b;
    dsm_gguf_meta meta = {0};
    dsm_model_config c = file_bench_config("llama");
    file_bench_open(&b, &c);
    dsm_save_options o = {.exec = &b.exec, .progress = stop_at_once};
    assert_fails(dsm_gguf_save(b.m, b.path, &meta, &o, &err), DSM_EINTERRUPTED,
                 "nothing was written");
    assert_false(dsm_fs_exists(b.path));
    file_bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_what_it_writes),
        cmocka_unit_test(pairs_stand_side_by_side),
        cmocka_unit_test(experts_are_stacked_and_viewed),
        cmocka_unit_test(halves_make_kv_b_proj),
        cmocka_unit_test(turns_old_blocks_into_known_ones),
        cmocka_unit_test(chooses_types_that_fit),
        cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(refuses_what_gguf_cannot_say),
        cmocka_unit_test(tells_what_is_wrong),
        cmocka_unit_test(a_stopped_job_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
