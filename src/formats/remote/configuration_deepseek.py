# SPDX-License-Identifier: MIT
"""Configuration of DeepSeekMoE models (model_type "deepseek"), which transformers has no class for.

Written by dsmoe beside the weights; loaded with trust_remote_code=True.
"""
from transformers import PretrainedConfig


class DeepseekConfig(PretrainedConfig):
    model_type = "deepseek"
    keys_to_ignore_at_inference = ["past_key_values"]

    def __init__(
        self,
        vocab_size=102400,
        hidden_size=4096,
        intermediate_size=11008,
        moe_intermediate_size=1407,
        num_hidden_layers=30,
        num_attention_heads=32,
        num_key_value_heads=None,
        head_dim=None,
        n_shared_experts=None,
        n_routed_experts=None,
        num_experts_per_tok=None,
        first_k_dense_replace=0,
        moe_layer_freq=1,
        scoring_func="softmax",
        norm_topk_prob=False,
        hidden_act="silu",
        max_position_embeddings=2048,
        initializer_range=0.02,
        rms_norm_eps=1e-6,
        attention_bias=False,
        attention_dropout=0.0,
        rope_theta=10000.0,
        rope_scaling=None,
        rope_parameters=None,
        use_cache=True,
        pad_token_id=None,
        bos_token_id=100000,
        eos_token_id=100001,
        tie_word_embeddings=False,
        dsmoe=None,
        **kwargs,
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.moe_intermediate_size = moe_intermediate_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.num_key_value_heads = num_key_value_heads or num_attention_heads
        self.head_dim = head_dim or hidden_size // num_attention_heads
        self.n_shared_experts = n_shared_experts
        self.n_routed_experts = n_routed_experts
        self.num_experts_per_tok = num_experts_per_tok
        self.first_k_dense_replace = first_k_dense_replace
        self.moe_layer_freq = moe_layer_freq
        self.scoring_func = scoring_func
        self.norm_topk_prob = norm_topk_prob
        self.hidden_act = hidden_act
        self.max_position_embeddings = max_position_embeddings
        self.initializer_range = initializer_range
        self.rms_norm_eps = rms_norm_eps
        self.attention_bias = attention_bias
        self.attention_dropout = attention_dropout
        if hasattr(PretrainedConfig, "standardize_rope_params"):  # transformers 5
            self.rope_parameters = rope_parameters or {
                "rope_theta": rope_theta, "rope_type": "default", **(rope_scaling or {})}
        else:
            self.rope_theta = rope_theta
            self.rope_scaling = rope_scaling
        self.use_cache = use_cache
        self.dsmoe = dsmoe or {}
        super().__init__(
            pad_token_id=pad_token_id,
            bos_token_id=bos_token_id,
            eos_token_id=eos_token_id,
            tie_word_embeddings=tie_word_embeddings,
            **kwargs,
        )
