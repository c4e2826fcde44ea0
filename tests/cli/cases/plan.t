# dsmoe plan: the bill of a config, of a recipe, and mistakes in both.

# --- wrong usage ---
$ dsmoe plan
2> dsmoe plan: found 0 arguments, expected one CONFIG or RECIPE
exit 2

$ dsmoe plan $SOURCE/configs/bench/tiny.json --sec 3
2> dsmoe plan: unknown flag --sec; did you mean --seq?
exit 2

$ dsmoe plan $SOURCE/configs/bench/tiny.json --seq 0
2> dsmoe plan: --seq: found 0, expected {*}
exit 2

$ dsmoe plan nowhere.json
2> dsmoe plan: nowhere.json: cannot open: No such file or directory
exit 1

# --- impossible shapes ---
$ echo '{"model_type": "deepseek", "n_routed_experts": 4, "num_experts_per_tok": 5}' > c.json; dsmoe plan c.json
2> dsmoe plan: c.json: num_experts_per_tok: found 5, expected 1 to n_routed_experts 4
exit 1

$ echo '{"model_type": "llama", "hidden_size": 100, "num_attention_heads": 3}' > c.json; dsmoe plan c.json
2> dsmoe plan: c.json: num_attention_heads: found 3, expected a divisor of hidden_size 100 (or a head_dim)
exit 1

$ echo '{"model_type": "mamba"}' > c.json; dsmoe plan c.json
2> dsmoe plan: c.json: model_type: found mamba, expected llama, deepseek, deepseek_v2 or deepseek_v3
exit 1

$ echo '{"model_type": "llama",' > c.json; dsmoe plan c.json
2> dsmoe plan: c.json: line {*}
exit 1

# --- the published 16B: 16.4 and 2.8 billion parameters, 74.4 TFLOP for a sequence of 4096 ---
$ echo '{"model_type": "deepseek", "vocab_size": 102400, "hidden_size": 2048, "intermediate_size": 10944, "moe_intermediate_size": 1408, "num_hidden_layers": 28, "num_attention_heads": 16, "max_position_embeddings": 4096, "n_shared_experts": 2, "n_routed_experts": 64, "num_experts_per_tok": 6, "first_k_dense_replace": 1}' > moe16b.json; dsmoe plan moe16b.json
1> parameters    16.4 G, active per token 2.83 G (without the input embedding: 16.2 G, 2.62 G)
1> training      74.4 TFLOP for a sequence of 4096 tokens as the papers count (2 standard FFNs active),
1>               75.9 TFLOP with every width as it is, 70.1 TFLOP with causal attention
1> training memory, 1 sequence at once
1>   weights                  65.5 GB
1>   gradients                65.5 GB
1>   AdamW moments             131 GB
1>   with recompute              none   experts       all
1>   activations            {*}
1>     lent by gradients    {*}
1>   scratch                {*}
1>   in all                 {*}
1> serving memory, one context of 4096 tokens
1>   weights in f32           65.5 GB
1>   weights in bf16          32.8 GB
1>   KV cache                 {*} GB
1> ...

$ dsmoe plan moe16b.json --seq 8192 --json
1> {"params":16375728128,"active_params":2828650496,{*}"seq_len":8192,"sequences":1,"train_flops_per_sequence":{*},"memory":{"train":{{*}},"serve":{{*}}}}

# --- a policy that does not exist ---
$ printf 'model: moe16b.json\ndata: {train: x}\nsteps: 3\nrecompute: some\n' > r.yaml; dsmoe plan r.yaml
2> dsmoe plan: r.yaml:4: recompute: found "some", expected none | experts | all
exit 1

# --- a recipe: its model, sequence length and micro-batch; overrides count ---
$ printf 'model: moe16b.json\ndata: {train: x, seq_len: 64}\nsteps: 3\nbatch: {sequences: 4, micro: 2}\n' > r.yaml; dsmoe plan r.yaml --set data.seq_len=32 | head -4 | tail -3
1> training      {*}FLOP for a sequence of 32 tokens as the papers count (2 standard FFNs active),
1>               {*}
1> training memory, 2 sequences at once
