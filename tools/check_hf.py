#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Models made here, loaded elsewhere: do they mean the same to Hugging Face transformers?

Makes models of every type with `dsmoe init`, in every dtype and in shards, loads each folder with
AutoModelForCausalLM (type deepseek, which transformers has no class for, through the Python files in
the folder), and compares the logits at every position of a text, its loss, the ids of the tokenizer
and a greedy continuation. (tools/parity.py goes the other way.)

    tools/python.sh tools/check_hf.py build/release/dsmoe build/release/tests/parity_probe

Exits 1 with the first difference."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before transformers is imported

import torch
import transformers
from safetensors.torch import load_file, save_file

from parity import ask, range_error
from parity_cases import BASES, GROUPS, YARN

SMALL = {"hidden_size": 96, "num_attention_heads": 6, "num_key_value_heads": 6,
         "initializer_range": 0.08, "rope_theta": 50000.0}
BIASED_ROUTER = {"scoring_func": "sigmoid", "norm_topk_prob": True,
                 "dsmoe": {"router": "sigmoid", "selection_bias": "additive"}}
CASES = {
    "llama": ("llama", {}),
    "llama-gqa-tied": ("llama", {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "llama-biased": ("llama", {"attention_bias": True, "num_key_value_heads": 3}),
    "llama-wide-heads": ("llama", {"head_dim": 32}),
    "llama-yarn": ("llama", {"rope_scaling": YARN}),
    "deepseek": ("deepseek", {}),
    "deepseek-norm-tied": ("deepseek", {"norm_topk_prob": True, "tie_word_embeddings": True,
                                        "num_key_value_heads": 2, "attention_bias": True}),
    "deepseek-yarn": ("deepseek", {"rope_scaling": YARN}),
    "deepseek-every-second": ("deepseek", {"moe_layer_freq": 2, "num_hidden_layers": 5}),
    "deepseek-lossfree": ("deepseek", BIASED_ROUTER),
    "deepseek-gshard": ("deepseek", {"num_experts_per_tok": 2,
                                     "dsmoe": {"router": "gshard", "renormalize": True}}),
    "deepseek-hash": ("deepseek", {"num_experts_per_tok": 1, "n_shared_experts": None,
                                   "dsmoe": {"router": "hash", "hash_seed": 3}}),
    "deepseek-stable": ("deepseek", {"num_experts_per_tok": 1,
                                     "dsmoe": {"router": "stable", "distilled_width": 12}}),
    "deepseek-dense-experts": ("deepseek", {"n_routed_experts": 0, "num_experts_per_tok": 0}),
    "deepseek_v2": ("deepseek_v2", {}),
    "deepseek_v2-groups": ("deepseek_v2", {
        **GROUPS, "topk_method": "group_limited_greedy", "q_lora_rank": 40,
        "routed_scaling_factor": 4.0, "attention_bias": True,
        "rope_scaling": {**YARN, "mscale": 0.707, "mscale_all_dim": 0.707}}),
    "deepseek_v3": ("deepseek_v3", {}),
    "deepseek_v3-yarn": ("deepseek_v3", {
        "rope_scaling": {**YARN, "mscale": 1.0, "mscale_all_dim": 1.0}}),
}
# Relative rounding of a stored weight is the same on both sides; what differs is the order of float32 sums.
LOSS_TOLERANCE = 2e-5
LOGIT_TOLERANCE = 1e-4
NEW_TOKENS = 24
TEXT = "The quick brown fox, 狐狸, jumps over 13 lazy dogs; " * 6


def run(program, *args):
    done = subprocess.run([program, *map(str, args)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, args))}: {done.stderr.strip()}")
    return done.stdout


def make(program, folder, name, dtype):
    kind, changes = CASES[name]
    config, out = folder / f"{name}.json", folder / f"{name}-{dtype}"
    entries = json.loads(run(program, "tokenizer", "info", folder / "tokenizer", "--json"))["vocab_size"]
    # No padded rows: transformers may draw them, this program never does.
    config.write_text(json.dumps(BASES[kind] | SMALL | changes
                                 | {"model_type": kind, "vocab_size": entries}))
    whole = folder / f"{name}-{dtype}-whole"
    run(program, "init", config, "--out", whole, "--dtype", dtype, "--tokenizer", folder / "tokenizer",
        "--seed", 11)
    disturb_vectors(whole / "model.safetensors")
    run(program, "convert", whole, out, "--shard-mb", 1)
    return out


def disturb_vectors(path):
    """Norms of 1 and biases of 0 would hide mistakes: add noise, and so read a file others wrote."""
    generator = torch.Generator().manual_seed(1)
    tensors = load_file(path)
    for name in sorted(tensors):
        if tensors[name].ndim == 1 and tensors[name].is_floating_point():
            noise = 0.3 * torch.randn(tensors[name].shape, generator=generator)
            tensors[name] = (tensors[name].float() + noise).to(tensors[name].dtype)
    save_file(tensors, path, metadata={"format": "pt"})


def load(folder):
    """Everything in the folder must be used, and nothing may be missing from it."""
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, trust_remote_code=True, output_loading_info=True)
    wrong = {k: v for k, v in info.items() if v}
    if wrong:
        sys.exit(f"{folder.name}: {wrong}")
    return model.eval()


def forward(model, tokens):
    with torch.no_grad():
        out = model(tokens[None], labels=tokens[None])
    return out.loss.item(), out.logits[0]


def compare(program, probe, folder, text_file):
    model = load(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    ids = tokenizer.encode(TEXT, add_special_tokens=False)
    ours = json.loads(run(program, "eval", folder, "--text", text_file, "--json", "--quiet"))
    if ours["tokens"] != len(ids):
        return f"{ours['tokens']} tokens, transformers has {len(ids)}"
    loss, logits = forward(model, torch.tensor([tokenizer.bos_token_id] + ids))
    if abs(loss - ours["loss"]) > LOSS_TOLERANCE * loss:
        return f"loss {ours['loss']:.7f}, transformers has {loss:.7f}"
    prompt = tokenizer("The fox", return_tensors="pt", add_special_tokens=True).input_ids
    answer = ask(probe, folder, [torch.tensor([tokenizer.bos_token_id] + ids), prompt[0]])
    error = range_error(answer["logits.0"], logits)
    if error > LOGIT_TOLERANCE:
        return f"logits differ by {error:.1e} of their range"
    with torch.no_grad():
        out = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=NEW_TOKENS,
                             do_sample=False, eos_token_id=None, pad_token_id=0)
    theirs = out[0, prompt.shape[1]:].tolist()
    mine = json.loads(run(program, "generate", folder, "--prompt", "The fox", "--max-tokens", NEW_TOKENS,
                          "--temperature", 0, "--ignore-eos", "--cache-type", "f32", "--json"))
    if mine["tokens"] != theirs:
        return f"greedy continuation {mine['tokens']}, transformers has {theirs}"
    print(f"{folder.name}: loss {loss:.6f}, difference {abs(loss - ours['loss']):.1e}; logits "
          f"{error:.1e} of their range; {len(theirs)} greedy tokens equal", flush=True)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("program", help="the dsmoe program")
    parser.add_argument("probe", help="the program built from tests/parity/probe.c")
    parser.add_argument("--only", default="", help="cases whose name begins like this")
    args = parser.parse_args()
    program, probe = (str(pathlib.Path(p).resolve()) for p in (args.program, args.probe))
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        os.environ["HF_MODULES_CACHE"] = str(folder / "modules")
        text_file = folder / "text.txt"
        text_file.write_text(TEXT)
        run(program, "tokenizer", "train", "--vocab-size", 600, "--out", folder / "tokenizer", text_file)
        for name in (n for n in CASES if n.startswith(args.only)):
            for dtype in ("f32", "bf16", "f16"):
                wrong = compare(program, probe, make(program, folder, name, dtype), text_file)
                if wrong:
                    sys.exit(f"{name}, {dtype}: {wrong}")


if __name__ == "__main__":
    main()
