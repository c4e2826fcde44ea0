# SPDX-License-Identifier: MIT
"""The transformer of the family, as plain PyTorch over a dictionary of Hugging Face tensors.

Pre-norm RMSNorm, rotary positions on half-split pairs, multi-head and grouped-query attention,
SwiGLU, untied or tied head, dense first layers, MoE layers with shared experts and any router of
golden_router.py. Written for reading, in whatever precision the parameters have.
Axes: B batch, T tokens, D width, H heads, Hk key heads, Dh head width, V vocabulary, L layers.
"""
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

import golden_router as gr


@dataclass
class Config:
    """Typed view of config.json; the extra keys of `dsmoe` say what the format cannot."""
    V: int
    D: int
    L: int
    H: int
    Hk: int
    Dh: int
    dense_width: int
    expert_width: int
    E: int
    K: int
    n_shared: int
    first_k_dense: int
    tied: bool
    eps: float
    theta: float
    router: str
    norm_topk_prob: bool
    routed_scaling_factor: float
    selection_bias: str
    capacity_factor: float
    jitter: float
    random_second: bool
    renormalize: bool
    hash_kind: str
    hash_seed: int

    @staticmethod
    def from_json(j):
        own = j.get("dsmoe", {})
        moe = j["model_type"] != "llama"
        return Config(
            V=j["vocab_size"], D=j["hidden_size"], L=j["num_hidden_layers"],
            H=j["num_attention_heads"], Hk=j["num_key_value_heads"],
            Dh=j.get("head_dim", j["hidden_size"] // j["num_attention_heads"]),
            dense_width=j["intermediate_size"], expert_width=j.get("moe_intermediate_size", 0),
            E=j.get("n_routed_experts") or 0, K=j.get("num_experts_per_tok") or 0,
            n_shared=j.get("n_shared_experts") or 0,
            first_k_dense=j.get("first_k_dense_replace", 0) if moe else j["num_hidden_layers"],
            tied=j["tie_word_embeddings"], eps=j["rms_norm_eps"], theta=j["rope_theta"],
            router=own.get("router", j.get("scoring_func", "softmax")),
            norm_topk_prob=j.get("norm_topk_prob", False),
            routed_scaling_factor=j.get("routed_scaling_factor", 1.0),
            selection_bias=own.get("selection_bias", "none"),
            capacity_factor=own.get("capacity_factor", 0.0), jitter=own.get("jitter", 0.0),
            random_second=own.get("random_second", False),
            renormalize=own.get("renormalize", False),
            hash_kind=own.get("hash", "random"), hash_seed=own.get("hash_seed", 0))

    def is_moe(self, layer):
        return layer >= self.first_k_dense


def parameter_shapes(cfg):
    """Hugging Face name -> shape, in the order a reader meets them in the network."""
    shapes = {"model.embed_tokens.weight": (cfg.V, cfg.D)}

    def mlp(prefix, width):
        shapes[prefix + "gate_proj.weight"] = (width, cfg.D)
        shapes[prefix + "up_proj.weight"] = (width, cfg.D)
        shapes[prefix + "down_proj.weight"] = (cfg.D, width)

    for i in range(cfg.L):
        layer = f"model.layers.{i}."
        shapes[layer + "input_layernorm.weight"] = (cfg.D,)
        shapes[layer + "self_attn.q_proj.weight"] = (cfg.H * cfg.Dh, cfg.D)
        shapes[layer + "self_attn.k_proj.weight"] = (cfg.Hk * cfg.Dh, cfg.D)
        shapes[layer + "self_attn.v_proj.weight"] = (cfg.Hk * cfg.Dh, cfg.D)
        shapes[layer + "self_attn.o_proj.weight"] = (cfg.D, cfg.H * cfg.Dh)
        shapes[layer + "post_attention_layernorm.weight"] = (cfg.D,)
        if not cfg.is_moe(i):
            mlp(layer + "mlp.", cfg.dense_width)
            continue
        if cfg.E and cfg.router != "hash":
            shapes[layer + "mlp.gate.weight"] = (cfg.E, cfg.D)
        for e in range(cfg.E):
            mlp(layer + f"mlp.experts.{e}.", cfg.expert_width)
        if cfg.n_shared:
            mlp(layer + "mlp.shared_experts.", cfg.n_shared * cfg.expert_width)
    shapes["model.norm.weight"] = (cfg.D,)
    if not cfg.tied:
        shapes["lm_head.weight"] = (cfg.V, cfg.D)
    return shapes


def random_parameters(cfg, seed, std):
    """Matrices N(0, std), norm weights near one; drawn in float32 so that storing them is exact."""
    draw = np.random.default_rng(seed)
    params = {}
    for name, shape in parameter_shapes(cfg).items():
        x = draw.standard_normal(shape)
        x = 1 + 0.1 * x if len(shape) == 1 else std * x
        params[name] = torch.from_numpy(x.astype(np.float32))
    return params


def rms_norm(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def rotate(x, theta):
    """Rotary positions on (B, T, heads, Dh): dimension j pairs with j + Dh/2."""
    T, Dh = x.shape[1], x.shape[3]
    freq = theta ** (-torch.arange(0, Dh, 2, dtype=torch.float64) / Dh)
    angle = torch.arange(T, dtype=torch.float64)[:, None] * freq              # (T, Dh/2)
    cos, sin = angle.cos().to(x.dtype)[:, None], angle.sin().to(x.dtype)[:, None]
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def attention(cfg, p, prefix, x):
    B, T, _ = x.shape

    def heads(name, n):
        return (x @ p[prefix + name + "_proj.weight"].T).view(B, T, n, cfg.Dh)

    q = rotate(heads("q", cfg.H), cfg.theta)
    k = rotate(heads("k", cfg.Hk), cfg.theta).repeat_interleave(cfg.H // cfg.Hk, 2)
    v = heads("v", cfg.Hk).repeat_interleave(cfg.H // cfg.Hk, 2)
    score = torch.einsum("bthd,bshd->bhts", q, k) / cfg.Dh**0.5
    future = torch.ones(T, T, dtype=torch.bool).triu(1)
    weight = torch.softmax(score.masked_fill(future, float("-inf")), -1)
    out = torch.einsum("bhts,bshd->bthd", weight, v)
    return out.reshape(B, T, cfg.H * cfg.Dh) @ p[prefix + "o_proj.weight"].T


def swiglu(p, prefix, x):
    gate, up = x @ p[prefix + "gate_proj.weight"].T, x @ p[prefix + "up_proj.weight"].T
    return (F.silu(gate) * up) @ p[prefix + "down_proj.weight"].T


def route(cfg, p, prefix, x, tokens, state, draws):
    if cfg.router == "hash":
        routing = gr.route_hash(cfg, tokens, state.table[draws.layer])
        routing.gate = routing.gate.to(x.dtype)
        return routing
    seen = gr.jitter(x, cfg.jitter, draws) if cfg.jitter else x
    logits = seen @ p[prefix + "gate.weight"].T
    return gr.ROUTERS[cfg.router](cfg, logits, state.bias.get(draws.layer), draws)


def moe(cfg, p, prefix, x, tokens, state, draws):
    """Shared experts with weight one, plus the picked experts with their gates."""
    y = swiglu(p, prefix + "shared_experts.", x) if cfg.n_shared else torch.zeros_like(x)
    if not cfg.E:
        return y, None
    routing = route(cfg, p, prefix, x, tokens, state, draws)
    for e in range(cfg.E):
        weight = (routing.gate * (routing.pick == e)).sum(-1, keepdim=True)    # (B, T, 1)
        y = y + weight * swiglu(p, prefix + f"experts.{e}.", x)
    return y, routing


@dataclass
class State:
    """What a model carries beside its trained parameters, by layer."""
    bias: dict   # layer -> (E,) loss-free bias
    table: dict  # layer -> (V,) hash table


def forward(cfg, p, tokens, state, seed=0, step=0):
    """Logits (B, T, V) and the Routing of every MoE layer by layer number."""
    h = p["model.embed_tokens.weight"][tokens]
    routings = {}
    for i in range(cfg.L):
        layer = f"model.layers.{i}."
        x = rms_norm(h, p[layer + "input_layernorm.weight"], cfg.eps)
        h = h + attention(cfg, p, layer + "self_attn.", x)
        x = rms_norm(h, p[layer + "post_attention_layernorm.weight"], cfg.eps)
        if cfg.is_moe(i):
            y, routing = moe(cfg, p, layer + "mlp.", x, tokens, state, gr.Draws(seed, step, i))
            if routing:
                routings[i] = routing
        else:
            y = swiglu(p, layer + "mlp.", x)
        h = h + y
    h = rms_norm(h, p["model.norm.weight"], cfg.eps)
    head = p["model.embed_tokens.weight" if cfg.tied else "lm_head.weight"]
    return h @ head.T, routings


def losses(cfg, recipe, logits, targets, routings):
    """Mean cross entropy over targets other than -1; each balance loss summed over layers."""
    out = {"lm": F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)}
    for kind in ("expert", "device", "communication", "z"):
        out[kind] = torch.zeros((), dtype=logits.dtype)
    for routing in routings.values():
        for kind, value in gr.balance_losses(cfg, recipe, routing).items():
            out[kind] = out[kind] + value
    return out
