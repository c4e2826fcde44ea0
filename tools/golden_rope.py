# SPDX-License-Identifier: MIT
"""Rotary positions and their stretched forms, as plain PyTorch in float64.

Su et al. (2104.09864); linear interpolation (2306.15595); "dynamic", which is plain up to
max_position_embeddings; Llama 3's bands; YaRN (2309.00071) with the two factors of DeepSeek-V2.
"""
import math

import torch


def stretch(factor, m):
    """YaRN's growth of attention with the stretching: 0.1 m ln(factor) + 1."""
    return 1.0 if factor <= 1 else 0.1 * m * math.log(factor) + 1


def frequencies(theta, d, scaling):
    """(d/2) angles per position, and what cosines and sines are multiplied by."""
    base = theta ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    kind = scaling_kind(scaling)
    if kind == "linear":
        return base / scaling["factor"], 1.0
    if kind == "llama3":
        return llama3(base, scaling), 1.0
    if kind == "yarn":
        return yarn(base, theta, d, scaling), yarn_factor(scaling)
    return base, 1.0


def scaling_kind(scaling):
    if not scaling:
        return "default"
    return scaling.get("rope_type", scaling.get("type", "default"))


def llama3(base, s):
    """Waves longer than original/low are interpolated, shorter than original/high kept, between blended."""
    original, low, high = (s[k] for k in ("original_max_position_embeddings", "low_freq_factor",
                                          "high_freq_factor"))
    turns = original * base / (2 * math.pi)  # of one pair over the original context
    blend = ((turns - low) / (high - low)).clamp(0, 1)
    return base * (blend + (1 - blend) / s["factor"])


def yarn(base, theta, d, s):
    """Pairs that turn often keep their frequency, those that turn rarely are interpolated."""
    original = s["original_max_position_embeddings"]

    def pair_of(turns):  # which pair makes so many turns over the original context
        return d * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low = max(math.floor(pair_of(s.get("beta_fast", 32))), 0)
    high = min(math.ceil(pair_of(s.get("beta_slow", 1))), d - 1)
    high += 0.001 if low == high else 0
    ramp = ((torch.arange(d // 2, dtype=torch.float64) - low) / (high - low)).clamp(0, 1)
    return base * (1 - ramp) + base / s["factor"] * ramp


def yarn_factor(s):
    if s.get("mscale") and s.get("mscale_all_dim"):
        return stretch(s["factor"], s["mscale"]) / stretch(s["factor"], s["mscale_all_dim"])
    return stretch(s["factor"], 1)


def softmax_factor(scaling):
    """What DeepSeek-V2's latent attention multiplies its scores by, beside 1/sqrt(width)."""
    if scaling_kind(scaling) == "default" or not scaling.get("mscale_all_dim"):
        return 1.0
    return stretch(scaling["factor"], scaling["mscale_all_dim"])**2


def angles(theta, d, scaling, T, dtype):
    """Cosines and sines (T, d/2)."""
    freq, factor = frequencies(theta, d, scaling)
    angle = torch.arange(T, dtype=torch.float64)[:, None] * freq
    return (angle.cos() * factor).to(dtype), (angle.sin() * factor).to(dtype)


def turn(a, b, cos, sin):
    """Pairs (a, b) of (B, T, heads, d/2), by the angles of their positions."""
    cos, sin = cos[:, None], sin[:, None]
    return a * cos - b * sin, b * cos + a * sin


def rotate_halves(x, cos, sin):
    """(B, T, heads, d): dimension j pairs with j + d/2."""
    return torch.cat(turn(*x.chunk(2, -1), cos, sin), -1)


def rotate_neighbours(x, cos, sin):
    """(B, T, heads, d): dimension 2j pairs with 2j + 1."""
    return torch.stack(turn(x[..., 0::2], x[..., 1::2], cos, sin), -1).flatten(-2)
