#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write the golden vectors of tests/golden from the independent PyTorch model.

    tools/python.sh tools/make_golden.py                 # all cases; makes .venv at first use
    tools/python.sh tools/make_golden.py softmax switch  # some
    tools/python.sh tools/make_golden.py --self-check    # this model against transformers

Everything is computed in float64 from float32 parameters and stored as float32, so a stored value
is the true one up to half a unit in the last place. The same run in float32 measures how far honest
float32 arithmetic strays; the figures go into recipe.json and are what tolerances are derived from.
A seed is accepted only if no routing decision of the ten steps is a near tie, capacities, biases
and groups did change something, and float32 follows to MAX_DEVIATION (Adam's early steps divide small
gradients by themselves, which makes rounding visible in an unlucky element).
"""
import argparse
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import golden_model as gm
import golden_router as gr
import golden_rng
from golden_cases import CASES

ROOT = Path(__file__).resolve().parent.parent / "tests" / "golden"
TRIES = 4000
MAX_DEVIATION = 1e-5


class Unfit(Exception):
    """This seed would make a bad golden case."""


@dataclass
class Data:
    tokens: torch.Tensor   # (S, B, T)
    targets: torch.Tensor  # (S, B, T), -1 where nothing is to be predicted


def make_data(cfg, recipe):
    """Zipf-like tokens, so that loads differ; a tenth of the targets are masked."""
    draw = np.random.default_rng(recipe["seed"] + 1_000_000)
    shape = (recipe["steps"], recipe["batch"], recipe["seq_len"] + 1)
    chance = 1 / (3 + np.arange(cfg.V))
    text = draw.choice(cfg.V, size=shape, p=chance / chance.sum())
    targets = np.where(draw.random(text[..., 1:].shape) < 0.1, -1, text[..., 1:])
    return Data(torch.from_numpy(text[..., :-1].copy()), torch.from_numpy(targets))


def token_counts(cfg, data):
    return torch.bincount(data.tokens.flatten(), minlength=cfg.V)


def make_state(cfg, recipe, data, dtype):
    """Loss-free biases at their start; hash tables, balanced by the data's frequencies."""
    start = 1.0 if cfg.selection_bias == "multiplicative" else 0.0
    moe_layers = [i for i in range(cfg.L) if cfg.is_moe(i) and cfg.E]
    bias, table = {}, {}
    if cfg.selection_bias != "none":
        bias = {i: torch.full((cfg.E,), start, dtype=dtype) for i in moe_layers}
    if cfg.router == "hash":
        counts = token_counts(cfg, data).tolist()
        table = {i: gr.hash_table(cfg.hash_kind, cfg.V, cfg.E, cfg.hash_seed, i, counts)
                 for i in moe_layers}
    return gm.State(bias, table)


def grad_norm(params):
    return math.sqrt(sum(p.grad.double().pow(2).sum().item() for p in params.values()))


class AdamW:
    """Decoupled weight decay on matrices (embedding, head and router included), none on norms."""

    def __init__(self, params, recipe):
        self.params, self.r, self.t = params, recipe, 0
        self.m = {n: torch.zeros_like(p) for n, p in params.items()}
        self.v = {n: torch.zeros_like(p) for n, p in params.items()}

    @torch.no_grad()
    def step(self, lr, scale, frozen=False):
        r = self.r
        self.t += 1
        for name, p in self.params.items():
            if frozen and ".distilled_" in name:
                continue
            g, m, v = p.grad * scale, self.m[name], self.v[name]
            m.mul_(r["beta1"]).add_(g, alpha=1 - r["beta1"])
            v.mul_(r["beta2"]).addcmul_(g, g, value=1 - r["beta2"])
            m_hat = m / (1 - r["beta1"]**self.t)
            v_hat = v / (1 - r["beta2"]**self.t)
            decay = r["weight_decay"] if p.ndim == 2 else 0.0
            p.sub_(lr * (m_hat / (v_hat.sqrt() + r["eps"]) + decay * p))


def train(case, recipe, dtype, min_margin):
    """Ten optimiser steps; returns every tensor of golden.safetensors, in `dtype`."""
    cfg = gm.Config.from_json(case.config_json())
    data = make_data(cfg, recipe)
    start = gm.random_parameters(cfg, recipe["seed"], recipe["init_std"])
    params = {n: p.to(dtype).requires_grad_() for n, p in start.items()}
    state = make_state(cfg, recipe, data, dtype)
    optimiser = AdamW(params, recipe)
    out = {f"param.{n}": p for n, p in start.items()}
    out |= {f"layer.{i}.hash_table": t for i, t in state.table.items()}
    if cfg.router == "hash":
        out["token_counts"] = token_counts(cfg, data)
    curve = {"loss": [], "balance": [], "grad_norm": []}
    dropped, steered, limited = [], False, False

    for step in range(recipe["steps"]):
        state.frozen = step >= recipe.get("freeze", recipe["steps"])
        logits, routings = gm.forward(cfg, params, data.tokens[step], state, recipe["seed"], step)
        for layer, routing in routings.items():
            dropped.append((routing.gate == 0).double().mean().item())
            bias = state.bias.get(layer)
            steered |= bias is not None and differs(cfg, routing, None)
            limited |= cfg.n_group > 1 and differs(replace(cfg, n_group=1), routing, bias)
            if routing.margin < min_margin:
                raise Unfit(f"layer {layer} step {step} margin {routing.margin:.1e}")
        losses = gm.losses(cfg, recipe, logits, data.targets[step], routings, state)
        for p in params.values():
            p.grad = torch.zeros_like(p)
        sum(losses.values()).backward()
        norm = grad_norm(params)
        if step == 0:
            out |= first_step_tensors(data, params, logits, losses, routings, norm)
        curve["loss"].append(losses["lm"].item())
        curve["balance"].append(sum(v.item() for k, v in losses.items()
                                    if k not in ("lm", "distill")))
        curve["grad_norm"].append(norm)
        lr = recipe["peak_lr"] * min(1.0, (step + 1) / recipe["warmup"])
        optimiser.step(lr, min(1.0, recipe["clip"] / norm), state.frozen)
        for layer in state.bias:
            state.bias[layer] = gr.update_bias(recipe["bias_rule"], state.bias[layer],
                                               routings[layer].pick, recipe["bias_rate"])

    if cfg.capacity_factor and not 0.1 < np.mean(dropped) < 0.5:
        raise Unfit(f"{np.mean(dropped):.0%} of the choices are dropped")
    if state.bias and not steered:
        raise Unfit("the bias never changed a choice")
    if cfg.n_group > 1 and not limited:
        raise Unfit("the groups never changed a choice")
    out |= {f"step_{k}": torch.tensor(v, dtype=torch.float64) for k, v in curve.items()}
    out |= {f"after10.{n}": p.detach() for n, p in params.items()}
    out |= {f"layer.{i}.bias_after10": b for i, b in state.bias.items()}
    out |= {"step_tokens": data.tokens, "step_targets": data.targets}
    return out


def differs(cfg, routing, bias):
    """Would this config or bias have picked others?"""
    logits = routing.logits.detach()
    score = torch.sigmoid(logits) if cfg.router == "sigmoid" else torch.softmax(logits, -1)
    return not torch.equal(gr.choose(cfg, logits, score, bias)[0], routing.pick)


def first_step_tensors(data, params, logits, losses, routings, norm):
    """What one forward and backward must reproduce, before clipping."""
    out = {"tokens": data.tokens[0], "targets": data.targets[0], "logits": logits.detach(),
           "grad_norm": torch.tensor([norm], dtype=torch.float64)}
    out |= {f"loss.{k}": v.detach().reshape(1) for k, v in losses.items()}
    out |= {f"grad.{n}": p.grad.clone() for n, p in params.items()}
    for layer, routing in routings.items():
        out[f"layer.{layer}.pick"] = routing.pick
        out[f"layer.{layer}.gate"] = routing.gate.detach()
        if routing.logits is not None:
            out[f"layer.{layer}.router_logits"] = routing.logits.detach()
    return out


def robust_run(case):
    """The first fit seed: its recipe with the float32 deviations, and every tensor."""
    for seed in range(1, TRIES):
        recipe = {**case.recipe_json(), "seed": seed}
        try:
            truth = train(case, recipe, torch.float64, case.min_margin)
            rough = train(case, recipe, torch.float32, 0.0)
            same_decisions(truth, rough)
        except Unfit:
            continue
        recipe["float32_deviation"] = deviation(truth, rough)
        if max(recipe["float32_deviation"].values()) < MAX_DEVIATION:
            return recipe, truth
    raise SystemExit(f"{case.name}: no fit seed below {TRIES}")


def same_decisions(truth, rough):
    for name, x in truth.items():
        if not x.is_floating_point() and not torch.equal(x, rough[name]):
            raise Unfit(f"{name} differs in float32")


def deviation(truth, rough):
    """Largest |float32 run - truth| per kind of tensor, relative to the tensor's largest value."""
    worst = {}
    for name, x in truth.items():
        if not x.is_floating_point() or name.startswith("param."):
            continue
        kind = name.split(".")[0] if not name.startswith("layer.") else name.split(".")[2]
        scale = max(x.abs().max().item(), 1e-30)
        error = (rough[name].double() - x.double()).abs().max().item()
        worst[kind] = max(worst.get(kind, 0.0), error / scale if error else 0.0)
    return {k: float(f"{v:.1e}") for k, v in sorted(worst.items())}


def stored(x):
    return x.to(torch.float32 if x.is_floating_point() else torch.int32).contiguous()


def read_recipe(name):
    return json.loads((ROOT / name / "recipe.json").read_text())


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_case(case):
    recipe, truth = robust_run(case)
    folder = ROOT / case.name
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", case.config_json())
    write_json(folder / "recipe.json", {"case": case.name, "about": case.about, **recipe})
    path = folder / "golden.safetensors"
    save_file({n: stored(x) for n, x in truth.items()}, path, metadata={"format": "pt"})
    print(f"{case.name:24s} seed {recipe['seed']:4d}  {path.stat().st_size / 1024:6.1f} KiB  "
          f"lm {truth['loss.lm'].item():.4f}  "
          f"curve {truth['step_loss'][0]:.3f} -> {truth['step_loss'][-1]:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", nargs="*", help="case names; all when none is given")
    parser.add_argument("--self-check", action="store_true",
                        help="compare the model with transformers and write nothing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    golden_rng.self_check()
    if args.self_check:
        import golden_selfcheck
        golden_selfcheck.run()
        return
    unknown = set(args.case) - {c.name for c in CASES}
    if unknown:
        parser.error(f"unknown case {sorted(unknown)}, expected one of {[c.name for c in CASES]}")
    for case in CASES:
        if not args.case or case.name in args.case:
            write_case(case)


if __name__ == "__main__":
    main()
