#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The papers' experiments, from nothing: set-up, build, a corpus of about 100 MB (English, Chinese, code)
# out of Debian packages, a tokenizer of 320 entries, token shards, training, and the page of results.
#
#   scripts/experiments.sh [NAME...] [OPTIONS]      default: table1 --size hour
#   scripts/experiments.sh --data-only              everything before training
#
# Options go to `dsmoe experiment` (--size smoke|hour|night, --seeds N, --jobs N; see dsmoe help experiment).
# What is done already is not done again; Ctrl-C, a kill or a power cut costs a few minutes at most.
set -euo pipefail
cd "$(dirname "$0")/.."

data_only=
args=()
for arg in "$@"; do
    case $arg in
    -h | --help) sed -n '3,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    --data-only) data_only=1 ;;
    *) args+=("$arg") ;;
    esac
done
[ ${#args[@]} -gt 0 ] || args=(table1)
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

dsmoe=build/dsmoe
out=data/experiments

say "set-up and build"
scripts/setup.sh demo
cmake --preset release -DBUILD_TESTING=OFF >/dev/null
cmake --build build -- --quiet

for name in "${args[@]}"; do # a wrong name is said before the downloads
    case $name in -*) break ;; esac
    [ -e "configs/experiments/$name.yaml" ] || exec $dsmoe experiment "$name"
done

if [ ! -e $out/corpus/manifest.json ]; then
    say "a corpus out of Debian packages"
    python3 tools/make_corpus.py --size medium --out $out/corpus
fi
if [ ! -e $out/tokenizer/tokenizer.json ]; then
    say "tokenizer: byte-level BPE, 320 entries"
    $dsmoe tokenizer train --vocab-size 320 --out $out/tokenizer $out/corpus/train
fi
for part in train valid; do
    [ ! -e $out/$part/data.json ] || continue
    say "token shards: $part"
    $dsmoe data prepare --tokenizer $out/tokenizer --out $out/$part $out/corpus/$part
done
for text in $out/corpus/valid/*.jsonl; do # what experts see is told by domain
    domain=$(basename "$text" .jsonl)
    [ ! -e $out/domains/$domain/data.json ] || continue
    say "token shards: validation, $domain"
    $dsmoe data prepare --tokenizer $out/tokenizer --out $out/domains/$domain "$text"
done
[ -z "$data_only" ] || exit 0

say "dsmoe experiment ${args[*]}"
$dsmoe experiment "${args[@]}"
