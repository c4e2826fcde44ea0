# SPDX-License-Identifier: MIT
"""The golden model against other people's code: transformers and torch.optim.

What they do not offer (loss-free updates, device and communication losses, hash tables, the random
second choice) is checked by its defining property instead. Tolerances: transformers computes norms
and router scores in float32.
"""
from types import SimpleNamespace

import torch
from transformers import DeepseekV2Config, DeepseekV3Config
from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2Moe
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3MoE
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func
from transformers.models.switch_transformers.configuration_switch_transformers import (
    SwitchTransformersConfig)
from transformers.models.switch_transformers.modeling_switch_transformers import (
    SwitchTransformersTop1Router)

import golden_model as gm
import golden_router as gr
import make_golden as mg
from golden_cases import CASES
from parity_reference import Transformers, unfused

BY_NAME = {c.name: c for c in CASES}
NO_STATE = gm.State({}, {})
FLOAT32 = 2e-5


def close(what, got, want, tolerance=FLOAT32):
    got, want = got.detach().double(), want.detach().double()
    error = ((got - want).abs().max() / want.abs().max()).item()
    print(f"  {what:48s} {error:.1e}")
    assert error < tolerance, f"{what}: relative difference {error:.1e}, expected < {tolerance:.0e}"


def set_up(name, **changes):
    case = BY_NAME[name]
    cfg = gm.Config.from_json({**case.config_json(), **changes})
    recipe = {**case.recipe_json(), **mg.read_recipe(name)}
    params = {n: p.double() for n, p in gm.random_parameters(cfg, recipe["seed"], 0.3).items()}
    return case, cfg, recipe, params


def check_model(name):
    """A whole model in float32: logits and gradients of the loss."""
    case, cfg, recipe, params = set_up(name)
    data = mg.make_data(cfg, recipe)
    tokens, targets = data.tokens[0], data.targets[0]
    for p in params.values():
        p.requires_grad_()
    bias = torch.linspace(-0.4, 0.4, max(cfg.E, 1), dtype=torch.float64)
    steered = range(cfg.L) if cfg.selection_bias != "none" else ()
    state = gm.State({i: bias for i in steered if cfg.is_moe(i)}, {})
    logits, _ = gm.forward(cfg, params, tokens, state)
    gm.losses(cfg, recipe, logits, targets, {})["lm"].backward()

    theirs = Transformers(SimpleNamespace(type=cfg.family, config_json=case.config_json), seed=1)
    theirs.load({n: p.detach() for n, p in params.items()}
                | {f"model.layers.{i}.mlp.gate.e_score_correction_bias": b
                   for i, b in state.bias.items()})
    out = theirs.model(tokens).logits
    torch.nn.functional.cross_entropy(out.flatten(0, 1), targets.flatten(),
                                      ignore_index=-1).backward()
    close(f"{name}: logits, {type(theirs.model).__name__}", logits, out)
    grads = unfused({n: p.grad for n, p in theirs.model.named_parameters()})
    ours = torch.cat([p.grad.flatten() for p in params.values()])
    close(f"{name}: all gradients", ours, torch.cat([grads[n].flatten() for n in params]))


def load_moe(block, cfg, params, prefix):
    """Our per-expert tensors into the fused ones transformers holds in memory."""
    def stack(kind):
        names = [f"{prefix}experts.{e}.{kind}_proj.weight" for e in range(cfg.E)]
        return torch.stack([params[n] for n in names])

    tensors = {"gate.weight": params[prefix + "gate.weight"],
               "experts.gate_up_proj": torch.cat([stack("gate"), stack("up")], 1),
               "experts.down_proj": stack("down")}
    for kind in ("gate", "up", "down"):
        name = f"shared_experts.{kind}_proj.weight"
        tensors[name] = params[prefix + name]
    missing, unexpected = block.double().load_state_dict(tensors, strict=False)
    assert not unexpected and all("bias" in m for m in missing), (missing, unexpected)
    return block


def check_moe(what, name, block, bias=None, **changes):
    _, cfg, _, params = set_up(name, **changes)
    prefix = "model.layers.1.mlp."
    load_moe(block, cfg, params, prefix)
    x = torch.randn(2, 12, cfg.D, dtype=torch.float64, generator=torch.manual_seed(3))
    state = gm.State({1: bias} if bias is not None else {}, {})
    with torch.no_grad():
        y, _ = gm.moe(cfg, params, prefix, x, None, state, gr.Draws(1, 0, 1))
        close(what, y, block(x))


BLOCK = {"hidden_size": 12, "num_attention_heads": 3, "moe_intermediate_size": 5,
         "n_shared_experts": 1, "n_routed_experts": 8}


def check_deepseek_v2():
    block = DeepseekV2Moe(DeepseekV2Config(
        **BLOCK, num_experts_per_tok=2, topk_method="greedy", routed_scaling_factor=1.0))
    check_moe("softmax gate: DeepseekV2Moe", "softmax", block)


def check_deepseek_v3():
    block = DeepseekV3MoE(DeepseekV3Config(
        **BLOCK, num_experts_per_tok=3, n_group=1, topk_group=1, norm_topk_prob=True,
        routed_scaling_factor=1.0))
    bias = torch.linspace(-0.4, 0.4, 8, dtype=torch.float64)
    block.gate.e_score_correction_bias.copy_(bias)
    check_moe("sigmoid gate, bias, normalised: DeepseekV3MoE", "sigmoid_norm", block, bias)


def check_switch():
    _, cfg, _, params = set_up("switch_full", dsmoe={"router": "switch", "capacity_factor": 1.0})
    prefix = "model.layers.0.mlp."
    room = 12 // cfg.E
    theirs = SwitchTransformersTop1Router(SwitchTransformersConfig(
        hidden_size=cfg.D, num_experts=cfg.E, expert_capacity=room, router_dtype="float32")).eval()
    theirs.load_state_dict({"classifier.weight": params[prefix + "gate.weight"].float()})
    x = torch.randn(4, 12, cfg.D, generator=torch.manual_seed(5))
    with torch.no_grad():
        mask, prob, _ = theirs(x.clone())
        routing = gm.route(cfg, params, prefix, x.double(), None, NO_STATE, gr.Draws(1, 0, 0))
    ours = torch.zeros(4, 12, cfg.E, dtype=torch.float64).scatter_(-1, routing.pick, routing.gate)
    assert (routing.gate == 0).any(), "no overflow to check"
    close("switch gates with capacity: Top1Router", ours, mask * prob)


def check_balance():
    """transformers' loss is K times ours per batch; a uniform load gives exactly the factors."""
    _, cfg, recipe, _ = set_up("softmax")
    logits = torch.randn(2, 12, cfg.E, generator=torch.manual_seed(4))
    pick, _ = gr.top_k(logits, cfg.K)
    prob = torch.softmax(logits, -1)
    routing = gr.Routing(logits, prob, pick, prob, 0.0)
    ours = gr.balance_losses(cfg, {**recipe, "expert": 1.0, "scope": "batch"}, routing)["expert"]
    close("expert loss per batch: load_balancing_loss_func", ours * cfg.K,
          load_balancing_loss_func((logits.flatten(0, 1),), cfg.E, cfg.K))

    E, K, devices = cfg.E, cfg.K, 4  # token t picks experts t*K .. t*K+K-1 modulo E: one device
    pick = (torch.arange(12)[:, None] * K + torch.arange(K)).remainder(E).expand(2, 12, K)
    even = torch.full((2, 12, E), 1 / E)
    for scope in ("sequence", "batch"):
        r = {**recipe, "expert": 0.01, "device": 0.02, "communication": 0.03, "z": 1.0,
             "devices": devices, "device_limit": 1, "scope": scope}
        got = gr.balance_losses(cfg, r, gr.Routing(even * 0, even, pick, even, 0.0))
        for kind in ("expert", "device", "communication"):
            close(f"uniform load, {scope}: {kind}", got[kind], torch.tensor(r[kind]), 1e-6)
        log_E = torch.log(torch.tensor(float(E)))
        close(f"uniform load, {scope}: z", got["z"], log_E * log_E, 1e-6)


def check_adamw():
    recipe = BY_NAME["softmax"].recipe_json()
    start = {"matrix": torch.randn(4, 3), "norm": torch.randn(5)}
    ours = {n: p.clone().requires_grad_() for n, p in start.items()}
    theirs = {n: p.clone().requires_grad_() for n, p in start.items()}
    optimiser = mg.AdamW(ours, recipe)
    common = {"lr": 0.01, "betas": (0.9, 0.95), "eps": recipe["eps"]}
    reference = torch.optim.AdamW([
        {"params": [theirs["matrix"]], "weight_decay": recipe["weight_decay"]},
        {"params": [theirs["norm"]], "weight_decay": 0.0}], **common)
    for _ in range(10):
        for n in start:
            ours[n].grad = torch.randn_like(start[n])
            theirs[n].grad = ours[n].grad.clone()
        optimiser.step(0.01, 1.0)
        reference.step()
    for n in start:
        close(f"AdamW, {n}: torch.optim.AdamW", ours[n], theirs[n])


def run():
    torch.manual_seed(0)
    for name in ("dense_mha", "dense_gqa_tied", "biased", "rope_linear", "rope_llama3", "rope_yarn",
                 "v2_greedy", "v2_groups", "v3_groups", "v3_plain"):
        check_model(name)
    for check in (check_deepseek_v2, check_deepseek_v3, check_switch, check_balance, check_adamw):
        check()
    print("self-check passed")
