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
`--compile` runs everything but the experts and the attention core through torch.compile. The clock
holds a whole step: forward, balance loss, backward, clip at 1.0, AdamW (fused); random tokens,
denormals flushed. FLOPs: 6 * activated parameters (head, not embedding) + causal attention 6 L T D,
per token.
Reduced precision, two ways: `--dtype bf16` is autocast (masters, weight gradients, optimiser,
norms, residual, router scores and loss stay f32; sorted and grouped cast explicitly, for neither is
known to autocast); `--matmul-precision medium` keeps f32 tensors and lets oneDNN round the operands
of matrix products to bf16, the router's too. `--profile` adds the seconds of a step by part.
"""
import argparse
import collections
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


def gemm_dtype():
    """What matrix products that autocast does not know have to compute in."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32


class Clock:
    """Seconds by part of a step, forward and backward together.

    A part ends, forward, where mark() meets its outputs; backward it begins when their gradients
    arrive, because autograd runs nodes in the reverse order of their making. All time since the
    last event belongs to somebody, so the parts add up to the step.
    """

    def __init__(self):
        self.on, self.seconds = False, collections.defaultdict(float)

    def start(self):
        self.part, self.last = "other", time.perf_counter()

    def lap(self, part):
        now = time.perf_counter()
        self.seconds[part] += now - self.last
        self.last = now

    def enter(self, part):
        self.lap(self.part)
        self.part = part


clock = Clock()


def mark(part, *outputs):
    """The outputs of a part, unchanged; see Clock."""
    if clock.on:
        clock.lap(part)
        for y in outputs:
            if y.requires_grad:
                y.register_hook(lambda _: clock.enter(part))
    return outputs[0] if len(outputs) == 1 else outputs


def row_multiple():
    """To what the rows of an expert are filled up.

    oneDNN, which computes the bf16 products, compiles a kernel for every new number of rows: with
    as many numbers as experts, new ones each step, that took six times as long as the products.
    """
    reduced = gemm_dtype() != torch.float32 or torch.get_float32_matmul_precision() == "medium"
    return 32 if reduced else 1


def in_expert_order(pick, E):
    """Rows of K copies of the tokens in expert order: what each row copies, where each copy went,
    rows that only fill up (they copy anything, their gradient is 0), and where experts end."""
    flat, multiple = pick.flatten(), row_multiple()
    order, copies = flat.argsort(stable=True), torch.arange(flat.numel())
    count = flat.bincount(minlength=E)
    room = (count + multiple - 1) // multiple * multiple
    ends, filling = room.cumsum(0), room - count
    before = (filling.cumsum(0) - filling)[flat[order]]
    row = torch.empty_like(order).scatter_(0, order, copies + before)
    copy = torch.full((int(ends[-1]),), -1).scatter_(0, row, copies)
    return copy.clamp(min=0), row, (copy < 0).nonzero().flatten(), ends


class Permute(torch.autograd.Function):
    """Rows of x repeated K times, in expert order; the gradient gathers, it does not scatter."""

    @staticmethod
    def forward(ctx, x, copy, row, K):
        ctx.save_for_backward(row)
        ctx.K = K
        return x.index_select(0, copy // K)

    @staticmethod
    def backward(ctx, dy):
        (row,) = ctx.saved_tensors
        dx = dy.index_select(0, row).view(-1, ctx.K, dy.shape[1]).sum(1)
        return dx, None, None, None


class Unpermute(torch.autograd.Function):
    @staticmethod
    def forward(ctx, y, copy, row, filler):
        ctx.save_for_backward(copy, filler)
        return y.index_select(0, row)

    @staticmethod
    def backward(ctx, dy):
        copy, filler = ctx.saved_tensors
        return dy.index_select(0, copy).index_fill_(0, filler, 0), None, None, None


def product_into(out, a, b):
    """out = a @ b; a product in reduced precision is widened to what `out` holds."""
    if a.dtype == out.dtype:
        torch.mm(a, b, out=out)
    else:
        out.copy_(torch.mm(a, b))


class SlicedLinear(torch.autograd.Function):
    """y[rows of e] = x[rows of e] @ w[e]^T for every expert, into one array, without copies.

    The products are in the type of x; w and its gradient keep their own.
    """

    @staticmethod
    def forward(ctx, x, w, ends):
        ctx.master = w.dtype
        w = w.to(x.dtype)
        ctx.save_for_backward(x, w)
        ctx.ends = ends
        y = x.new_empty(x.shape[0], w.shape[1])
        for e, (a, b) in enumerate(zip([0] + ends, ends)):
            torch.mm(x[a:b], w[e].t(), out=y[a:b])
        return y

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        dx, dw = torch.empty_like(x), torch.empty_like(w, dtype=ctx.master)
        for e, (a, b) in enumerate(zip([0] + ctx.ends, ctx.ends)):
            torch.mm(dy[a:b], w[e], out=dx[a:b])
            product_into(dw[e], dy[a:b].t(), x[a:b])
        return dx, dw, None


DISPATCH, PROJECT = "dispatch + combine", "projections + norms"


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
        with torch.autocast("cpu", enabled=False):
            score = F.linear(x.float(), self.weight).softmax(-1)         # (B, T, E)
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
        y = torch.empty_like(x, dtype=gemm_dtype())
        for e, expert in enumerate(self.experts):
            y[flat == e] = expert(x[flat == e])
        return mark("routed experts", (y.view(*gate.shape, -1) * gate.unsqueeze(-1)).sum(1))


class IndexExperts(MaskExperts):
    def forward(self, x, gate, pick):
        y = torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            token, k = torch.where(pick == e)
            y.index_add_(0, token, expert(x[token]) * gate[token, k, None])
        return mark("routed experts", y)


class SortedExperts(nn.Module):
    def __init__(self, c):
        super().__init__()
        E, D, width = c.n_routed_experts, c.hidden_size, c.moe_intermediate_size
        self.E, self.K = E, c.num_experts_per_tok
        self.gate_up = nn.Parameter(torch.empty(E, 2 * width, D))
        self.down = nn.Parameter(torch.empty(E, D, width))

    def forward(self, x, gate, pick):
        copy, row, filler, ends = in_expert_order(pick, self.E)
        x = mark(DISPATCH, Permute.apply(x.to(gemm_dtype()), copy, row, self.K))
        y = mark("routed experts", self.experts(x, ends))
        y = Unpermute.apply(y, copy, row, filler).view(*gate.shape, -1)  # (N, K, D)
        return mark(DISPATCH, torch.bmm(gate.unsqueeze(1), y).squeeze(1))

    def experts(self, x, ends):
        ends = ends.tolist()
        h = silu_mul(SlicedLinear.apply(x, self.gate_up, ends))
        return SlicedLinear.apply(h, self.down, ends)


class GroupedExperts(SortedExperts):
    def experts(self, x, ends):
        ends = ends.to(torch.int32)
        gate_up, down = self.gate_up.to(x.dtype), self.down.to(x.dtype)
        h = silu_mul(F.grouped_mm(x, gate_up.transpose(1, 2), offs=ends))
        return F.grouped_mm(h, down.transpose(1, 2), offs=ends)


DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
EXPERTS = {"mask": MaskExperts, "index": IndexExperts,
           "sorted": SortedExperts, "grouped": GroupedExperts}


class MoE(nn.Module):
    def __init__(self, c, impl):
        super().__init__()
        self.router, self.routed = Router(c), EXPERTS[impl](c)
        self.shared = SwiGLU(c.hidden_size, c.n_shared_experts * c.moe_intermediate_size)

    def forward(self, x):
        gate, pick, loss = mark("router", *self.router(x))
        y = self.routed(x.reshape(-1, x.shape[-1]), gate, pick)
        return mark("shared expert", self.shared(x)) + y.view_as(x), loss


def rotary_table(c, T):
    Dh = c.hidden_size // c.num_attention_heads
    freq = c.rope_theta ** (-torch.arange(0, Dh, 2) / Dh)
    angle = torch.outer(torch.arange(T), freq)
    return angle.cos(), angle.sin()                                      # (T, Dh/2) each


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).type_as(x)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.H, D = c.num_attention_heads, c.hidden_size
        self.qkv, self.out = nn.Linear(D, 3 * D, bias=False), nn.Linear(D, D, bias=False)

    def queries(self, x, cos, sin):
        """Rotated queries and keys, and values, (B, H, T, Dh) each."""
        B, T, _ = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.H, -1).permute(2, 0, 3, 1, 4)
        return rotate(q, cos, sin), rotate(k, cos, sin), v

    def output(self, y):
        return self.out(y.transpose(1, 2).flatten(2))


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

    def before(self, h, cos, sin):
        return self.attention.queries(F.rms_norm(h, h.shape[-1:], self.norm1, self.eps), cos, sin)

    def after(self, h, y):
        """The residual after attention, and the normed input of the FFN."""
        h = h + self.attention.output(y)
        return h, F.rms_norm(h, h.shape[-1:], self.norm2, self.eps)

    def forward(self, h, cos, sin):
        q, k, v = mark(PROJECT, *self.before(h, cos, sin))
        y = mark("attention core", F.scaled_dot_product_attention(q, k, v, is_causal=True))
        h, x = mark(PROJECT, *self.after(h, y))
        if isinstance(self.ffn, MoE):
            y, loss = self.ffn(x)
        else:
            y, loss = mark("dense layer", self.ffn(x)), 0.0
        return h + y, loss


class Model(nn.Module):
    def __init__(self, c, impl, T):
        super().__init__()
        D, V = c.hidden_size, c.vocab_size
        self.eps = c.rms_norm_eps
        self.embed, self.head = nn.Embedding(V, D), nn.Linear(D, V, bias=False)
        self.blocks = nn.ModuleList(Block(c, i, impl) for i in range(c.num_hidden_layers))
        self.norm = nn.Parameter(torch.empty(D))
        self.table = rotary_table(c, T)
        for p in self.parameters():
            nn.init.normal_(p, std=c.initializer_range) if p.ndim > 1 else nn.init.ones_(p)

    def forward(self, tokens, targets):
        h, balance = mark("other", self.embed(tokens)), 0.0
        for block in self.blocks:
            h, loss = block(h, *self.table)
            balance = balance + loss
        return mark("LM head + loss", self.score(h, targets)), balance

    def score(self, h, targets):
        h = F.rms_norm(h, h.shape[-1:], self.norm, self.eps)
        return F.cross_entropy(self.head(h).flatten(0, 1).float(), targets.flatten())


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
        block.before, block.after = torch.compile(block.before), torch.compile(block.after)
        if isinstance(block.ffn, MoE):
            block.ffn.router.compile()


class Trainer:
    """The step around any model that maps tokens and targets to its loss and its balance loss."""

    def __init__(self, model, dtype):
        self.model, self.dtype = model, DTYPES[dtype]
        decay = [p for p in model.parameters() if p.ndim > 1]
        plain = [p for p in model.parameters() if p.ndim == 1]
        self.optimiser = torch.optim.AdamW(
            [{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}],
            lr=1e-3, betas=(0.9, 0.95), eps=1e-8, fused=True)

    def backward(self, tokens, targets):
        with torch.autocast("cpu", self.dtype, enabled=self.dtype != torch.float32):
            lm, balance = self.model(tokens, targets)
        (lm + balance).backward()
        return lm

    def step(self, tokens, targets):
        clock.start()
        lm = self.backward(tokens, targets)
        clock.enter("clip + AdamW")
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        clock.enter("other")
        self.optimiser.zero_grad(set_to_none=True)
        clock.enter("other")
        return lm.item(), float(norm)


def batches(vocabulary, args):
    draw = torch.Generator().manual_seed(7)
    while True:
        x = torch.randint(vocabulary, (args.batch, args.seq + 1), generator=draw)
        yield x[:, :-1].contiguous(), x[:, 1:].contiguous()


def measure(model, c, name, flops, args):
    """Time `args.steps` steps of a model and print what the comparison reads."""
    trainer, seconds, first = Trainer(model, args.dtype), [], None
    for i, batch in zip(range(args.warmup + args.steps), batches(c.vocab_size, args)):
        if i == args.warmup:
            clock.seconds.clear()
        start = time.perf_counter()
        loss = trainer.step(*batch)
        first = first or loss
        if i >= args.warmup:
            seconds.append(time.perf_counter() - start)
    median, best = statistics.median(seconds), min(seconds)
    work = args.batch * args.seq
    result = {
        "name": name + (" compiled" if args.compile else ""), "dtype": args.dtype,
        "matmul_precision": args.matmul_precision,
        "tokens_per_s": work / median, "best_tokens_per_s": work / best, "step_s": median,
        "gflops": flops * work / median / 1e9, "flops_per_token": flops,
        "params": sum(p.numel() for p in model.parameters()),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "threads": torch.get_num_threads(), "steps": args.steps, "torch": torch.__version__,
        "loss": loss[0], "first_loss": first[0], "first_grad_norm": first[1],
    }
    if clock.on:
        result["parts"] = {part: s / args.steps for part, s in clock.seconds.items()}
    print(json.dumps(result), flush=True)


def stacked(experts, field):
    """The two tensors SortedExperts holds, of any form: field "data" or "grad"."""
    if isinstance(experts, SortedExperts):
        return getattr(experts.gate_up, field), getattr(experts.down, field)
    return (torch.stack([getattr(e.gate_up.weight, field) for e in experts.experts]),
            torch.stack([getattr(e.down.weight, field) for e in experts.experts]))


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
        gate_up, down = stacked(theirs.ffn.routed, "data")
        if isinstance(mine.ffn.routed, SortedExperts):
            mine.ffn.routed.gate_up.copy_(gate_up)
            mine.ffn.routed.down.copy_(down)
            continue
        for e, expert in enumerate(mine.ffn.routed.experts):
            expert.gate_up.weight.copy_(gate_up[e])
            expert.down.weight.copy_(down[e])


def gradients(model, dtype, batch):
    """The loss of one batch and the gradient of every parameter, experts stacked."""
    loss = Trainer(model, dtype).backward(*batch)
    grads = {name: p.grad for name, p in model.named_parameters() if ".routed." not in name}
    for i, block in enumerate(model.blocks):
        if isinstance(block.ffn, MoE):
            grads[f"gate_up {i}"], grads[f"down {i}"] = stacked(block.ffn.routed, "grad")
    return loss.item(), grads


def check(c, args):
    """Every form against the mask form in f32: same parameters, same batch.

    Off by: of the loss, and |g - g'| / |g| of the worst parameter. Tolerance 1e-5 in f32; in bf16,
    with 8 bits of mantissa and near ties of the router that fall elsewhere, 1e-2 and 0.2.
    """
    batch = next(batches(c.vocab_size, args))
    source, want = Model(c, "mask", args.seq), None
    reduced = args.dtype != "f32" or args.matmul_precision == "medium"
    settings = [("mask", "f32", "highest")]
    settings += [(impl, args.dtype, args.matmul_precision) for impl in EXPERTS]
    for impl, dtype, precision in settings:
        torch.set_float32_matmul_precision(precision)
        model = Model(c, impl, args.seq)
        copy_parameters(model, source)
        if args.compile:
            compile_parts(model)
        loss, grads = gradients(model, dtype, batch)
        want = want or (loss, grads)
        off = abs(loss / want[0] - 1)
        error, worst = max(((g - want[1][k]).norm().item() / want[1][k].norm().item(), k)
                           for k, g in grads.items())
        print(f"{impl:8s} {dtype:4s} {precision:8s} loss {loss:.6f} off by {off:.1e}"
              f"  gradients by {error:.1e} ({worst})")
        assert off < (1e-2 if reduced else 1e-5) and error < (0.2 if reduced else 1e-5), impl


def options(doc):
    """The flags every peer has."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("--seq", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--dtype", choices=DTYPES, default="f32")
    parser.add_argument("--matmul-precision", choices=["highest", "high", "medium"],
                        default="highest")
    return parser


def prepare(args):
    """Process-wide settings, and the config."""
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.set_float32_matmul_precision(args.matmul_precision)
    torch.manual_seed(1)
    return load_config(args.config)


def main():
    parser = options(__doc__)
    parser.add_argument("--impl", choices=[*EXPERTS, "dense"], default="sorted")
    parser.add_argument("--profile", action="store_true", help="add seconds by part of a step")
    parser.add_argument("--check", action="store_true", help="compare the forms, time nothing")
    args = parser.parse_args()
    c = prepare(args)
    assert c.num_key_value_heads == c.num_attention_heads, "this peer knows multi-head only"
    if args.check:
        return check(c, args)
    model = Model(c, args.impl, args.seq)
    if args.compile:
        compile_parts(model)
    clock.on = args.profile
    measure(model, c, f"torch {args.impl}", flops_per_token(c, args.seq), args)


if __name__ == "__main__":
    main()
