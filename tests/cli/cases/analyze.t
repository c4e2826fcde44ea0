# dsmoe analyze: what it prints, what it refuses, and that folders, GGUF files and threads agree.
$ sed 's/"vocab_size": 40/"vocab_size": 300/' $SOURCE/tests/golden/softmax/config.json > config.json
$ cp $SOURCE/LICENSE text.txt; cp $SOURCE/CONTRIBUTING.md other.txt
$ dsmoe tokenizer train --vocab-size 290 --out tok text.txt --quiet > out
$ dsmoe tokenizer train --vocab-size 299 --out strange text.txt --quiet > out
$ dsmoe data prepare --tokenizer tok --out data text.txt --quiet > out
$ dsmoe data prepare --tokenizer tok --out more other.txt --quiet > out
$ dsmoe data prepare --tokenizer strange --out data-strange text.txt --quiet > out
$ dsmoe init config.json --out m --tokenizer tok > out
$ dsmoe init config.json --out m.gguf --tokenizer tok > out

# --- tables -----------------------------------------------------------------------------------------

$ dsmoe analyze m --data data --mask-top 0,1/8,0.25 --drop-shared --active 1,2 --sequences 4 --quiet
1> model          m: 1 MoE layers of 8 experts, 2 per token, 1 shared
1> looked at      256 tokens, {*} bytes of text, windows of 64
1> loss           {*} nats per token, perplexity {*}, {*} bits per byte
1>
1> the most probable routed experts of every token masked
1>      share  masked  active     loss    change  perplexity  bits/byte
1>          0       0       2  {*}   +0.0000{*}
1>      0.125       1       2  {*}
1>       0.25       2       2  {*}
1>
1> as many routed experts more instead of the shared ones
1>     shared  masked  active     loss    change  perplexity  bits/byte
1>       kept       0       2  {*}   +0.0000{*}
1>    dropped       0       3  {*}
1>
1> other numbers of routed experts per token
1>     active  masked  active     loss    change  perplexity  bits/byte
1>          1       0       1  {*}
1>          2       0       2  {*}   +0.0000{*}
1>
1>                      entropy of     gates
1> layer  MaxVio  dead  load  routing  first    sum
1>     1  {*}
1> entropies in nats, ln 8 = 2.08

$ dsmoe analyze m --data one=data --data two=more --text two=other.txt --sequences 4 --quiet
1> model          m: 1 MoE layers of 8 experts, 2 per token, 1 shared
1> looked at      768 tokens, {*} bytes of text, windows of 64
1> loss           {*}
1>
1> domain                  tokens    loss  perplexity  bits/byte
1> one                        256  {*}
1> two                        512  {*}
1>
1>                      entropy of     gates         cosine of         domains
1> layer  MaxVio  dead  load  routing  first    sum  weights  outputs    apart
1>     1  {*}
1> entropies in nats, ln 8 = 2.08
1> domains apart: Jensen-Shannon divergence of their loads, bits, mean over pairs
1>
1> experts of layer 1: load and domains as multiples of an even share, mean gate, tokens by lift
1> expert   load   gate        one        two  tokens
1>      0  {*}
1> ...
1>      7  {*}

$ dsmoe analyze m --data data --sequences 4 --expert 3 --top 2 --context 2 --min-count 1 --quiet
1> ...
1> layer 1, expert 3: {*} tokens, {*} of an even share; gate {*} in the mean, {*} at most
1> picked together with          {*} ({*}){*}
1> outputs most like those of    {*} ({*}){*}
1> weights most like those of    {*} ({*}){*}
1>
1>      lift   count      of  token
1>  {*}  "{*}"
1>  {*}  "{*}"
1>
1>    gate  domain     where it had most weight
1>   0.{*}  data       {*}[{*}]{*}
1>   0.{*}  data       {*}[{*}]{*}

# --- JSON: all of it, the same from a GGUF file and with other threads; changes are what eval says ---

$ dsmoe analyze m --data data --threads 1 --json --quiet > one.json; dsmoe analyze m --data data --threads 2 --json --quiet > two.json; cmp one.json two.json
$ dsmoe analyze m.gguf --data data --json --quiet > gguf.json; sed 's/"model":"[a-z.]*"//' one.json > a; sed 's/"model":"[a-z.]*"//' gguf.json > b; cmp a b
$ dsmoe eval m --data data --json --quiet --load > eval.json
$ sed 's/"num_experts_per_tok": 2/"num_experts_per_tok": 3/' config.json > three.json; dsmoe init three.json --out m3 --tokenizer tok > out; dsmoe eval m3 --data data --json --quiet > eval3.json
$ dsmoe analyze m --data data --active 3 --json --quiet > active.json
$ python3 - <<'X'
$ import json
$ a, e, e3, active = (json.load(open(f + ".json")) for f in ("one", "eval", "eval3", "active"))
$ l = a["layers"][0]
$ print(a["loss"] == e["loss"], a["bits_per_byte"] == e["bits_per_byte"], a["tokens"] == e["tokens"])
$ print([x["tokens"] for x in l["experts"]] == e["load"][0]["counts"], abs(l["max_vio"] - e["max_vio"]) < 1e-8, abs(l["routing_entropy"] - e["entropy"]) < 1e-6)
$ print(a["points"], sorted(l["experts"][0]["top_tokens"][0]), sorted(l["experts"][0]["contexts"][0]))
$ print(sorted(l)); print(sorted(active["layers"][0]), active["points"][0]["loss"] == e3["loss"])
$ print([len(l[m]) == len(l[m][0]) == 8 for m in ("coactivation", "weight_similarity", "output_similarity")])
$ X
1> True True True
1> True True True
1> [] ['count', 'id', 'lift', 'text', 'total'] ['after', 'before', 'domain', 'gate', 'token']
1> ['coactivation', 'dead', 'domain_distance', 'domain_share', 'experts', 'gate_by_rank', 'gate_sum', 'layer', 'load_entropy', 'max_vio', 'output_similarity', 'output_similarity_mean', 'routing_entropy', 'weight_similarity', 'weight_similarity_mean']
1> ['dead', 'domain_distance', 'domain_share', 'experts', 'gate_by_rank', 'gate_sum', 'layer', 'load_entropy', 'max_vio', 'routing_entropy'] True
1> [True, True, True]

# Text in its other forms, shorter than a window.
$ printf '{"text": "Permission is hereby granted"}\n{"text": "free of charge"}\n' > short.jsonl
$ dsmoe analyze m --text short.jsonl --quiet > out; head -2 out | tail -1
1> looked at      {*} tokens, 42 bytes of text, windows of {*}

# --- what is refused ----------------------------------------------------------------------------------

$ dsmoe analyze m
2> dsmoe analyze: expected --data DIR or --text FILE
exit 2

$ dsmoe analyze --data data
2> dsmoe analyze: found 0 arguments, expected one MODEL
exit 2

$ dsmoe analyze m --data data --mask-top 0,x
2> dsmoe analyze: --mask-top: found "x", expected numbers like 3, 0.25 or 1/16
exit 2

$ dsmoe analyze m --data data --mask-top 1/0
2> dsmoe analyze: --mask-top: found "1/0", expected numbers like 3, 0.25 or 1/16
exit 2

$ dsmoe analyze m --data data --mask-top 1.5
2> dsmoe analyze: m: masked share: found 1.5, expected 0 to less than 1
exit 1

$ dsmoe analyze m --data data --mask-top=-0.1
2> dsmoe analyze: m: masked share: found -0.1, expected 0 to less than 1
exit 1

$ dsmoe analyze m --data data --mask-top 0.9
2> dsmoe analyze: m: masked share: 0.9 of 8 experts leaves 1, expected at least the 2 that a token picks
exit 1

$ dsmoe analyze m --data data --active 9
2> dsmoe analyze: m: active experts: found 9, expected 1 to 8
exit 1

$ dsmoe analyze m --data data --active 0
2> dsmoe analyze: m: active experts: found 0, expected 1 to 8
exit 1

$ dsmoe analyze m --data data --active 2.5
2> dsmoe analyze: --active: found 2.5, expected a whole number
exit 2

$ dsmoe analyze m --data data --layer 0 --quiet
2> dsmoe analyze: --layer: found 0, which has no experts; expected 1 to 1
exit 2

$ dsmoe analyze m --data data --expert 8 --quiet
2> dsmoe analyze: --expert: found 8, expected 0 to 7
exit 2

$ dsmoe analyze m --data data-strange
2> dsmoe analyze: data-strange: made by another tokenizer than the one in m
exit 1

$ dsmoe analyze m --data nowhere
2> dsmoe analyze: nowhere/data.json: cannot open: No such file or directory
exit 1

$ : > empty.txt; dsmoe analyze m --text empty.txt
2> dsmoe analyze: empty.txt: the file is empty
exit 1

$ dsmoe analyze m --data data --seq 65
2> dsmoe analyze: m: the model was made for 64 tokens, found a window of 65
exit 1

$ sed 's/"n_shared_experts": 1/"n_shared_experts": null/' config.json > none.json; dsmoe init none.json --out unshared --tokenizer tok > out; dsmoe analyze unshared --data data --drop-shared
2> dsmoe analyze: unshared: the model has no shared experts to drop
exit 2

$ sed 's/"first_k_dense_replace": 1/"first_k_dense_replace": 2/' config.json > dense.json; dsmoe init dense.json --out dense --tokenizer tok > out; dsmoe analyze dense --data data
2> dsmoe analyze: dense: the model is dense, it has no experts to look at; see dsmoe eval
exit 2

$ sed 's/"vocab_size": 40/"vocab_size": 300/' $SOURCE/tests/golden/hash_random/config.json > hash.json; dsmoe init hash.json --out hash --tokenizer tok > out; dsmoe analyze hash --data data --active 2
2> dsmoe analyze: hash: router hash: the token alone decides its expert; none can be masked, nor others chosen
exit 2

$ dsmoe analyze hash --data data --quiet > out; head -1 out
1> model          hash: 2 MoE layers of 8 experts, 1 per token, 0 shared

$ sed 's/"vocab_size": 40/"vocab_size": 300/' $SOURCE/tests/golden/expert_choice/config.json > choice.json; dsmoe init choice.json --out choice --tokenizer tok > out; dsmoe analyze choice --data data --mask-top 0.25
2> dsmoe analyze: choice: router expert_choice: experts choose their tokens; none can be masked, nor others chosen
exit 2

$ dsmoe analyze choice --data data --quiet > out; head -1 out
1> model          choice: 1 MoE layers of 8 experts, 2 per token, 1 shared
