/* SPDX-License-Identifier: MIT */
/* config.json, read and written: the keys of Hugging Face's LlamaConfig and of DeepSeekMoE's
 * configuration_deepseek.py, plus "dsmoe" for what those cannot say.
 *
 * One table per value type lists key, field and range; reading and writing are loops over it, so a
 * key cannot be read and not written. A missing key takes the default of the configuration files
 * shipped with the released weights (config.h), never that of the transformers classes, which
 * differ. */
#include "core/buf.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/nearest.h"
#include "dsmoe/config.h"
#include "model/router.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES ((size_t)16 << 20)
#define ANY_INT   ((int64_t)1 << 40)

/* Which families write a key. */
enum { ALL = 0, MOE_ONLY = 1 };

typedef struct int_key {
    const char *name;
    size_t field;
    int64_t low, high;
    int family;
    bool zero_is_null; /* written as null when 0 */
} int_key;

typedef struct real_key {
    const char *name;
    size_t field;
    int family;
} real_key;

typedef struct bool_key {
    const char *name;
    size_t field;
    int family;
} bool_key;

#define FIELD(name) #name, offsetof(dsm_model_config, name)

/* clang-format off */
static const int_key int_keys[] = {
    {FIELD(vocab_size),              1, ANY_INT, ALL, false},
    {FIELD(hidden_size),             1, ANY_INT, ALL, false},
    {FIELD(intermediate_size),       1, ANY_INT, ALL, false},
    {FIELD(num_hidden_layers),       1, ANY_INT, ALL, false},
    {FIELD(num_attention_heads),     1, ANY_INT, ALL, false},
    {FIELD(num_key_value_heads),     1, ANY_INT, ALL, false},
    {FIELD(head_dim),                1, ANY_INT, ALL, false},
    {FIELD(max_position_embeddings), 1, ANY_INT, ALL, false},
    {FIELD(moe_intermediate_size),   1, ANY_INT, MOE_ONLY, false},
    {FIELD(n_shared_experts),        0, ANY_INT, MOE_ONLY, true},
    {FIELD(n_routed_experts),        0, ANY_INT, MOE_ONLY, false},
    {FIELD(num_experts_per_tok),     0, ANY_INT, MOE_ONLY, false},
    {FIELD(first_k_dense_replace),   0, ANY_INT, MOE_ONLY, false},
    {FIELD(moe_layer_freq),          1, ANY_INT, MOE_ONLY, false},
};
static const real_key real_keys[] = {
    {FIELD(rms_norm_eps),          ALL},
    {FIELD(rope_theta),            ALL},
    {FIELD(initializer_range),     ALL},
    {FIELD(routed_scaling_factor), MOE_ONLY},
    {FIELD(aux_loss_alpha),        MOE_ONLY},
};
static const bool_key bool_keys[] = {
    {FIELD(tie_word_embeddings), ALL},
    {FIELD(attention_bias),      ALL},
    {FIELD(norm_topk_prob),      MOE_ONLY},
    {FIELD(seq_aux),             MOE_ONLY},
};
/* Keys of "dsmoe", all of them: anything else there is an error. */
static const struct { const char *name; } own_names[] = {
    {"router"}, {"selection_bias"}, {"renormalize"}, {"capacity_factor"}, {"jitter"},
    {"random_second"}, {"hash"}, {"hash_seed"},
};
static const real_key own_reals[] = {{FIELD(capacity_factor), 0}, {FIELD(jitter), 0}};
static const bool_key own_bools[] = {{FIELD(renormalize), 0}, {FIELD(random_second), 0}};
static const char *const bias_names[] = {"none", "additive", "multiplicative"};
static const char *const hash_names[] = {"random", "balanced"};

/* The architectures known to this version, and those that are only recognised. */
static const struct {
    const char *model_type, *architecture;
    bool moe, supported;
} families[] = {
    {"llama",       "LlamaForCausalLM",      false, true},
    {"deepseek",    "DeepseekForCausalLM",   true,  true},
    {"deepseek_v2", "DeepseekV2ForCausalLM", true,  false},
    {"deepseek_v3", "DeepseekV3ForCausalLM", true,  false},
};
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

static size_t family_of(const char *model_type)
{
    size_t i = 0;
    while (i < COUNT(families) && strcmp(families[i].model_type, model_type) != 0)
        i++;
    return i;
}

/* --- reading ---------------------------------------------------------------------------------- */

static dsm_status read_family(dsm_model_config *c, const json_t *o, const char *what, dsm_err *err)
{
    const char *type = NULL;
    DSM_TRY(dsm_json_string(o, "model_type", &type, what, err));
    if (!type)
        return dsm_fail(err, DSM_EFORMAT, "%s: model_type: missing, expected llama or deepseek",
                        what);
    size_t i = family_of(type);
    if (i == COUNT(families))
        return dsm_fail(err, DSM_EFORMAT, "%s: model_type: found %.40s, expected llama or deepseek",
                        what, type);
    if (!families[i].supported)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: model_type: found %s, whose latent attention this version cannot run; "
                        "expected llama or deepseek",
                        what, type);
    strcpy(c->model_type, families[i].model_type);
    return DSM_OK;
}

static dsm_status read_table(dsm_model_config *c, const json_t *o, bool moe, const char *what,
                             dsm_err *err)
{
    for (size_t i = 0; i < COUNT(int_keys); i++)
        if (moe || int_keys[i].family == ALL)
            DSM_TRY(dsm_json_int(o, int_keys[i].name, int_keys[i].low, int_keys[i].high,
                                 at(c, int_keys[i].field), what, err));
    for (size_t i = 0; i < COUNT(real_keys); i++)
        if (moe || real_keys[i].family == ALL)
            DSM_TRY(dsm_json_real(o, real_keys[i].name, at(c, real_keys[i].field), what, err));
    for (size_t i = 0; i < COUNT(bool_keys); i++)
        if (moe || bool_keys[i].family == ALL)
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

static dsm_status read_rope(dsm_model_config *c, const json_t *o, const char *what, dsm_err *err)
{
    const json_t *scaling = json_object_get(o, "rope_scaling");
    const json_t *v5 = json_object_get(o, "rope_parameters"); /* transformers 5: both in one */
    if (json_is_object(v5)) {
        DSM_TRY(dsm_json_real(v5, "rope_theta", &c->rope_theta, what, err));
        scaling = v5;
    }
    if (!scaling || json_is_null(scaling)) return DSM_OK;
    const char *type = "default";
    DSM_TRY(dsm_json_string(scaling, "type", &type, what, err));
    DSM_TRY(dsm_json_string(scaling, "rope_type", &type, what, err));
    if (strcmp(type, "default") != 0)
        return dsm_fail(err, DSM_EFORMAT, "%s: rope_scaling: found type %.40s, expected null", what,
                        type);
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
    int scoring = DSM_ROUTER_SOFTMAX;
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
    int bias = DSM_BIAS_NONE, hash = DSM_HASH_RANDOM;
    if (own && !json_is_object(own))
        return dsm_fail(err, DSM_EFORMAT, "%s: dsmoe: found %s, expected an object", what,
                        dsm_json_type_name(own));
    DSM_TRY(read_router(c, o, own, what, err));
    if (!own) return DSM_OK;
    DSM_TRY(reject_unknown(own, what, err));
    DSM_TRY(
        read_choice(own, "selection_bias", bias_names, (int)COUNT(bias_names), &bias, what, err));
    DSM_TRY(read_choice(own, "hash", hash_names, (int)COUNT(hash_names), &hash, what, err));
    DSM_TRY(dsm_json_int(own, "hash_seed", 0, INT64_MAX, &c->hash_seed, what, err));
    for (size_t i = 0; i < COUNT(own_reals); i++)
        DSM_TRY(dsm_json_real(own, own_reals[i].name, at(c, own_reals[i].field), what, err));
    for (size_t i = 0; i < COUNT(own_bools); i++)
        DSM_TRY(dsm_json_bool(own, own_bools[i].name, at(c, own_bools[i].field), what, err));
    c->bias = (dsm_bias_kind)bias;
    c->hash = (dsm_hash_kind)hash;
    return DSM_OK;
}

static dsm_status read_object(dsm_model_config *c, const json_t *o, const char *what, dsm_err *err)
{
    dsm_model_config_defaults(c);
    DSM_TRY(read_family(c, o, what, err));
    bool moe = families[family_of(c->model_type)].moe;
    DSM_TRY(read_table(c, o, moe, what, err));
    DSM_TRY(derive_defaults(c, o, what, err));
    DSM_TRY(read_token(o, "bos_token_id", &c->bos_token_id, what, err));
    DSM_TRY(read_token(o, "eos_token_id", &c->eos_token_id, what, err));
    DSM_TRY(read_token(o, "pad_token_id", &c->pad_token_id, what, err));
    DSM_TRY(read_fixed(o, "hidden_act", "silu", what, err));
    DSM_TRY(read_rope(c, o, what, err));
    if (moe) {
        DSM_TRY(read_fixed(o, "topk_method", "greedy", what, err));
        DSM_TRY(read_own(c, o, what, err));
    }
    return dsm_model_config_check(c, what, err);
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

static void write_table(json_t *o, const dsm_model_config *c, bool moe)
{
    for (size_t i = 0; i < COUNT(int_keys); i++) {
        int64_t v = *(const int64_t *)at_const(c, int_keys[i].field);
        if (moe || int_keys[i].family == ALL)
            json_object_set_new(o, int_keys[i].name,
                                v == 0 && int_keys[i].zero_is_null ? json_null() : json_integer(v));
    }
    for (size_t i = 0; i < COUNT(real_keys); i++)
        if (moe || real_keys[i].family == ALL)
            json_object_set_new(o, real_keys[i].name,
                                json_real(*(const double *)at_const(c, real_keys[i].field)));
    for (size_t i = 0; i < COUNT(bool_keys); i++)
        if (moe || bool_keys[i].family == ALL)
            json_object_set_new(o, bool_keys[i].name,
                                json_boolean(*(const bool *)at_const(c, bool_keys[i].field)));
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
    json_object_set_new(own, "hash", json_string(hash_names[c->hash]));
    json_object_set_new(own, "hash_seed", json_integer(c->hash_seed));
    json_object_set_new(o, "dsmoe", own);
}

/* "float32" for "f32": the names that transformers knows. */
static const char *torch_name(const char *dtype)
{
    if (strcmp(dtype, "bf16") == 0) return "bfloat16";
    if (strcmp(dtype, "f16") == 0) return "float16";
    return strcmp(dtype, "f64") == 0 ? "float64" : "float32";
}

dsm_status dsm_model_config_write(const dsm_model_config *c, const char *path, const char *dtype,
                                  dsm_err *err)
{
    size_t family = family_of(c->model_type);
    if (family == COUNT(families))
        return dsm_fail(err, DSM_EFORMAT, "%s: model_type: found %s, expected llama or deepseek",
                        path, c->model_type);
    bool moe = families[family].moe;
    json_t *o = json_object();
    json_object_set_new(o, "architectures", json_pack("[s]", families[family].architecture));
    json_object_set_new(o, "model_type", json_string(c->model_type));
    write_table(o, c, moe);
    json_object_set_new(o, "hidden_act", json_string("silu"));
    json_object_set_new(o, "rope_scaling", json_null());
    json_object_set_new(o, "attention_dropout", json_real(0.0));
    json_object_set_new(o, "pretraining_tp", json_integer(1));
    json_object_set_new(o, "use_cache", json_true());
    write_token(o, "bos_token_id", c->bos_token_id);
    write_token(o, "eos_token_id", c->eos_token_id);
    write_token(o, "pad_token_id", c->pad_token_id);
    json_object_set_new(o, "torch_dtype", json_string(torch_name(dtype)));
    json_object_set_new(o, "dtype", json_string(torch_name(dtype)));
    if (moe) {
        bool sigmoid = c->router == DSM_ROUTER_SIGMOID;
        if (c->n_routed_experts == 0 && c->n_shared_experts == 0) /* null: every layer is dense */
            json_object_set_new(o, "n_routed_experts", json_null());
        json_object_set_new(o, "scoring_func", json_string(sigmoid ? "sigmoid" : "softmax"));
        write_own(o, c);
    }
    dsm_status status = dsm_json_write(o, path, err);
    json_decref(o);
    return status;
}
