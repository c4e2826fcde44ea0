/* SPDX-License-Identifier: MIT */
/* formats/gguf_*: what models of other times and places look like: Llama 3's rotary scaling, models
 * in several files, latent attention before it was split. */
#include "unit/file_bench.h"

#include "formats/bind.h"
#include "formats/checkpoint.h"
#include "formats/gguf_config.h"
#include "formats/gguf_names.h"
#include "formats/gguf_rope.h"
#include "model/rope.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- rotary scaling of Llama 3 --------------------------------------------------------------- */

/* The file's divisors come back as the numbers they came from, or as others that do the same. */
static void llama3_scaling_is_a_tensor(void **state)
{
    (void)state;
    static const struct {
        int64_t head_dim, original;
        double theta, factor, low, high;
    } cases[] = {
        {64, 8192, 5e5, 32, 1, 4},    /* Llama 3.2 1B */
        {128, 8192, 5e5, 8, 1, 4},    /* Llama 3.1 8B */
        {8, 128, 1e4, 8, 1, 4},       /* one pair inside the band */
        {8, 128, 1e4, 8, 3, 4},       /* none */
        {16, 64, 100, 2.5, 0.3, 5.5}, /* odd ones */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dsm_err err;
        file_bench b;
        dsm_gguf *f;
        dsm_model_config c = file_bench_config("llama"), back;
        c.head_dim = cases[i].head_dim;
        c.rope_theta = cases[i].theta;
        c.rope.kind = DSM_ROPE_LLAMA3;
        c.rope.original_max_position_embeddings = cases[i].original;
        c.rope.factor = cases[i].factor;
        c.rope.low_freq_factor = cases[i].low;
        c.rope.high_freq_factor = cases[i].high;
        file_bench_open(&b, &c);
        assert_ok(file_bench_save(&b, DSM_F32, false, &err));
        assert_ok(dsm_gguf_open(&f, b.path, &err));
        const dsm_gguf_tensor *t = dsm_gguf_find(f, "rope_freqs.weight");
        assert_int_equal(t->shape[0], c.head_dim / 2);
        assert_true(((const float *)t->data)[0] == 1); /* fast ones keep their pace */
        assert_ok(dsm_gguf_config_read(&back, f, &err));
        assert_int_equal(back.rope.kind, DSM_ROPE_LLAMA3);
        for (int64_t j = 0; j < c.head_dim / 2; j++)
            assert_true(fabs(dsm_rope_slowdown(&back, j) / dsm_rope_slowdown(&c, j) - 1) < 1e-4);
        if (i < 2) { /* the very numbers */
            assert_true(back.rope.low_freq_factor == 1 && back.rope.high_freq_factor == 4);
            assert_true(back.rope.factor == c.rope.factor);
        }
        dsm_gguf_close(f);
        file_bench_close(&b);
    }
}

static void other_divisors_are_refused(void **state)
{
    (void)state;
    dsm_err err;
    dsm_model_config c = file_bench_config("llama");
    const dsm_real none[4] = {1, 1, 1, 1}, down[4] = {8, 4, 1, 1}, below[4] = {0.5f, 1, 1, 1};
    const dsm_real bent[6] = {1, 3, 3.5f, 4, 7, 8};
    c.rope.original_max_position_embeddings = 128;
    assert_ok(dsm_gguf_rope_fit(&c, none, 4, "test", &err));
    assert_int_equal(c.rope.kind, DSM_ROPE_DEFAULT);
    assert_fails(dsm_gguf_rope_fit(&c, none, 3, "test", &err), DSM_EFORMAT, "4 pairs");
    assert_fails(dsm_gguf_rope_fit(&c, down, 4, "test", &err), DSM_EFORMAT, "type llama3");
    assert_fails(dsm_gguf_rope_fit(&c, below, 4, "test", &err), DSM_EFORMAT, "type llama3");
    c.head_dim = 12;
    assert_fails(dsm_gguf_rope_fit(&c, bent, 6, "test", &err), DSM_EFORMAT, "type llama3");
}

/* --- a model in several files ---------------------------------------------------------------- */

static const char *part_path(const file_bench *b, int i, int n)
{
    char name[64];
    snprintf(name, sizeof name, "m-%05d-of-%05d.gguf", i + 1, n);
    return test_path(b->dir, name);
}

/* Tensors [first, last) of a file as part i of n; the first part has the model's metadata. */
static void write_part(const file_bench *b, const dsm_gguf *f, int64_t first, int64_t last, int i,
                       int n)
{
    dsm_err err;
    dsm_gguf_meta meta = {0};
    dsm_gguf_writer w;
    dsm_gguf_item items[64];
    if (i == 0) assert_ok(dsm_gguf_config_put(&meta, &b->m->config, DSM_F32, "test", &err));
    dsm_gguf_put_u32(&meta, "split.no", (uint32_t)i);
    dsm_gguf_put_u32(&meta, "split.count", (uint32_t)n);
    dsm_gguf_put_u32(&meta, "split.tensors.count", (uint32_t)dsm_gguf_n_tensors(f));
    assert_true(last - first <= 64);
    for (int64_t k = first; k < last; k++) {
        const dsm_gguf_tensor *t = dsm_gguf_tensor_at(f, k);
        items[k - first] = (dsm_gguf_item){.name = t->name, .ndim = t->ndim, .dtype = t->dtype};
        memcpy(items[k - first].shape, t->shape, sizeof t->shape);
    }
    assert_ok(dsm_gguf_begin(&w, part_path(b, i, n), &meta, items, last - first, &err));
    for (int64_t k = first; k < last; k++)
        assert_ok(dsm_gguf_write(&w, dsm_gguf_tensor_at(f, k)->data,
                                 dsm_gguf_tensor_at(f, k)->bytes, &err));
    assert_ok(dsm_gguf_commit(&w, &err));
    dsm_gguf_meta_free(&meta);
}

static void reads_a_model_in_parts(void **state)
{
    (void)state;
    dsm_err err;
    file_bench b;
    dsm_gguf *f;
    dsm_model *m;
    dsm_model_config c = file_bench_config("deepseek");
    file_bench_open(&b, &c);
    assert_ok(file_bench_save(&b, DSM_F32, false, &err));
    assert_ok(dsm_gguf_open(&f, b.path, &err));
    int64_t n = dsm_gguf_n_tensors(f);
    write_part(&b, f, 0, 3, 0, 3);
    write_part(&b, f, 3, n - 1, 1, 3);
    write_part(&b, f, n - 1, n, 2, 3);
    assert_ok(dsm_checkpoint_open(&m, part_path(&b, 0, 3), 0, NULL, &err));
    assert_int_equal(dsm_bound_weights(m)->n_files, 3);
    file_bench_compare(b.m, m, 0);
    dsm_model_free(m);
    assert_fails(dsm_checkpoint_open(&m, part_path(&b, 1, 3), 0, NULL, &err), DSM_EFORMAT,
                 "part 2 of 3 of a model; name the first one, which ends in -00001-of-00003.gguf");
    write_part(&b, f, 3, n - 2, 1, 3); /* one is missing */
    assert_fails(dsm_checkpoint_open(&m, part_path(&b, 0, 3), 0, NULL, &err), DSM_EFORMAT,
                 "its parts hold");
    write_part(&b, f, 2, n - 1, 1, 3); /* one is there twice */
    assert_fails(dsm_checkpoint_open(&m, part_path(&b, 0, 3), 0, NULL, &err), DSM_EFORMAT,
                 "its parts hold");
    assert_int_equal(rename(part_path(&b, 2, 3), part_path(&b, 1, 3)), 0);
    assert_fails(dsm_checkpoint_open(&m, part_path(&b, 0, 3), 0, NULL, &err), DSM_EFORMAT,
                 "says it is part 3 of 3, expected part 2 of 3");
    unlink(part_path(&b, 1, 3));
    assert_fails(dsm_checkpoint_open(&m, part_path(&b, 0, 3), 0, NULL, &err), DSM_ENOTFOUND,
                 "m-00002-of-00003.gguf");
    dsm_gguf_close(f);
    file_bench_close(&b);
}

/* --- deepseek2 of old --------------------------------------------------------------------------
 */

static dsm_model_config latent_config(void)
{
    dsm_model_config c = file_bench_config("deepseek_v2");
    c.num_key_value_heads = 4;
    c.q_lora_rank = 0;
    c.kv_lora_rank = 16;
    c.qk_nope_head_dim = 8;
    c.qk_rope_head_dim = 4;
    c.head_dim = 12;
    c.v_head_dim = 6;
    c.n_routed_experts = 4;
    c.num_experts_per_tok = 2;
    c.n_shared_experts = 1;
    c.first_k_dense_replace = 1;
    return c;
}

/* Keys as they were written before attn_kv_b was split: plain head sizes, no gating function. */
static void put_old_keys(dsm_gguf_meta *m, const dsm_model_config *c)
{
    const struct {
        const char *key;
        int64_t value;
    } keys[] = {{"context_length", c->max_position_embeddings},
                {"embedding_length", c->hidden_size},
                {"block_count", c->num_hidden_layers},
                {"feed_forward_length", c->intermediate_size},
                {"attention.head_count", c->num_attention_heads},
                {"attention.head_count_kv", c->num_key_value_heads},
                {"attention.key_length", c->head_dim},
                {"attention.value_length", c->v_head_dim},
                {"attention.kv_lora_rank", c->kv_lora_rank},
                {"rope.dimension_count", c->qk_rope_head_dim},
                {"leading_dense_block_count", c->first_k_dense_replace},
                {"vocab_size", c->vocab_size},
                {"expert_feed_forward_length", c->moe_intermediate_size},
                {"expert_count", c->n_routed_experts},
                {"expert_used_count", c->num_experts_per_tok},
                {"expert_shared_count", c->n_shared_experts}};
    char text[96];
    dsm_gguf_put_text(m, "general.architecture", "deepseek2");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(text, sizeof text, "deepseek2.%s", keys[i].key);
        dsm_gguf_put_u32(m, text, (uint32_t)keys[i].value);
    }
    dsm_gguf_put_f32(m, "deepseek2.attention.layer_norm_rms_epsilon", (float)c->rms_norm_eps);
    dsm_gguf_put_f32(m, "deepseek2.rope.freq_base", (float)c->rope_theta);
    dsm_gguf_put_f32(m, "deepseek2.expert_weights_scale", 1.0f);
}

/* The file as it is written today with attn_kv_b, whole, in the place of its halves. */
static void write_old_file(const file_bench *b, const dsm_gguf *f)
{
    dsm_err err;
    dsm_gguf_meta meta = {0};
    dsm_gguf_writer w;
    dsm_gguf_item items[64];
    const void *data[64];
    char names[64][64];
    int64_t n = 0, layer;
    put_old_keys(&meta, &b->m->config);
    for (int64_t i = 0; i < dsm_gguf_n_tensors(f); i++) {
        const dsm_gguf_tensor *t = dsm_gguf_tensor_at(f, i);
        const dsm_gguf_name *name = dsm_gguf_name_of_tensor(t->name, &layer);
        if (name->form == DSM_GGUF_KV_VALUE) continue;
        snprintf(names[n], sizeof names[n], "%s", t->name);
        items[n] = (dsm_gguf_item){.name = names[n], .ndim = t->ndim, .dtype = t->dtype};
        memcpy(items[n].shape, t->shape, sizeof t->shape);
        data[n] = t->data;
        if (name->form == DSM_GGUF_KV_KEY) {
            char parameter[96];
            snprintf(parameter, sizeof parameter, "model.layers.%d.self_attn.kv_b_proj.weight",
                     (int)layer);
            snprintf(names[n], sizeof names[n], "blk.%d.attn_kv_b.weight", (int)layer);
            const dsm_param *p = dsm_model_find(b->m, parameter);
            items[n] = (dsm_gguf_item){names[n], 2, {p->rows, p->cols}, DSM_F32};
            data[n] = p->mat.data;
        }
        n++;
    }
    assert_ok(dsm_gguf_begin(&w, test_path(b->dir, "old.gguf"), &meta, items, n, &err));
    for (int64_t i = 0; i < n; i++)
        assert_ok(dsm_gguf_write(&w, data[i], dsm_gguf_item_bytes(&items[i]), &err));
    assert_ok(dsm_gguf_commit(&w, &err));
    dsm_gguf_meta_free(&meta);
}

static void reads_latent_attention_of_old_files(void **state)
{
    (void)state;
    dsm_err err;
    file_bench b;
    dsm_gguf *f;
    dsm_model *m;
    dsm_model_config c = latent_config();
    file_bench_open(&b, &c);
    assert_ok(file_bench_save(&b, DSM_F32, false, &err));
    assert_ok(dsm_gguf_open(&f, b.path, &err));
    write_old_file(&b, f);
    assert_null(dsm_gguf_find(f, "blk.0.attn_kv_b.weight"));
    dsm_gguf_close(f);
    assert_ok(dsm_checkpoint_open(&m, test_path(b.dir, "old.gguf"), 0, NULL, &err));
    assert_string_equal(m->config.model_type, "deepseek_v2");
    assert_int_equal(m->config.qk_nope_head_dim, 8);
    assert_int_equal(m->config.v_head_dim, 6);
    file_bench_compare(b.m, m, 0);
    dsm_model_free(m);
    file_bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama3_scaling_is_a_tensor),
        cmocka_unit_test(other_divisors_are_refused),
        cmocka_unit_test(reads_a_model_in_parts),
        cmocka_unit_test(reads_latent_attention_of_old_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
