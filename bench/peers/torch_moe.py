#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The training step of a DeepSeekMoE model in PyTorch on the CPU, in every form people write it.

    python bench/peers/torch_moe.py configs/bench/tiny.json --seq 256 --batch 16 --impl sorted

One JSON line per run. All forms compute the same loss and gradients (`--check` compares them) and
share attention (scaled_dot_product_attention), norms, head, loss and optimiser; only the routed
experts differ:
  mask      the released DeepSeekMoE training code: K copies of a token, a boolean mask per expert
  index     transformers: the list of an expert's tokens, gather, FFN, index_add
  sorted    tokens sorted by expert once, one GEMM per expert on slices, hand-written backward
  grouped   the same with torch.nn.functional.grouped_mm
  dense     no routing: an FFN as wide as the activated experts (a bound, not a peer)
`--compile` runs everything but the experts through torch.compile. The clock holds a whole step:
forward, balance loss, backward, clip at 1.0, AdamW (fused); random tokens, f32, denormals flushed.
FLOPs: 6 * activated parameters (head, not embedding) + causal attention 6 L T D, per token.
"""
import argparse
import json
import resource
import statistics
import time
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn


def load_config(path):
    with open(path) as f:
        return SimpleNamespace(**json.load(f))


class Permute(torch.autograd.Function):
    """Rows of x repeated K times, in expert order; the gradient gathers, it does not scatter."""

    @staticmethod
    def forward(ctx, x, order, inverse, K):
        ctx.save_for_backward(inverse)
        ctx.K = K
        return x.index_select(0, order // K)

    @staticmethod
    def backward(ctx, dy):
        (inverse,) = ctx.saved_tensors
        dx = dy.index_select(0, inverse).view(-1, ctx.K, dy.shape[1]).sum(1)
        return dx, None, None, None


class Unpermute(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y, order, inverse):
        ctx.save_for_backward(order)
        return y.index_select(0, inverse)

    @staticmethod
    def backward(ctx, dy):
        (order,) = ctx.saved_tensors
        return dy.index_select(0, order), None, None


class SlicedLinear(torch.autograd.Function):
    """y[rows of e] = x[rows of e] @ w[e]^T for every expert, into one array, without copies."""

    @staticmethod
    def forward(ctx, x, w, ends):
        ctx.save_for_backward(x, w)
        ctx.ends = ends
        y = x.new_empty(x.shape[0], w.shape[1])
        for e, (a, b) in enumerate(zip([0] + ends, ends)):
            torch.mm(x[a:b], w[e].t(), out=y[a:b])
        return y

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        dx, dw = torch.empty_like(x), torch.empty_like(w)
        for e, (a, b) in enumerate(zip([0] + ctx.ends, ctx.ends)):
            torch.mm(dy[a:b], w[e], out=dx[a:b])
            torch.mm(dy[a:b].t(), x[a:b], out=dw[e])
        return dx, dw, None


def silu_mul(gate_up):
    gate, up = gate_up.chunk(2, -1)
    return F.silu(gate) * up


class SwiGLU(nn.Module):
    def __init__(self, D, width):
        super().__init__()
        self.gate_up = nn.Linear(D, 2 * width, bias=False)
        self.down = nn.Linear(width, D, bias=False)

    def forward(self, x):
        return self.down(silu_mul(self.gate_up(x)))


class Router(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.E, self.K, self.alpha = c.n_routed_experts, c.num_experts_per_tok, c.aux_loss_alpha
        self.weight = nn.Parameter(torch.empty(self.E, c.hidden_size))

    def forward(self, x):
        score = F.linear(x, self.weight).softmax(-1)                     # (B, T, E)
        gate, pick = score.topk(self.K, -1)                              # (B, T, K)
        B, T = x.shape[:2]
        count = torch.zeros(B, self.E).scatter_add_(
            1, pick.reshape(B, -1), torch.ones(B, T * self.K))
        frequency = count * (self.E / (self.K * T))
        loss = self.alpha * (frequency * score.mean(1)).sum(1).mean()
        return gate.reshape(-1, self.K), pick.reshape(-1, self.K), loss


class MaskExperts(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.K = c.num_experts_per_tok
        self.experts = nn.ModuleList(SwiGLU(c.hidden_size, c.moe_intermediate_size)
                                     for _ in range(c.n_routed_experts))

    def forward(self, x, gate, pick):
        x, flat = x.repeat_interleave(self.K, 0), pick.flatten()
        y = torch.empty_like(x)
        for e, expert in enumerate(self.experts):
            y[flat == e] = expert(x[flat == e])
        return (y.view(*gate.shape, -1) * gate.unsqueeze(-1)).sum(1)


class IndexExperts(MaskExperts):
    def forward(self, x, gate, pick):
        y = torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            token, k = torch.where(pick == e)
            y.index_add_(0, token, expert(x[token]) * gate[token, k, None])
        return y


class SortedExperts(nn.Module):
    def __init__(self, c):
        super().__init__()
        E, D, width = c.n_routed_experts, c.hidden_size, c.moe_intermediate_size
        self.E, self.K = E, c.num_experts_per_tok
        self.gate_up = nn.Parameter(torch.empty(E, 2 * width, D))
        self.down = nn.Parameter(torch.empty(E, D, width))

    def forward(self, x, gate, pick):
        flat = pick.flatten()
        order = flat.argsort(stable=True)
        inverse = torch.empty_like(order).scatter_(0, order, torch.arange(order.numel()))
        ends = flat.bincount(minlength=self.E).cumsum(0)
        y = self.experts(Permute.apply(x, order, inverse, self.K), ends)
        y = Unpermute.apply(y, order, inverse).view(*gate.shape, -1)     # (N, K, D)
        return torch.bmm(gate.unsqueeze(1), y).squeeze(1)

    def experts(self, x, ends):
        ends = ends.tolist()
        h = silu_mul(SlicedLinear.apply(x, self.gate_up, ends))
        return SlicedLinear.apply(h, self.down, ends)


class GroupedExperts(SortedExperts):
    def experts(self, x, ends):
        ends = ends.to(torch.int32)
        h = silu_mul(F.grouped_mm(x, self.gate_up.transpose(1, 2), offs=ends))
        return F.grouped_mm(h, self.down.transpose(1, 2), offs=ends)


EXPERTS = {"mask": MaskExperts, "index": IndexExperts,
           "sorted": SortedExperts, "grouped": GroupedExperts}


class MoE(nn.Module):
    def __init__(self, c, impl):
        super().__init__()
        self.router, self.routed = Router(c), EXPERTS[impl](c)
        self.shared = SwiGLU(c.hidden_size, c.n_shared_experts * c.moe_intermediate_size)

    def forward(self, x):
        gate, pick, loss = self.router(x)
        y = self.routed(x.reshape(-1, x.shape[-1]), gate, pick)
        return self.shared(x) + y.view_as(x), loss


def rotary_table(c, T):
    Dh = c.hidden_size // c.num_attention_heads
    freq = c.rope_theta ** (-torch.arange(0, Dh, 2) / Dh)
    angle = torch.outer(torch.arange(T), freq)
    return angle.cos(), angle.sin()                                      # (T, Dh/2) each


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.H, D = c.num_attention_heads, c.hidden_size
        self.qkv, self.out = nn.Linear(D, 3 * D, bias=False), nn.Linear(D, D, bias=False)

    def forward(self, x, cos, sin):
        B, T, D = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.H, -1).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(B, T, D))


class Block(nn.Module):
    def __init__(self, c, layer, impl):
        super().__init__()
        D = c.hidden_size
        self.eps = c.rms_norm_eps
        self.norm1, self.norm2 = nn.Parameter(torch.empty(D)), nn.Parameter(torch.empty(D))
        self.attention = Attention(c)
        if layer < c.first_k_dense_replace:
            self.ffn = SwiGLU(D, c.intermediate_size)
        elif impl == "dense":
            active = c.n_shared_experts + c.num_experts_per_tok
            self.ffn = SwiGLU(D, active * c.moe_intermediate_size)
        else:
            self.ffn = MoE(c, impl)

    def mix(self, h, cos, sin):
        """The residual after attention, and the normed input of the FFN."""
        D = h.shape[-1]
        h = h + self.attention(F.rms_norm(h, (D,), self.norm1, self.eps), cos, sin)
        return h, F.rms_norm(h, (D,), self.norm2, self.eps)

    def forward(self, h, cos, sin):
        h, x = self.mix(h, cos, sin)
        y = self.ffn(x)
        y, loss = y if isinstance(y, tuple) else (y, 0.0)
        return h + y, loss


class Model(nn.Module):
    def __init__(self, c, impl):
        super().__init__()
        D, V = c.hidden_size, c.vocab_size
        self.eps = c.rms_norm_eps
        self.embed, self.head = nn.Embedding(V, D), nn.Linear(D, V, bias=False)
        self.blocks = nn.ModuleList(Block(c, i, impl) for i in range(c.num_hidden_layers))
        self.norm = nn.Parameter(torch.empty(D))
        for p in self.parameters():
            nn.init.normal_(p, std=c.initializer_range) if p.ndim > 1 else nn.init.ones_(p)

    def forward(self, tokens, targets, cos, sin):
        h, balance = self.embed(tokens), 0.0
        for block in self.blocks:
            h, loss = block(h, cos, sin)
            balance = balance + loss
        return self.score(h, targets), balance

    def score(self, h, targets):
        h = F.rms_norm(h, h.shape[-1:], self.norm, self.eps)
        return F.cross_entropy(self.head(h).flatten(0, 1), targets.flatten())


def flops_per_token(c, T):
    """The header's count. The dense twin is as wide as the activated experts: one count fits."""
    D, L, dense = c.hidden_size, c.num_hidden_layers, c.first_k_dense_replace
    active = (c.n_shared_experts + c.num_experts_per_tok) * c.moe_intermediate_size
    weights = (L * 4 * D * D + dense * 3 * D * c.intermediate_size + c.vocab_size * D
               + (L - dense) * (3 * D * active + c.n_routed_experts * D))
    return 6 * weights + 6 * L * T * D


def compile_parts(model):
    """torch.compile around everything but the experts, whose slices differ at every step."""
    global silu_mul
    silu_mul = torch.compile(silu_mul, dynamic=True)
    model.score = torch.compile(model.score)
    for block in model.blocks:
        block.mix = torch.compile(block.mix)
        if isinstance(block.ffn, MoE):
            block.ffn.router.compile()


class Trainer:
    def __init__(self, c, impl, compiled):
        torch.manual_seed(1)
        self.model = Model(c, impl)
        decay = [p for p in self.model.parameters() if p.ndim > 1]
        plain = [p for p in self.model.parameters() if p.ndim == 1]
        self.optimiser = torch.optim.AdamW(
            [{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}],
            lr=1e-3, betas=(0.9, 0.95), eps=1e-8, fused=True)
        if compiled:
            compile_parts(self.model)

    def step(self, tokens, targets, table):
        lm, balance = self.model(tokens, targets, *table)
        (lm + balance).backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return lm.item(), float(norm)


def batches(c, args):
    draw = torch.Generator().manual_seed(7)
    while True:
        x = torch.randint(c.vocab_size, (args.batch, args.seq + 1), generator=draw)
        yield x[:, :-1].contiguous(), x[:, 1:].contiguous()


def measure(c, args):
    trainer, table = Trainer(c, args.impl, args.compile), rotary_table(c, args.seq)
    seconds, first = [], None
    for i, (tokens, targets) in zip(range(args.warmup + args.steps), batches(c, args)):
        start = time.perf_counter()
        loss = trainer.step(tokens, targets, table)
        first = first or loss
        if i >= args.warmup:
            seconds.append(time.perf_counter() - start)
    median, best = statistics.median(seconds), min(seconds)
    work = args.batch * args.seq
    return {
        "name": f"torch {args.impl}" + (" compiled" if args.compile else ""),
        "tokens_per_s": work / median, "tokens_per_s_best": work / best, "step_s": median,
        "gflops": flops_per_token(c, args.seq) * work / median / 1e9,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "threads": torch.get_num_threads(), "steps": args.steps, "torch": torch.__version__,
        "loss": loss[0], "first_loss": first[0], "first_grad_norm": first[1],
    }


def as_stacked(experts):
    """The tensors of a list of experts in the form SortedExperts holds them."""
    if isinstance(experts, SortedExperts):
        return experts.gate_up, experts.down
    return (torch.stack([e.gate_up.weight for e in experts.experts]),
            torch.stack([e.down.weight for e in experts.experts]))


@torch.no_grad()
def copy_parameters(target, source):
    """Make a model equal to one of another form."""
    have = dict(source.named_parameters())
    for name, p in target.named_parameters():
        if ".routed." not in name:
            p.copy_(have[name])
    for mine, theirs in zip(target.blocks, source.blocks):
        if not isinstance(mine.ffn, MoE):
            continue
        gate_up, down = as_stacked(theirs.ffn.routed)
        if isinstance(mine.ffn.routed, SortedExperts):
            mine.ffn.routed.gate_up.copy_(gate_up)
            mine.ffn.routed.down.copy_(down)
            continue
        for e, expert in enumerate(mine.ffn.routed.experts):
            expert.gate_up.weight.copy_(gate_up[e])
            expert.down.weight.copy_(down[e])


def check(c, args):
    """Loss and gradient norm of every form, from the same parameters on the same batch."""
    tokens, targets = next(batches(c, args))
    table, source = rotary_table(c, args.seq), None
    for impl in EXPERTS:
        trainer = Trainer(c, impl, args.compile)
        source = source or trainer.model
        copy_parameters(trainer.model, source)
        loss, norm = trainer.step(tokens, targets, table)
        if trainer.model is source:  # the step has changed it: rebuild it for the next form
            want, source = (loss, norm), Trainer(c, impl, False).model
        error = max(abs(loss / want[0] - 1), abs(norm / want[1] - 1))
        print(f"{impl:8s} loss {loss:.6f}  grad norm {norm:.6f}  off by {error:.1e}")
        assert error < 1e-5, impl


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("--impl", choices=[*EXPERTS, "dense"], default="sorted")
    parser.add_argument("--seq", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--check", action="store_true", help="compare the forms, time nothing")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    c = load_config(args.config)
    assert c.num_key_value_heads == c.num_attention_heads, "this peer knows multi-head only"
    if args.check:
        check(c, args)
    else:
        print(json.dumps(measure(c, args)), flush=True)


if __name__ == "__main__":
    main()
