#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Kill training at random moments, resume, and compare with a run that was never killed.
#
#   kill_resume.sh DSMOE [KILLS] [SEED]      default: 20 kills, seed 1
#
# A small model writes a checkpoint after every step, so most kills land inside one being written, published
# or pruned. Each round lets the process live for a random time drawn from 0 to MAX_MS after it has begun to
# train, kills it with SIGKILL, and checks at once that the newest checkpoint is whole: that `latest` points
# to a complete folder and that `info` reads it. When the run has come to its end, every file of the last
# checkpoint must equal that of the straight run, and runs.db must hold the same rows.
set -euo pipefail

dsmoe=${1:?usage: kill_resume.sh DSMOE [KILLS] [SEED]}
kills=${2:-20}
RANDOM=${3:-1}
MAX_MS=400
work=$(mktemp -d "${TMPDIR:-/tmp}/dsmoe-kill-XXXXXX")
trap 'rm -rf "$work"' EXIT
dsmoe=$(realpath "$dsmoe")
cd "$work"

die() { echo "kill_resume: $*" >&2; exit 1; }

for i in 1 2 3 4 5 6 7 8; do
    for w in one two three four five six seven; do echo "line $i says $w and then $w again to number $i"; done
done >text.txt
"$dsmoe" tokenizer train --vocab-size 300 --out tok text.txt --quiet >log
"$dsmoe" data prepare --tokenizer tok --out data text.txt --quiet >log
cat >m.json <<'TXT'
{"model_type": "deepseek", "vocab_size": 320, "hidden_size": 64, "intermediate_size": 96,
 "moe_intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
 "num_key_value_heads": 2, "n_shared_experts": 1, "n_routed_experts": 16, "num_experts_per_tok": 3,
 "first_k_dense_replace": 1, "max_position_embeddings": 64,
 "dsmoe": {"router": "sigmoid", "selection_bias": "additive"}}
TXT

# The run is as long as the kills need: a life trains a handful of steps.
steps=$((kills * 3 + 10))
cat >r.yaml <<TXT
model: m.json
data: {train: data, valid: data, seq_len: 16}
batch: {sequences: 4, micro: 2}
steps: $steps
balance: {bias_rate: 0.001}
log: {every: 1}
eval: {every: 3, sequences: 4}
checkpoint: {every: 1, keep: 2}
TXT

"$dsmoe" train r.yaml --set run=straight --set checkpoint.every=0 --quiet --threads 1 >log || die "the straight run failed"

# Is what stands in the run directory whole?
check_checkpoint() {
    local latest=$1/checkpoints/latest
    [ -e "$1/checkpoints" ] || return 0
    if [ -L "$latest" ]; then
        "$dsmoe" info "$latest" >log 2>&1 || die "after kill $n: $latest is damaged: $(cat log)"
    fi
    local step
    for step in "$1"/checkpoints/step-????????; do
        [ -e "$step" ] || continue
        [ -s "$step/trainer.json" ] || die "after kill $n: $step has no trainer.json"
        [ -s "$step/optimizer.safetensors" ] || die "after kill $n: $step has no optimizer"
    done
}

# Sleep a random number of milliseconds below $1.
doze() { sleep "$(printf '0.%03d' $((RANDOM % $1)))"; }

n=0 inside=0 finished=0
launch() {
    if [ -e killed/recipe.yaml ]; then
        "$dsmoe" train --resume killed --quiet --threads $((1 + RANDOM % 2)) >log 2>&1 &
    else
        rm -rf killed
        "$dsmoe" train r.yaml --set run=killed --quiet --threads 1 >log 2>&1 &
    fi
}

while [ "$n" -lt "$kills" ]; do
    launch
    pid=$!
    doze $MAX_MS
    if kill -KILL $pid 2>/dev/null; then
        wait $pid 2>/dev/null && true
        n=$((n + 1))
        if compgen -G 'killed/checkpoints/*.tmp' >/dev/null; then inside=$((inside + 1)); fi
        check_checkpoint killed
    else
        wait $pid || die "a resumed run failed: $(cat log)"
    fi
    if [ -e "killed/checkpoints/step-$(printf '%08d' "$steps")" ]; then # the end was reached: begin again
        cmp -s killed/checkpoints/latest/optimizer.safetensors straight/checkpoints/latest/optimizer.safetensors ||
            die "after kill $n: a finished run differs from the straight one"
        finished=$((finished + 1))
        rm -rf killed
    fi
done

launch
wait $! || die "the last resume failed: $(cat log)"
for file in model.safetensors optimizer.safetensors trainer.json config.json; do
    cmp "killed/checkpoints/latest/$file" "straight/checkpoints/latest/$file" || die "$file differs after $n kills"
done
rows() {
    python3 - "$1/runs.db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(db.execute("select step, key, value from metrics where key != 'tokens_per_s' order by 1, 2").fetchall())
print(db.execute("select * from expert_load order by 1, 2, 3").fetchall())
print(db.execute("select * from evals order by 1, 2, 3").fetchall())
PY
}
[ "$(rows killed | sha256sum)" = "$(rows straight | sha256sum)" ] || die "runs.db differs after $n kills"
echo "kill_resume: $n kills survived, $inside of them inside a checkpoint; $((finished + 1)) runs of $steps steps ended in the same bits"
