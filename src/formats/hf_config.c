/* SPDX-License-Identifier: MIT */
/* config.json, read and written: the keys of Hugging Face's LlamaConfig, DeepseekV2Config and
 * DeepseekV3Config and of DeepSeek's own configuration_deepseek.py, plus "dsmoe" for what those
 * cannot say.
 *
 * One table per value type lists key, field, range and families; reading and writing are loops over
 * it, so a key cannot be read and not written. A missing key takes the default of the configuration
 * files shipped with the released weights (model/family.c), never that of the transformers classes,
 * which differ. Rotary scaling is written under the names of transformers 4 (rope_theta,
 * rope_scaling) and of 5 (rope_parameters). */
#include "core/buf.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/nearest.h"
#include "dsmoe/config.h"
#include "model/family.h"
#include "model/router.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES ((size_t)16 << 20)
#define ANY_INT   ((int64_t)1 << 40)

/* Families that have a key. */
enum {
    ALL = DSM_FAMILY_ALL,
    MOE = DSM_FAMILY_MOE,
    MLA = DSM_FAMILY_MLA,
    V3 = DSM_FAMILY_V3,
    PLAIN = DSM_FAMILY_LLAMA | DSM_FAMILY_V1
};

/* How a null is read, and a 0 written. */
typedef enum null_rule {
    KEEP,      /* null: the default; 0 is a number */
    IS_ZERO,   /* null: 0, which is written as a number */
    ZERO_NULL, /* null: 0, which is written as null */
} null_rule;

typedef struct int_key {
    const char *name;
    size_t field;
    int64_t low, high;
    unsigned families;
    null_rule null;
} int_key;

typedef struct real_key {
    const char *name;
    size_t field;
    unsigned families;
} real_key;

typedef struct bool_key {
    const char *name;
    size_t field;
    unsigned families;
} bool_key;

/* A key of rope_scaling. */
typedef struct rope_key {
    const char *name;
    size_t field; /* in dsm_rope_scaling */
    unsigned kinds;
    bool is_int, optional; /* optional: not written when 0 */
} rope_key;

#define FIELD(name)      #name, offsetof(dsm_model_config, name)

#define ROPE_FIELD(name) #name, offsetof(dsm_rope_scaling, name)
#define KIND(name)       (1u << DSM_ROPE_##name)

/* clang-format off */
static const int_key int_keys[] = {
    {FIELD(vocab_size),              1, ANY_INT, ALL, KEEP},
    {FIELD(hidden_size),             1, ANY_INT, ALL, KEEP},
    {FIELD(intermediate_size),       1, ANY_INT, ALL, KEEP},
    {FIELD(num_hidden_layers),       1, ANY_INT, ALL, KEEP},
    {FIELD(num_attention_heads),     1, ANY_INT, ALL, KEEP},
    {FIELD(num_key_value_heads),     1, ANY_INT, ALL, KEEP},
    {FIELD(head_dim),                1, ANY_INT, PLAIN, KEEP},
    {FIELD(max_position_embeddings), 1, ANY_INT, ALL, KEEP},
    {FIELD(moe_intermediate_size),   1, ANY_INT, MOE, KEEP},
    {FIELD(n_shared_experts),        0, ANY_INT, MOE, ZERO_NULL},
    {FIELD(n_routed_experts),        0, ANY_INT, MOE, IS_ZERO},
    {FIELD(num_experts_per_tok),     0, ANY_INT, MOE, IS_ZERO},
    {FIELD(first_k_dense_replace),   0, ANY_INT, MOE, KEEP},
    {FIELD(moe_layer_freq),          1, ANY_INT, MOE, KEEP},
    {FIELD(q_lora_rank),             0, ANY_INT, MLA, ZERO_NULL},
    {FIELD(kv_lora_rank),            1, ANY_INT, MLA, KEEP},
    {FIELD(qk_nope_head_dim),        1, ANY_INT, MLA, KEEP},
    {FIELD(qk_rope_head_dim),        1, ANY_INT, MLA, KEEP},
    {FIELD(v_head_dim),              1, ANY_INT, MLA, KEEP},
    {FIELD(n_group),                 0, ANY_INT, MLA, ZERO_NULL},
    {FIELD(topk_group),              0, ANY_INT, MLA, ZERO_NULL},
    {FIELD(num_nextn_predict_layers), 0, ANY_INT, V3, IS_ZERO},
};
static const real_key real_keys[] = {
    {FIELD(rms_norm_eps),          ALL},
    {FIELD(rope_theta),            ALL},
    {FIELD(initializer_range),     ALL},
    {FIELD(routed_scaling_factor), MOE},
    {FIELD(aux_loss_alpha),        MOE},
};
static const bool_key bool_keys[] = {
    {FIELD(tie_word_embeddings), ALL},
    {FIELD(attention_bias),      ALL},
    {FIELD(norm_topk_prob),      MOE},
    {FIELD(seq_aux),             MOE},
    {FIELD(rope_interleave),     V3},
};
static const rope_key rope_keys[] = {
    {ROPE_FIELD(factor), KIND(LINEAR) | KIND(DYNAMIC) | KIND(YARN) | KIND(LLAMA3), false, false},
    {ROPE_FIELD(original_max_position_embeddings), KIND(YARN) | KIND(LLAMA3), true, false},
    {ROPE_FIELD(beta_fast),        KIND(YARN),   false, false},
    {ROPE_FIELD(beta_slow),        KIND(YARN),   false, false},
    {ROPE_FIELD(mscale),           KIND(YARN),   false, false},
    {ROPE_FIELD(mscale_all_dim),   KIND(YARN),   false, false},
    {ROPE_FIELD(attention_factor), KIND(YARN),   false, true},
    {ROPE_FIELD(low_freq_factor),  KIND(LLAMA3), false, false},
    {ROPE_FIELD(high_freq_factor), KIND(LLAMA3), false, false},
};
/* Keys of "dsmoe", all of them: anything else there is an error. */
static const struct { const char *name; } own_names[] = {
    {"router"}, {"selection_bias"}, {"renormalize"}, {"capacity_factor"}, {"jitter"},
    {"random_second"}, {"hash"}, {"hash_seed"}, {"chunk"}, {"shuffle"}, {"distilled_width"},
};
static const int_key own_ints[] = {
    {FIELD(hash_seed), 0, INT64_MAX, 0, KEEP}, {FIELD(chunk), 0, ANY_INT, 0, KEEP},
    {FIELD(distilled_width), 1, ANY_INT, 0, KEEP},
};
static const real_key own_reals[] = {{FIELD(capacity_factor), 0}, {FIELD(jitter), 0}};
static const bool_key own_bools[] = {
    {FIELD(renormalize), 0}, {FIELD(random_second), 0}, {FIELD(shuffle), 0},
};
static const char *const bias_names[] = {"none", "additive", "multiplicative"};
static const char *const hash_names[] = {"random", "balanced"};
static const char *const rope_names[] = {"default", "linear", "dynamic", "yarn", "llama3"};
/* The last is how DeepSeek-V2's own code spells its default. */
static const char *const topk_names[] = {"greedy", "group_limited_greedy", "noaux_tc", "gready"};
/* clang-format on */

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void *at(dsm_model_config *c, size_t field)
{
    return (char *)c + field;
}

static const void *at_const(const dsm_model_config *c, size_t field)
{
    return (const char *)c + field;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Defaults of the file's model type. */
static dsm_status read_family(dsm_model_config *c, const json_t *o, const char *what, dsm_err *err)
{
    const char *type = NULL;
    DSM_TRY(dsm_json_string(o, "model_type", &type, what, err));
    if (!type)
        return dsm_fail(err, DSM_EFORMAT, "%s: model_type: missing, expected %s", what,
                        dsm_family_names());
    return dsm_model_config_defaults_of(c, type, what, err);
}

static dsm_status read_int(dsm_model_config *c, const json_t *o, const int_key *key,
                           const char *what, dsm_err *err)
{
    int64_t *field = at(c, key->field);
    if (key->null != KEEP && json_is_null(json_object_get(o, key->name))) *field = 0;
    return dsm_json_int(o, key->name, key->low, key->high, field, what, err);
}

static dsm_status read_table(dsm_model_config *c, const json_t *o, unsigned family,
                             const char *what, dsm_err *err)
{
    for (size_t i = 0; i < COUNT(int_keys); i++)
        if (int_keys[i].families & family) DSM_TRY(read_int(c, o, &int_keys[i], what, err));
    for (size_t i = 0; i < COUNT(real_keys); i++)
        if (real_keys[i].families & family)
            DSM_TRY(dsm_json_real(o, real_keys[i].name, at(c, real_keys[i].field), what, err));
    for (size_t i = 0; i < COUNT(bool_keys); i++)
        if (bool_keys[i].families & family)
            DSM_TRY(dsm_json_bool(o, bool_keys[i].name, at(c, bool_keys[i].field), what, err));
    return DSM_OK;
}

/* Sizes whose default is another size: heads of keys, and the width of a head. */
static dsm_status derive_defaults(dsm_model_config *c, const json_t *o, const char *what,
                                  dsm_err *err)
{
    const json_t *kv = json_object_get(o, "num_key_value_heads");
    const json_t *dim = json_object_get(o, "head_dim");
    if (!kv || json_is_null(kv)) c->num_key_value_heads = c->num_attention_heads;
    if (dsm_model_config_is_mla(c)) {
        c->head_dim = c->qk_nope_head_dim + c->qk_rope_head_dim;
        return DSM_OK;
    }
    if (dim && !json_is_null(dim)) return DSM_OK;
    if (c->hidden_size % c->num_attention_heads != 0)
        return dsm_fail(err, DSM_ESHAPE,
                        "%s: num_attention_heads: found %lld, expected a divisor of hidden_size "
                        "%lld (or a head_dim)",
                        what, (long long)c->num_attention_heads, (long long)c->hidden_size);
    c->head_dim = c->hidden_size / c->num_attention_heads;
    return DSM_OK;
}

/* A token id may be null (-1), a number, or a list whose first entry counts. */
static dsm_status read_token(const json_t *o, const char *key, int64_t *out, const char *what,
                             dsm_err *err)
{
    const json_t *v = json_object_get(o, key);
    if (!v) return DSM_OK;
    if (json_is_array(v) && json_array_size(v) > 0) v = json_array_get(v, 0);
    if (json_is_null(v)) {
        *out = -1;
        return DSM_OK;
    }
    if (!json_is_integer(v) || json_integer_value(v) < -1 || json_integer_value(v) > INT32_MAX)
        return dsm_fail(err, DSM_EFORMAT, "%s: %s: found %s, expected a token id or null", what,
                        key, json_is_integer(v) ? "a number out of range" : dsm_json_type_name(v));
    *out = json_integer_value(v);
    return DSM_OK;
}

/* Keys with one value this program can run; another value would silently give wrong results. */
static dsm_status read_fixed(const json_t *o, const char *key, const char *expected,
                             const char *what, dsm_err *err)
{
    const char *found = expected;
    DSM_TRY(dsm_json_string(o, key, &found, what, err));
    if (strcmp(found, expected) != 0)
        return dsm_fail(err, DSM_EFORMAT, "%s: %s: found %.40s, expected %s", what, key, found,
                        expected);
    return DSM_OK;
}

/* The index of a string among names; a missing key leaves *out. */
static dsm_status read_choice(const json_t *o, const char *key, const char *const *names, int n,
                              int *out, const char *what, dsm_err *err)
{
    const char *found = NULL;
    DSM_TRY(dsm_json_string(o, key, &found, what, err));
    if (!found) return DSM_OK;
    for (int i = 0; i < n; i++)
        if (strcmp(found, names[i]) == 0) {
            *out = i;
            return DSM_OK;
        }
    dsm_buf known = {0};
    for (int i = 0; i < n; i++)
        dsm_buf_fmt(&known, "%s%s", i ? ", " : "", names[i]);
    dsm_status status = dsm_fail(err, DSM_EFORMAT, "%s: %s: found %.40s, expected one of %s", what,
                                 key, found, known.data ? known.data : "");
    dsm_buf_free(&known);
    return status;
}

/* Keys that only one value of can be run; absent is that value. */
static dsm_status read_rope_fixed(const json_t *o, const char *what, dsm_err *err)
{
    double part = 1;
    bool truncate = true;
    DSM_TRY(dsm_json_real(o, "partial_rotary_factor", &part, what, err));
    DSM_TRY(dsm_json_bool(o, "truncate", &truncate, what, err));
    if (part != 1)
        return dsm_fail(err, DSM_EFORMAT, "%s: partial_rotary_factor: found %g, expected 1", what,
                        part);
    if (!truncate)
        return dsm_fail(err, DSM_EFORMAT, "%s: rope_scaling.truncate: found false, expected true",
                        what);
    return DSM_OK;
}

/* What the kind's missing sizes follow from. */
static dsm_status derive_rope(dsm_model_config *c, const json_t *o, const char *what, dsm_err *err)
{
    dsm_rope_scaling *r = &c->rope;
    const json_t *factor = json_object_get(o, "factor");
    if (r->kind == DSM_ROPE_DEFAULT) return DSM_OK;
    if (r->kind == DSM_ROPE_DYNAMIC ||
        (r->kind != DSM_ROPE_LINEAR && r->original_max_position_embeddings == 0))
        r->original_max_position_embeddings = c->max_position_embeddings;
    if (factor && !json_is_null(factor)) return DSM_OK;
    if (r->kind != DSM_ROPE_YARN)
        return dsm_fail(err, DSM_EFORMAT, "%s: rope_scaling.factor: missing for type %s", what,
                        rope_names[r->kind]);
    r->factor = (double)c->max_position_embeddings / (double)r->original_max_position_embeddings;
    return DSM_OK;
}

static dsm_status read_scaling(dsm_model_config *c, const json_t *o, const char *what, dsm_err *err)
{
    int kind = DSM_ROPE_DEFAULT, n = (int)COUNT(rope_names);
    DSM_TRY(read_choice(o, "type", rope_names, n, &kind, what, err));
    DSM_TRY(read_choice(o, "rope_type", rope_names, n, &kind, what, err));
    DSM_TRY(read_rope_fixed(o, what, err));
    c->rope.kind = (dsm_rope_kind)kind;
    for (size_t i = 0; i < COUNT(rope_keys); i++) {
        const rope_key *key = &rope_keys[i];
        void *field = (char *)&c->rope + key->field;
        if (!(key->kinds >> kind & 1)) continue;
        if (key->is_int)
            DSM_TRY(dsm_json_int(o, key->name, 1, ANY_INT, field, what, err));
        else
            DSM_TRY(dsm_json_real(o, key->name, field, what, err));
    }
    return derive_rope(c, o, what, err);
}

/* rope_scaling, where it is an object; else transformers 5's rope_parameters. */
static dsm_status read_rope(dsm_model_config *c, const json_t *o, const char *what, dsm_err *err)
{
    static const char *const keys[] = {"rope_parameters", "rope_scaling"};
    const json_t *scaling = NULL;
    DSM_TRY(read_rope_fixed(o, what, err));
    for (size_t i = 0; i < COUNT(keys); i++) {
        const json_t *v = json_object_get(o, keys[i]);
        if (!v || json_is_null(v)) continue;
        if (!json_is_object(v))
            return dsm_fail(err, DSM_EFORMAT, "%s: %s: found %s, expected an object or null", what,
                            keys[i], dsm_json_type_name(v));
        DSM_TRY(dsm_json_real(v, "rope_theta", &c->rope_theta, what, err));
        scaling = v;
    }
    return scaling ? read_scaling(c, scaling, what, err) : DSM_OK;
}

/* Block-scaled FP8 (DeepSeek-V3) is the one quantisation of safetensors that is read. */
static dsm_status read_quantization(dsm_model_config *c, const json_t *o, const char *what,
                                    dsm_err *err)
{
    const json_t *q = json_object_get(o, "quantization_config");
    if (!q || json_is_null(q)) return DSM_OK;
    if (!json_is_object(q))
        return dsm_fail(err, DSM_EFORMAT, "%s: quantization_config: found %s, expected an object",
                        what, dsm_json_type_name(q));
    DSM_TRY(read_fixed(q, "quant_method", "fp8", what, err));
    DSM_TRY(read_fixed(q, "fmt", "e4m3", what, err));
    const json_t *block = json_object_get(q, "weight_block_size");
    json_int_t rows = json_integer_value(json_array_get(block, 0));
    json_int_t cols = json_integer_value(json_array_get(block, 1));
    if (json_array_size(block) != 2 || rows < 1 || cols < 1 || rows > INT32_MAX || cols > INT32_MAX)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: quantization_config.weight_block_size: expected two sizes of a block",
                        what);
    c->fp8_block_rows = rows;
    c->fp8_block_cols = cols;
    return DSM_OK;
}

static dsm_status reject_unknown(const json_t *own, const char *what, dsm_err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)own, key, value)
    {
        size_t i = 0;
        while (i < COUNT(own_names) && strcmp(own_names[i].name, key) != 0)
            i++;
        if (i < COUNT(own_names)) continue;
        const char *near = dsm_nearest(key, own_names, COUNT(own_names), sizeof *own_names);
        return dsm_fail(err, DSM_EFORMAT, "%s: dsmoe.%.60s: unknown key%s%s%s", what, key,
                        near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
    }
    return DSM_OK;
}

static dsm_status read_router(dsm_model_config *c, const json_t *o, const json_t *own,
                              const char *what, dsm_err *err)
{
    const char *routers[DSM_N_ROUTERS];
    for (int i = 0; i < DSM_N_ROUTERS; i++)
        routers[i] = dsm_router_of((dsm_router_kind)i)->name;
    int scoring = c->router; /* the family's */
    DSM_TRY(read_choice(o, "scoring_func", routers, 2, &scoring, what, err));
    int router = scoring;
    DSM_TRY(read_choice(own, "router", routers, DSM_N_ROUTERS, &router, what, err));
    bool scored = router == DSM_ROUTER_SOFTMAX || router == DSM_ROUTER_SIGMOID;
    if (scored && json_object_get(o, "scoring_func") && router != scoring)
        return dsm_fail(err, DSM_EFORMAT, "%s: dsmoe.router: found %s, expected scoring_func %s",
                        what, routers[router], routers[scoring]);
    c->router = (dsm_router_kind)router;
    return DSM_OK;
}

static dsm_status read_own(dsm_model_config *c, const json_t *o, const char *what, dsm_err *err)
{
    const json_t *own = json_object_get(o, "dsmoe");
    int bias = c->bias, hash = c->hash;
    if (own && !json_is_object(own))
        return dsm_fail(err, DSM_EFORMAT, "%s: dsmoe: found %s, expected an object", what,
                        dsm_json_type_name(own));
    DSM_TRY(read_router(c, o, own, what, err));
    if (!own) return DSM_OK;
    DSM_TRY(reject_unknown(own, what, err));
    DSM_TRY(
        read_choice(own, "selection_bias", bias_names, (int)COUNT(bias_names), &bias, what, err));
    DSM_TRY(read_choice(own, "hash", hash_names, (int)COUNT(hash_names), &hash, what, err));
    for (size_t i = 0; i < COUNT(own_ints); i++)
        DSM_TRY(read_int(c, own, &own_ints[i], what, err));
    for (size_t i = 0; i < COUNT(own_reals); i++)
        DSM_TRY(dsm_json_real(own, own_reals[i].name, at(c, own_reals[i].field), what, err));
    for (size_t i = 0; i < COUNT(own_bools); i++)
        DSM_TRY(dsm_json_bool(own, own_bools[i].name, at(c, own_bools[i].field), what, err));
    c->bias = (dsm_bias_kind)bias;
    c->hash = (dsm_hash_kind)hash;
    return DSM_OK;
}

static dsm_status read_topk_method(dsm_model_config *c, const json_t *o, const char *what,
                                   dsm_err *err)
{
    int method = c->topk_method;
    DSM_TRY(read_choice(o, "topk_method", topk_names, (int)COUNT(topk_names), &method, what, err));
    c->topk_method = method > DSM_TOPK_NOAUX_TC ? DSM_TOPK_GREEDY : (dsm_topk_method)method;
    return DSM_OK;
}

static dsm_status read_object(dsm_model_config *c, const json_t *o, const char *what, dsm_err *err)
{
    DSM_TRY(read_family(c, o, what, err));
    unsigned family = dsm_family_of(c->model_type)->bit;
    DSM_TRY(read_table(c, o, family, what, err));
    DSM_TRY(derive_defaults(c, o, what, err));
    DSM_TRY(read_token(o, "bos_token_id", &c->bos_token_id, what, err));
    DSM_TRY(read_token(o, "eos_token_id", &c->eos_token_id, what, err));
    DSM_TRY(read_token(o, "pad_token_id", &c->pad_token_id, what, err));
    DSM_TRY(read_fixed(o, "hidden_act", "silu", what, err));
    DSM_TRY(read_rope(c, o, what, err));
    DSM_TRY(read_quantization(c, o, what, err));
    if (family & MOE) {
        DSM_TRY(read_topk_method(c, o, what, err));
        DSM_TRY(read_own(c, o, what, err));
    }
    return dsm_model_config_check(c, what, err);
}

dsm_status dsm_model_config_parse(dsm_model_config *c, const char *text, size_t n, const char *what,
                                  dsm_err *err)
{
    json_t *o;
    DSM_TRY(dsm_json_parse(&o, text, n, what, err));
    dsm_status status = read_object(c, o, what, err);
    json_decref(o);
    return status;
}

dsm_status dsm_model_config_read(dsm_model_config *c, const char *path, dsm_err *err)
{
    char *file = dsm_fs_is_dir(path) ? dsm_fs_join(path, "config.json") : dsm_fs_join(path, "");
    json_t *o = NULL;
    if (!file) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    dsm_status status = dsm_json_read(&o, file, MAX_BYTES, err);
    if (status == DSM_OK) status = read_object(c, o, file, err);
    json_decref(o);
    free(file);
    return status;
}

/* --- writing ---------------------------------------------------------------------------------- */

static json_t *int_value(const int_key *key, const dsm_model_config *c)
{
    int64_t v = *(const int64_t *)at_const(c, key->field);
    return v == 0 && key->null == ZERO_NULL ? json_null() : json_integer(v);
}

static void write_table(json_t *o, const dsm_model_config *c, unsigned family)
{
    for (size_t i = 0; i < COUNT(int_keys); i++)
        if (int_keys[i].families & family)
            json_object_set_new(o, int_keys[i].name, int_value(&int_keys[i], c));
    for (size_t i = 0; i < COUNT(real_keys); i++)
        if (real_keys[i].families & family)
            json_object_set_new(o, real_keys[i].name,
                                json_real(*(const double *)at_const(c, real_keys[i].field)));
    for (size_t i = 0; i < COUNT(bool_keys); i++)
        if (bool_keys[i].families & family)
            json_object_set_new(o, bool_keys[i].name,
                                json_boolean(*(const bool *)at_const(c, bool_keys[i].field)));
}

/* The keys of the kind, under its old name ("type") and its new one. */
static json_t *scaling_object(const dsm_rope_scaling *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "rope_type", json_string(rope_names[r->kind]));
    if (r->kind != DSM_ROPE_DEFAULT)
        json_object_set_new(o, "type", json_string(rope_names[r->kind]));
    for (size_t i = 0; i < COUNT(rope_keys); i++) {
        const rope_key *key = &rope_keys[i];
        const void *field = (const char *)r + key->field;
        if (!(key->kinds >> r->kind & 1)) continue;
        if (key->is_int)
            json_object_set_new(o, key->name, json_integer(*(const int64_t *)field));
        else if (!key->optional || *(const double *)field != 0)
            json_object_set_new(o, key->name, json_real(*(const double *)field));
    }
    return o;
}

static void write_rope(json_t *o, const dsm_model_config *c)
{
    json_t *v5 = scaling_object(&c->rope);
    bool scaled = c->rope.kind != DSM_ROPE_DEFAULT;
    json_object_set_new(o, "rope_scaling", scaled ? json_copy(v5) : json_null());
    json_object_set_new(v5, "rope_theta", json_real(c->rope_theta));
    json_object_set_new(o, "rope_parameters", v5);
}

static void write_token(json_t *o, const char *key, int64_t id)
{
    json_object_set_new(o, key, id < 0 ? json_null() : json_integer(id));
}

static void write_own(json_t *o, const dsm_model_config *c)
{
    json_t *own = json_object();
    json_object_set_new(own, "router", json_string(dsm_router_of(c->router)->name));
    json_object_set_new(own, "selection_bias", json_string(bias_names[c->bias]));
    for (size_t i = 0; i < COUNT(own_reals); i++)
        json_object_set_new(own, own_reals[i].name,
                            json_real(*(const double *)at_const(c, own_reals[i].field)));
    for (size_t i = 0; i < COUNT(own_bools); i++)
        json_object_set_new(own, own_bools[i].name,
                            json_boolean(*(const bool *)at_const(c, own_bools[i].field)));
    for (size_t i = 0; i < COUNT(own_ints); i++)
        json_object_set_new(own, own_ints[i].name, int_value(&own_ints[i], c));
    json_object_set_new(own, "hash", json_string(hash_names[c->hash]));
    json_object_set_new(o, "dsmoe", own);
}

/* "float32" for "f32": the names that transformers knows. */
static const char *torch_name(const char *dtype)
{
    if (strcmp(dtype, "bf16") == 0) return "bfloat16";
    if (strcmp(dtype, "f16") == 0) return "float16";
    return strcmp(dtype, "f64") == 0 ? "float64" : "float32";
}

/* What only some families have, and is not in the tables. */
static void write_family(json_t *o, const dsm_model_config *c, unsigned family)
{
    if (family & MOE) {
        bool sigmoid = c->router == DSM_ROUTER_SIGMOID;
        if (c->n_routed_experts == 0 && c->n_shared_experts == 0) /* null: every layer is dense */
            json_object_set_new(o, "n_routed_experts", json_null());
        json_object_set_new(o, "scoring_func", json_string(sigmoid ? "sigmoid" : "softmax"));
        write_own(o, c);
    }
    if (family & DSM_FAMILY_V1) /* formats/remote.h */
        json_object_set_new(o, "auto_map",
                            json_pack("{s:s, s:s, s:s}", "AutoConfig",
                                      "configuration_deepseek.DeepseekConfig", "AutoModel",
                                      "modeling_deepseek.DeepseekModel", "AutoModelForCausalLM",
                                      "modeling_deepseek.DeepseekForCausalLM"));
    if (family & MLA) {
        json_object_set_new(o, "topk_method", json_string(topk_names[c->topk_method]));
        json_object_set_new(o, "ep_size", json_integer(1));
    }
    if (family & V3) json_object_set_new(o, "num_nextn_predict_layers", json_integer(0));
}

dsm_status dsm_model_config_write(const dsm_model_config *c, const char *path, const char *dtype,
                                  dsm_err *err)
{
    const dsm_family *family = dsm_family_of(c->model_type);
    if (!family)
        return dsm_fail(err, DSM_EFORMAT, "%s: model_type: found %s, expected %s", path,
                        c->model_type, dsm_family_names());
    json_t *o = json_object();
    json_object_set_new(o, "architectures", json_pack("[s]", family->architecture));
    json_object_set_new(o, "model_type", json_string(c->model_type));
    write_table(o, c, family->bit);
    write_rope(o, c);
    json_object_set_new(o, "hidden_act", json_string("silu"));
    json_object_set_new(o, "attention_dropout", json_real(0.0));
    json_object_set_new(o, "pretraining_tp", json_integer(1));
    json_object_set_new(o, "use_cache", json_true());
    write_token(o, "bos_token_id", c->bos_token_id);
    write_token(o, "eos_token_id", c->eos_token_id);
    write_token(o, "pad_token_id", c->pad_token_id);
    json_object_set_new(o, "torch_dtype", json_string(torch_name(dtype)));
    json_object_set_new(o, "dtype", json_string(torch_name(dtype)));
    write_family(o, c, family->bit);
    dsm_status status = dsm_json_write(o, path, err);
    json_decref(o);
    return status;
}
