/* SPDX-License-Identifier: MIT */
/* What a model's shape may be. Reading and writing config.json is formats/hf_config.c. */
#include "dsmoe/config.h"

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
        .initializer_range = 0.02,
        .bos_token_id = 100000,
        .eos_token_id = 100001,
        .pad_token_id = -1,
        .router = DSM_ROUTER_SOFTMAX,
        .bias = DSM_BIAS_NONE,
        .hash = DSM_HASH_RANDOM,
    };
}

bool dsm_model_config_is_moe(const dsm_model_config *c, int64_t l)
{
    bool any = c->n_routed_experts > 0 || c->n_shared_experts > 0;
    return any && l >= c->first_k_dense_replace && l % c->moe_layer_freq == 0;
}

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

static dsm_status check_attention(const dsm_model_config *c, const char *what, dsm_err *err)
{
    if (c->num_attention_heads % c->num_key_value_heads != 0)
        return dsm_fail(err, DSM_ESHAPE,
                        "%s: num_key_value_heads: found %lld, expected a divisor of "
                        "num_attention_heads %lld",
                        what, (long long)c->num_key_value_heads, (long long)c->num_attention_heads);
    if (c->head_dim % 2 != 0)
        return dsm_fail(err, DSM_ESHAPE,
                        "%s: head_dim: found %lld, expected an even number (rotary pairs)", what,
                        (long long)c->head_dim);
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
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].set && !rules[i].allowed)
            return dsm_fail(err, DSM_EUSAGE, "%s: dsmoe.%s: found with router %s, expected %s",
                            what, rules[i].key, dsm_router_of(c->router)->name, rules[i].routers);
    return DSM_OK;
}

static dsm_status check_experts(const dsm_model_config *c, const char *what, dsm_err *err)
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
    return check_options(c, what, err);
}

dsm_status dsm_model_config_check(const dsm_model_config *c, const char *what, dsm_err *err)
{
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
    };
    DSM_TRY(check_sizes(rules, sizeof rules / sizeof *rules, what, err));
    DSM_TRY(check_attention(c, what, err));
    DSM_TRY(check_reals(c, what, err));
    return check_experts(c, what, err);
}
