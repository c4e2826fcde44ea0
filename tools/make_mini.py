#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write configs/mini/{smoke,hour,night}: the papers' 2B models, small, by one rule.

Kept from the papers: the standard FFN of width w = 8/3 d, 16 of them in all and 2 active, experts of
w times their relative size, MoE in every layer, balance factor 0.01, the schedule in shares of the
run, and tokens: about 330 for each activated parameter outside embedding and head (100 G over 0.3 G).
Scaled: width d and layers L; heads are 16 wide; the standard deviation of initial weights is
0.006 sqrt(1280 / d); the vocabulary is 320 entries, 6.7 d at the
size hour as the papers' is 6.4 d; a sequence is 128 tokens, and balance losses are taken over the batch of
8192, since so few tokens are too few to be balanced over (the papers' sequences have 2048).

    tools/make_mini.py          write
    tools/make_mini.py --check  fail if the files are not what this would write
"""

import argparse
import json
import math
import pathlib
import sys

SIZES = {"smoke": (24, 2), "hour": (48, 3), "night": (96, 4)}  # d, L
VOCAB, SEQ, BATCH, HEAD, PER_PARAM = 320, 128, 64, 16, 330
PEAK_LR = {"smoke": 8.0e-3, "hour": 4.0e-3, "night": 2.0e-3}  # in inverse proportion to d

# name: shared experts, routed experts, active routed experts, relative size of an expert, "dsmoe" keys
MOE = {
    "hash": (0, 16, 1, 1, {"router": "hash", "hash": "balanced"}),
    "switch": (0, 16, 1, 1, {"router": "switch"}),
    "gshard": (0, 16, 2, 1, {"router": "gshard"}),
    "gshard-x1.2": (0, 16, 2, 1.2, {"router": "gshard"}),
    "gshard-x1.5": (0, 16, 2, 1.5, {"router": "gshard"}),
    "deepseekmoe": (1, 63, 7, 1 / 4, {}),
    "half": (1, 63, 3, 1 / 4, {}),
    "shared": (1, 15, 1, 1, {}),
    "fine": (1, 31, 3, 1 / 2, {}),
    "shared2": (2, 62, 6, 1 / 4, {}),
    "shared4": (4, 60, 4, 1 / 4, {}),
    "sigmoid": (1, 63, 7, 1 / 4, {"router": "sigmoid"}),
    "sigmoid-bias": (1, 63, 7, 1 / 4, {"router": "sigmoid", "selection_bias": "additive"}),
    "sigmoid-factor": (1, 63, 7, 1 / 4, {"router": "sigmoid", "selection_bias": "multiplicative"}),
    "softmax-bias": (1, 63, 7, 1 / 4, {"selection_bias": "additive"}),
    "top2-bias": (0, 16, 2, 1, {"router": "sigmoid", "selection_bias": "additive"}),
    "expert-choice": (0, 16, 2, 1, {"router": "expert_choice"}),
    "expert-choice-short": (0, 16, 2, 1, {"router": "expert_choice", "chunk": SEQ // 4}),
    "expert-choice-long": (0, 16, 2, 1, {"router": "expert_choice", "chunk": SEQ * 4}),
    "expert-choice-shuffled": (0, 16, 2, 1, {"router": "expert_choice", "chunk": SEQ // 4, "shuffle": True}),
    "stable": (0, 16, 1, 1, {"router": "stable"}),
}
DENSE = {"dense": 1, "dense-x4": 4, "dense-x16": 16}  # standard FFNs, all active


def common(d, layers, model_type, architecture, width):
    return {
        "architectures": [architecture],
        "model_type": model_type,
        "vocab_size": VOCAB,
        "hidden_size": d,
        "intermediate_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, d // HEAD),
        "num_key_value_heads": max(1, d // HEAD),
        "max_position_embeddings": SEQ,
        "rms_norm_eps": 1e-06,
        "rope_theta": 10000.0,
        "initializer_range": round(0.006 * math.sqrt(1280 / d), 4),
        "tie_word_embeddings": False,
    }


def moe(d, layers, name):
    shared, routed, active, size, ours = MOE[name]
    width = 8 * d // 3
    config = common(d, layers, "deepseek", "DeepseekForCausalLM", width)
    config |= {
        "moe_intermediate_size": round(width * size),
        "n_shared_experts": shared or None,
        "n_routed_experts": routed,
        "num_experts_per_tok": active,
        "first_k_dense_replace": 0,
        "moe_layer_freq": 1,
        "scoring_func": "sigmoid" if ours.get("router") == "sigmoid" else "softmax",
        "norm_topk_prob": False,
    }
    return config | ({"dsmoe": ours} if ours else {})


def dense(d, layers, name):
    return common(d, layers, "llama", "LlamaForCausalLM", 8 * d // 3 * DENSE[name])


def recipe(size):
    d, layers = SIZES[size]
    active = 20 * d * d * layers  # attention 4 d² and two standard FFNs of 8 d² in each layer
    steps = round(PER_PARAM * active / (BATCH * SEQ) / 100) * 100
    return f"""# SPDX-License-Identifier: MIT
# Training of every model of configs/mini/{size} (tools/make_mini.py): {steps} steps of {BATCH * SEQ} tokens are
# {steps * BATCH * SEQ / active:.0f} for each of the {active} parameters of DeepSeekMoE that a token activates.
run: runs/mini-{size}
model: configs/mini/{size}/deepseekmoe.json
data: {{train: data/experiments/train, valid: data/experiments/valid, seq_len: {SEQ}}}
batch: {{sequences: {BATCH}, micro: {BATCH}}}
steps: {steps}
optimizer: {{peak_lr: {PEAK_LR[size]}}}
schedule: {{kind: step_decay, warmup: {steps * 8 // 100}, at: [0.8, 0.9], factor: 0.316}}
balance: {{expert: 0.01, scope: batch}}
eval: {{every: {steps // 10}, sequences: 1000000}}
checkpoint: {{every: {steps // 10}, keep: 1}}
log: {{every: {max(1, steps // 200)}}}
"""


def files():
    for size, (d, layers) in SIZES.items():
        yield f"{size}.yaml", recipe(size)
        for name in [*DENSE, *MOE]:
            config = (dense if name in DENSE else moe)(d, layers, name)
            yield f"{size}/{name}.json", json.dumps(config, indent=2) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    folder = pathlib.Path(__file__).resolve().parent.parent / "configs" / "mini"
    stale = []
    for name, text in files():
        path = folder / name
        if check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(name)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if stale:
        sys.exit(f"configs/mini: not what tools/make_mini.py writes: {', '.join(stale)}")


if __name__ == "__main__":
    main()
