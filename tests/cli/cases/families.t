# Models of types deepseek_v2 and deepseek_v3 from start to end: trained, resumed, evaluated, continued.

$ for i in 1 2 3 4 5 6 7 8; do for w in one two three four five six seven; do
$ echo "line $i says $w and then $w again to number $i"; done; done > text.txt
$ dsmoe tokenizer train --vocab-size 300 --out tok text.txt --quiet > log && \
$ dsmoe data prepare --tokenizer tok --out data/train text.txt --quiet > log && \
$ cat > v2.json <<TXT
$ {"model_type": "deepseek_v2", "vocab_size": 320, "hidden_size": 32, "intermediate_size": 48,
$  "moe_intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
$  "n_shared_experts": 1, "n_routed_experts": 8, "num_experts_per_tok": 2,
$  "first_k_dense_replace": 1, "max_position_embeddings": 64, "q_lora_rank": 12, "kv_lora_rank": 16,
$  "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8,
$  "topk_method": "group_limited_greedy", "n_group": 4, "topk_group": 2}
$ TXT
$ sed 's/deepseek_v2/deepseek_v3/; s/group_limited_greedy/noaux_tc/' v2.json > v3.json
$ cat > r.yaml <<TXT
$ model: v2.json
$ run: runs/v2
$ data: {train: data/train, valid: data/train, seq_len: 16}
$ batch: {sequences: 4, micro: 2}
$ steps: 6
$ balance: {expert: 0.003, device: 0.05, communication: 0.02}
$ checkpoint: {every: 3}
$ TXT

# --- V2: the three losses over the model's own groups ---
$ dsmoe train r.yaml --quiet
1> valid loss {*}, perplexity {*}, {*} bits per byte
1> checkpoint runs/v2/checkpoints/step-00000006

# Each group is a device, so naming them changes nothing, and other devices change something.
$ dsmoe train r.yaml --set run=runs/named --set balance.devices=4 --set balance.device_limit=2 --quiet > log
$ cmp runs/v2/checkpoints/latest/optimizer.safetensors runs/named/checkpoints/latest/optimizer.safetensors

$ dsmoe train r.yaml --set run=runs/two --set balance.devices=2 --quiet > log
$ cmp -s runs/v2/checkpoints/latest/optimizer.safetensors runs/two/checkpoints/latest/optimizer.safetensors
exit 1

$ dsmoe train r.yaml --set run=runs/none --set balance.devices=3
2> dsmoe train: balance.devices: found 3, expected a divisor of the 8 routed experts
exit 1

$ dsmoe eval runs/v2 --data data/train --quiet --json
1> {{*}"loss":{*}}

$ dsmoe generate runs/v2 --prompt "line 3 says" --max-tokens 4 --temperature 0 --json --quiet
1> {{*}"tokens":[{*}]{*}}

# --- V3: sigmoid scores, and a bias that moves by the sign of the load ---
$ dsmoe train r.yaml --set model=v3.json --set run=runs/v3 --set balance.bias_rate=0.25 --set steps=3 --quiet > log
$ dsmoe train --resume runs/v3 --set steps=6 --quiet
1> valid loss {*}
1> checkpoint runs/v3/checkpoints/step-00000006

$ dsmoe train r.yaml --set model=v3.json --set run=runs/whole --set balance.bias_rate=0.25 --quiet > log
$ cmp runs/v3/checkpoints/latest/model.safetensors runs/whole/checkpoints/latest/model.safetensors

$ cat > bias.py <<TXT
$ import json, struct, sys
$ raw = open(sys.argv[1], "rb").read()
$ size = struct.unpack_from("<Q", raw)[0]
$ t = json.loads(raw[8:8 + size])["model.layers.1.mlp.gate.e_score_correction_bias"]
$ bias = struct.unpack_from("<8f", raw, 8 + size + t["data_offsets"][0])
$ moves = [b / 0.25 for b in bias]
$ print(t["dtype"], all(m == int(m) and abs(m) <= 6 for m in moves), any(moves))
$ TXT
$ python3 bias.py runs/v3/checkpoints/latest/model.safetensors
1> F32 True True

$ dsmoe eval runs/v3 --data data/train --quiet --json
1> {{*}"loss":{*}}

$ dsmoe generate runs/v3 --prompt "line 3 says" --max-tokens 4 --temperature 0 --json --quiet
1> {{*}"tokens":[{*}]{*}}

# --- what transformers does not know is said where it is written ---
$ sed 's/"topk_group"/"norm_topk_prob": true, "moe_layer_freq": 2, "topk_group"/' v2.json > odd.json
$ dsmoe init odd.json --out odd --quiet > log
2> {*}transformers ignores norm_topk_prob of type deepseek_v2, so this model gives other logits there
2> {*}transformers ignores moe_layer_freq of type deepseek_v2, so this model gives other logits there
