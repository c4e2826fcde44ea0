# SPDX-License-Identifier: MIT
"""Every router of the family, and the balance losses, as plain PyTorch.

A router answers one question: scores in, picks and gates out. Nothing here is fast; each function
reads like the equation it comes from:
  DeepSeekMoE (arXiv 2401.06066) eq 9-17, DeepSeek-V2 (2405.04434) eq 29-31, Loss-Free Balancing
  (2408.15664) algorithm 1, Switch (2101.03961), GShard (2006.16668) algorithm 1, Hash Layers
  (2106.04426), ST-MoE z-loss (2202.08906), Expert Choice (2202.09368), StableMoE (2204.08396).
Axes: B batch, T tokens, D width, E routed experts, K chosen per token.
"""
from dataclasses import dataclass

import numpy as np
import torch

import golden_rng as rng


@dataclass
class Routing:
    """What one MoE layer decided. `margin` is the distance to the nearest different decision."""
    logits: torch.Tensor | None  # (B, T, E); None: no router (hash)
    prob: torch.Tensor | None    # (B, T, E) scores that sum to one, as the balance losses read them
    pick: torch.Tensor           # (B, T, K) expert ids, best first, before any drop; -1: none
    gate: torch.Tensor           # (B, T, K) combine weights, zero where dropped
    margin: float                # in units of the compared quantity
    distilled: torch.Tensor | None = None  # (B, T, E) logits of StableMoE's distilled router


@dataclass
class Draws:
    """Where the random numbers of one forward pass come from."""
    seed: int
    step: int
    layer: int

    def uniform(self, stream, index):
        return rng.uniform(self.seed, stream, self.step, index + self.layer * rng.LAYER_STRIDE)


def top_k(select, k):
    """Ids of the k largest, descending, ties to the lower id; and the smallest gap that decided."""
    value, order = torch.sort(select, dim=-1, descending=True, stable=True)
    gaps = value[..., :k] - value[..., 1:k + 1]
    return order[..., :k], gaps.min().item() if gaps.numel() else float("inf")


def normalise(gate):
    return gate / gate.sum(-1, keepdim=True)


def route_softmax(cfg, logits, bias, draws):
    """DeepSeekMoE eq 9-11; with a bias, loss-free balancing over the same scores."""
    return _route_scored(cfg, logits, torch.softmax(logits, -1), bias)


def route_sigmoid(cfg, logits, bias, draws):
    """Loss-free balancing's own gate: independent sigmoids, steered by the bias."""
    return _route_scored(cfg, logits, torch.sigmoid(logits), bias)


def _route_scored(cfg, logits, score, bias):
    pick, margin = choose(cfg, logits, score, bias)
    return Routing(logits, normalise(score), pick, gates(cfg, score, pick), margin)


def choose(cfg, logits, score, bias):
    """The picks, best first, and the smallest gap that decided; the bias steers the choice alone."""
    if bias is None:
        # The logits order as the score does, without its rounding; V3's groups add scores.
        select = score if cfg.topk_method == "noaux_tc" else logits
    elif cfg.selection_bias == "multiplicative":
        select = score * bias
    else:
        select = score + bias
    if cfg.n_group == 1:
        return top_k(select.detach(), cfg.K)
    select, group_margin = best_groups(cfg, select.detach())
    pick, margin = top_k(select, cfg.K)
    return pick, min(margin, group_margin)


def best_groups(cfg, select):
    """-inf outside the topk_group best of n_group groups, ties to the lower group."""
    members = select.unflatten(-1, (cfg.n_group, -1))
    if cfg.topk_method == "noaux_tc":
        figure = members.topk(2, -1).values.sum(-1)
    else:
        figure = members.amax(-1)
    best, margin = top_k(figure, cfg.topk_group)
    kept = torch.zeros_like(figure, dtype=torch.bool).scatter(-1, best, True)
    return members.masked_fill(~kept.unsqueeze(-1), float("-inf")).flatten(-2), margin


def gates(cfg, score, pick):
    """DeepSeekMoE never scales, V2 normalises or scales, V3 does both."""
    gate = score.gather(-1, pick)
    normalised = cfg.norm_topk_prob and cfg.K > 1
    if normalised:
        gate = normalise(gate)
    if cfg.family == "deepseek_v3" or (cfg.family == "deepseek_v2" and not normalised):
        gate = gate * cfg.routed_scaling_factor
    return gate


def route_switch(cfg, logits, bias, draws):
    """Top-1 of a softmax, weighted by the winner's probability; overflow leaves by the residual."""
    score = torch.softmax(logits, -1)
    pick, margin = top_k(logits.detach(), 1)
    keep = within_capacity(cfg, pick, torch.ones_like(pick, dtype=torch.bool))
    gate = score.gather(-1, pick) * keep
    return Routing(logits, score, pick, gate, margin)


def route_gshard(cfg, logits, bias, draws):
    """Top-2 of a softmax. The second choice may be kept at random, with chance 2 g2/(g1+g2)."""
    score = torch.softmax(logits, -1)
    pick, margin = top_k(logits.detach(), 2)
    raw = score.gather(-1, pick)
    share = normalise(raw)
    keep = torch.ones_like(pick, dtype=torch.bool)
    if cfg.random_second:
        B, T = pick.shape[:2]
        u = torch.from_numpy(draws.uniform(rng.Stream.SECOND, np.arange(B * T))).reshape(B, T)
        chance = 2 * share[..., 1].detach().double()
        keep[..., 1] = chance > u
        margin = min(margin, (chance - u).abs().min().item())
    keep = within_capacity(cfg, pick, keep)
    return Routing(logits, score, pick, (share if cfg.renormalize else raw) * keep, margin)


def route_hash(cfg, tokens, table):
    """A fixed expert per token id, weight one; there is nothing to learn and nothing to balance."""
    pick = table[tokens].unsqueeze(-1)
    return Routing(None, None, pick, torch.ones(pick.shape), float("inf"))


def route_expert_choice(cfg, logits, bias, draws):
    """Each expert takes n K / E of a chunk's n tokens, those with the largest probability of it.

    Slot e of a token is expert e if it was taken by it. Chunks are cut from the tokens of the whole
    batch, in a drawn order if cfg.shuffle.
    """
    score = torch.softmax(logits, -1)
    B, T, E = score.shape
    flat = score.detach().reshape(B * T, E)
    order = list(range(B * T))
    if cfg.shuffle:
        order = rng.permutation(draws.seed, rng.Stream.CHUNK, draws.step, B * T)
    n = max(1, B * T // max(cfg.chunk or T, -(-E // cfg.K)))
    pick, margin = torch.full((B * T, E), -1), float("inf")
    for i in range(n):
        chunk = torch.tensor(order[i * B * T // n:(i + 1) * B * T // n])
        k = max(1, len(chunk) * cfg.K // E)
        for e in range(E):
            value, best = torch.sort(flat[chunk, e], descending=True, stable=True)
            pick[chunk[best[:k]], e] = e
            if k < len(chunk):
                margin = min(margin, (value[k - 1] - value[k]).item())
    pick = pick.reshape(B, T, E)
    return Routing(logits, score, pick, score * (pick >= 0), margin)


def route_stable(cfg, logits, distilled, frozen):
    """StableMoE: the best expert by the logits, later by the distilled router; weight σ(z)."""
    score = torch.sigmoid(logits)
    pick, margin = top_k((distilled if frozen else logits).detach(), 1)
    return Routing(logits, score, pick, score.gather(-1, pick), margin, distilled)


ROUTERS = {"softmax": route_softmax, "sigmoid": route_sigmoid, "switch": route_switch,
           "gshard": route_gshard, "expert_choice": route_expert_choice}


def within_capacity(cfg, pick, want):
    """Which wanted (token, choice) pairs find room.

    Each sequence is a group of T tokens and gives every expert floor(K T / E * factor) places, at
    least one. All first choices are placed in token order, then all second choices.
    """
    if not cfg.capacity_factor:
        return want
    B, T, K = pick.shape
    room = max(1, int(K * T * cfg.capacity_factor / cfg.E))
    keep = torch.zeros_like(want)
    for b in range(B):
        used = [0] * cfg.E
        for k in range(K):
            for t in range(T):
                e = int(pick[b, t, k])
                if want[b, t, k] and used[e] < room:
                    keep[b, t, k] = True
                    used[e] += 1
    return keep


def jitter(x, eps, draws):
    """Switch's multiplicative noise on the router's input: x * U(1 - eps, 1 + eps)."""
    u = draws.uniform(rng.Stream.JITTER, np.arange(x.numel()))
    factor = 1 - eps + 2 * eps * torch.from_numpy(u).reshape(x.shape)
    return x * factor.to(x.dtype)


def hash_table(kind, V, E, seed, layer, counts=None):
    """Token id -> expert. `balanced`: most frequent token first, each to the emptiest expert."""
    if kind == "random":
        return torch.from_numpy(rng.below(seed, rng.Stream.HASH, layer, np.arange(V), E))
    table, load = torch.zeros(V, dtype=torch.long), [0] * E
    for v in sorted(range(V), key=lambda i: (-counts[i], i)):
        e = min(range(E), key=lambda i: (load[i], i))
        table[v] = e
        load[e] += counts[v]
    return table


def chosen(pick, E, dtype):
    """(B, T, E) indicator of the router's choices, before any drop."""
    hit = torch.zeros(*pick.shape[:2], E + 1, dtype=dtype)
    return hit.scatter_(-1, torch.where(pick < 0, E, pick), 1.0)[..., :E]


def balance_losses(cfg, recipe, routing):
    """The four auxiliary losses of one layer, already multiplied by their factors.

    The gradient flows through P only; frequencies count what the router chose, before any drop.
    """
    if routing.logits is None:
        return {}
    B, T, E = routing.prob.shape
    D, M = recipe["devices"], recipe["device_limit"]
    hit, prob = chosen(routing.pick, E, routing.prob.dtype), routing.prob
    if recipe["scope"] == "batch":
        hit, prob = hit.reshape(1, B * T, E), prob.reshape(1, B * T, E)
    frequency = hit.mean(1) * E / cfg.K                             # f_i   (unit, E), 1 if uniform
    P = prob.mean(1)                                                # P_i   (unit, E)
    group_f = frequency.unflatten(-1, (D, E // D)).mean(-1)         # f'_d  (unit, D)
    group_P = P.unflatten(-1, (D, E // D)).sum(-1)                  # P'_d  (unit, D)
    sent = hit.unflatten(-1, (D, E // D)).amax(-1).mean(1) * D / M  # f''_d (unit, D)
    z = torch.logsumexp(routing.logits, -1)
    return {
        "expert": recipe["expert"] * (frequency * P).sum(-1).mean(),
        "device": recipe["device"] * (group_f * group_P).sum(-1).mean(),
        "communication": recipe["communication"] * (sent * group_P).sum(-1).mean(),
        "z": recipe["z"] * (z * z).mean(),
    }


def stable_losses(cfg, recipe, routing, frozen):
    """StableMoE's first stage: even loads through the scores of the experts chosen, distillation.

    alpha sum_i (|A_i| - n) / n sum_{t in A_i} σ(z_ti), and the cross entropy of the choice; the
    paper's sums over tokens are means here, as the language model's loss is. The second has neither.
    """
    z = torch.logsumexp(routing.logits, -1)
    out = {"z": recipe["z"] * (z * z).mean()}
    if frozen:
        return out
    B, T, E = routing.prob.shape
    hit, score = chosen(routing.pick, E, routing.prob.dtype), routing.prob
    if recipe["scope"] == "batch":
        hit, score = hit.reshape(1, B * T, E), score.reshape(1, B * T, E)
    even = hit.shape[1] / E
    excess = (hit.sum(1) - even) / even                             # (unit, E)
    out["expert"] = recipe["expert"] * (excess * (hit * score).mean(1)).sum(-1).mean()
    out["distill"] = recipe["distill"] * torch.nn.functional.cross_entropy(
        routing.distilled.flatten(0, 1), routing.pick.flatten())
    return out


def update_bias(kind, bias, pick, rate):
    """Loss-free balancing, once per optimiser step over the whole batch: light experts rise."""
    load = torch.bincount(pick.flatten(), minlength=bias.numel()).to(bias.dtype)
    error = load.mean() - load
    if kind == "proportional":
        return bias + rate * error / load.mean()
    return bias + rate * torch.sign(error)
