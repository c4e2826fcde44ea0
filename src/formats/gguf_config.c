/* SPDX-License-Identifier: MIT */
/* One table per value type lists key, field and the architectures that have it; reading and writing
 * are loops over it. What follows from other keys, or means something else than config.json's key
 * of the same kind, is in functions of its own below.
 * Source: llama.cpp, src/llama-model.cpp, src/models/deepseek*.cpp and convert_hf_to_gguf.py. */
#include "formats/gguf_config.h"

#include "formats/gguf_rope.h"
#include "model/family.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANY_INT ((int64_t)1 << 40)

/* --- tables ----------------------------------------------------------------------------------- */

/* Architectures, as bits. */
enum { LLAMA = 1, DEEPSEEK = 2, DEEPSEEK2 = 4, PLAIN = LLAMA | DEEPSEEK, ALL = PLAIN | DEEPSEEK2 };
enum { MOE = DEEPSEEK | DEEPSEEK2 };

static const struct arch {
    const char *name;
    unsigned bit;
} archs[] = {{"llama", LLAMA}, {"deepseek", DEEPSEEK}, {"deepseek2", DEEPSEEK2}};

typedef struct key {
    const char *name; /* behind "ARCHITECTURE." */
    size_t field;
    unsigned archs;
} key;

#define FIELD(name) offsetof(dsm_model_config, name)

/* clang-format off */
static const key int_keys[] = {
    {"context_length",                   FIELD(max_position_embeddings), ALL},
    {"embedding_length",                 FIELD(hidden_size),             ALL},
    {"block_count",                      FIELD(num_hidden_layers),       ALL},
    {"feed_forward_length",              FIELD(intermediate_size),       ALL},
    {"attention.head_count",             FIELD(num_attention_heads),     ALL},
    {"attention.head_count_kv",          FIELD(num_key_value_heads),     PLAIN},
    {"attention.key_length",             FIELD(head_dim),                PLAIN},
    {"attention.value_length",           FIELD(head_dim),                PLAIN},
    {"rope.dimension_count",             FIELD(head_dim),                PLAIN},
    {"rope.dimension_count",             FIELD(qk_rope_head_dim),        DEEPSEEK2},
    {"attention.kv_lora_rank",           FIELD(kv_lora_rank),            DEEPSEEK2},
    {"leading_dense_block_count",        FIELD(first_k_dense_replace),   MOE},
    {"expert_feed_forward_length",       FIELD(moe_intermediate_size),   MOE},
    {"expert_count",                     FIELD(n_routed_experts),        MOE},
    {"expert_used_count",                FIELD(num_experts_per_tok),     MOE},
    {"expert_shared_count",              FIELD(n_shared_experts),        MOE},
};
static const key real_keys[] = {
    {"attention.layer_norm_rms_epsilon", FIELD(rms_norm_eps),            ALL},
    {"rope.freq_base",                   FIELD(rope_theta),              ALL},
    {"expert_weights_scale",             FIELD(routed_scaling_factor),   MOE},
};
/* general.file_type of the types a file can be mostly of. */
static const struct { dsm_dtype dtype; uint32_t id; } file_types[] = {
    {DSM_F32, 0}, {DSM_F16, 1}, {DSM_Q4_0, 2}, {DSM_Q4_1, 3}, {DSM_Q8_0, 7}, {DSM_Q4_K, 14},
    {DSM_Q5_K, 16}, {DSM_Q6_K, 18}, {DSM_BF16, 32},
};
/* clang-format on */

#define COUNT(table) (sizeof(table) / sizeof *(table))

enum { SOFTMAX = 1, SIGMOID = 2 }; /* expert_gating_func */
enum { KEY_MAX = 96 };

/* "deepseek2.attention.kv_lora_rank" */
static const char *full_key(char out[KEY_MAX], const struct arch *a, const char *name)
{
    snprintf(out, KEY_MAX, "%s.%s", a->name, name);
    return out;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* A file being read. */
typedef struct reader {
    const dsm_gguf *f;
    const struct arch *arch;
    dsm_model_config *c;
    dsm_err *err;
} reader;

static dsm_status read_int(const reader *r, const char *name, int64_t low, int64_t *out)
{
    char text[KEY_MAX];
    return dsm_gguf_int(r->f, full_key(text, r->arch, name), low, ANY_INT, out, r->err);
}

/* The shortest decimal that is this float: 1e-6, not 9.99999997e-7, was what config.json said. */
static double as_decimal(double x)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtof(text, NULL) == (float)x) return strtod(text, NULL);
    }
    return x;
}

static dsm_status read_real(const reader *r, const char *name, double *out)
{
    char text[KEY_MAX];
    double x = *out;
    DSM_TRY(dsm_gguf_real(r->f, full_key(text, r->arch, name), &x, r->err));
    if (x != *out) *out = as_decimal(x);
    return DSM_OK;
}

static bool has(const reader *r, const char *name)
{
    char text[KEY_MAX];
    return dsm_gguf_has(r->f, full_key(text, r->arch, name));
}

static dsm_status find_arch(const dsm_gguf *f, const struct arch **out, dsm_err *err)
{
    const char *name = NULL;
    DSM_TRY(dsm_gguf_text(f, "general.architecture", &name, err));
    for (size_t i = 0; name && i < COUNT(archs); i++)
        if (strcmp(archs[i].name, name) == 0) {
            *out = &archs[i];
            return DSM_OK;
        }
    return dsm_fail(err, DSM_EFORMAT,
                    "%s: general.architecture: found %.40s, expected llama, deepseek or deepseek2",
                    dsm_gguf_what(f), name ? name : "nothing");
}

/* deepseek2 is V2 and V3 in one: what V3 alone has is its sigmoid and its bias. */
static dsm_status read_family(reader *r)
{
    int64_t gate = SOFTMAX;
    DSM_TRY(read_int(r, "expert_gating_func", 0, &gate));
    const char *type = r->arch->bit == LLAMA      ? "llama"
                       : r->arch->bit == DEEPSEEK ? "deepseek"
                       : gate == SIGMOID          ? "deepseek_v3"
                                                  : "deepseek_v2";
    if (gate > SIGMOID || (gate == SIGMOID && r->arch->bit != DEEPSEEK2))
        return dsm_fail(r->err, DSM_EFORMAT,
                        "%s: expert_gating_func: found %" PRId64
                        ", expected 1 (softmax) or, in deepseek2, 2 (sigmoid)",
                        dsm_gguf_what(r->f), gate);
    return dsm_model_config_defaults_of(r->c, type, dsm_gguf_what(r->f), r->err);
}

static void *at(dsm_model_config *c, size_t field)
{
    return (char *)c + field;
}

static const void *at_const(const dsm_model_config *c, size_t field)
{
    return (const char *)c + field;
}

/* Sizes that files may leave out, and what they then are; 0 for those that follow from others. */
static void clear_optional(dsm_model_config *c)
{
    c->num_key_value_heads = 0;
    c->head_dim = 0;
    c->n_shared_experts = c->n_routed_experts = c->num_experts_per_tok = 0;
    c->first_k_dense_replace = 0;
    c->routed_scaling_factor = 1;
    c->n_group = c->topk_group = c->q_lora_rank = 0;
}

static dsm_status read_tables(reader *r)
{
    clear_optional(r->c);
    for (size_t i = 0; i < COUNT(int_keys); i++) {
        const key *k = &int_keys[i];
        int64_t *field = at(r->c, k->field), v = *field;
        if (!(k->archs & r->arch->bit)) continue;
        DSM_TRY(read_int(r, k->name, 0, &v));
        if (k->field == FIELD(head_dim) && *field != 0 && v != *field)
            return dsm_fail(r->err, DSM_EFORMAT,
                            "%s: %s.%s: found %" PRId64 ", expected all of a head's %" PRId64,
                            dsm_gguf_what(r->f), r->arch->name, k->name, v, *field);
        *field = v;
    }
    for (size_t i = 0; i < COUNT(real_keys); i++)
        if (real_keys[i].archs & r->arch->bit)
            DSM_TRY(read_real(r, real_keys[i].name, at(r->c, real_keys[i].field)));
    return DSM_OK;
}

/* Heads: the MLA sizes have keys of their own in files whose attn_kv_b is in two halves, where the
 * plain keys describe the latent; older files have them in the plain keys. */
static dsm_status read_heads(reader *r)
{
    dsm_model_config *c = r->c;
    int64_t qk = 0, v = 0;
    if (c->num_key_value_heads == 0) c->num_key_value_heads = c->num_attention_heads;
    if (r->arch->bit != DEEPSEEK2) {
        if (c->head_dim == 0 && c->num_attention_heads > 0)
            c->head_dim = c->hidden_size / c->num_attention_heads;
        return DSM_OK;
    }
    bool halves = has(r, "attention.key_length_mla");
    DSM_TRY(read_int(r, halves ? "attention.key_length_mla" : "attention.key_length", 1, &qk));
    DSM_TRY(read_int(r, halves ? "attention.value_length_mla" : "attention.value_length", 1, &v));
    DSM_TRY(read_int(r, "attention.q_lora_rank", 0, &c->q_lora_rank));
    c->num_key_value_heads = c->num_attention_heads;
    c->head_dim = qk;
    c->qk_nope_head_dim = qk - c->qk_rope_head_dim;
    c->v_head_dim = v;
    return DSM_OK;
}

static dsm_status read_routing(reader *r)
{
    dsm_model_config *c = r->c;
    char text[KEY_MAX];
    if (r->arch->bit == LLAMA) {
        int64_t experts = 0;
        DSM_TRY(read_int(r, "expert_count", 0, &experts));
        if (experts == 0) return DSM_OK;
        return dsm_fail(r->err, DSM_EFORMAT,
                        "%s: llama.expert_count: found %" PRId64 ", expected 0",
                        dsm_gguf_what(r->f), experts);
    }
    c->norm_topk_prob = false;
    if (r->arch->bit != DEEPSEEK2) return DSM_OK;
    DSM_TRY(dsm_gguf_bool(r->f, full_key(text, r->arch, "expert_weights_norm"), &c->norm_topk_prob,
                          r->err));
    DSM_TRY(read_int(r, "expert_group_count", 0, &c->n_group));
    DSM_TRY(read_int(r, "expert_group_used_count", 0, &c->topk_group));
    bool v3 = dsm_family_of(c->model_type)->bit == DSM_FAMILY_V3, groups = c->n_group > 1;
    c->topk_method = v3 ? DSM_TOPK_NOAUX_TC : groups ? DSM_TOPK_GROUP_LIMITED : DSM_TOPK_GREEDY;
    if (v3 && c->n_group == 0) c->n_group = c->topk_group = 1;
    return DSM_OK;
}

/* Files do not say the original length, which for all of Llama 3 is 8192; those written here do. */
static dsm_status read_llama3(reader *r, const dsm_gguf_tensor *t)
{
    int64_t *original = &r->c->rope.original_max_position_embeddings;
    int64_t n = dsm_model_config_rope_dim(r->c) / 2;
    if (r->arch->bit != LLAMA || r->c->rope.kind != DSM_ROPE_DEFAULT || !t->known ||
        !dsm_dtype_is_real(t->dtype) || t->ndim != 1 || t->shape[0] != n)
        return dsm_fail(r->err, DSM_EFORMAT,
                        "%s: %s: expected a llama without other scaling, and %" PRId64 " numbers",
                        dsm_gguf_what(r->f), t->name, n);
    dsm_real *slow = malloc(sizeof *slow * (size_t)n + 1);
    if (!slow) return dsm_fail(r->err, DSM_ENOMEM, "%s: out of memory", dsm_gguf_what(r->f));
    dsm_dtype_load(slow, t->data, t->dtype, n);
    *original = 8192;
    dsm_status status = read_int(r, "rope.scaling.original_context_length", 1, original);
    if (status == DSM_OK) status = dsm_gguf_rope_fit(r->c, slow, n, dsm_gguf_what(r->f), r->err);
    free(slow);
    return status;
}

/* deepseek2's factor of the scores is stored as 0.1 · mscale_all_dim, and that of cos and sin,
 * which the released models do not have, not at all. */
static dsm_status read_rope(reader *r)
{
    dsm_rope_scaling *s = &r->c->rope;
    char text[KEY_MAX];
    const char *type = "none";
    double log_multiplier = 0;
    DSM_TRY(dsm_gguf_text(r->f, full_key(text, r->arch, "rope.scaling.type"), &type, r->err));
    s->kind = strcmp(type, "linear") == 0 ? DSM_ROPE_LINEAR
              : strcmp(type, "yarn") == 0 ? DSM_ROPE_YARN
                                          : DSM_ROPE_DEFAULT;
    if (s->kind == DSM_ROPE_DEFAULT && strcmp(type, "none") != 0)
        return dsm_fail(r->err, DSM_EFORMAT,
                        "%s: rope.scaling.type: found %.40s, expected none, linear or yarn",
                        dsm_gguf_what(r->f), type);
    const dsm_gguf_tensor *slow = dsm_gguf_find(r->f, DSM_GGUF_ROPE_TENSOR);
    if (slow) return read_llama3(r, slow);
    if (s->kind == DSM_ROPE_DEFAULT) return DSM_OK;
    s->original_max_position_embeddings = r->c->max_position_embeddings;
    DSM_TRY(read_real(r, "rope.scaling.factor", &s->factor));
    DSM_TRY(read_int(r, "rope.scaling.original_context_length", 1,
                     &s->original_max_position_embeddings));
    if (s->kind == DSM_ROPE_LINEAR) return DSM_OK;
    DSM_TRY(read_real(r, "rope.scaling.yarn_beta_fast", &s->beta_fast));
    DSM_TRY(read_real(r, "rope.scaling.yarn_beta_slow", &s->beta_slow));
    if (r->arch->bit != DEEPSEEK2) return DSM_OK;
    DSM_TRY(read_real(r, "rope.scaling.yarn_log_multiplier", &log_multiplier));
    s->mscale = s->mscale_all_dim = log_multiplier * 10;
    return DSM_OK;
}

/* What the tensors say and no key does. */
static void read_tensors(reader *r)
{
    dsm_model_config *c = r->c;
    const dsm_gguf_tensor *embed = dsm_gguf_find(r->f, "token_embd.weight");
    if (embed && embed->ndim == 2) c->vocab_size = embed->shape[0];
    c->tie_word_embeddings = !dsm_gguf_find(r->f, "output.weight");
    c->attention_bias = dsm_gguf_find(r->f, "blk.0.attn_q.bias") != NULL;
}

static dsm_status read_token_ids(reader *r)
{
    const struct {
        const char *name;
        int64_t *id;
    } ids[] = {{"tokenizer.ggml.bos_token_id", &r->c->bos_token_id},
               {"tokenizer.ggml.eos_token_id", &r->c->eos_token_id},
               {"tokenizer.ggml.padding_token_id", &r->c->pad_token_id}};
    for (size_t i = 0; i < COUNT(ids); i++) {
        *ids[i].id = -1;
        DSM_TRY(dsm_gguf_int(r->f, ids[i].name, 0, UINT32_MAX, ids[i].id, r->err));
        if (*ids[i].id >= r->c->vocab_size) *ids[i].id = -1;
    }
    return DSM_OK;
}

dsm_status dsm_gguf_config_read(dsm_model_config *c, const dsm_gguf *f, dsm_err *err)
{
    reader r = {.f = f, .c = c, .err = err};
    DSM_TRY(find_arch(f, &r.arch, err));
    DSM_TRY(read_family(&r));
    DSM_TRY(read_tables(&r));
    DSM_TRY(read_heads(&r));
    DSM_TRY(read_routing(&r));
    DSM_TRY(read_rope(&r));
    read_tensors(&r);
    DSM_TRY(read_token_ids(&r));
    return dsm_model_config_check(c, dsm_gguf_what(f), err);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* The architecture of a model type. A `deepseek` without experts is a llama. */
static const struct arch *arch_of(const dsm_model_config *c)
{
    unsigned family = dsm_family_of(c->model_type)->bit;
    bool dense = c->n_routed_experts == 0 && c->n_shared_experts == 0;
    if (family & DSM_FAMILY_MLA) return &archs[2];
    return &archs[family == DSM_FAMILY_V1 && !dense ? 1 : 0];
}

/* What a reader of the file would not know and do otherwise; NULL: nothing. */
static const char *unsayable(const dsm_model_config *c, const struct arch *a)
{
    bool routed = c->n_routed_experts > 0, mla = dsm_model_config_is_mla(c);
    const dsm_rope_scaling *s = &c->rope;
    if (routed && !mla && c->router != DSM_ROUTER_SOFTMAX) return "a router other than softmax";
    if (routed && c->router > DSM_ROUTER_SIGMOID) return "a router other than softmax and sigmoid";
    if (routed && !mla && c->bias != DSM_BIAS_NONE) return "a selection bias";
    if (routed && a->bit == DEEPSEEK && c->norm_topk_prob) return "norm_topk_prob";
    if (routed && a->bit == DEEPSEEK && c->routed_scaling_factor != 1)
        return "a routed_scaling_factor other than 1";
    if (c->bias == DSM_BIAS_MULTIPLICATIVE) return "a multiplicative selection bias";
    if (c->capacity_factor > 0 || c->jitter > 0) return "capacity or jitter";
    if (a->bit != LLAMA && c->moe_layer_freq != 1) return "moe_layer_freq";
    if (mla && c->attention_bias) return "attention_bias of latent attention";
    if (strcmp(c->model_type, "deepseek_v3") == 0 && !c->rope_interleave)
        return "rope_interleave false";
    if (s->kind == DSM_ROPE_DYNAMIC) return "rotary scaling of type dynamic";
    if (s->kind == DSM_ROPE_LLAMA3 && a->bit != LLAMA) return "rotary scaling of type llama3";
    if (s->kind == DSM_ROPE_YARN && s->attention_factor != 0) return "attention_factor of yarn";
    if (s->kind == DSM_ROPE_YARN && !mla && (s->mscale != 1 || s->mscale_all_dim != 0))
        return "mscale of yarn";
    if (s->kind == DSM_ROPE_YARN && mla && s->mscale != s->mscale_all_dim)
        return "mscale other than mscale_all_dim";
    return NULL;
}

static void put_int(dsm_gguf_meta *m, const struct arch *a, const char *name, int64_t v)
{
    char text[KEY_MAX];
    dsm_gguf_put_u32(m, full_key(text, a, name), (uint32_t)v);
}

static void put_real(dsm_gguf_meta *m, const struct arch *a, const char *name, double v)
{
    char text[KEY_MAX];
    dsm_gguf_put_f32(m, full_key(text, a, name), (float)v);
}

static void put_tables(dsm_gguf_meta *m, const dsm_model_config *c, const struct arch *a)
{
    put_int(m, a, "vocab_size", c->vocab_size);
    for (size_t i = 0; i < COUNT(int_keys); i++)
        if (int_keys[i].archs & a->bit)
            put_int(m, a, int_keys[i].name, *(const int64_t *)at_const(c, int_keys[i].field));
    for (size_t i = 0; i < COUNT(real_keys); i++)
        if (real_keys[i].archs & a->bit)
            put_real(m, a, real_keys[i].name, *(const double *)at_const(c, real_keys[i].field));
}

/* Latent attention as one head of keys, the latent and the rotated slice, with values in it. */
static void put_latent(dsm_gguf_meta *m, const dsm_model_config *c, const struct arch *a)
{
    char text[KEY_MAX];
    put_int(m, a, "attention.head_count_kv", 1);
    put_int(m, a, "attention.key_length", c->kv_lora_rank + c->qk_rope_head_dim);
    put_int(m, a, "attention.value_length", c->kv_lora_rank);
    put_int(m, a, "attention.key_length_mla", c->head_dim);
    put_int(m, a, "attention.value_length_mla", c->v_head_dim);
    if (c->q_lora_rank > 0) put_int(m, a, "attention.q_lora_rank", c->q_lora_rank);
    put_int(m, a, "expert_gating_func", c->router == DSM_ROUTER_SIGMOID ? SIGMOID : SOFTMAX);
    dsm_gguf_put_bool(m, full_key(text, a, "expert_weights_norm"), c->norm_topk_prob);
    if (c->n_group > 1) {
        put_int(m, a, "expert_group_count", c->n_group);
        put_int(m, a, "expert_group_used_count", c->topk_group);
    }
}

static void put_rope(dsm_gguf_meta *m, const dsm_model_config *c, const struct arch *a)
{
    const dsm_rope_scaling *s = &c->rope;
    char text[KEY_MAX];
    if (s->kind == DSM_ROPE_DEFAULT) return;
    bool yarn = s->kind == DSM_ROPE_YARN;
    if (s->kind == DSM_ROPE_LLAMA3) { /* the rest is in a tensor */
        put_int(m, a, "rope.scaling.original_context_length", s->original_max_position_embeddings);
        return;
    }
    dsm_gguf_put_text(m, full_key(text, a, "rope.scaling.type"), yarn ? "yarn" : "linear");
    put_real(m, a, "rope.scaling.factor", s->factor);
    if (!yarn) return;
    put_int(m, a, "rope.scaling.original_context_length", s->original_max_position_embeddings);
    put_real(m, a, "rope.scaling.yarn_beta_fast", s->beta_fast);
    put_real(m, a, "rope.scaling.yarn_beta_slow", s->beta_slow);
    if (a->bit == DEEPSEEK2)
        put_real(m, a, "rope.scaling.yarn_log_multiplier", 0.1 * s->mscale_all_dim);
}

dsm_status dsm_gguf_config_put(dsm_gguf_meta *m, const dsm_model_config *c, dsm_dtype dtype,
                               const char *what, dsm_err *err)
{
    const struct arch *a = arch_of(c);
    const char *wrong = unsayable(c, a);
    if (wrong)
        return dsm_fail(err, DSM_EFORMAT, "%s: GGUF's %s cannot say: %s", what, a->name, wrong);
    dsm_gguf_put_text(m, "general.architecture", a->name);
    dsm_gguf_put_text(m, "general.type", "model");
    for (size_t i = 0; i < COUNT(file_types); i++)
        if (file_types[i].dtype == dtype)
            dsm_gguf_put_u32(m, "general.file_type", file_types[i].id);
    dsm_gguf_put_u32(m, "general.quantization_version", 2);
    put_tables(m, c, a);
    if (a->bit == DEEPSEEK2) put_latent(m, c, a);
    put_rope(m, c, a);
    return DSM_OK;
}
