/* SPDX-License-Identifier: MIT */
/* What a model's shape may be. Reading and writing config.json is formats/hf_config.c. */
#include "dsmoe/config.h"

#include "model/family.h"
#include "model/router.h"

#include <string.h>

/* No single size may exceed this, so that no product of two of them leaves int64_t. */
#define SIZE_LIMIT ((int64_t)1 << 24)

void dsm_model_config_defaults(dsm_model_config *c)
{
    *c = (dsm_model_config){
        .model_type = "llama",
        .vocab_size = 102400,
        .hidden_size = 4096,
        .intermediate_size = 11008,
        .moe_intermediate_size = 1407,
        .num_hidden_layers = 30,
        .num_attention_heads = 32,
        .num_key_value_heads = 32,
        .head_dim = 128,
        .max_position_embeddings = 2048,
        .moe_layer_freq = 1,
        .routed_scaling_factor = 1.0,
        .aux_loss_alpha = 0.001,
        .seq_aux = true,
        .rms_norm_eps = 1e-6,
        .rope_theta = 10000.0,
        .rope_interleave = true,
        .rope = {.factor = 1,
                 .beta_fast = 32,
                 .beta_slow = 1,
                 .mscale = 1,
                 .low_freq_factor = 1,
                 .high_freq_factor = 4},
        .initializer_range = 0.02,
        .bos_token_id = 100000,
        .eos_token_id = 100001,
        .pad_token_id = -1,
        .router = DSM_ROUTER_SOFTMAX,
        .bias = DSM_BIAS_NONE,
        .hash = DSM_HASH_RANDOM,
        .distilled_width = 50,
    };
}

dsm_status dsm_model_config_defaults_of(dsm_model_config *c, const char *model_type,
                                        const char *what, dsm_err *err)
{
    const dsm_family *family = dsm_family_of(model_type);
    dsm_model_config_defaults(c);
    if (!family)
        return dsm_fail(err, DSM_EFORMAT, "%s: model_type: found %.40s, expected %s", what,
                        model_type, dsm_family_names());
    strcpy(c->model_type, family->model_type);
    if (family->defaults) family->defaults(c);
    return DSM_OK;
}

/* --- derived sizes ----------------------------------------------------------------------- */

const char *dsm_model_config_router(const dsm_model_config *c)
{
    return dsm_router_of(c->router)->name;
}

bool dsm_model_config_is_moe(const dsm_model_config *c, int64_t l)
{
    bool any = c->n_routed_experts > 0 || c->n_shared_experts > 0;
    return any && l >= c->first_k_dense_replace && l % c->moe_layer_freq == 0;
}

bool dsm_model_config_is_mla(const dsm_model_config *c)
{
    return c->kv_lora_rank > 0;
}

int64_t dsm_model_config_v_dim(const dsm_model_config *c)
{
    return dsm_model_config_is_mla(c) ? c->v_head_dim : c->head_dim;
}

int64_t dsm_model_config_rope_dim(const dsm_model_config *c)
{
    return dsm_model_config_is_mla(c) ? c->qk_rope_head_dim : c->head_dim;
}

int64_t dsm_model_config_q_width(const dsm_model_config *c)
{
    return c->num_attention_heads * c->head_dim;
}

int64_t dsm_model_config_context(const dsm_model_config *c)
{
    double most = (double)c->max_position_embeddings * c->rope.factor;
    if (c->rope.kind != DSM_ROPE_DYNAMIC) return c->max_position_embeddings;
    return most < INT32_MAX ? (int64_t)most : INT32_MAX;
}

int64_t dsm_model_config_o_width(const dsm_model_config *c)
{
    return c->num_attention_heads * dsm_model_config_v_dim(c);
}

/* --- checks ------------------------------------------------------------------------------ */

/* One size, its key, and the range that makes sense. */
typedef struct size_rule {
    const char *key;
    int64_t value, low, high;
} size_rule;

static dsm_status check_sizes(const size_rule *rules, size_t n, const char *what, dsm_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (rules[i].value < rules[i].low || rules[i].value > rules[i].high)
            return dsm_fail(err, DSM_ERANGE, "%s: %s: found %lld, expected %lld to %lld", what,
                            rules[i].key, (long long)rules[i].value, (long long)rules[i].low,
                            (long long)rules[i].high);
    return DSM_OK;
}

static dsm_status check_latents(const dsm_model_config *c, const char *what, dsm_err *err)
{
    const size_rule rules[] = {
        {"kv_lora_rank", c->kv_lora_rank, 1, 65536},
        {"q_lora_rank", c->q_lora_rank, 0, 65536},
        {"qk_nope_head_dim", c->qk_nope_head_dim, 1, 16384},
        {"qk_rope_head_dim", c->qk_rope_head_dim, 1, 16384},
        {"v_head_dim", c->v_head_dim, 1, 16384},
        {"head_dim", c->head_dim, c->qk_nope_head_dim + c->qk_rope_head_dim,
         c->qk_nope_head_dim + c->qk_rope_head_dim},
        {"num_key_value_heads", c->num_key_value_heads, c->num_attention_heads,
         c->num_attention_heads},
    };
    return check_sizes(rules, sizeof rules / sizeof *rules, what, err);
}

static dsm_status check_attention(const dsm_model_config *c, const dsm_family *family,
                                  const char *what, dsm_err *err)
{
    bool latent = family->bit & DSM_FAMILY_MLA;
    if (!latent && c->kv_lora_rank != 0)
        return dsm_fail(err, DSM_ESHAPE, "%s: kv_lora_rank: found %lld, expected none for %s", what,
                        (long long)c->kv_lora_rank, family->model_type);
    if (latent) DSM_TRY(check_latents(c, what, err));
    if (c->num_attention_heads % c->num_key_value_heads != 0)
        return dsm_fail(err, DSM_ESHAPE,
                        "%s: num_key_value_heads: found %lld, expected a divisor of "
                        "num_attention_heads %lld",
                        what, (long long)c->num_key_value_heads, (long long)c->num_attention_heads);
    if (dsm_model_config_rope_dim(c) % 2 != 0)
        return dsm_fail(
            err, DSM_ESHAPE, "%s: %s: found %lld, expected an even number (rotary pairs)", what,
            latent ? "qk_rope_head_dim" : "head_dim", (long long)dsm_model_config_rope_dim(c));
    return DSM_OK;
}

/* Sizes and factors of the kinds of scaling that use them. */
static dsm_status check_rope(const dsm_model_config *c, const char *what, dsm_err *err)
{
    const dsm_rope_scaling *r = &c->rope;
    bool banded = r->kind == DSM_ROPE_YARN || r->kind == DSM_ROPE_LLAMA3;
    const char *wrong = NULL;
    if (r->kind == DSM_ROPE_DEFAULT) return DSM_OK;
    if (r->kind != DSM_ROPE_LINEAR && r->original_max_position_embeddings < 1)
        wrong = "original_max_position_embeddings: expected >= 1";
    if (r->kind == DSM_ROPE_DYNAMIC && dsm_model_config_rope_dim(c) < 4)
        wrong = "type dynamic: expected at least two rotary pairs";
    if (banded && c->rope_theta <= 1.0) wrong = "rope_theta: expected above 1";
    if (r->kind == DSM_ROPE_LLAMA3 && !(r->high_freq_factor > r->low_freq_factor))
        wrong = "high_freq_factor: expected above low_freq_factor";
    if (wrong) return dsm_fail(err, DSM_ESHAPE, "%s: rope_scaling: %s", what, wrong);
    return DSM_OK;
}

static dsm_status check_reals(const dsm_model_config *c, const char *what, dsm_err *err)
{
    const struct {
        const char *key;
        double value, low, high;
    } rules[] = {
        {"rms_norm_eps", c->rms_norm_eps, 0.0, 1.0},
        {"rope_theta", c->rope_theta, 1.0, 1e12},
        {"initializer_range", c->initializer_range, 0.0, 100.0},
        {"aux_loss_alpha", c->aux_loss_alpha, 0.0, 100.0},
        {"routed_scaling_factor", c->routed_scaling_factor, 1e-6, 1e6},
        {"rope_scaling.factor", c->rope.factor, 1.0, 1e6},
        {"rope_scaling.beta_fast", c->rope.beta_fast, 1e-6, 1e6},
        {"rope_scaling.beta_slow", c->rope.beta_slow, 1e-6, 1e6},
        {"rope_scaling.mscale", c->rope.mscale, 0.0, 1e3},
        {"rope_scaling.mscale_all_dim", c->rope.mscale_all_dim, 0.0, 1e3},
        {"rope_scaling.attention_factor", c->rope.attention_factor, 0.0, 1e3},
        {"rope_scaling.low_freq_factor", c->rope.low_freq_factor, 1e-6, 1e6},
        {"rope_scaling.high_freq_factor", c->rope.high_freq_factor, 1e-6, 1e6},
        {"dsmoe.capacity_factor", c->capacity_factor, 0.0, 1e6},
        {"dsmoe.jitter", c->jitter, 0.0, 0.999},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (!(rules[i].value >= rules[i].low && rules[i].value <= rules[i].high))
            return dsm_fail(err, DSM_ERANGE, "%s: %s: found %g, expected %g to %g", what,
                            rules[i].key, rules[i].value, rules[i].low, rules[i].high);
    return DSM_OK;
}

/* Options that belong to some routers only. */
static dsm_status check_options(const dsm_model_config *c, const char *what, dsm_err *err)
{
    const struct {
        const char *key, *routers;
        bool set, allowed;
    } rules[] = {
        {"selection_bias", "softmax or sigmoid", c->bias != DSM_BIAS_NONE,
         c->router == DSM_ROUTER_SOFTMAX || c->router == DSM_ROUTER_SIGMOID},
        {"capacity_factor", "switch or gshard", c->capacity_factor != 0.0,
         c->router == DSM_ROUTER_SWITCH || c->router == DSM_ROUTER_GSHARD},
        {"jitter", "switch", c->jitter != 0.0, c->router == DSM_ROUTER_SWITCH},
        {"renormalize", "gshard", c->renormalize, c->router == DSM_ROUTER_GSHARD},
        {"random_second", "gshard", c->random_second, c->router == DSM_ROUTER_GSHARD},
        {"chunk", "expert_choice", c->chunk != 0, c->router == DSM_ROUTER_EXPERT_CHOICE},
        {"shuffle", "expert_choice", c->shuffle, c->router == DSM_ROUTER_EXPERT_CHOICE},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].set && !rules[i].allowed)
            return dsm_fail(err, DSM_EUSAGE, "%s: dsmoe.%s: found with router %s, expected %s",
                            what, rules[i].key, dsm_router_of(c->router)->name, rules[i].routers);
    return DSM_OK;
}

/* Groups of equal size, enough experts in those kept, and what sums two experts has two. */
static dsm_status check_group_sizes(const dsm_model_config *c, const char *what, dsm_err *err)
{
    int64_t E = c->n_routed_experts, K = c->num_experts_per_tok;
    int64_t least = c->topk_method == DSM_TOPK_NOAUX_TC ? 2 : 1;
    if (c->n_group < 1 || c->n_group > DSM_MAX_GROUPS || E % c->n_group != 0 ||
        E / c->n_group < least)
        return dsm_fail(err, DSM_ESHAPE,
                        "%s: n_group: found %lld, expected a divisor of n_routed_experts %lld, at "
                        "most %d, that leaves %lld or more experts in a group",
                        what, (long long)c->n_group, (long long)E, DSM_MAX_GROUPS,
                        (long long)least);
    int64_t low = (K * c->n_group + E - 1) / E; /* groups that hold K experts */
    if (c->topk_group < low || c->topk_group > c->n_group)
        return dsm_fail(err, DSM_ESHAPE,
                        "%s: topk_group: found %lld, expected %lld (enough for %lld experts) to "
                        "n_group %lld",
                        what, (long long)c->topk_group, (long long)low, (long long)K,
                        (long long)c->n_group);
    return DSM_OK;
}

/* A method, the router and the selection bias that it needs, and its groups. */
static dsm_status check_topk_method(const dsm_model_config *c, const dsm_family *family,
                                    const char *what, dsm_err *err)
{
    static const char *const names[] = {"greedy", "group_limited_greedy", "noaux_tc"};
    bool steered = c->topk_method == DSM_TOPK_NOAUX_TC;
    dsm_router_kind needed = steered ? DSM_ROUTER_SIGMOID : DSM_ROUTER_SOFTMAX;
    const char *name = names[c->topk_method];
    if (!(family->topk_methods >> c->topk_method & 1))
        return dsm_fail(err, DSM_EFORMAT, "%s: topk_method: found %s, which %s does not have", what,
                        name, family->model_type);
    if (c->topk_method == DSM_TOPK_GREEDY) return DSM_OK;
    if (c->router != needed)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: scoring_func: found %s, expected %s for topk_method %s", what,
                        dsm_router_of(c->router)->name, dsm_router_of(needed)->name, name);
    if (c->bias != (steered ? DSM_BIAS_ADDITIVE : DSM_BIAS_NONE))
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: dsmoe.selection_bias: expected %s for topk_method %s", what,
                        steered ? "additive" : "none", name);
    return check_group_sizes(c, what, err);
}

static dsm_status check_experts(const dsm_model_config *c, const dsm_family *family,
                                const char *what, dsm_err *err)
{
    if (c->n_routed_experts == 0) return DSM_OK;
    if (c->num_experts_per_tok < 1 || c->num_experts_per_tok > c->n_routed_experts)
        return dsm_fail(err, DSM_ESHAPE,
                        "%s: num_experts_per_tok: found %lld, expected 1 to n_routed_experts %lld",
                        what, (long long)c->num_experts_per_tok, (long long)c->n_routed_experts);
    if (c->num_experts_per_tok != dsm_router_picks(c))
        return dsm_fail(err, DSM_ESHAPE,
                        "%s: num_experts_per_tok: found %lld, expected %lld for router %s", what,
                        (long long)c->num_experts_per_tok, (long long)dsm_router_picks(c),
                        dsm_router_of(c->router)->name);
    DSM_TRY(check_topk_method(c, family, what, err));
    return check_options(c, what, err);
}

dsm_status dsm_model_config_check(const dsm_model_config *c, const char *what, dsm_err *err)
{
    const dsm_family *family = dsm_family_of(c->model_type);
    const size_rule rules[] = {
        {"vocab_size", c->vocab_size, 1, SIZE_LIMIT},
        {"hidden_size", c->hidden_size, 1, SIZE_LIMIT},
        {"intermediate_size", c->intermediate_size, 1, SIZE_LIMIT},
        {"moe_intermediate_size", c->moe_intermediate_size, 1, SIZE_LIMIT},
        {"num_hidden_layers", c->num_hidden_layers, 1, 10000},
        {"num_attention_heads", c->num_attention_heads, 1, 65536},
        {"num_key_value_heads", c->num_key_value_heads, 1, 65536},
        {"head_dim", c->head_dim, 1, 65536},
        {"max_position_embeddings", c->max_position_embeddings, 1, SIZE_LIMIT},
        {"n_shared_experts", c->n_shared_experts, 0, 65536},
        {"n_routed_experts", c->n_routed_experts, 0, 65536},
        {"first_k_dense_replace", c->first_k_dense_replace, 0, 10000},
        {"moe_layer_freq", c->moe_layer_freq, 1, 10000},
        {"dsmoe.chunk", c->chunk, 0, SIZE_LIMIT},
        {"dsmoe.distilled_width", c->distilled_width, 1, 65536},
    };
    if (!family)
        return dsm_fail(err, DSM_EFORMAT, "%s: model_type: found %.40s, expected %s", what,
                        c->model_type, dsm_family_names());
    DSM_TRY(check_sizes(rules, sizeof rules / sizeof *rules, what, err));
    DSM_TRY(check_attention(c, family, what, err));
    DSM_TRY(check_reals(c, what, err));
    DSM_TRY(check_rope(c, what, err));
    return check_experts(c, family, what, err);
}
