# SPDX-License-Identifier: MIT
"""The models that tools/parity.py compares: model type, switch, and what differs from the type's base."""
from dataclasses import dataclass, field

COMMON = {
    "vocab_size": 320, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 4, "hidden_act": "silu",
    "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "initializer_range": 0.02,
    "attention_bias": False, "attention_dropout": 0.0, "tie_word_embeddings": False,
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None, "rope_theta": 1000.0,
}
EXPERTS = {
    "moe_intermediate_size": 24, "n_shared_experts": 2, "n_routed_experts": 16,
    "num_experts_per_tok": 4, "first_k_dense_replace": 1, "norm_topk_prob": False,
    "routed_scaling_factor": 1.0,
}
LATENT = {
    "kv_lora_rank": 32, "q_lora_rank": None, "qk_nope_head_dim": 24, "qk_rope_head_dim": 16,
    "v_head_dim": 20,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128,
        "beta_fast": 8, "beta_slow": 0.5}
GROUPS = {"n_group": 4, "topk_group": 2}

BASES = {
    "llama": COMMON,
    "deepseek": {**COMMON, **EXPERTS, "moe_layer_freq": 1, "scoring_func": "softmax"},
    "deepseek_v2": {**COMMON, **EXPERTS, **LATENT, "topk_method": "greedy"},
    "deepseek_v3": {**COMMON, **EXPERTS, **LATENT, **GROUPS, "q_lora_rank": 40,
                    "norm_topk_prob": True, "routed_scaling_factor": 2.5,
                    "num_nextn_predict_layers": 0},
}


@dataclass
class Case:
    type: str
    switch: str
    config: dict = field(default_factory=dict)
    scaling: dict | None = None       # rope_scaling
    reference: str = "transformers"   # or "module": golden_model.py
    store: str = "experts"            # how weights are stored: "fused", "fp8", "bf16"

    def config_json(self):
        out = {**BASES[self.type], **self.config, "model_type": self.type}
        if self.scaling:
            out["rope_scaling"] = self.scaling
        return out

    @property
    def name(self):
        return f"{self.type}, {self.switch}"


def yarn(**mscales):
    return {**YARN, **mscales}


CASES = [
    Case("llama", "multi-head"),
    Case("llama", "grouped-query, wide heads", {"num_key_value_heads": 2, "head_dim": 24}),
    Case("llama", "tied head", {"tie_word_embeddings": True}),
    Case("llama", "attention bias", {"attention_bias": True, "num_key_value_heads": 2}),
    Case("llama", "rope linear", scaling={"rope_type": "linear", "factor": 3.0}),
    Case("llama", "rope dynamic", scaling={"rope_type": "dynamic", "factor": 2.0}),
    Case("llama", "rope dynamic, beyond its length", {"max_position_embeddings": 128},
         scaling={"rope_type": "dynamic", "factor": 2.0}),
    Case("llama", "rope llama3", scaling={
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 128}),
    Case("llama", "rope yarn", scaling=YARN),
    Case("llama", "bf16 weights", {"num_key_value_heads": 2}, store="bf16"),

    Case("deepseek", "plain", reference="module"),
    Case("deepseek", "norm_topk_prob", {"norm_topk_prob": True}, reference="module"),
    Case("deepseek", "no scaling of gates", {"routed_scaling_factor": 2.5}, reference="module"),
    Case("deepseek", "moe_layer_freq 2", {"moe_layer_freq": 2, "num_hidden_layers": 4},
         reference="module"),
    Case("deepseek", "bias, grouped-query, tied", {
        "attention_bias": True, "num_key_value_heads": 2, "tie_word_embeddings": True},
         reference="module"),
    Case("deepseek", "all layers MoE, one expert shared", {
        "first_k_dense_replace": 0, "n_shared_experts": 1}, reference="module"),

    Case("deepseek_v2", "greedy"),
    Case("deepseek_v2", "q_lora", {"q_lora_rank": 40}),
    Case("deepseek_v2", "attention bias", {"q_lora_rank": 40, "attention_bias": True}),
    Case("deepseek_v2", "yarn, equal mscales", scaling=yarn(mscale=0.707, mscale_all_dim=0.707)),
    Case("deepseek_v2", "yarn, two mscales", scaling=yarn(mscale=1.0, mscale_all_dim=0.5)),
    Case("deepseek_v2", "group limited", {**GROUPS, "topk_method": "group_limited_greedy"}),
    Case("deepseek_v2", "routed_scaling_factor 16", {
        **GROUPS, "topk_method": "group_limited_greedy", "routed_scaling_factor": 16.0,
        "q_lora_rank": 40}),
    Case("deepseek_v2", "all layers MoE", {"first_k_dense_replace": 0}),
    Case("deepseek_v2", "fused experts in the file", store="fused"),
    Case("deepseek_v2", "norm_topk_prob", {"norm_topk_prob": True, "routed_scaling_factor": 2.0},
         reference="module"),
    Case("deepseek_v2", "moe_layer_freq 2", {"moe_layer_freq": 2, "num_hidden_layers": 4},
         reference="module"),

    Case("deepseek_v3", "groups, bias, normalised, scaled"),
    Case("deepseek_v3", "no normalisation", {"norm_topk_prob": False}),
    Case("deepseek_v3", "one group, no q_lora", {"n_group": 1, "topk_group": 1,
                                                 "q_lora_rank": None}),
    Case("deepseek_v3", "yarn", scaling=yarn(mscale=1.0, mscale_all_dim=1.0)),
    Case("deepseek_v3", "half-split rope", {"rope_interleave": False}),
    Case("deepseek_v3", "FP8 in blocks, MTP layer", store="fp8"),
]
