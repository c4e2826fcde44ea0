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
1> training, forward and backward of 4096 tokens
1>   as the papers count      74.4 TFLOP   2 standard FFNs active
1>     FFNs not nominal       75.9 TFLOP   2.062
1>   all widths as they are   75.9 TFLOP
1>     causal attention       70.1 TFLOP   what is computed here
1>   of one token             16.9 GFLOP   without embedding and head
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
1>   KV cache in f16          {*} MB
1> ...

$ dsmoe plan moe16b.json --seq 8192 --json
1> {"params":16375728128,"active_params":2828650496,{*}"seq_len":8192,"sequences":1,"train_flops_per_sequence":{*},"memory":{"train":{{*}},"serve":{{*}}}}

# --- a policy that does not exist ---
$ printf 'model: moe16b.json\ndata: {train: x}\nsteps: 3\nrecompute: some\n' > r.yaml; dsmoe plan r.yaml
2> dsmoe plan: r.yaml:4: recompute: found "some", expected none | experts | all
exit 1

# --- a recipe: its model, sequence length and micro-batch; overrides count ---
$ printf 'model: moe16b.json\ndata: {train: x, seq_len: 64}\nsteps: 3\nbatch: {sequences: 4, micro: 2}\n' > r.yaml; dsmoe plan r.yaml --set data.seq_len=32 | sed -n '2p;8p'
1> training, forward and backward of 32 tokens
1> training memory, 2 sequences at once

# --- does 16B fit 40 GB? in bf16, as its paper says ---
$ dsmoe plan $SOURCE/configs/paper/deepseekmoe-16b.json --device-memory 40GB | tail -6
1> a device of 40 GB (training in f32)
1>   serving in f32              does not fit: needs 66.6 GB, 26.6 GB too much
1>   serving in bf16             fits: needs 33.9 GB, {*} GB left; 7 contexts of 4096 tokens
1>   training, recompute none    does not fit: needs {*} GB, {*} GB too much
1>   training, recompute experts does not fit: {*}
1>   training, recompute all     does not fit: {*}

$ dsmoe plan $SOURCE/configs/paper/deepseekmoe-16b.json --device-memory 40GB --json
1> {*},"device_memory":{"bytes":40000000000,"train_dtype":"f32","serve_f32":{"needs":{*},"fits":false,"contexts":0},"serve_bf16":{"needs":{*},"fits":true,"contexts":7},"train_none":{"needs":{*},"fits":false},{*}}}

$ dsmoe plan moe16b.json --device-memory 40XB
2> dsmoe plan: --device-memory: found "40XB", expected a size like 40GB
exit 2

# 36 GiB are 38.7 GB
$ dsmoe plan moe16b.json --device-memory "36 GiB" | tail -4 | head -1
1>   serving in bf16             fits: needs 33.9 GB, 4.{*} GB left; {*}

# --- a grid of devices: V2 as it was trained, 16 stages and experts on 8 devices ---
$ cd $SOURCE; dsmoe plan configs/paper/deepseek-v2.yaml --layout pipe=16,expert=8,data=2 --train-dtype bf16 --device-memory 80GB | sed -n '/^layout/,$p'
1> layout        data 2 x expert 8 x tensor 1 x pipe 16: 256 devices, training in bf16
1>               9216 sequences a step, in 576 micro-batches of 1; 2.54 % of the time in the pipeline's bubble
1> fullest device, training, stage 1 (layers 3 to 6)
1>   parameters                2.68 G   1.89 G of them in routed experts
1>   weights                  5.35 GB
1>   gradients                10.7 GB
1>   optimiser, its share     {*} GB
1>   with recompute              none   experts       all
1>   activations              {*}
1>   in all                   {*}
1> fullest device, serving one context, stage 15 (layers 56 to 59)
1>   weights in f32           12.8 GB
1>   weights in bf16           6.4 GB
1>   KV cache in f16          {*} MB
1>   activations              {*} MB
1>   in all, f32              {*} GB
1>   in all, bf16             {*} GB
1> busiest device sends in a step, stage 1 (layers 3 to 6)
1>   experts, over data       {*} GB   params (g + w) (n-1)/n
1>   the rest, over both      {*} GB   params (g + w) (n-1)/n
1>   tokens to experts        {*} GB   4 MoE-layers m t D a r
1>   tensor parts                  0B   2 (N-1)/N m t D a (4 layers + ends)
1>   stage to stage           {*} GB   m t D a neighbours
1>   in all                   {*}
1>   (m micro-batches of t tokens, D wide; a, w, g bytes of an activation, a weight, a gradient)
1>   (a token's experts lie on 2.77 devices on average, 3 at most; on r others)
1> a device of 80 GB (training in bf16)
1> ...

$ dsmoe plan moe16b.json --layout expert=4,data=2 --json
1> {"params":16375728128,{*},"layout":{"data":2,"expert":4,"tensor":1,"pipe":1,"devices":8,"train_dtype":"f32","sequences_per_step":8,{*},"stages":[{"stage":0,{*}}]},"communication":{"unit":"bytes sent per device and step","expert_devices_per_token":3.3{*},"expert_devices_per_token_limit":4,"busiest":0,"formulas":{{*}},"stages":[{"experts":{*},"total":{*}}]}}

# without --layout, --train-dtype is about one device
$ dsmoe plan moe16b.json --train-dtype bf16 | grep ^layout
1> layout        data 1 x expert 1 x tensor 1 x pipe 1: 1 device, training in bf16

# --- grids that do not fit the model, and mistakes ---
$ dsmoe plan moe16b.json --layout expert=3
2> dsmoe plan: n_routed_experts: found 64, expected a multiple of expert 3
exit 1

$ dsmoe plan moe16b.json --layout tensor=32
2> dsmoe plan: num_attention_heads: found 16, expected a multiple of tensor 32
exit 1

$ dsmoe plan moe16b.json --layout pipe=29
2> dsmoe plan: pipe: found 29, expected at most num_hidden_layers 28
exit 1

$ dsmoe plan moe16b.json --layout data=3 --step 4
2> dsmoe plan: step: found 4 sequences, expected a multiple of 3 (data 3 x expert 1 x 1 at once)
exit 1

$ dsmoe plan moe16b.json --layout dta=3
2> dsmoe plan: layout: unknown axis dta; did you mean data?
exit 2

$ dsmoe plan moe16b.json --train-dtype f16
2> dsmoe plan: --train-dtype: found "f16", expected f32 or bf16
exit 2
