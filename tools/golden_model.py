# SPDX-License-Identifier: MIT
"""The transformer of the family, as plain PyTorch over a dictionary of Hugging Face tensors.

Pre-norm RMSNorm, rotary positions (golden_rope.py), multi-head, grouped-query and latent attention,
SwiGLU, untied or tied head, dense layers, MoE layers with shared experts and any router of
golden_router.py. Written for reading, in whatever precision the parameters have.
Axes: B batch, T tokens, D width, H heads, Hk key heads, Dh head width, V vocabulary, L layers.
"""
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

import golden_rope as rope
import golden_router as gr

LATENT_EPS = 1e-6  # of the norms inside latent attention, whatever rms_norm_eps says


@dataclass
class Config:
    """Typed view of config.json; the extra keys of `dsmoe` say what the format cannot."""
    family: str
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
    moe_every: int
    tied: bool
    eps: float
    theta: float
    scaling: dict | None
    biased: bool
    q_lora: int
    kv_lora: int
    nope: int
    rope: int
    v_width: int
    n_group: int
    topk_group: int
    topk_method: str
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
    chunk: int
    shuffle: bool
    distilled_width: int

    @staticmethod
    def from_json(j):
        own = j.get("dsmoe", {})
        family = j["model_type"]
        moe, third = family != "llama", family == "deepseek_v3"
        return Config(
            family=family, V=j["vocab_size"], D=j["hidden_size"], L=j["num_hidden_layers"],
            H=j["num_attention_heads"], Hk=j["num_key_value_heads"],
            Dh=j.get("head_dim", j["hidden_size"] // j["num_attention_heads"]),
            dense_width=j["intermediate_size"], expert_width=j.get("moe_intermediate_size", 0),
            E=j.get("n_routed_experts") or 0, K=j.get("num_experts_per_tok") or 0,
            n_shared=j.get("n_shared_experts") or 0,
            first_k_dense=j.get("first_k_dense_replace", 0) if moe else j["num_hidden_layers"],
            moe_every=j.get("moe_layer_freq", 1),
            tied=j["tie_word_embeddings"], eps=j["rms_norm_eps"], theta=j["rope_theta"],
            scaling=j.get("rope_scaling"), biased=j["attention_bias"],
            q_lora=j.get("q_lora_rank") or 0, kv_lora=j.get("kv_lora_rank") or 0,
            nope=j.get("qk_nope_head_dim", 0), rope=j.get("qk_rope_head_dim", 0),
            v_width=j.get("v_head_dim", 0), n_group=j.get("n_group") or 1,
            topk_group=j.get("topk_group") or 1, topk_method=j.get("topk_method", "greedy"),
            router=own.get("router", j.get("scoring_func", "softmax")),
            norm_topk_prob=j.get("norm_topk_prob", False),
            routed_scaling_factor=j.get("routed_scaling_factor", 1.0),
            selection_bias=own.get("selection_bias", "additive" if third else "none"),
            capacity_factor=own.get("capacity_factor", 0.0), jitter=own.get("jitter", 0.0),
            random_second=own.get("random_second", False),
            renormalize=own.get("renormalize", False),
            hash_kind=own.get("hash", "random"), hash_seed=own.get("hash_seed", 0),
            chunk=own.get("chunk", 0), shuffle=own.get("shuffle", False),
            distilled_width=own.get("distilled_width", 50))

    def is_moe(self, layer):
        return layer >= self.first_k_dense and layer % self.moe_every == 0

    def is_latent(self):
        return self.kv_lora > 0


def parameter_shapes(cfg):
    """Hugging Face name -> shape, in the order a reader meets them in the network."""
    shapes = {"model.embed_tokens.weight": (cfg.V, cfg.D)}

    def mlp(prefix, width):
        shapes[prefix + "gate_proj.weight"] = (width, cfg.D)
        shapes[prefix + "up_proj.weight"] = (width, cfg.D)
        shapes[prefix + "down_proj.weight"] = (cfg.D, width)

    def linear(name, rows, cols, biased):
        shapes[name + ".weight"] = (rows, cols)
        if biased:
            shapes[name + ".bias"] = (rows,)

    def latent(prefix):
        q_rows = cfg.H * (cfg.nope + cfg.rope)
        if cfg.q_lora:
            linear(prefix + "q_a_proj", cfg.q_lora, cfg.D, cfg.biased)
            shapes[prefix + "q_a_layernorm.weight"] = (cfg.q_lora,)
            linear(prefix + "q_b_proj", q_rows, cfg.q_lora, False)
        else:
            linear(prefix + "q_proj", q_rows, cfg.D, False)
        linear(prefix + "kv_a_proj_with_mqa", cfg.kv_lora + cfg.rope, cfg.D, cfg.biased)
        shapes[prefix + "kv_a_layernorm.weight"] = (cfg.kv_lora,)
        linear(prefix + "kv_b_proj", cfg.H * (cfg.nope + cfg.v_width), cfg.kv_lora, False)
        linear(prefix + "o_proj", cfg.D, cfg.H * cfg.v_width, cfg.biased)

    def grouped(prefix):
        linear(prefix + "q_proj", cfg.H * cfg.Dh, cfg.D, cfg.biased)
        linear(prefix + "k_proj", cfg.Hk * cfg.Dh, cfg.D, cfg.biased)
        linear(prefix + "v_proj", cfg.Hk * cfg.Dh, cfg.D, cfg.biased)
        linear(prefix + "o_proj", cfg.D, cfg.H * cfg.Dh, cfg.biased)

    for i in range(cfg.L):
        layer = f"model.layers.{i}."
        shapes[layer + "input_layernorm.weight"] = (cfg.D,)
        (latent if cfg.is_latent() else grouped)(layer + "self_attn.")
        shapes[layer + "post_attention_layernorm.weight"] = (cfg.D,)
        if not cfg.is_moe(i):
            mlp(layer + "mlp.", cfg.dense_width)
            continue
        if cfg.E and cfg.router != "hash":
            shapes[layer + "mlp.gate.weight"] = (cfg.E, cfg.D)
        if cfg.E and cfg.router == "stable":
            width = cfg.distilled_width
            shapes[layer + "mlp.gate.distilled_embedding.weight"] = (cfg.V, width)
            shapes[layer + "mlp.gate.distilled_centroids.weight"] = (cfg.E, width)
        for e in range(cfg.E):
            mlp(layer + f"mlp.experts.{e}.", cfg.expert_width)
        if cfg.n_shared:
            mlp(layer + "mlp.shared_experts.", cfg.n_shared * cfg.expert_width)
    shapes["model.norm.weight"] = (cfg.D,)
    if not cfg.tied:
        shapes["lm_head.weight"] = (cfg.V, cfg.D)
    return shapes


def random_parameters(cfg, seed, std):
    """Matrices and biases N(0, std), norm weights near one; in float32, so that storing is exact."""
    draw = np.random.default_rng(seed)
    params = {}
    for name, shape in parameter_shapes(cfg).items():
        x = draw.standard_normal(shape)
        x = 1 + 0.1 * x if name.endswith("norm.weight") else std * x
        params[name] = torch.from_numpy(x.astype(np.float32))
    return params


def rms_norm(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def project(p, name, x):
    y = x @ p[name + ".weight"].T
    return y + p[name + ".bias"] if name + ".bias" in p else y


def attend(q, k, v, scale):
    """Causal attention of (B, T, H, width) queries, keys and values: (B, T, H * width)."""
    T = q.shape[1]
    score = torch.einsum("bthd,bshd->bhts", q, k) * scale
    future = torch.ones(T, T, dtype=torch.bool).triu(1)
    weight = torch.softmax(score.masked_fill(future, float("-inf")), -1)
    return torch.einsum("bhts,bshd->bthd", weight, v).flatten(2)


def attention(cfg, p, prefix, x):
    """Multi-head and grouped-query: head h reads key head h / (H / Hk)."""
    B, T, _ = x.shape
    cos_sin = rope.angles(cfg.theta, cfg.Dh, cfg.scaling, T, x.dtype)

    def heads(name, n):
        return project(p, prefix + name, x).view(B, T, n, cfg.Dh)

    q = rope.rotate_halves(heads("q_proj", cfg.H), *cos_sin)
    k = rope.rotate_halves(heads("k_proj", cfg.Hk), *cos_sin)
    k, v = (y.repeat_interleave(cfg.H // cfg.Hk, 2) for y in (k, heads("v_proj", cfg.Hk)))
    return project(p, prefix + "o_proj", attend(q, k, v, cfg.Dh**-0.5))


def latent_attention(cfg, p, prefix, x):
    """DeepSeek-V2 section 2.1: keys and values from one small latent, positions on a part apart."""
    B, T, _ = x.shape
    cos_sin = rope.angles(cfg.theta, cfg.rope, cfg.scaling, T, x.dtype)

    def normed(name, y):
        return rms_norm(y, p[prefix + name + ".weight"], LATENT_EPS)

    if cfg.q_lora:
        q = project(p, prefix + "q_b_proj",
                    normed("q_a_layernorm", project(p, prefix + "q_a_proj", x)))
    else:
        q = project(p, prefix + "q_proj", x)
    q, q_turned = q.view(B, T, cfg.H, -1).split([cfg.nope, cfg.rope], -1)
    c, k_turned = project(p, prefix + "kv_a_proj_with_mqa", x).split([cfg.kv_lora, cfg.rope], -1)
    kv = project(p, prefix + "kv_b_proj", normed("kv_a_layernorm", c)).view(B, T, cfg.H, -1)
    k, v = kv.split([cfg.nope, cfg.v_width], -1)
    k_turned = rope.rotate_neighbours(k_turned[:, :, None], *cos_sin).expand(-1, -1, cfg.H, -1)
    q = torch.cat([q, rope.rotate_neighbours(q_turned, *cos_sin)], -1)
    k = torch.cat([k, k_turned], -1)
    scale = (cfg.nope + cfg.rope)**-0.5 * rope.softmax_factor(cfg.scaling)
    return project(p, prefix + "o_proj", attend(q, k, v, scale))


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
    if cfg.router == "stable":
        feature = p[prefix + "gate.distilled_embedding.weight"][tokens]
        distilled = feature @ p[prefix + "gate.distilled_centroids.weight"].T
        return gr.route_stable(cfg, logits, distilled, state.frozen)
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
    frozen: bool = False  # StableMoE's second stage


def forward(cfg, p, tokens, state, seed=0, step=0):
    """Logits (B, T, V) and the Routing of every MoE layer by layer number."""
    h = p["model.embed_tokens.weight"][tokens]
    attend_layer = latent_attention if cfg.is_latent() else attention
    routings = {}
    for i in range(cfg.L):
        layer = f"model.layers.{i}."
        x = rms_norm(h, p[layer + "input_layernorm.weight"], cfg.eps)
        h = h + attend_layer(cfg, p, layer + "self_attn.", x)
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


def losses(cfg, recipe, logits, targets, routings, state=None):
    """Mean cross entropy over targets other than -1; each balance loss summed over layers."""
    out = {"lm": F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)}
    stable = cfg.router == "stable"
    for kind in ("expert", "device", "communication", "z") + ("distill",) * stable:
        out[kind] = torch.zeros((), dtype=logits.dtype)
    for routing in routings.values():
        terms = (gr.stable_losses(cfg, recipe, routing, state.frozen) if stable
                 else gr.balance_losses(cfg, recipe, routing))
        for kind, value in terms.items():
            out[kind] = out[kind] + value
    return out
