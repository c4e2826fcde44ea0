#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Models made elsewhere, run here: is every number the same?

For each case of tools/parity_cases.py a small random model is written as a Hugging Face folder, by
transformers where it knows the type, and the program's library (tests/parity/probe.c) answers for a
long and a short prompt: logits at every position, a greedy continuation through the cache, and the
gradient of the loss by every parameter. Printed is a table of the largest differences:

    long, short   largest |logit difference| over all positions / (largest - smallest logit)
    decoded       the same for the logits of the continuation, one token at a time
    greedy        tokens of the continuation that are equal
    gradient      largest |difference| of any parameter's gradient / that gradient's largest value

(FP8 weights are trained as f32 but used as bf16 copies, so there the continuation is compared with
that of bf16 weights.)

    tools/python.sh tools/parity.py build/release/tests/parity_probe [--only TEXT] [--out FILE.md]

Exits 1 if a case leaves the tolerances."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file

from parity_cases import CASES
from parity_reference import REFERENCES

NEW_TOKENS = 24
LOGIT_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-4
BLOCK = (32, 16)     # rows, columns that share an FP8 scale
HEADER = ("model type", "switch", "against", "long", "short", "decoded", "greedy", "gradient")


def prompts(vocab, seed):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randint(2, vocab, (n,), generator=draw) for n in (200, 5)]


# --- folders ---------------------------------------------------------------------------------

def write_folder(case, model, folder):
    """As a release would hold it; the reference takes the same values."""
    folder.mkdir()
    if case.store == "experts" and case.reference == "transformers":
        model.model.save_pretrained(folder)
        return
    config = json.loads(model.config.to_json_string()) if case.reference == "transformers" else (
        model.config)
    tensors = {n: x.detach().contiguous() for n, x in model.tensors().items()}
    if case.store == "fused":
        tensors = model.fused_tensors()
    if case.store == "bf16":
        tensors = {n: x.bfloat16() for n, x in tensors.items()}
        model.load(tensors)
    if case.store == "fp8":
        config["quantization_config"] = {
            "quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
            "weight_block_size": list(BLOCK)}
        config["num_nextn_predict_layers"] = 1
        tensors = in_fp8(model, tensors)
        tensors |= mtp_tensors(config)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({n: x.clone() for n, x in tensors.items()}, folder / "model.safetensors",
              metadata={"format": "pt"})


def is_quantised(name, x):
    return x.ndim == 2 and ".layers." in name and not name.endswith("mlp.gate.weight")


def in_fp8(model, tensors):
    """Every linear map of the layers as E4M3 times a scale per block; the reference takes the same."""
    out, exact = {}, {}
    for name, x in tensors.items():
        if not is_quantised(name, x):
            out[name] = x
            continue
        scale = block_scales(x)
        wide = spread(scale, x.shape)
        out[name] = (x / wide).to(torch.float8_e4m3fn)
        out[name + "_scale_inv"] = scale
        exact[name] = out[name].float() * wide
    model.load(exact)
    return out


def load_as_served(model):
    """FP8 weights are used as bf16 copies where nothing is trained."""
    model.load({n: x.detach().bfloat16() for n, x in model.tensors().items()
                if is_quantised(n, x)})


def block_scales(x):
    rows, cols = ((n + b - 1) // b for n, b in zip(x.shape, BLOCK))
    padded = torch.zeros(rows * BLOCK[0], cols * BLOCK[1])
    padded[:x.shape[0], :x.shape[1]] = x.abs()
    return padded.view(rows, BLOCK[0], cols, BLOCK[1]).amax((1, 3)) / 448


def spread(scale, shape):
    wide = scale.repeat_interleave(BLOCK[0], 0).repeat_interleave(BLOCK[1], 1)
    return wide[:shape[0], :shape[1]]


def mtp_tensors(config):
    """Some of what DeepSeek-V3 keeps behind its last layer."""
    prefix = f"model.layers.{config['num_hidden_layers']}."
    D = config["hidden_size"]
    return {prefix + "enorm.weight": torch.ones(D), prefix + "hnorm.weight": torch.ones(D),
            prefix + "eh_proj.weight": torch.zeros(D, 2 * D),
            prefix + "shared_head.norm.weight": torch.ones(D),
            prefix + "self_attn.o_proj.weight_scale_inv": torch.ones(1, 1)}


# --- comparison ------------------------------------------------------------------------------

def ask(probe, folder, texts):
    question, out = folder / "ask.json", folder / "answer.safetensors"
    question.write_text(json.dumps({"prompts": [t.tolist() for t in texts],
                                    "new_tokens": NEW_TOKENS, "gradients": True}))
    done = subprocess.run([probe, folder, question, out], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{folder.name}: {done.stderr.strip()}")
    return load_file(out)


def range_error(got, want):
    want = want.double()
    return ((got.double() - want).abs().max() / (want.max() - want.min())).item()


def gradient_error(answer, grads):
    """Worst parameter; every gradient of one side must be on the other."""
    ours = {n.removeprefix("grad."): x for n, x in answer.items() if n.startswith("grad.")}
    theirs = {n: g for n, g in grads.items() if n in ours or g is not None}
    assert ours.keys() == theirs.keys(), sorted(ours.keys() ^ theirs.keys())
    worst = 0.0
    for name, x in ours.items():
        want = theirs[name].double()
        error = (x.double().view(want.shape) - want).abs().max() / want.abs().max().clamp(min=1e-30)
        worst = max(worst, error.item())
    return worst


def compare(probe, case, folder, seed):
    model = REFERENCES[case.reference](case, seed)
    write_folder(case, model, folder)
    texts = prompts(case.config_json()["vocab_size"], seed)
    answer = ask(probe, folder, texts)
    result = {"decoded": 0.0, "greedy": 0}
    for i, (kind, ids) in enumerate(zip(("long", "short"), texts)):
        with torch.no_grad():
            result[kind] = range_error(answer[f"logits.{i}"], model.logits(ids))
    _, grads = model.gradients(texts[0])
    result["gradient"] = gradient_error(answer, grads)
    if case.store == "fp8":
        load_as_served(model)
    for i, ids in enumerate(texts):
        compare_continuation(result, answer, model, i, ids)
    return result


@torch.no_grad()
def compare_continuation(result, answer, model, i, ids):
    continuation, logits = model.greedy(ids, NEW_TOKENS)
    same = answer[f"greedy.{i}"] == continuation
    result["greedy"] += int(same.cumprod(0).sum())
    if same.all():
        result["decoded"] = max(result["decoded"], range_error(answer[f"decoded.{i}"], logits))


def is_good(result):
    near = all(result[k] < LOGIT_TOLERANCE for k in ("long", "short", "decoded"))
    return near and result["greedy"] == 2 * NEW_TOKENS and result["gradient"] < GRADIENT_TOLERANCE


def row(case, result):
    against = "transformers" if case.reference == "transformers" else "module"
    return (case.type, case.switch, against, *(f"{result[k]:.1e}" for k in ("long", "short")),
            f"{result['decoded']:.1e}", f"{result['greedy']}/{2 * NEW_TOKENS}",
            f"{result['gradient']:.1e}")


def line(cells):
    return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("probe", help="the program built from tests/parity/probe.c")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--out", type=pathlib.Path, help="write the table there as well")
    args = parser.parse_args()
    probe = str(pathlib.Path(args.probe).resolve())
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(2)
    lines, bad = [line(HEADER), line(["---"] * len(HEADER))], []
    print("\n".join(lines))
    with tempfile.TemporaryDirectory() as scratch:
        for i, case in enumerate(c for c in CASES if args.only in c.name):
            result = compare(probe, case, pathlib.Path(scratch) / str(i), seed=i + 1)
            lines.append(line(row(case, result)))
            print(lines[-1], flush=True)
            if not is_good(result):
                bad.append(case.name)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n")
    if bad:
        sys.exit("out of tolerance: " + "; ".join(bad))


if __name__ == "__main__":
    main()
