/* SPDX-License-Identifier: MIT */
/* Files that hold tensors otherwise than the parameter table: all experts in one tensor, FP8 with
 * scales per block, layers for multi-token prediction. A model is saved, its file is rewritten into
 * the other form, and what is read back must be the same values. */
#include "support/support.h"

#include "core/json.h"
#include "core/log.h"
#include "dsmoe/model.h"
#include "formats/bind.h"
#include "formats/checkpoint.h"
#include "formats/safetensors.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { E = 4, H = 8, F = 6, LAYERS = 2, MAX_ITEMS = 128 };

static dsm_model_config small_config(void)
{
    dsm_model_config c;
    dsm_model_config_defaults(&c);
    strcpy(c.model_type, "deepseek");
    c.vocab_size = 19, c.hidden_size = H, c.intermediate_size = 12, c.moe_intermediate_size = F;
    c.num_hidden_layers = LAYERS, c.num_attention_heads = c.num_key_value_heads = 2, c.head_dim = 4;
    c.max_position_embeddings = 32, c.n_routed_experts = E, c.num_experts_per_tok = 2;
    c.first_k_dense_replace = 1, c.bos_token_id = 0, c.eos_token_id = 1;
    return c;
}

/* A saved model, and its tensors as items that a test changes. */
typedef struct folder {
    char *dir;
    dsm_model *model;
    dsm_st_item items[MAX_ITEMS];
    char names[MAX_ITEMS][96];
    int64_t n;
    void *owned[MAX_ITEMS]; /* data made by the test */
    int n_owned;
} folder;

static folder f; /* large: not on the stack */

static void open_folder(const dsm_model_config *c)
{
    dsm_err err;
    dsm_kernels kernels;
    dsm_exec x;
    memset(&f, 0, sizeof f);
    f.dir = test_make_dir();
    dsm_kernels_init(&kernels, 0);
    assert_ok(dsm_exec_init(&x, &kernels, 1, &err));
    assert_ok(dsm_model_create(&f.model, c, DSM_MODEL_VALUES, &err));
    dsm_model_init_random(f.model, &x, 7);
    dsm_exec_free(&x);
    assert_ok(dsm_checkpoint_write(f.model, f.dir, DSM_F32, &err));
    for (int64_t i = 0; i < f.model->n_params; i++) {
        const dsm_param *p = &f.model->params[i];
        snprintf(f.names[f.n], sizeof f.names[f.n], "%s", p->name);
        f.items[f.n] = (dsm_st_item){.name = f.names[f.n],
                                     .ndim = p->ndim,
                                     .shape = {p->ndim == 1 ? p->cols : p->rows, p->cols},
                                     .from = DSM_F32,
                                     .to = DSM_F32,
                                     .data = p->mat.data};
        f.n++;
    }
}

static void close_folder(void)
{
    for (int i = 0; i < f.n_owned; i++)
        free(f.owned[i]);
    dsm_model_free(f.model);
    test_remove_dir(f.dir);
}

static void *own(size_t bytes)
{
    void *memory = calloc(1, bytes);
    assert_non_null(memory);
    return f.owned[f.n_owned++] = memory;
}

static dsm_st_item *item(const char *name)
{
    for (int64_t i = 0; i < f.n; i++)
        if (strcmp(f.items[i].name, name) == 0) return &f.items[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static void drop(const char *name)
{
    dsm_st_item *gone = item(name);
    *gone = f.items[--f.n];
}

static dsm_st_item *add(const char *name, dsm_dtype dtype, const void *data, int ndim, int64_t s0,
                        int64_t s1, int64_t s2)
{
    dsm_st_item *t = &f.items[f.n];
    static char kept[8][96];
    static int next;
    char *copy = kept[next++ % 8];
    snprintf(copy, sizeof kept[0], "%s", name);
    *t = (dsm_st_item){copy, ndim, {s0, s1, s2}, dtype, dtype, data};
    f.n++;
    return t;
}

static dsm_status write_and_open(dsm_model **m, unsigned flags, dsm_err *err)
{
    dsm_err write_err;
    if (dsm_st_write(test_path(f.dir, "model.safetensors"), f.items, f.n, NULL, &write_err))
        fail_msg("%s", write_err.msg);
    return dsm_checkpoint_open(m, f.dir, flags, NULL, err);
}

static double value_at(const dsm_mat *mat, int64_t i)
{
    dsm_real x;
    dsm_dtype_load(&x, (const char *)mat->data + (size_t)i * dsm_dtype_size(mat->dtype), mat->dtype,
                   1);
    return (double)x;
}

static void expect_the_same(const dsm_model *m, double relative)
{
    for (int64_t i = 0; i < m->n_params; i++)
        for (int64_t j = 0; j < m->params[i].rows * m->params[i].cols; j++) {
            double want = value_at(&f.model->params[i].mat, j),
                   got = value_at(&m->params[i].mat, j);
            if (!(fabs(got - want) <= relative * fabs(want)))
                fail_msg("%s[%d]: %g, expected %g", m->params[i].name, (int)j, got, want);
        }
}

/* --- experts in one tensor ------------------------------------------------------------------- */

#define EXPERTS "model.layers.1.mlp.experts."

static const char *expert_name(int e, const char *part)
{
    static char name[96];
    snprintf(name, sizeof name, EXPERTS "%d.%s_proj.weight", e, part);
    return name;
}

static void fuse(void)
{
    enum { MATRIX = F * H };
    float *gate_up = own(sizeof *gate_up * E * 2 * MATRIX), *down = own(sizeof *down * E * MATRIX);
    for (int e = 0; e < E; e++) {
        const char *parts[] = {"gate", "up", "down"};
        float *to[] = {gate_up + 2 * e * MATRIX, gate_up + (2 * e + 1) * MATRIX, down + e * MATRIX};
        for (int i = 0; i < 3; i++) {
            memcpy(to[i], item(expert_name(e, parts[i]))->data, sizeof **to * MATRIX);
            drop(expert_name(e, parts[i]));
        }
    }
    add(EXPERTS "gate_up_proj", DSM_F32, gate_up, 3, E, 2 * F, H);
    add(EXPERTS "down_proj", DSM_F32, down, 3, E, H, F);
}

static void experts_may_be_one_tensor(void **state)
{
    (void)state;
    dsm_err err;
    dsm_model_config c = small_config();
    open_folder(&c);
    fuse();
    dsm_model *copied, *mapped;
    assert_ok(write_and_open(&copied, DSM_MODEL_VALUES, &err));
    assert_ok(write_and_open(&mapped, 0, &err));
    expect_the_same(copied, 0);
    expect_the_same(mapped, 0);
    /* views of the file, not copies: up begins where gate ends */
    const dsm_ffn_params *experts = &mapped->layers[1].moe.experts;
    for (int e = 0; e < E; e++)
        assert_ptr_equal((const float *)experts->gate[e].data + F * H, experts->up[e].data);
    dsm_model_free(copied);
    dsm_model_free(mapped);
    close_folder();
}

static void a_tensor_of_other_experts_is_refused(void **state)
{
    (void)state;
    dsm_err err;
    dsm_model *m;
    dsm_model_config c = small_config();
    open_folder(&c);
    fuse();
    item(EXPERTS "down_proj")->shape[0] = E / 2; /* half as many, twice as tall */
    item(EXPERTS "down_proj")->shape[1] = 2 * H;
    assert_fails(write_and_open(&m, 0, &err), DSM_ESHAPE,
                 "4 tensors missing (" EXPERTS "0.down_proj");
    assert_true(test_contains(err.msg, "1 tensors unknown (" EXPERTS "down_proj)"));
    item(EXPERTS "down_proj")->shape[0] = E;
    item(EXPERTS "down_proj")->shape[1] = F;
    item(EXPERTS "down_proj")->shape[2] = H;
    assert_fails(write_and_open(&m, 0, &err), DSM_ESHAPE, "found [6, 8], config.json says [8, 6]");
    close_folder();
}

/* --- FP8 -------------------------------------------------------------------------------------- */

enum { BLOCK_ROWS = 5, BLOCK_COLS = 3 };

/* Bits of E4M3 for the numbers 0, 1, -2, 0.5, 3.5 and 448. */
static const unsigned char bits[] = {0x00, 0x38, 0xC0, 0x30, 0x46, 0x7E};
static const float numbers[] = {0, 1, -2, 0.5f, 3.5f, 448};

static void set_blocks(const char *dir)
{
    dsm_err err;
    json_t *o;
    assert_ok(dsm_json_read(&o, test_path(dir, "config.json"), 1 << 16, &err));
    json_object_set_new(o, "quantization_config",
                        json_pack("{s:s, s:s, s:[i, i]}", "quant_method", "fp8", "fmt", "e4m3",
                                  "weight_block_size", BLOCK_ROWS, BLOCK_COLS));
    assert_ok(dsm_json_write(o, test_path(dir, "config.json"), &err));
    json_decref(o);
}

/* One matrix becomes FP8 in blocks that its sizes are no multiple of, each with its own scale; the
 * model in memory takes the exact values. */
static void make_fp8(const char *name)
{
    const dsm_param *p = dsm_model_find(f.model, name);
    int64_t rows = p->rows, cols = p->cols, per_row = (cols + BLOCK_COLS - 1) / BLOCK_COLS;
    int64_t per_col = (rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
    unsigned char *stored = own((size_t)(rows * cols));
    float *scale = own(sizeof *scale * (size_t)(per_row * per_col));
    for (int64_t b = 0; b < per_row * per_col; b++)
        scale[b] = ldexpf(1, (int)(b % 7) - 9);
    for (int64_t i = 0; i < rows * cols; i++) {
        size_t k = (size_t)(i * 7 + i / cols) % sizeof bits;
        int64_t block = i / cols / BLOCK_ROWS * per_row + i % cols / BLOCK_COLS;
        stored[i] = bits[k];
        f.model->values[p->offset + i] = numbers[k] * scale[block];
    }
    drop(name);
    char scale_name[96];
    snprintf(scale_name, sizeof scale_name, "%s_scale_inv", name);
    add(name, DSM_F8_E4M3, stored, 2, rows, cols, 0);
    add(scale_name, DSM_F32, scale, 2, per_col, per_row, 0);
}

#define V_PROJ "model.layers.0.self_attn.v_proj.weight"

static void fp8_is_read_with_the_scale_of_each_block(void **state)
{
    (void)state;
    dsm_err err;
    dsm_model_config c = small_config();
    open_folder(&c);
    make_fp8(V_PROJ);
    make_fp8("model.layers.1.mlp.experts.2.down_proj.weight");
    set_blocks(f.dir);
    dsm_model *copied, *mapped;
    assert_ok(write_and_open(&copied, DSM_MODEL_VALUES, &err));
    assert_ok(write_and_open(&mapped, 0, &err));
    expect_the_same(copied, 0);
    expect_the_same(mapped, 0); /* scales are powers of two: exact in bf16 as well */
    assert_int_equal(dsm_model_find(mapped, V_PROJ)->mat.dtype, DSM_BF16);
    dsm_model_free(copied);
    dsm_model_free(mapped);
    close_folder();
}

/* Converting takes numbers straight from the blocks, never a copy of the model. */
static void fp8_is_converted_tensor_by_tensor(void **state)
{
    (void)state;
    dsm_err err;
    dsm_model_config c = small_config();
    open_folder(&c);
    make_fp8(V_PROJ);
    make_fp8("model.layers.1.mlp.experts.2.down_proj.weight");
    set_blocks(f.dir);
    dsm_model *later, *converted;
    dsm_real room[256];
    assert_ok(write_and_open(&later, DSM_MODEL_LATER, &err));
    const dsm_param *p = dsm_model_find(later, V_PROJ);
    assert_true(dsm_bound_is_made(p));
    assert_int_equal(p->mat.dtype, DSM_BF16); /* as what it is run */
    assert_true(dsm_bound_values(later, p, room).data == room);
    assert_false(dsm_bound_is_made(dsm_model_find(later, "model.norm.weight")));
    dsm_model_free(later);

    char *out = test_make_dir(), *to = dsm_fs_join(out, "converted");
    const dsm_convert_options o = {.dtype = "f32", .n_threads = 1};
    assert_ok(dsm_model_convert(f.dir, to, &o, &err));
    assert_ok(dsm_checkpoint_open(&converted, to, 0, NULL, &err));
    assert_int_equal(dsm_model_find(converted, V_PROJ)->mat.dtype, DSM_F32);
    expect_the_same(converted, 0);
    dsm_model_free(converted);
    free(to);
    test_remove_dir(out);
    close_folder();
}

static void fp8_needs_scales_that_fit(void **state)
{
    (void)state;
    dsm_err err;
    dsm_model *m;
    dsm_model_config c = small_config();
    open_folder(&c);
    make_fp8(V_PROJ);
    assert_fails(write_and_open(&m, 0, &err), DSM_ESHAPE,
                 V_PROJ ": F8_E4M3 without"); /* no blocks */
    set_blocks(f.dir);
    dsm_st_item *scale = item(V_PROJ "_scale_inv");
    int64_t rows = scale->shape[0], cols = scale->shape[1];
    scale->shape[0] = 1, scale->shape[1] = rows * cols;
    assert_fails(write_and_open(&m, 0, &err), DSM_ESHAPE, V_PROJ ": F8_E4M3 without");
    scale->shape[0] = rows, scale->shape[1] = cols;
    assert_ok(write_and_open(&m, 0, &err));
    dsm_model_free(m);
    drop(V_PROJ "_scale_inv");
    assert_fails(write_and_open(&m, DSM_MODEL_VALUES, &err), DSM_ESHAPE,
                 V_PROJ ": F8_E4M3 without");
    close_folder();
}

static void a_scale_of_nothing_is_unknown(void **state)
{
    (void)state;
    dsm_err err;
    dsm_model *m;
    static const float one = 1;
    dsm_model_config c = small_config();
    open_folder(&c);
    add(V_PROJ "_scale_inv", DSM_F32, &one, 2, 1, 1, 0); /* v_proj itself is float */
    assert_fails(write_and_open(&m, 0, &err), DSM_ESHAPE,
                 "1 tensors unknown (" V_PROJ "_scale_inv)");
    close_folder();
}

/* --- multi-token prediction ------------------------------------------------------------------ */

static char told[256];

static void keep_message(void *arg, dsm_log_level level, const char *message)
{
    (void)arg, (void)level;
    snprintf(told, sizeof told, "%s", message);
}

static dsm_model_config v3_config(int64_t mtp_layers)
{
    dsm_model_config c = small_config(), third;
    dsm_err err;
    assert_ok(dsm_model_config_defaults_of(&third, "deepseek_v3", "test", &err));
    strcpy(c.model_type, third.model_type);
    c.router = third.router, c.bias = third.bias, c.topk_method = third.topk_method;
    c.n_group = c.topk_group = 1, c.num_nextn_predict_layers = mtp_layers;
    c.kv_lora_rank = 4, c.q_lora_rank = 0, c.qk_nope_head_dim = 2, c.qk_rope_head_dim = 2;
    c.v_head_dim = 4, c.num_key_value_heads = 2, c.head_dim = 4;
    return c;
}

static void set_mtp_layers(int n)
{
    dsm_err err;
    json_t *o;
    assert_ok(dsm_json_read(&o, test_path(f.dir, "config.json"), 1 << 16, &err));
    json_object_set_new(o, "num_nextn_predict_layers", json_integer(n));
    assert_ok(dsm_json_write(o, test_path(f.dir, "config.json"), &err));
    json_decref(o);
}

static void mtp_layers_are_left_out_and_told(void **state)
{
    (void)state;
    static const float x[H] = {1};
    dsm_err err;
    dsm_model *m;
    dsm_model_config c = v3_config(0);
    open_folder(&c);
    add("model.layers.2.enorm.weight", DSM_F32, x, 1, H, 0, 0);
    add("model.layers.2.shared_head.norm.weight", DSM_F32, x, 1, H, 0, 0);
    assert_fails(write_and_open(&m, 0, &err), DSM_ESHAPE, "2 tensors unknown (model.layers.2.");
    set_mtp_layers(1);
    dsm_log_set(keep_message, NULL);
    assert_ok(write_and_open(&m, 0, &err));
    dsm_log_set(NULL, NULL);
    assert_true(test_contains(told, "left out 2 tensors of multi-token prediction"));
    expect_the_same(m, 0);
    dsm_model_free(m);
    add("model.layers.3.enorm.weight", DSM_F32, x, 1, H, 0, 0); /* one layer too many */
    assert_fails(write_and_open(&m, 0, &err), DSM_ESHAPE,
                 "1 tensors unknown (model.layers.3.enorm");
    close_folder();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(experts_may_be_one_tensor),
        cmocka_unit_test(a_tensor_of_other_experts_is_refused),
        cmocka_unit_test(fp8_is_read_with_the_scale_of_each_block),
        cmocka_unit_test(fp8_is_converted_tensor_by_tensor),
        cmocka_unit_test(fp8_needs_scales_that_fit),
        cmocka_unit_test(a_scale_of_nothing_is_unknown),
        cmocka_unit_test(mtp_layers_are_left_out_and_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
