#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The training step of Hugging Face transformers' own DeepSeek-V2 class on the CPU.

    python bench/peers/hf_deepseek_v2.py configs/bench/tiny.json --seq 256 --batch 16

The same step, flags and JSON line as torch_moe.py; `--experts` names one of the library's own
implementations: eager (a loop over experts) or grouped_mm (batched_mm copies the weights of every
token's experts and does not fit). Attention is the library's call of
scaled_dot_product_attention. Two things differ from the config, and its FLOPs are counted for them:
  - the class knows only latent attention. Heads keep their width (half of it rotary), queries are
    not compressed, and the rank of keys and values is the multiple of 16 at which the projections
    hold the parameters of the config's (tiny: equal; small: +0.4 %).
  - it has no balance loss.
With `--dtype bf16` the library's grouped_mm stays in the type of its weights, f32.
"""
from torch import nn
from transformers import DeepseekV2Config, DeepseekV2ForCausalLM

from torch_moe import flops_per_token, measure, options, prepare


def latent_sizes(c):
    """(head width, rotary part, rank) with about the 4 D^2 parameters of plain attention."""
    D, H = c.hidden_size, c.num_attention_heads
    head, rotary = D // H, D // H // 2
    rank = (2 * D * D - D * rotary) / (D + H * (head - rotary + head))
    return head, rotary, round(rank / 16) * 16


def attention_weights(c):
    """Weights of the four projections: queries, keys and values down, and up, output."""
    D, H = c.hidden_size, c.num_attention_heads
    head, rotary, rank = latent_sizes(c)
    return D * D + D * (rank + rotary) + rank * H * (head - rotary + head) + D * D


def hf_config(c, experts):
    head, rotary, rank = latent_sizes(c)
    same = ["vocab_size", "hidden_size", "intermediate_size", "moe_intermediate_size",
            "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "n_shared_experts",
            "n_routed_experts", "num_experts_per_tok", "first_k_dense_replace", "norm_topk_prob",
            "hidden_act", "max_position_embeddings", "rms_norm_eps", "initializer_range",
            "tie_word_embeddings"]
    return DeepseekV2Config(
        **{name: getattr(c, name) for name in same}, q_lora_rank=None, kv_lora_rank=rank,
        qk_nope_head_dim=head - rotary, qk_rope_head_dim=rotary, v_head_dim=head,
        topk_method="greedy", use_cache=False, pad_token_id=None, bos_token_id=c.bos_token_id,
        eos_token_id=c.eos_token_id, attn_implementation="sdpa", experts_implementation=experts)


class Model(nn.Module):
    """The class behind the interface the trainer knows: its loss, and no balance loss."""

    def __init__(self, config):
        super().__init__()
        self.lm = DeepseekV2ForCausalLM(config).train()

    def forward(self, tokens, targets):
        return self.lm(input_ids=tokens, labels=targets, shift_labels=targets).loss, 0.0


def main():
    parser = options(__doc__)
    parser.add_argument("--experts", choices=["eager", "grouped_mm"], default="grouped_mm")
    args = parser.parse_args()
    c = prepare(args)
    model = Model(hf_config(c, args.experts))
    if args.compile:
        model.lm.compile()  # its complex rotary falls back to eager kernels
    plain = 4 * c.hidden_size ** 2
    flops = flops_per_token(c, args.seq) + 6 * c.num_hidden_layers * (attention_weights(c) - plain)
    measure(model, c, f"transformers DeepSeek-V2 {args.experts}", flops, args)


if __name__ == "__main__":
    main()
