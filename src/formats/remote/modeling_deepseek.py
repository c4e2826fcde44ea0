# SPDX-License-Identifier: MIT
"""DeepSeekMoE (arXiv 2401.06066) for transformers, which has no class of its own for it.

Written by dsmoe beside the weights; loaded with trust_remote_code=True. Runs what dsmoe trains as
model_type "deepseek": the softmax and sigmoid routers with or without selection bias, Switch, GShard
and hash routing as they are at inference (nothing is dropped), shared experts, dense layers.

Axes: B batch, T tokens, D width, H heads, K experts chosen per token, E routed experts.
"""
import torch
import torch.nn.functional as F
from torch import nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.cache_utils import DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from .configuration_deepseek import DeepseekConfig


class DeepseekRMSNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * y.to(x.dtype)


# --- positions ---------------------------------------------------------------------------------


def frequencies(config, device):
    """Angles per position of each pair (head_dim / 2), and what cosines and sines are scaled by."""
    rope = getattr(config, "rope_parameters", None)  # transformers 5
    if rope is None:
        rope = {"rope_theta": config.rope_theta, **(config.rope_scaling or {})}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        return ROPE_INIT_FUNCTIONS[kind](config, device)
    pairs = torch.arange(0, config.head_dim, 2, dtype=torch.float, device=device)
    return rope["rope_theta"] ** (-pairs / config.head_dim), 1.0


def rotate(x, cos, sin):
    """(B, H, T, head_dim): dimension j turns with j + head_dim / 2."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class DeepseekRotary(nn.Module):
    """Nothing is stored: the few angles are computed where and when they are needed."""

    def __init__(self, config):
        super().__init__()
        self.config = config

    @torch.no_grad()
    def forward(self, positions, dtype):
        freq, scale = frequencies(self.config, positions.device)
        angle = positions[:, None, :, None].float() * freq.float()          # (B, 1, T, head_dim/2)
        return (angle.cos() * scale).to(dtype), (angle.sin() * scale).to(dtype)


# --- sublayers ---------------------------------------------------------------------------------


class DeepseekAttention(nn.Module):
    def __init__(self, config, layer_idx):
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        width, bias = config.head_dim, config.attention_bias
        self.q_proj = nn.Linear(config.hidden_size, config.num_attention_heads * width, bias=bias)
        self.k_proj = nn.Linear(config.hidden_size, config.num_key_value_heads * width, bias=bias)
        self.v_proj = nn.Linear(config.hidden_size, config.num_key_value_heads * width, bias=bias)
        self.o_proj = nn.Linear(config.num_attention_heads * width, config.hidden_size, bias=bias)

    def forward(self, x, cos_sin, mask, cache):
        B, T, _ = x.shape

        def heads(y):
            return y.view(B, T, -1, self.config.head_dim).transpose(1, 2)

        q, k = (rotate(heads(p(x)), *cos_sin) for p in (self.q_proj, self.k_proj))
        v = heads(self.v_proj(x))
        if cache is not None:
            k, v = cache.update(k, v, self.layer_idx)
        repeat = self.config.num_attention_heads // self.config.num_key_value_heads
        k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
        dropout = self.config.attention_dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class DeepseekMLP(nn.Module):
    def __init__(self, config, width):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, width, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, width, bias=False)
        self.down_proj = nn.Linear(width, config.hidden_size, bias=False)
        self.act_fn = ACT2FN[config.hidden_act]

    def forward(self, x):
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


class DeepseekGate(nn.Module):
    """The K experts of each token and their weights, in float32."""

    def __init__(self, config):
        super().__init__()
        own = config.dsmoe
        self.config = config
        self.router = own.get("router", config.scoring_func)
        self.bias_kind = own.get("selection_bias", "none")
        if self.router == "hash":
            table = torch.zeros(config.vocab_size, dtype=torch.int32)
            self.register_buffer("hash_table", table)
            return
        self.weight = nn.Parameter(torch.zeros(config.n_routed_experts, config.hidden_size))
        if self.router == "stable":
            width = own.get("distilled_width", 50)
            self.distilled_embedding = nn.Embedding(config.vocab_size, width)
            self.distilled_centroids = nn.Linear(width, config.n_routed_experts, bias=False)
        if self.bias_kind != "none":
            start = 1.0 if self.bias_kind == "multiplicative" else 0.0
            bias = torch.full((config.n_routed_experts,), start)
            self.register_buffer("e_score_correction_bias", bias)

    def choose(self, score, ids):
        if self.router == "stable":
            return self.distilled_centroids(self.distilled_embedding(ids.flatten())).float()
        if self.bias_kind == "none":
            return score
        bias = self.e_score_correction_bias.float()
        return score * bias if self.bias_kind == "multiplicative" else score + bias

    def is_normalised(self):
        if self.router == "gshard":
            return self.config.dsmoe.get("renormalize", False)
        scored = self.router in ("softmax", "sigmoid")
        return scored and self.config.norm_topk_prob and self.config.num_experts_per_tok > 1

    def forward(self, x, ids):
        if self.router == "hash":
            pick = self.hash_table[ids.flatten()].long()[:, None]
            return pick, torch.ones(pick.shape, device=x.device)
        logits = F.linear(x.float(), self.weight.float())                   # (B·T, E)
        independent = self.router in ("sigmoid", "stable")
        score = logits.sigmoid() if independent else logits.softmax(-1)
        pick = self.choose(score, ids).topk(self.config.num_experts_per_tok, -1).indices
        gate = score.gather(-1, pick)
        if self.is_normalised():
            gate = gate / (gate.sum(-1, keepdim=True) + 1e-20)
        return pick, gate


class DeepseekMoE(nn.Module):
    """Shared experts with weight one, and the picked experts with their gates (eq. 9)."""

    def __init__(self, config):
        super().__init__()
        width = config.moe_intermediate_size
        self.n_routed = config.n_routed_experts or 0
        self.shared_experts = None
        if config.n_shared_experts:
            self.shared_experts = DeepseekMLP(config, config.n_shared_experts * width)
        if self.n_routed:
            self.gate = DeepseekGate(config)
            self.experts = nn.ModuleList(DeepseekMLP(config, width) for _ in range(self.n_routed))

    def routed(self, x, ids):
        pick, gate = self.gate(x, ids)                                      # (B·T, K)
        y = torch.zeros_like(x)
        for e in pick.unique().tolist():
            token, choice = torch.where(pick == e)
            weight = gate[token, choice, None].to(x.dtype)
            y = y.index_add(0, token, weight * self.experts[e](x[token]))
        return y

    def forward(self, x, ids):
        rows = x.flatten(0, 1)
        y = torch.zeros_like(rows)
        if self.n_routed:
            y = y + self.routed(rows, ids)
        if self.shared_experts is not None:
            y = y + self.shared_experts(rows)
        return y.view_as(x)


def is_moe(config, layer):
    any_expert = config.n_routed_experts or config.n_shared_experts
    late = layer >= config.first_k_dense_replace and layer % config.moe_layer_freq == 0
    return bool(any_expert) and late


class DeepseekDecoderLayer(nn.Module):
    def __init__(self, config, layer_idx):
        super().__init__()
        self.self_attn = DeepseekAttention(config, layer_idx)
        self.is_moe = is_moe(config, layer_idx)
        self.mlp = DeepseekMoE(config) if self.is_moe else DeepseekMLP(
            config, config.intermediate_size)
        self.input_layernorm = DeepseekRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = DeepseekRMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x, cos_sin, mask, cache, ids):
        x = x + self.self_attn(self.input_layernorm(x), cos_sin, mask, cache)
        y = self.post_attention_layernorm(x)
        return x + (self.mlp(y, ids) if self.is_moe else self.mlp(y))


# --- models ------------------------------------------------------------------------------------


class DeepseekPreTrainedModel(PreTrainedModel):
    config_class = DeepseekConfig
    base_model_prefix = "model"
    _no_split_modules = ["DeepseekDecoderLayer"]
    _supports_sdpa = True

    @torch.no_grad()
    def _init_weights(self, module):
        std = self.config.initializer_range
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=std)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, DeepseekRMSNorm):
            nn.init.ones_(module.weight)
        elif isinstance(module, DeepseekGate) and hasattr(module, "weight"):
            nn.init.normal_(module.weight, std=std)


def causal_mask(attention_mask, T, past, device):
    """(B or 1, 1, T, past + T), true where a query may look."""
    query = torch.arange(past, past + T, device=device)[:, None]
    mask = (torch.arange(past + T, device=device) <= query)[None, None]
    if attention_mask is not None:
        mask = mask & attention_mask[:, None, None, :].bool()
        mask = mask | torch.eye(past + T, dtype=torch.bool, device=device)[past:]  # padded queries
    return mask


class DeepseekModel(DeepseekPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            DeepseekDecoderLayer(config, i) for i in range(config.num_hidden_layers))
        self.norm = DeepseekRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.rotary = DeepseekRotary(config)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, position_ids=None, past_key_values=None,
                use_cache=None, **kwargs):
        use_cache = self.config.use_cache if use_cache is None else use_cache
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache()
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        B, T = input_ids.shape
        if position_ids is None:
            position_ids = torch.arange(past, past + T, device=input_ids.device).expand(B, T)
        x = self.embed_tokens(input_ids)
        cos_sin = self.rotary(position_ids, x.dtype)
        mask = causal_mask(attention_mask, T, past, x.device)
        for layer in self.layers:
            x = layer(x, cos_sin, mask, past_key_values, input_ids)
        return BaseModelOutputWithPast(last_hidden_state=self.norm(x),
                                       past_key_values=past_key_values)


class DeepseekForCausalLM(DeepseekPreTrainedModel, GenerationMixin):
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config):
        super().__init__(config)
        self.model = DeepseekModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, position_ids=None, past_key_values=None,
                labels=None, use_cache=None, logits_to_keep=0, **kwargs):
        out = self.model(input_ids, attention_mask=attention_mask, position_ids=position_ids,
                         past_key_values=past_key_values, use_cache=use_cache)
        logits = self.lm_head(out.last_hidden_state[:, -logits_to_keep:]).float()
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(),
                                   ignore_index=-100)
        return CausalLMOutputWithPast(loss=loss, logits=logits,
                                      past_key_values=out.past_key_values)
