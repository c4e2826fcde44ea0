#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# From nothing to a DeepSeekMoE language model, on this machine, in about six minutes (two cores).
#
#   scripts/demo.sh [--minutes N]
#
# Installs what is missing, builds dsmoe, makes a corpus (English, Chinese, Python) out of Debian
# packages, learns a tokenizer, trains a small DeepSeekMoE model (1 shared and 31 fine-grained routed
# experts, 7 active) for about five minutes, and shows what it has become: bits per byte beside xz and
# zstd on the same unseen text, samples, and who uses which expert. Everything lands in demo/.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=5
while [ $# -gt 0 ]; do
    case $1 in
    --minutes) minutes=${2:?--minutes needs a number}; shift 2 ;;
    -h | --help) sed -n '3,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) echo "demo: unknown argument $1 (try --help)" >&2; exit 2 ;;
    esac
done

started=$SECONDS
dsmoe=build/dsmoe
out=demo
recipe=configs/demo/recipe.yaml
say() { printf '\n\033[1m[%d:%02d] %s\033[0m\n' $(((SECONDS - started) / 60)) $(((SECONDS - started) % 60)) "$*"; }
field() { python3 -c 'import json,sys; print(json.loads(sys.stdin.read().splitlines()[-1])[sys.argv[1]])' "$1"; }

say "set-up and build"
scripts/setup.sh demo
cmake --preset release -DBUILD_TESTING=OFF >/dev/null
cmake --build build -- --quiet
$dsmoe --version

if [ ! -e $out/corpus/manifest.json ]; then
    say "a corpus out of Debian packages: English, Chinese and Python"
    python3 tools/make_corpus.py --out $out/corpus
fi

if [ ! -e $out/tokenizer/tokenizer.json ]; then
    say "tokenizer: byte-level BPE, 8192 entries"
    $dsmoe tokenizer train --vocab-size 8192 --out $out/tokenizer $out/corpus/train
fi

if [ ! -e $out/data/valid/data.json ]; then
    say "token shards"
    rm -rf $out/data
    $dsmoe data prepare --tokenizer $out/tokenizer --out $out/data/train $out/corpus/train
    $dsmoe data prepare --tokenizer $out/tokenizer --out $out/data/valid $out/corpus/valid
fi

say "the model: what it will cost"
$dsmoe plan $recipe

# As many steps as fit the minutes on this machine.
speed=$($dsmoe bench train configs/demo/config.json --seq 256 --batch 8 --steps 8 --json --quiet | field tokens_per_s)
steps=$(python3 -c "print(max(100, int($minutes * 60 * $speed * 0.95 / (256 * 8))))")

say "training for about $minutes minutes: $steps steps of 2048 tokens"
rm -rf $out/run
$dsmoe train $recipe --set steps="$steps" --set run=$out/run

say "evaluation on text the model has never seen"
$dsmoe eval $out/run --data $out/data/valid --load
bpb=$($dsmoe eval $out/run --data $out/data/valid --json --quiet | field bits_per_byte)
scripts/compressors.sh --json $out/corpus/valid/*.jsonl >$out/compressors.json
python3 tools/demo_table.py "$bpb" $out/compressors.json

say "samples"
sample() {
    printf '\n\033[2m%s\033[0m' "$1"
    $dsmoe generate $out/run --prompt "$1" --max-tokens 80 --temperature 0.7 --top-p 0.95 --seed 1 --quiet
    printf '\n'
}
sample "It was a truth, that Emma"
sample "系统管理员可以"
sample "def read_file(path):"

say "done in $(((SECONDS - started) / 60)) min $(((SECONDS - started) % 60)) s"
cat <<TXT

What to try next
  $dsmoe generate $out/run --prompt "The whale"              more text, your own prompt
  $dsmoe chat $out/run                                        a base model's idea of a conversation
  $dsmoe info $out/run                                        the model's card
  $dsmoe eval $out/run --text README.md                       how well it knows another text
  sqlite3 $out/run/runs.db "select step,value from metrics where key='loss' order by step desc limit 5"
  $dsmoe train $recipe --set steps=2000 --set run=$out/longer   train longer, or edit the recipe
  $dsmoe train --resume $out/longer                           after a kill: goes on, bit for bit
Your own text: replace $out/corpus/train by your files in the two commands above (docs/data.md).
TXT
