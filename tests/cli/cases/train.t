# dsmoe train: recipes with mistakes, a run from start to end, its run directory, and going on with it.

# --- wrong usage ---
$ dsmoe train
2> dsmoe train: found 0 recipes, expected one RECIPE.yaml or --resume RUN_DIR
exit 2

$ dsmoe train --resume runs/a recipe.yaml
2> dsmoe train: found --resume and recipe.yaml; a resumed run has its own recipe (change it with --set)
exit 2

$ dsmoe train nowhere.yaml
2> dsmoe train: nowhere.yaml: cannot open: No such file or directory
exit 1

$ dsmoe train --resume nowhere
2> dsmoe train: nowhere: found no run, expected a folder with recipe.yaml
exit 1

$ dsmoe train --keys | grep -A1 schedule.warmup
1>   schedule.warmup            steps of linear warm-up [200]
1>                                integer, at least 0

# --- mistakes in a recipe ---
$ printf 'model: m.json\nsteps: 5\nshedule:\n  warmup: 3\n' > bad.yaml; dsmoe train bad.yaml
2> dsmoe train: bad.yaml:3: unknown key shedule; did you mean schedule?
exit 1

$ printf 'model: m.json\nsteps: many\n' > bad.yaml; dsmoe train bad.yaml
2> dsmoe train: bad.yaml:2: steps: found "many", expected an integer, at least 1
exit 1

$ printf 'model: m.json\nsteps: 5\n' > bad.yaml; dsmoe train bad.yaml
2> dsmoe train: bad.yaml: missing data.train, which has no default
exit 1

$ printf 'model: m.json\nsteps: 5\ndata: {train: nowhere}\n' > good.yaml
$ dsmoe train good.yaml --set optimizer.peak_lr=fast
2> dsmoe train: --set: optimizer.peak_lr: found "fast", expected a number, at least 0
exit 2

$ dsmoe train good.yaml --set optimizer.lr=1
2> dsmoe train: --set: unknown key optimizer.lr; did you mean optimizer.peak_lr?
exit 2

$ dsmoe train good.yaml
2> dsmoe train: nowhere{*}
exit 1

# Nothing came of it: no run directory is left.
$ ls runs

# --- a run ---
$ for i in 1 2 3 4 5 6 7 8; do for w in one two three four five six seven; do
$ echo "line $i says $w and then $w again to number $i"; done; done > text.txt
$ dsmoe tokenizer train --vocab-size 300 --out tok text.txt --quiet > log && \
$ dsmoe data prepare --tokenizer tok --out data/train text.txt --quiet > log && \
$ cat > m.json <<TXT
$ {"model_type": "deepseek", "vocab_size": 320, "hidden_size": 32, "intermediate_size": 48,
$  "moe_intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
$  "num_key_value_heads": 2, "n_shared_experts": 1, "n_routed_experts": 8, "num_experts_per_tok": 2,
$  "first_k_dense_replace": 1, "max_position_embeddings": 64}
$ TXT
$ cat > r.yaml <<TXT
$ model: m.json
$ data: {train: data/train, valid: data/train, seq_len: 16}
$ batch: {sequences: 4, micro: 2}
$ steps: 6
$ run: runs/a
$ log: {every: 2}
$ checkpoint: {every: 2, keep: 2}
$ TXT

$ dsmoe train r.yaml --seed 3 --json --quiet | cut -c 1-16
1> {"step":1,"loss"
1> {"step":2,"loss"
1> {"step":4,"loss"
1> {"step":6,"loss"
1> {"step":6,"valid

$ ls runs/a runs/a/checkpoints && readlink runs/a/checkpoints/latest && grep seed runs/a/recipe.yaml
1> runs/a:
1> checkpoints
1> lock
1> recipe.yaml
1> runs.db
1> 
1> runs/a/checkpoints:
1> latest
1> step-00000004
1> step-00000006
1> step-00000006
1> seed: 3

$ dsmoe train r.yaml
2> dsmoe train: runs/a: holds a run already; go on with it (dsmoe train --resume runs/a) or choose another name (--set run=DIR)
exit 2

$ dsmoe train r.yaml --set run=data
2> dsmoe train: data: found a folder that is not empty (train), expected a new one; choose another name with --set run=DIR
exit 2

$ dsmoe train --resume runs/a --seed 4
2> dsmoe train: --set seed: a resumed run keeps seed as it was; start a new run to change it
exit 2

$ dsmoe train --resume runs/a --set steps=8 --quiet
1> valid loss {*}, perplexity {*}, {*} bits per byte
1> checkpoint runs/a/checkpoints/step-00000008

# The same steps in one go end in the same bits.
$ dsmoe train r.yaml --seed 3 --set run=runs/b --set steps=8 --quiet --threads 1 > log
$ cmp runs/a/checkpoints/latest/optimizer.safetensors runs/b/checkpoints/latest/optimizer.safetensors

# --- an interrupt saves and says how to go on ---
$ dsmoe train r.yaml --set run=runs/c --set steps=100000 --set checkpoint.every=0 --quiet & pid=$!
$ while ! test -e runs/c/runs.db; do sleep 0.1; done; sleep 0.3; kill -INT $pid; wait $pid
2> 
2> dsmoe train: finishing this step and saving; once more stops at once
2> dsmoe train: stopped after step {*}; go on with: dsmoe train --resume runs/c
exit 1

$ ls runs/c/checkpoints | head -1
1> latest

# --- two processes, one run ---
$ dsmoe train --resume runs/c --quiet > log 2>&1 & pid=$!
$ sleep 0.5; dsmoe train --resume runs/c; status=$?; kill $pid; wait; exit $status
2> dsmoe train: runs/c: another process is training in this run directory; wait for it, or choose another name with --set run=DIR
exit 1

# --- values that are not finite stop the run ---
$ dsmoe train r.yaml --set run=runs/d --set optimizer.peak_lr=1e30 --set schedule.warmup=0 --set steps=50 --quiet
2> dsmoe train: step {*}: the {*} is not finite; first seen in {*}. Try a lower optimizer.peak_lr, a longer schedule.warmup or a smaller optimizer.clip ({*})
exit 1

# --- a disk that is full leaves the last checkpoint, and nothing half written ---
$ (ulimit -f 200; dsmoe train r.yaml --set run=runs/e --set steps=3 --set checkpoint.every=1 --quiet)
2> dsmoe train: checkpoint of step 1: {*}: cannot write: File too large (no checkpoint yet)
exit 1

$ (ulimit -f 200; dsmoe train --resume runs/a --set steps=9 --quiet)
2> dsmoe train: checkpoint of step 9: {*}: cannot write: File too large (last checkpoint: step 8)
exit 1

$ ls runs/a/checkpoints && dsmoe train --resume runs/a --quiet
1> latest
1> step-00000006
1> step-00000008
1> valid loss {*}
1> checkpoint runs/a/checkpoints/step-00000009
