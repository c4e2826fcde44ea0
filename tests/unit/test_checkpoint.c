/* SPDX-License-Identifier: MIT */
/* formats/checkpoint: round trips in every dtype and sharding, where a model is looked for, and
 * what is said about folders that are damaged. */
#define _XOPEN_SOURCE 700
#include "support/support.h"

#include "core/json.h"
#include "formats/bind.h"
#include "formats/checkpoint.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static dsm_model_config small_config(void)
{
    dsm_model_config c;
    dsm_model_config_defaults(&c);
    strcpy(c.model_type, "deepseek");
    c.vocab_size = 19;
    c.hidden_size = 8;
    c.intermediate_size = 12;
    c.moe_intermediate_size = 4;
    c.num_hidden_layers = 2;
    c.num_attention_heads = c.num_key_value_heads = 2;
    c.head_dim = 4;
    c.max_position_embeddings = 32;
    c.n_routed_experts = 4;
    c.num_experts_per_tok = 2;
    c.n_shared_experts = 1;
    c.first_k_dense_replace = 1;
    c.bos_token_id = 0;
    c.eos_token_id = 1;
    return c;
}

static dsm_model *random_model(const dsm_model_config *c)
{
    dsm_err err;
    dsm_model *m;
    assert_ok(dsm_model_create(&m, c, DSM_MODEL_VALUES, &err));
    dsm_exec x;
    dsm_kernels kernels;
    dsm_kernels_init(&kernels, 0);
    assert_ok(dsm_exec_init(&x, &kernels, 1, &err));
    dsm_model_init_random(m, &x, 7);
    dsm_exec_free(&x);
    return m;
}

/* A folder with a model in it. */
static char *saved_model(const dsm_model_config *c)
{
    dsm_err err;
    char *dir = test_make_dir();
    dsm_model *m = random_model(c);
    assert_ok(dsm_checkpoint_write(m, dir, DSM_F32, &err));
    dsm_model_free(m);
    return dir;
}

static double value_at(const dsm_mat *mat, int64_t i)
{
    if (mat->dtype == DSM_I32) return ((const int32_t *)mat->data)[i];
    dsm_real x;
    dsm_dtype_load(&x, (const char *)mat->data + (size_t)i * dsm_dtype_size(mat->dtype), mat->dtype,
                   1);
    return (double)x;
}

static void expect_equal(const dsm_model *a, const dsm_model *b, double relative)
{
    assert_int_equal(a->n_params, b->n_params);
    for (int64_t i = 0; i < a->n_params; i++) {
        const dsm_param *p = &a->params[i], *q = &b->params[i];
        assert_string_equal(p->name, q->name);
        for (int64_t j = 0; j < p->rows * p->cols; j++) {
            double x = value_at(&p->mat, j), y = value_at(&q->mat, j);
            double allowed = p->offset < 0 ? 0 : relative * fabs(x) + (relative > 0 ? 0x1p-25 : 0);
            if (fabs(x - y) > allowed) fail_msg("%s[%d]: %g, expected %g", p->name, (int)j, y, x);
        }
    }
}

static void round_trips(const dsm_model_config *c, dsm_dtype dtype, uint64_t shard_bytes,
                        double relative)
{
    dsm_err err;
    char *dir = test_make_dir(), *used;
    dsm_model *m = random_model(c), *copied, *mapped;
    assert_ok(dsm_checkpoint_save(m, dir, shard_bytes, &(dsm_save_options){.dtype = dtype}, &err));
    assert_ok(dsm_checkpoint_open(&copied, dir, DSM_MODEL_VALUES, &used, &err));
    assert_string_equal(used, dir);
    assert_ok(dsm_checkpoint_open(&mapped, dir, 0, NULL, &err));
    assert_null(mapped->values);
    expect_equal(m, copied, relative);
    expect_equal(copied, mapped, 0);
    assert_int_equal(mapped->params[0].mat.dtype, dtype == DSM_F64 ? DSM_F32 : dtype);
    dsm_model_free(m);
    dsm_model_free(copied);
    dsm_model_free(mapped);
    free(used);
    test_remove_dir(dir);
}

static void every_dtype_single_and_sharded(void **state)
{
    (void)state;
    static const struct {
        dsm_dtype dtype;
        double relative;
    } cases[] = {{DSM_F32, 0}, {DSM_F64, 0}, {DSM_BF16, 0x1p-8}, {DSM_F16, 0x1p-11}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dsm_model_config c = small_config();
        round_trips(&c, cases[i].dtype, (uint64_t)1 << 30, cases[i].relative);
        round_trips(&c, cases[i].dtype, 700, cases[i].relative);
        round_trips(&c, cases[i].dtype, 1, cases[i].relative); /* a shard per tensor */
        c.tie_word_embeddings = true;
        c.attention_bias = true;
        c.router = DSM_ROUTER_SIGMOID;
        c.bias = DSM_BIAS_MULTIPLICATIVE;
        round_trips(&c, cases[i].dtype, 700, cases[i].relative);
        c.router = DSM_ROUTER_HASH;
        c.bias = DSM_BIAS_NONE;
        c.num_experts_per_tok = 1;
        round_trips(&c, cases[i].dtype, 700, cases[i].relative);
    }
}

static void finds_the_checkpoint_of_a_run(void **state)
{
    (void)state;
    dsm_err err;
    dsm_model_config c = small_config();
    char *dir = saved_model(&c), *run = test_make_dir(), *found, *link, *real = realpath(dir, NULL);
    assert_fails(dsm_checkpoint_resolve(&found, run, &err), DSM_ENOTFOUND,
                 "neither config.json nor checkpoints/latest");
    assert_int_equal(mkdir(test_path(run, "checkpoints"), 0777), 0);
    assert_fails(dsm_checkpoint_resolve(&found, run, &err), DSM_ENOTFOUND,
                 "no complete checkpoint");
    link = dsm_fs_join(run, "checkpoints/latest");
    assert_int_equal(symlink("nowhere", link), 0);
    assert_fails(dsm_checkpoint_resolve(&found, run, &err), DSM_ENOTFOUND,
                 "no complete checkpoint");
    unlink(link);
    assert_int_equal(symlink(real, link), 0);
    assert_ok(dsm_checkpoint_resolve(&found, run, &err));
    assert_string_equal(found, real);
    free(found);
    dsm_model *m;
    assert_ok(dsm_checkpoint_open(&m, run, 0, &found, &err));
    assert_string_equal(found, real);
    dsm_model_free(m);
    free(found);
    unlink(test_path(dir, "config.json"));
    assert_fails(dsm_checkpoint_open(&m, run, 0, NULL, &err), DSM_EFORMAT, "no config.json");
    assert_null(m);
    assert_fails(dsm_checkpoint_resolve(&found, test_path(dir, "none"), &err), DSM_ENOTFOUND,
                 "no such model");
    assert_fails(dsm_checkpoint_resolve(&found, test_path(dir, "model.safetensors"), &err),
                 DSM_EFORMAT, "found a file, expected a folder");
    free(link);
    free(real);
    test_remove_dir(dir);
    test_remove_dir(run);
}

/* Replace the weights of a folder by what `change` makes of them. */
static void rewrite(const char *dir, int64_t (*change)(dsm_st_item *items, int64_t n))
{
    dsm_err err;
    dsm_st_file *f;
    const char *path = test_path(dir, "model.safetensors");
    assert_ok(dsm_st_open(&f, path, &err));
    int64_t n = dsm_st_count(f);
    dsm_st_item *items = calloc((size_t)n + 4, sizeof *items);
    for (int64_t i = 0; i < n; i++) {
        const dsm_st_tensor *t = dsm_st_at(f, i);
        items[i] = (dsm_st_item){
            .name = t->name, .ndim = t->ndim, .from = t->dtype, .to = t->dtype, .data = t->data};
        memcpy(items[i].shape, t->shape, sizeof t->shape);
    }
    assert_ok(dsm_st_write(path, items, change(items, n), NULL, &err));
    free(items);
    dsm_st_close(f);
}

static int64_t item_named(const dsm_st_item *items, int64_t n, const char *name)
{
    for (int64_t i = 0; i < n; i++)
        if (strcmp(items[i].name, name) == 0) return i;
    fail_msg("no tensor %s", name);
    return -1;
}

static int64_t drop_head(dsm_st_item *items, int64_t n)
{
    items[item_named(items, n, "lm_head.weight")] = items[n - 1];
    return n - 1;
}

static int64_t drop_five(dsm_st_item *items, int64_t n)
{
    (void)items;
    return n - 5;
}

static int64_t add_unknown(dsm_st_item *items, int64_t n)
{
    static const float x[1] = {1};
    items[n] = (dsm_st_item){"extra.weight", 1, {1}, DSM_F32, DSM_F32, x};
    items[n + 1] = (dsm_st_item){"model.layers.0.self_attn.rotary_emb.inv_freq",
                                 1,
                                 {1},
                                 DSM_F32,
                                 DSM_F32,
                                 x}; /* old files have it: ignored */
    return n + 2;
}

static int64_t turn_norm(dsm_st_item *items, int64_t n)
{
    dsm_st_item *t = &items[item_named(items, n, "model.norm.weight")];
    t->ndim = 2;
    t->shape[0] = 4;
    t->shape[1] = 2;
    return n;
}

static int64_t make_integers(dsm_st_item *items, int64_t n)
{
    dsm_st_item *t = &items[item_named(items, n, "model.norm.weight")];
    t->from = t->to = DSM_I32;
    return n;
}

static void lists_what_does_not_fit(void **state)
{
    (void)state;
    static const struct {
        int64_t (*change)(dsm_st_item *, int64_t);
        const char *message[2];
    } cases[] = {
        {drop_head, {"1 tensors missing (lm_head.weight)", ""}},
        {drop_five, {"5 tensors missing (", ", …)"}},
        {add_unknown, {"1 tensors unknown (extra.weight)", ""}},
        {turn_norm, {"1 tensors of another shape (model.norm.weight: found [4, 2]", "says [8])"}},
        {make_integers, {"1 tensors of an unreadable type (model.norm.weight: I32)", ""}},
    };
    dsm_err err;
    dsm_model_config c = small_config();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *dir = saved_model(&c);
        rewrite(dir, cases[i].change);
        dsm_model *m;
        assert_fails(dsm_checkpoint_open(&m, dir, 0, NULL, &err), DSM_ESHAPE, cases[i].message[0]);
        assert_true(test_contains(err.msg, cases[i].message[1]));
        assert_true(test_contains(err.msg, dir));
        assert_null(m);
        assert_fails(dsm_checkpoint_open(&m, dir, DSM_MODEL_VALUES, NULL, &err), DSM_ESHAPE,
                     cases[i].message[0]);
        test_remove_dir(dir);
    }
}

static int64_t name_a_seventh_expert(dsm_st_item *items, int64_t n)
{
    static int32_t table[19] = {0, 1, 2, 3, 7};
    items[item_named(items, n, "model.layers.1.mlp.gate.hash_table")].data = table;
    return n;
}

static void a_hash_table_names_experts_that_exist(void **state)
{
    (void)state;
    dsm_err err;
    dsm_model_config c = small_config();
    c.router = DSM_ROUTER_HASH;
    c.num_experts_per_tok = 1;
    char *dir = saved_model(&c);
    rewrite(dir, name_a_seventh_expert);
    dsm_model *m;
    assert_fails(dsm_checkpoint_open(&m, dir, 0, NULL, &err), DSM_EFORMAT,
                 "hash_table[4]: found expert 7, the model has 4");
    test_remove_dir(dir);
}

/* Another shape in config.json, no weights, weights cut off. */
static void damaged_folders_are_reported(void **state)
{
    (void)state;
    dsm_err err;
    dsm_model_config c = small_config();
    char *dir = saved_model(&c);
    const char *weights = test_path(dir, "model.safetensors");
    dsm_model *m;
    c.num_hidden_layers = 3;
    assert_ok(dsm_model_config_write(&c, test_path(dir, "config.json"), "f32", &err));
    assert_fails(dsm_checkpoint_open(&m, dir, 0, NULL, &err), DSM_ESHAPE,
                 "missing (model.layers.2.");
    c.num_hidden_layers = 2;
    c.vocab_size = 20;
    assert_ok(dsm_model_config_write(&c, test_path(dir, "config.json"), "f32", &err));
    assert_fails(dsm_checkpoint_open(&m, dir, 0, NULL, &err), DSM_ESHAPE,
                 "found [19, 8], config.json says [20, 8]");
    struct stat st;
    assert_int_equal(stat(weights, &st), 0);
    assert_int_equal(truncate(weights, st.st_size - 1), 0);
    assert_fails(dsm_checkpoint_open(&m, dir, 0, NULL, &err), DSM_EFORMAT, "cut off");
    unlink(weights);
    assert_fails(dsm_checkpoint_open(&m, dir, 0, NULL, &err), DSM_ENOTFOUND, "half-written");
    test_remove_dir(dir);
}

static void write_text(const char *dir, const char *name, const char *text)
{
    test_write_file(test_path(dir, name), text, strlen(text));
}

static void index_and_shards_must_agree(void **state)
{
    (void)state;
    dsm_err err;
    dsm_model_config c = small_config();
    dsm_model *m = random_model(&c), *back;
    char *dir = test_make_dir();
    assert_ok(dsm_checkpoint_save(m, dir, 4000, &(dsm_save_options){.dtype = DSM_F32}, &err));
    dsm_model_free(m);
    json_t *index;
    const char *path = test_path(dir, "model.safetensors.index.json");
    char *copy = strdup(path);
    assert_ok(dsm_json_read(&index, path, 1 << 20, &err));
    json_t *map = json_object_get(index, "weight_map");
    json_object_set_new(map, "model.norm.weight", json_string("../x.safetensors"));
    assert_ok(dsm_json_write(index, copy, &err));
    assert_fails(dsm_checkpoint_open(&back, dir, 0, NULL, &err), DSM_EFORMAT,
                 "expected a file name");
    json_object_del(map, "model.norm.weight");
    assert_ok(dsm_json_write(index, copy, &err));
    assert_fails(dsm_checkpoint_open(&back, dir, 0, NULL, &err), DSM_EFORMAT, "its shards hold");
    json_object_set_new(map, "model.norm.weight",
                        json_string(json_string_value(json_object_get(map, "lm_head.weight"))));
    json_object_set_new(map, "ghost", json_object_get(map, "lm_head.weight"));
    json_incref(json_object_get(map, "lm_head.weight"));
    assert_ok(dsm_json_write(index, copy, &err));
    assert_fails(dsm_checkpoint_open(&back, dir, 0, NULL, &err), DSM_EFORMAT,
                 "tensor ghost is missing");
    json_decref(index);
    write_text(dir, "model.safetensors.index.json", "{\"weight_map\": 3}");
    assert_fails(dsm_checkpoint_open(&back, dir, 0, NULL, &err), DSM_EFORMAT, "weight_map");
    unlink(test_path(dir, "model-00001-of-00002.safetensors"));
    write_text(dir, "model.safetensors.index.json",
               "{\"weight_map\": {\"a\": \"model-00001-of-00002.safetensors\"}}");
    assert_fails(dsm_checkpoint_open(&back, dir, 0, NULL, &err), DSM_ENOTFOUND,
                 "model-00001-of-00002");
    free(copy);
    test_remove_dir(dir);
}

/* transformers has no class for type deepseek: such a folder brings its own. */
static void v1_folders_carry_their_python(void **state)
{
    (void)state;
    for (int is_v1 = 0; is_v1 < 2; is_v1++) {
        dsm_err err;
        dsm_buf text = {0};
        dsm_model_config c = small_config();
        if (!is_v1) strcpy(c.model_type, "llama");
        char *dir = saved_model(&c);
        const char *code = test_path(dir, "modeling_deepseek.py");
        assert_int_equal(dsm_fs_exists(code), is_v1);
        assert_int_equal(dsm_fs_exists(test_path(dir, "configuration_deepseek.py")), is_v1);
        assert_ok(dsm_fs_read(&text, test_path(dir, "config.json"), 1 << 16, &err));
        assert_int_equal(test_contains(text.data, "modeling_deepseek.DeepseekForCausalLM"), is_v1);
        if (is_v1) {
            text.len = 0;
            assert_ok(dsm_fs_read(&text, code, 1 << 16, &err));
            assert_true(test_contains(text.data, "class DeepseekForCausalLM("));
        }
        dsm_buf_free(&text);
        test_remove_dir(dir);
    }
}

static void reads_the_ids_that_end_a_text(void **state)
{
    (void)state;
    dsm_err err;
    dsm_model_config c = small_config();
    char *dir = saved_model(&c);
    int32_t ids[4];
    int n;
    assert_ok(dsm_checkpoint_eos(ids, 4, &n, dir, &c, &err));
    assert_int_equal(n, 1);
    assert_int_equal(ids[0], 1);
    write_text(dir, "generation_config.json", "{\"eos_token_id\": [5, 6]}");
    assert_ok(dsm_checkpoint_eos(ids, 4, &n, dir, &c, &err));
    assert_int_equal(n, 2);
    assert_int_equal(ids[1], 6);
    write_text(dir, "generation_config.json", "{\"eos_token_id\": null}");
    assert_ok(dsm_checkpoint_eos(ids, 4, &n, dir, &c, &err));
    assert_int_equal(n, 1); /* config.json's */
    write_text(dir, "generation_config.json", "{\"eos_token_id\": [\"x\"]}");
    assert_fails(dsm_checkpoint_eos(ids, 4, &n, dir, &c, &err), DSM_EFORMAT, "eos_token_id");
    unlink(test_path(dir, "generation_config.json"));
    write_text(dir, "config.json", "{\"eos_token_id\": [7, 8, 9]}");
    assert_ok(dsm_checkpoint_eos(ids, 4, &n, dir, &c, &err));
    assert_int_equal(n, 3);
    assert_int_equal(ids[2], 9);
    write_text(dir, "config.json", "{\"eos_token_id\": -1}");
    c.eos_token_id = -1;
    assert_ok(dsm_checkpoint_eos(ids, 4, &n, dir, &c, &err));
    assert_int_equal(n, 0);
    test_remove_dir(dir);
}

static void writes_the_ids_that_end_a_text(void **state)
{
    (void)state;
    dsm_err err;
    dsm_model_config c = small_config();
    char *dir = test_make_dir();
    int32_t ids[4] = {3, 5, 7};
    int n;
    assert_ok(dsm_checkpoint_write_generation(dir, &c, ids, 3, &err));
    assert_ok(dsm_checkpoint_write_generation(dir, &c, ids, 1, &err)); /* there is one already */
    assert_ok(dsm_checkpoint_eos(ids, 4, &n, dir, &c, &err));
    assert_int_equal(n, 3);
    assert_int_equal(ids[2], 7);
    test_remove_dir(dir);
}

typedef struct watcher {
    double last, total;
    int calls, stop_at;
} watcher;

static bool watch(void *arg, double done, double total)
{
    watcher *w = arg;
    assert_true(done > w->last && done <= total);
    w->last = done;
    w->total = total;
    return ++w->calls != w->stop_at;
}

/* config.json is the last file, so that what is not complete is not taken for a model. */
static void a_stopped_save_says_how_far_it_was(void **state)
{
    (void)state;
    dsm_err err;
    dsm_model_config c = small_config();
    dsm_model *m = random_model(&c), *back;
    char *dir = test_make_dir();
    watcher all = {0}, some = {.stop_at = 3};
    dsm_save_options o = {.dtype = DSM_BF16, .progress = watch, .progress_arg = &some};
    assert_fails(dsm_checkpoint_save(m, dir, 700, &o, &err), DSM_EINTERRUPTED,
                 "nothing was written");
    assert_int_equal(some.calls, 3);
    assert_fails(dsm_checkpoint_open(&back, dir, 0, NULL, &err), DSM_ENOTFOUND, "config.json");
    o.progress_arg = &all;
    assert_ok(dsm_checkpoint_save(m, dir, 700, &o, &err));
    assert_int_equal(all.calls, m->n_params);
    assert_true(all.last == all.total);
    assert_ok(dsm_checkpoint_open(&back, dir, 0, NULL, &err));
    dsm_model_free(back);
    dsm_model_free(m);
    test_remove_dir(dir);
}

static void copies_the_tokenizer(void **state)
{
    (void)state;
    dsm_err err;
    char *from = test_make_dir(), *to = test_make_dir();
    assert_fails(dsm_checkpoint_copy_tokenizer(to, from, &err), DSM_ENOTFOUND, "no tokenizer.json");
    write_text(from, "tokenizer.json", "{}");
    write_text(from, "chat_template.jinja", "x");
    write_text(from, "other", "x");
    assert_ok(dsm_checkpoint_copy_tokenizer(to, from, &err));
    assert_true(dsm_fs_exists(test_path(to, "tokenizer.json")));
    assert_true(dsm_fs_exists(test_path(to, "chat_template.jinja")));
    assert_false(dsm_fs_exists(test_path(to, "other")));
    test_remove_dir(from);
    test_remove_dir(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dtype_single_and_sharded),
        cmocka_unit_test(finds_the_checkpoint_of_a_run),
        cmocka_unit_test(lists_what_does_not_fit),
        cmocka_unit_test(a_hash_table_names_experts_that_exist),
        cmocka_unit_test(damaged_folders_are_reported),
        cmocka_unit_test(index_and_shards_must_agree),
        cmocka_unit_test(v1_folders_carry_their_python),
        cmocka_unit_test(reads_the_ids_that_end_a_text),
        cmocka_unit_test(writes_the_ids_that_end_a_text),
        cmocka_unit_test(a_stopped_save_says_how_far_it_was),
        cmocka_unit_test(copies_the_tokenizer),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
