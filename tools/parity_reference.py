# SPDX-License-Identifier: MIT
"""What other people's code says about a model: logits, greedy continuation, gradients.

Transformers for the types it has, the independent module (golden_model.py) for the rest. Both hold a
dictionary of tensors under the names that checkpoints use, one per expert.
"""
import re

import torch
import torch.nn.functional as F
import transformers

import golden_model as gm

CLASSES = {
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
    "deepseek_v2": (transformers.DeepseekV2Config, transformers.DeepseekV2ForCausalLM),
    "deepseek_v3": (transformers.DeepseekV3Config, transformers.DeepseekV3ForCausalLM),
}


def random_tensor(name, shape, generator):
    """Values that leave no term of the network small: norms about 1, biases not 0."""
    x = torch.randn(shape, generator=generator)
    if name.endswith("norm.weight"):
        return 1 + 0.2 * x
    if name.endswith("e_score_correction_bias"):
        return 0.3 * x
    if x.ndim == 1:
        return 0.2 * x
    return x * (0.5 if "embed" in name else 1.2 * shape[-1]**-0.5)


def next_token_loss(logits, ids):
    return F.cross_entropy(logits[:-1], ids[1:])


class Transformers:
    """A native class, float32, attention and experts as plain products."""

    def __init__(self, case, seed):
        config_class, model_class = CLASSES[case.type]
        generator = torch.Generator().manual_seed(seed)
        self.model = model_class(config_class(**case.config_json())).float().eval()
        self.model.set_attn_implementation("eager")
        self.model.set_experts_implementation("eager")
        self.config = self.model.config
        with torch.no_grad():
            for name, x in sorted(self.model.state_dict(keep_vars=True).items()):
                x.copy_(random_tensor(name, x.shape, generator))
        self.model.tie_weights()

    def tensors(self):
        tied = self.config.tie_word_embeddings
        return {n: x for n, x in unfused(self.model.state_dict()).items()
                if not (tied and n == "lm_head.weight")}

    def fused_tensors(self):
        return dict(self.model.state_dict())

    def load(self, tensors):
        """Take other values, by the names of tensors()."""
        with torch.no_grad():
            for name, x in unfused(self.model.state_dict(keep_vars=True)).items():
                if name in tensors:
                    x.copy_(tensors[name])

    def logits(self, ids):
        return self.model(ids[None]).logits[0]

    def greedy(self, ids, n):
        """n tokens, one after another through its cache, and the logits each was chosen by."""
        out = self.model.generate(ids[None], max_new_tokens=n, min_new_tokens=n, do_sample=False,
                                  eos_token_id=None, pad_token_id=0, output_logits=True,
                                  return_dict_in_generate=True)
        return out.sequences[0, len(ids):], torch.cat(out.logits)

    def gradients(self, ids):
        self.model.zero_grad()
        loss = next_token_loss(self.logits(ids), ids)
        loss.backward()
        return loss.item(), unfused({n: p.grad for n, p in self.model.named_parameters()})


def unfused(tensors):
    """gate_up_proj (E, 2m, H) and down_proj (E, H, m) as views under one name per expert."""
    out = {}
    for name, x in tensors.items():
        at = re.fullmatch(r"(.*\.experts)\.(gate_up_proj|down_proj)", name)
        if not at:
            out[name] = x
            continue
        for e, matrix in enumerate(x):
            if at[2] == "down_proj":
                out[f"{at[1]}.{e}.down_proj.weight"] = matrix
            else:
                gate, up = matrix.chunk(2)
                out[f"{at[1]}.{e}.gate_proj.weight"] = gate
                out[f"{at[1]}.{e}.up_proj.weight"] = up
    return out


class Module:
    """golden_model.py, in float64 over float32 parameters."""

    def __init__(self, case, seed):
        self.config = case.config_json()
        self.cfg = gm.Config.from_json(self.config)
        generator = torch.Generator().manual_seed(seed)
        self.start = {n: random_tensor(n, s, generator)
                      for n, s in gm.parameter_shapes(self.cfg).items()}
        self.params = {n: x.double().requires_grad_() for n, x in self.start.items()}

    def tensors(self):
        return self.start

    def logits(self, ids):
        return gm.forward(self.cfg, self.params, ids[None], gm.State({}, {}))[0][0]

    def greedy(self, ids, n):
        drawn = []
        with torch.no_grad():
            for _ in range(n):
                drawn.append(self.logits(ids)[-1])
                ids = torch.cat([ids, drawn[-1].argmax()[None]])
        return ids[-n:], torch.stack(drawn)

    def gradients(self, ids):
        loss = next_token_loss(self.logits(ids), ids)
        loss.backward()
        return loss.item(), {n: p.grad for n, p in self.params.items()}


REFERENCES = {"transformers": Transformers, "module": Module}
