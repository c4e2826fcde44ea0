# SPDX-License-Identifier: MIT
"""The cases of tests/golden: one line each for what differs from the defaults."""
from dataclasses import dataclass, field

BASE_CONFIG = {
    "vocab_size": 40, "hidden_size": 12, "intermediate_size": 20, "num_hidden_layers": 2,
    "num_attention_heads": 3, "num_key_value_heads": 3, "hidden_act": "silu",
    "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
    "rope_scaling": None, "attention_bias": False, "attention_dropout": 0.0,
    "initializer_range": 0.3, "tie_word_embeddings": False, "torch_dtype": "float32",
    "dtype": "float32", "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None,
}
LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
DEEPSEEK = {
    "architectures": ["DeepseekForCausalLM"], "model_type": "deepseek",
    "moe_intermediate_size": 5, "n_shared_experts": 1, "n_routed_experts": 8,
    "num_experts_per_tok": 2, "first_k_dense_replace": 1, "moe_layer_freq": 1,
    "scoring_func": "softmax", "norm_topk_prob": False, "routed_scaling_factor": 1.0,
    "aux_loss_alpha": 0.0, "seq_aux": True,
}
LATENT = {
    "num_attention_heads": 3, "num_key_value_heads": 3, "kv_lora_rank": 8, "q_lora_rank": None,
    "qk_nope_head_dim": 6, "qk_rope_head_dim": 8, "v_head_dim": 5, "topk_method": "greedy",
    "n_group": None, "topk_group": None,
}
V2 = {**DEEPSEEK, **LATENT, "architectures": ["DeepseekV2ForCausalLM"],
      "model_type": "deepseek_v2"}
V3 = {**DEEPSEEK, **LATENT, "architectures": ["DeepseekV3ForCausalLM"],
      "model_type": "deepseek_v3", "scoring_func": "sigmoid", "topk_method": "noaux_tc",
      "n_group": 4, "topk_group": 2, "norm_topk_prob": True, "routed_scaling_factor": 2.5,
      "q_lora_rank": 7, "num_experts_per_tok": 3, "num_nextn_predict_layers": 0}
# Angles small enough and pairs few enough that every branch of a stretching is taken.
STRETCHED = {"rope_theta": 100.0, "head_dim": 8}
YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 2,
        "beta_slow": 0.5, "mscale": 0.707, "mscale_all_dim": 0.707}
# Experts in both layers: layer numbers in random draws, losses summed over layers.
ALL_MOE = {"first_k_dense_replace": 0}
GQA = {"hidden_size": 16, "num_attention_heads": 4, "num_key_value_heads": 2}
NO_SHARED = {"n_shared_experts": None}

BASE_RECIPE = {
    "seed": 1, "steps": 10, "batch": 2, "seq_len": 12, "init_std": 0.3,
    "peak_lr": 0.01, "warmup": 3, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8,
    "weight_decay": 0.1, "clip": 1.0,
    "expert": 0.0, "device": 0.0, "communication": 0.0, "z": 0.0,
    "bias_rate": 0.0, "bias_rule": "sign",
    "devices": 1, "device_limit": 1, "scope": "sequence",
}


@dataclass
class Case:
    name: str
    about: str
    family: dict = field(default_factory=lambda: DEEPSEEK)
    config: dict = field(default_factory=dict)
    own: dict = field(default_factory=dict)      # config.json keys under "dsmoe"
    recipe: dict = field(default_factory=dict)
    min_margin: float = 1e-3

    def config_json(self):
        out = {**self.family, **BASE_CONFIG, **self.config}
        if self.own:
            out["dsmoe"] = self.own
        return out

    def recipe_json(self):
        return {**BASE_RECIPE, **self.recipe}


ALL_LOSSES = {"expert": 0.05, "device": 0.03, "communication": 0.02, "z": 0.01,
              "devices": 4, "device_limit": 2}
EXPERT_LOSS = {"expert": 0.05}

CASES = [
    Case("dense_mha", "plain transformer, multi-head attention, untied head", LLAMA),
    Case("dense_gqa_tied", "grouped-query attention, head tied to the embedding", LLAMA,
         {**GQA, "tie_word_embeddings": True}),
    Case("dense_experts", "dense as three always-on experts, nothing routed",
         config={"n_shared_experts": 3, "n_routed_experts": 0, "num_experts_per_tok": 0}),

    Case("softmax", "DeepSeekMoE: raw softmax gates, all four balance losses per sequence",
         recipe=ALL_LOSSES),
    Case("softmax_norm", "gates divided by their sum (scaling then unused), losses per batch, GQA",
         config={**GQA, "norm_topk_prob": True, "routed_scaling_factor": 2.5, "seq_aux": False,
                 "num_experts_per_tok": 3},
         recipe={**ALL_LOSSES, "scope": "batch"}),
    Case("softmax_scaled", "V1 never scales its gates; two shared experts, all MoE, tied head",
         config={**ALL_MOE, "n_shared_experts": 2, "routed_scaling_factor": 2.5,
                 "tie_word_embeddings": True},
         recipe={**ALL_LOSSES, "devices": 2, "device_limit": 1}),

    Case("sigmoid_sign", "loss-free: sigmoid gates, bias by sign; normalised-score balance loss",
         config={"scoring_func": "sigmoid"},
         own={"router": "sigmoid", "selection_bias": "additive"},
         recipe={"bias_rate": 0.01, "expert": 0.01, "z": 0.005}, min_margin=2e-4),
    Case("sigmoid_norm", "loss-free with gates divided by their sum, no balance loss",
         config={"scoring_func": "sigmoid", "norm_topk_prob": True, "num_experts_per_tok": 3},
         own={"router": "sigmoid", "selection_bias": "additive"},
         recipe={"bias_rate": 0.02}, min_margin=2e-4),
    Case("sigmoid_proportional", "loss-free: bias moves by the relative error of the load",
         config={"scoring_func": "sigmoid"},
         own={"router": "sigmoid", "selection_bias": "additive"},
         recipe={"bias_rate": 0.02, "bias_rule": "proportional"}, min_margin=2e-4),
    Case("sigmoid_multiplicative", "loss-free: selection on score times bias, bias starts at one",
         config={"scoring_func": "sigmoid"},
         own={"router": "sigmoid", "selection_bias": "multiplicative"},
         recipe={"bias_rate": 0.02}, min_margin=2e-4),
    Case("softmax_lossfree", "loss-free over softmax scores, proportional update",
         own={"router": "softmax", "selection_bias": "additive"},
         recipe={"bias_rate": 0.01, "bias_rule": "proportional"}, min_margin=2e-4),

    Case("biased", "bias on q, k, v and o, GQA", LLAMA, {**GQA, "attention_bias": True}),
    Case("rope_llama3", "Llama 3's stretched positions", LLAMA,
         {**STRETCHED, "rope_scaling": {
             "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 0.5,
             "high_freq_factor": 2.0, "original_max_position_embeddings": 16}}),
    Case("rope_yarn", "YaRN on whole heads: cosines and sines times 0.1 ln 4 + 1", LLAMA,
         {**STRETCHED, "rope_scaling": {k: v for k, v in YARN.items() if "mscale" not in k}}),
    Case("rope_linear", "positions divided by 4", LLAMA,
         {"rope_scaling": {"type": "linear", "factor": 4.0}}),
    Case("every_second", "MoE in every second layer from the second on",
         config={"num_hidden_layers": 4, "moe_layer_freq": 2}, recipe=EXPERT_LOSS),

    Case("v2_greedy", "latent attention without query latent, YaRN, greedy, scaled gates", V2,
         {"rope_theta": 100.0, "rope_scaling": YARN, "routed_scaling_factor": 2.5},
         recipe=EXPERT_LOSS),
    Case("v2_groups", "query latent, biases, two mscales, gates scaled, picks within 2 of 4 groups",
         V2, {"rope_theta": 100.0, "rope_scaling": {**YARN, "mscale": 1.0, "mscale_all_dim": 0.5},
              "q_lora_rank": 7, "attention_bias": True, "topk_method": "group_limited_greedy",
              "n_group": 4, "topk_group": 2, "num_experts_per_tok": 3,
              "routed_scaling_factor": 4.0},
         recipe=ALL_LOSSES),
    Case("v2_norm", "gates normalised and then not scaled, MoE in every second layer", V2,
         {"norm_topk_prob": True, "routed_scaling_factor": 4.0, "moe_layer_freq": 2,
          "num_hidden_layers": 3, "first_k_dense_replace": 0}, recipe=EXPERT_LOSS),
    Case("v3_groups", "sigmoid scores, correction bias, groups by their two best, gates "
         "normalised and scaled", V3, {"rope_theta": 100.0,
                                       "rope_scaling": {**YARN, "mscale": 1.0,
                                                        "mscale_all_dim": 1.0}},
         recipe={"bias_rate": 0.01, "expert": 0.001}, min_margin=1e-4),
    Case("v3_plain", "one group, gates scaled alone, no query latent", V3,
         {"n_group": 1, "topk_group": 1, "norm_topk_prob": False, "q_lora_rank": None},
         recipe={"bias_rate": 0.01}, min_margin=1e-4),

    Case("gshard", "top-2, raw gates, expert-level loss, no shared expert",
         config=NO_SHARED, own={"router": "gshard"}, recipe=EXPERT_LOSS),
    Case("gshard_full", "top-2 renormalised, capacity per sequence, random second choice",
         config={**NO_SHARED, **ALL_MOE},
         own={"router": "gshard", "renormalize": True, "capacity_factor": 1.5,
              "random_second": True},
         recipe=EXPERT_LOSS),
    Case("switch", "top-1 by probability, expert-level loss",
         config={**NO_SHARED, "num_experts_per_tok": 1}, own={"router": "switch"},
         recipe=EXPERT_LOSS),
    Case("switch_full", "top-1 with jitter and a capacity per sequence",
         config={**NO_SHARED, **ALL_MOE, "num_experts_per_tok": 1},
         own={"router": "switch", "jitter": 0.1, "capacity_factor": 1.75},
         recipe={**EXPERT_LOSS, "z": 0.005}),
    Case("hash_random", "a random expert per token id and layer",
         config={**NO_SHARED, **ALL_MOE, "num_experts_per_tok": 1},
         own={"router": "hash", "hash": "random", "hash_seed": 7}),
    Case("hash_balanced", "tokens dealt to experts by training frequency",
         config={**NO_SHARED, "num_experts_per_tok": 1},
         own={"router": "hash", "hash": "balanced"}),

    Case("expert_choice", "each expert takes its tokens of a sequence, those tokens weigh it",
         own={"router": "expert_choice"}, recipe={**EXPERT_LOSS, "z": 0.005}, min_margin=2e-5),
    Case("expert_choice_shuffled", "chunks of 8 in a drawn order, all MoE, three experts on average",
         config={**NO_SHARED, **ALL_MOE, "num_experts_per_tok": 3},
         own={"router": "expert_choice", "chunk": 8, "shuffle": True}, min_margin=2e-5),
    Case("stable", "StableMoE: learns five steps, then the frozen distilled router picks",
         config={**NO_SHARED, "num_experts_per_tok": 1},
         own={"router": "stable", "distilled_width": 6},
         recipe={"expert": 0.3, "distill": 1.0, "freeze": 5, "scope": "batch"}),
    Case("stable_sequence", "loads evened per sequence, all MoE, z-loss, distillation at half weight",
         config={**NO_SHARED, **ALL_MOE, "num_experts_per_tok": 1},
         own={"router": "stable", "distilled_width": 3},
         recipe={"expert": 0.3, "distill": 0.5, "freeze": 8, "z": 0.005}),
    Case("softmax_lossfree_sign", "loss-free over softmax scores, bias by sign",
         own={"router": "softmax", "selection_bias": "additive"},
         recipe={"bias_rate": 0.01}, min_margin=2e-4),
    Case("softmax_lossfree_multiplicative", "loss-free: softmax score times bias, by the error",
         own={"router": "softmax", "selection_bias": "multiplicative"},
         recipe={"bias_rate": 0.05, "bias_rule": "proportional"}, min_margin=1e-4),
]
