#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do models this program writes mean the same to Hugging Face transformers?

Makes dense models (type llama: MHA, GQA with a tied head, biases) with `dsmoe init`, in every dtype and in
shards, loads each folder with transformers, and compares the loss of a text, the ids of the tokenizer and a
greedy continuation. Type deepseek has no native class there, so MoE models are not part of this.

    python3 -m venv venv && venv/bin/pip install -r tools/requirements.txt
    venv/bin/python tools/check_hf.py build/dsmoe

Exits 1 with the first difference."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file

BASE = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 96,
    "intermediate_size": 160, "num_hidden_layers": 3, "num_attention_heads": 6,
    "num_key_value_heads": 6, "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
    "rope_theta": 50000.0, "initializer_range": 0.08, "tie_word_embeddings": False,
    "attention_bias": False, "hidden_act": "silu",
}
CASES = {
    "mha": {},
    "gqa-tied": {"num_key_value_heads": 2, "tie_word_embeddings": True},
    "biased": {"attention_bias": True, "num_key_value_heads": 3},
    "wide-heads": {"head_dim": 32},
}
# Relative rounding of a stored weight is the same on both sides; what differs is the order of float32 sums.
LOSS_TOLERANCE = 2e-5
TEXT = "The quick brown fox, 狐狸, jumps over 13 lazy dogs; " * 6


def run(program, *args):
    return subprocess.run([program, *map(str, args)], check=True, capture_output=True, text=True).stdout


def make(program, folder, name, changes, dtype):
    config, out = folder / f"{name}.json", folder / f"{name}-{dtype}"
    entries = json.loads(run(program, "tokenizer", "info", folder / "tokenizer", "--json"))["vocab_size"]
    # No padded rows: transformers may draw them, this program never does.
    config.write_text(json.dumps(BASE | changes | {"vocab_size": entries}))
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
        if tensors[name].ndim == 1:
            noise = 0.3 * torch.randn(tensors[name].shape, generator=generator)
            tensors[name] = (tensors[name].float() + noise).to(tensors[name].dtype)
    save_file(tensors, path, metadata={"format": "pt"})


def hf_loss(model, ids, bos):
    tokens = torch.tensor([[bos] + ids])
    with torch.no_grad():
        return model(tokens, labels=tokens).loss.item()


def compare(program, folder, text_file):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer.encode(TEXT, add_special_tokens=False)
    ours = json.loads(run(program, "eval", folder, "--text", text_file, "--json", "--quiet"))
    if ours["tokens"] != len(ids):
        return f"{ours['tokens']} tokens, transformers has {len(ids)}"
    loss = hf_loss(model, ids, tokenizer.bos_token_id)
    if abs(loss - ours["loss"]) > LOSS_TOLERANCE * loss:
        return f"loss {ours['loss']:.7f}, transformers has {loss:.7f}"
    prompt = tokenizer("The fox", return_tensors="pt", add_special_tokens=True).input_ids
    with torch.no_grad():
        out = model.generate(prompt, max_new_tokens=24, do_sample=False, eos_token_id=None,
                             pad_token_id=0)
    theirs = out[0, prompt.shape[1]:].tolist()
    mine = json.loads(run(program, "generate", folder, "--prompt", "The fox", "--max-tokens", 24,
                          "--temperature", 0, "--ignore-eos", "--json"))
    if mine["tokens"] != theirs:
        return f"greedy continuation {mine['tokens']}, transformers has {theirs}"
    print(f"{folder.name}: loss {loss:.6f}, difference {abs(loss - ours['loss']):.1e}; "
          f"{len(theirs)} greedy tokens equal")
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("program", help="the dsmoe program")
    program = str(pathlib.Path(parser.parse_args().program).resolve())
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        text_file = folder / "text.txt"
        text_file.write_text(TEXT)
        run(program, "tokenizer", "train", "--vocab-size", 600, "--out", folder / "tokenizer", text_file)
        for name, changes in CASES.items():
            for dtype in ("f32", "bf16", "f16"):
                wrong = compare(program, make(program, folder, name, changes, dtype), text_file)
                if wrong:
                    sys.exit(f"{name}, {dtype}: {wrong}")


if __name__ == "__main__":
    main()
