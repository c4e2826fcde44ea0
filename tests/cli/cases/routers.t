# The routers of the related work from recipe to text: trained, looked at, generated from, refused.

$ for i in 1 2 3 4 5 6 7 8; do for w in one two three four five six seven; do
$ echo "line $i says $w and then $w again to number $i"; done; done > text.txt
$ dsmoe tokenizer train --vocab-size 300 --out tok text.txt --quiet > log && \
$ dsmoe data prepare --tokenizer tok --out data text.txt --quiet > log && \
$ make() { cat > $1.json <<TXT
$ {"model_type": "deepseek", "vocab_size": 320, "hidden_size": 32, "intermediate_size": 48,
$  "moe_intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
$  "num_key_value_heads": 2, "n_shared_experts": 1, "n_routed_experts": 4, "num_experts_per_tok": $2,
$  "first_k_dense_replace": 1, "max_position_embeddings": 64, "dsmoe": $3}
$ TXT
$ }
$ make choice 2 '{"router": "expert_choice", "chunk": 32, "shuffle": true}'
$ make stable 1 '{"router": "stable", "distilled_width": 8}'
$ cat > r.yaml <<TXT
$ data: {train: data, valid: data, seq_len: 16}
$ model: choice.json
$ batch: {sequences: 8, micro: 4}
$ steps: 20
$ run: runs/choice
$ TXT
$ dsmoe train r.yaml --quiet > log && dsmoe train r.yaml --quiet --set model=stable.json --set run=runs/stable --set balance.expert=0.3 --set balance.stable.until=0.5 > log && echo both
1> both

# Every expert has the same load, and no token of another chunk matters to a cache.
$ dsmoe eval runs/choice --data data --load --seq 16 --quiet | tail -1
1>     1    0.00     0  {*}   1.00 1.00 1.00 1.00
$ dsmoe info runs/choice | grep -A1 experts
1> experts        1 shared and 4 routed of width 16, 2 per token, in 1 layers
1> router         expert_choice
$ dsmoe generate runs/choice --prompt "line 1" --max-tokens 3 --temperature 0 --quiet > out && wc -l < out
1> 1
$ dsmoe convert runs/choice c.gguf
2> dsmoe convert: {*}runs/choice/checkpoints/step-00000020: GGUF's deepseek cannot say: a router other than softmax
exit 1

# Of the distilled router a token uses one row: 8 values of 320·8, and 4·8 of the centroids.
$ dsmoe info runs/stable --json | python3 -c "
$ import json, sys; i = json.load(sys.stdin); print(i['router'], i['params'] - i['active_params'] - 3 * 3 * 32 * 16)"
1> stable 2552
$ dsmoe eval runs/stable --data data --seq 16 --load --quiet | grep -c "even share"
1> 1
$ dsmoe generate runs/stable --prompt "line 1" --max-tokens 3 --temperature 0 --quiet > out && wc -l < out
1> 1
$ dsmoe convert runs/stable s.gguf
2> dsmoe convert: {*}runs/stable/checkpoints/step-00000020: GGUF's deepseek cannot say: a router other than softmax
exit 1
$ dsmoe convert runs/stable copy --quiet > log && dsmoe eval copy --data data --seq 16 --json --quiet | cut -c 1-8
1> {"loss":

# Options of one router are refused with another, and a chunk is a number of tokens.
$ sed 's/expert_choice/softmax/; s/, "shuffle": true//' choice.json > wrong.json; dsmoe plan wrong.json
2> dsmoe plan: wrong.json: dsmoe.chunk: found with router softmax, expected expert_choice
exit 2
$ sed 's/"chunk": 32/"chunk": -1/' choice.json > wrong.json; dsmoe plan wrong.json
2> dsmoe plan: wrong.json: chunk: found -1, expected {*}
exit 1
$ sed 's/"num_experts_per_tok": 1/"num_experts_per_tok": 2/' stable.json > wrong.json; dsmoe plan wrong.json
2> dsmoe plan: wrong.json: num_experts_per_tok: found 2, expected 1 for router stable
exit 1
$ dsmoe train r.yaml --quiet --set model=stable.json --set run=runs/x --set balance.device=0.1
2> dsmoe train: balance.device: found 0.1 with router stable, which has no such loss; expected 0
exit 2
