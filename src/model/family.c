/* SPDX-License-Identifier: MIT */
/* Defaults are those of the configuration files that DeepSeek ships with the weights, which differ
 * from the ones of the transformers classes. */
#include "model/family.h"

#include <stddef.h>
#include <string.h>

static void latent_defaults(dsm_model_config *c)
{
    c->q_lora_rank = 1536;
    c->kv_lora_rank = 512;
    c->qk_nope_head_dim = 128;
    c->qk_rope_head_dim = 64;
    c->v_head_dim = 128;
    c->head_dim = c->qk_nope_head_dim + c->qk_rope_head_dim;
}

static void v3_defaults(dsm_model_config *c)
{
    latent_defaults(c);
    c->vocab_size = 129280;
    c->hidden_size = 7168;
    c->intermediate_size = 18432;
    c->moe_intermediate_size = 2048;
    c->num_hidden_layers = 61;
    c->num_attention_heads = c->num_key_value_heads = 128;
    c->max_position_embeddings = 4096;
    c->n_shared_experts = 1;
    c->n_routed_experts = 256;
    c->num_experts_per_tok = 8;
    c->first_k_dense_replace = 3;
    c->num_nextn_predict_layers = 1;
    c->norm_topk_prob = true;
    c->routed_scaling_factor = 2.5;
    c->topk_method = DSM_TOPK_NOAUX_TC;
    c->n_group = 8;
    c->topk_group = 4;
    c->router = DSM_ROUTER_SIGMOID;
    c->bias = DSM_BIAS_ADDITIVE;
    c->bos_token_id = 0;
    c->eos_token_id = 1;
}

/* clang-format off */
static const dsm_family families[] = {
    {"llama",       "LlamaForCausalLM",      DSM_FAMILY_LLAMA, 1 << DSM_TOPK_GREEDY, NULL},
    {"deepseek",    "DeepseekForCausalLM",   DSM_FAMILY_V1,    1 << DSM_TOPK_GREEDY, NULL},
    {"deepseek_v2", "DeepseekV2ForCausalLM", DSM_FAMILY_V2,
     1 << DSM_TOPK_GREEDY | 1 << DSM_TOPK_GROUP_LIMITED, latent_defaults},
    {"deepseek_v3", "DeepseekV3ForCausalLM", DSM_FAMILY_V3,    1 << DSM_TOPK_NOAUX_TC, v3_defaults},
};
/* clang-format on */

const dsm_family *dsm_family_of(const char *model_type)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i].model_type, model_type) == 0) return &families[i];
    return NULL;
}

const char *dsm_family_names(void)
{
    return "llama, deepseek, deepseek_v2 or deepseek_v3";
}
