# Greedy continuations of small random models by llama.cpp (llama-cpp-python 0.3.36), which this program must give too.
# Written by tools/check_llamacpp.py --record.
$ printf 'the cat and the dog and the hen and the fox sat on the mat' > text.txt
$ dsmoe tokenizer train --vocab-size 280 --out tok text.txt --quiet > made

$ echo '{"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.12, "vocab_size": 280, "model_type": "llama", "rope_theta": 5000.0}' > config.json
$ dsmoe init config.json --out llama.gguf --seed 0 --tokenizer tok --quiet > made
$ dsmoe generate llama.gguf --prompt 'the cat and' --temperature 0 --max-tokens 24 --ignore-eos --cache-type f32 --json --quiet > out.json; grep -o '"tokens":[^]]*' out.json
1> "tokens":[8,53,270,278,270,73,73,73,44,125,44,44,44,44,44,44,44,44,44,44,88,180,162,88

$ echo '{"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 256, "initializer_range": 0.12, "vocab_size": 280, "model_type": "deepseek", "moe_intermediate_size": 32, "n_routed_experts": 8, "n_shared_experts": 2, "num_experts_per_tok": 3, "first_k_dense_replace": 1, "rope_theta": 5000.0}' > config.json
$ dsmoe init config.json --out deepseek.gguf --seed 1 --tokenizer tok --quiet > made
$ dsmoe generate deepseek.gguf --prompt 'the cat and' --temperature 0 --max-tokens 24 --ignore-eos --cache-type f32 --json --quiet > out.json; grep -o '"tokens":[^]]*' out.json
1> "tokens":[7,13,141,226,141,105,66,259,162,226,31,266,190,239,190,52,15,239,237,84,239,190,190,190

$ echo '{"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 256, "initializer_range": 0.12, "vocab_size": 280, "model_type": "deepseek_v2", "moe_intermediate_size": 32, "n_routed_experts": 8, "n_shared_experts": 2, "num_experts_per_tok": 3, "first_k_dense_replace": 1, "kv_lora_rank": 64, "qk_nope_head_dim": 64, "qk_rope_head_dim": 32, "v_head_dim": 48, "q_lora_rank": 96, "routed_scaling_factor": 2.0, "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "mscale": 0.707, "mscale_all_dim": 0.707}, "rope_theta": 5000.0}' > config.json
$ dsmoe init config.json --out deepseek2-scaled-yarn.gguf --seed 1 --tokenizer tok --quiet > made
$ dsmoe generate deepseek2-scaled-yarn.gguf --prompt 'the cat and' --temperature 0 --max-tokens 24 --ignore-eos --cache-type f32 --json --quiet > out.json; grep -o '"tokens":[^]]*' out.json
1> "tokens":[44,44,262,252,195,63,169,249,148,195,46,113,58,237,46,113,58,274,26,152,44,169,73,68

$ echo '{"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 256, "initializer_range": 0.12, "vocab_size": 280, "model_type": "deepseek_v3", "moe_intermediate_size": 32, "n_routed_experts": 8, "n_shared_experts": 2, "num_experts_per_tok": 3, "first_k_dense_replace": 1, "kv_lora_rank": 64, "qk_nope_head_dim": 64, "qk_rope_head_dim": 32, "v_head_dim": 48, "q_lora_rank": 96, "n_group": 4, "topk_group": 2, "norm_topk_prob": true, "routed_scaling_factor": 2.5, "num_nextn_predict_layers": 0, "rope_theta": 5000.0}' > config.json
$ dsmoe init config.json --out deepseek2-v3.gguf --seed 3 --tokenizer tok --quiet > made
$ dsmoe generate deepseek2-v3.gguf --prompt 'the cat and' --temperature 0 --max-tokens 24 --ignore-eos --cache-type f32 --json --quiet > out.json; grep -o '"tokens":[^]]*' out.json
1> "tokens":[279,29,83,251,83,96,71,216,83,96,211,185,216,96,216,96,216,96,216,96,216,96,216,216
