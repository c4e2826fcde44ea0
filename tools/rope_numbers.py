#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Print what transformers makes of rotary scaling: the rows of tests/unit/test_rope.c.

Each case is a LlamaConfig with a scaling; the numbers are inv_freq of a few pairs and the factor of
cos and sin. Run with tools/python.sh; needs torch and transformers.
"""

import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

PAIRS = (0, 1, 9, 11, 16, 22, 25, 31)

CASES = [
    # kind, theta, head size, max positions, length, the other keys
    ("linear", 10000.0, 64, 2048, 2048, {"factor": 4.0}),
    ("dynamic", 10000.0, 64, 2048, 2048, {"factor": 2.0}),
    ("dynamic", 10000.0, 64, 2048, 7000, {"factor": 2.0}),
    ("llama3", 500000.0, 64, 131072, 131072,
     {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
      "original_max_position_embeddings": 8192}),
    ("yarn", 10000.0, 64, 163840, 163840,
     {"factor": 40.0, "original_max_position_embeddings": 4096, "beta_fast": 32.0,
      "beta_slow": 1.0, "mscale": 0.707, "mscale_all_dim": 0.707}),
    ("yarn", 10000.0, 64, 16384, 16384,
     {"factor": 4.0, "original_max_position_embeddings": 4096}),
    ("yarn", 10000.0, 64, 163840, 163840,
     {"factor": 40.0, "original_max_position_embeddings": 4096, "beta_fast": 16.0,
      "beta_slow": 2.0, "mscale": 1.0, "mscale_all_dim": 0.5}),
    ("yarn", 10000.0, 64, 64, 64,
     {"factor": 2.0, "original_max_position_embeddings": 32, "attention_factor": 1.25}),
]


def main():
    for kind, theta, dim, positions, length, keys in CASES:
        config = LlamaConfig(
            hidden_size=4 * dim, num_attention_heads=4, head_dim=dim,
            max_position_embeddings=positions,
            rope_parameters={"rope_type": kind, "rope_theta": theta, **keys})
        inv, factor = ROPE_INIT_FUNCTIONS[kind](config, "cpu", seq_len=length)
        inv = inv.to(torch.float64)
        numbers = ", ".join(f"{inv[j]:.9g}" for j in PAIRS)
        print(f"{kind} {theta:g} {positions} {length} {keys}: {{{numbers}}}, {factor:.9g}")


if __name__ == "__main__":
    main()
