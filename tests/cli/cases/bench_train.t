# dsmoe bench train: wrong usage, and the figures it promises.
$ dsmoe bench train
2> dsmoe bench: found 0 configs, expected one CONFIG.json
exit 2

$ dsmoe bench train m.json --seq 8
2> dsmoe bench: --batch N is missing
exit 2

$ dsmoe bench train nowhere.json --seq 8 --batch 2
2> dsmoe bench: nowhere.json: cannot open: No such file or directory
exit 1

$ cat > m.json <<TXT
$ {"model_type": "deepseek", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48,
$  "moe_intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
$  "num_key_value_heads": 2, "n_shared_experts": 1, "n_routed_experts": 8, "num_experts_per_tok": 2,
$  "first_k_dense_replace": 1, "max_position_embeddings": 64}
$ TXT

$ dsmoe bench train m.json --seq 65 --batch 2
2> dsmoe bench: --seq: found 65, m.json allows 64 (max_position_embeddings)
exit 2

$ dsmoe bench train m.json --seq 8 --batch 2 --micro 3
2> dsmoe bench: --micro: found 3, expected 1 to 2
exit 2

$ dsmoe bench train m.json --seq 8 --batch 2 --recompute some
2> dsmoe bench: --recompute: found "some", expected one of: none, experts, all
exit 2

# --- what is computed again changes nothing ---
$ for p in none experts all; do dsmoe bench train m.json --seq 16 --batch 4 --steps 2 --recompute $p --json | python3 -c "import json, sys; print(json.load(sys.stdin)['loss'])"; done | sort -u | wc -l
1> 1

$ dsmoe bench train m.json --seq 16 --batch 4 --micro 2 --steps 2 --json | python3 -c "
$ import json, sys
$ r = json.load(sys.stdin)
$ print(*sorted(r))
$ parts = r['step_s']
$ print(abs(sum(v for k, v in parts.items() if k != 'total') - parts['total']) < parts['total'])
$ print(r['params'], abs(r['peak_share'] - r['gflops'] / r['peak_gflops']) < 1e-6)"
1> active_params best_tokens_per_s flops_per_token gemm gflops loss params peak_gflops peak_rss_bytes peak_share startup_s step_s threads tokens_per_s
1> True
1> 31136 True

# --- compute precision: known names only, and never silently another one ---
$ dsmoe bench train m.json --seq 8 --batch 2 --compute int8
2> dsmoe bench: --compute: found "int8", expected one of: f32, bf16
exit 2

$ DSM_CPU_MASK=avx512 dsmoe bench train m.json --seq 8 --batch 2 --compute bf16
2> dsmoe bench: compute: found bf16, this CPU (or its mask) has no AMX for it; expected f32
exit 2

# --- a heavy expert is work like any other ---
$ dsmoe bench train m.json --seq 16 --batch 4 --steps 2 --skew --json | python3 -c "import json, sys; print(json.load(sys.stdin)['loss'] > 1)"
1> True
