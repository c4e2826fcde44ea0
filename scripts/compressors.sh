#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Bits per byte of general-purpose compressors on a text, to hold a language model against.
#
#   scripts/compressors.sh [--json] FILE...
#
# A FILE is plain text, or .jsonl, of which the "text" fields are taken, one after the other with nothing
# between them: the very bytes that a model's bits per byte count. Each file is compressed by itself
# (the row is named after it), then all together (row "all"). Sizes include the compressors' few dozen
# bytes of header.
set -euo pipefail
shopt -s inherit_errexit

# Column name and command; the command reads the text on stdin.
COMPRESSORS=("xz -9e" "zstd -19")

usage() { sed -n '3,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }
die() { printf 'compressors: %s\n' "$*" >&2; exit 1; }

# Write the text of one file to stdout.
text_of() {
    case $1 in
    *.jsonl) python3 -c '
import json, sys
for number, line in enumerate(open(sys.argv[1], encoding="utf-8"), 1):
    try:
        sys.stdout.buffer.write(json.loads(line)["text"].encode())
    except (ValueError, KeyError, TypeError, AttributeError):
        sys.exit(f"compressors: {sys.argv[1]}:{number}: expected a JSON object with a \"text\" string")
' "$1" ;;
    *) cat -- "$1" ;;
    esac
}

# Print "NAME BYTES BITS..." for one text file, tab-separated; one figure per compressor.
measure() {
    local name=$1 text=$2 bytes compressor packed
    bytes=$(wc -c <"$text")
    [ "$bytes" -gt 0 ] || die "$name: found no text"
    printf '%s\t%d' "$name" "$bytes"
    for compressor in "${COMPRESSORS[@]}"; do
        packed=$($compressor -c <"$text" 2>/dev/null | wc -c)
        awk -v packed="$packed" -v bytes="$bytes" 'BEGIN { printf "\t%.4f", 8 * packed / bytes }'
    done
    printf '\n'
}

as_table() {
    printf '%-16s %12s' text bytes
    printf ' %10s' "${COMPRESSORS[@]}"
    printf '\n'
    awk -F '\t' '{ printf "%-16s %12d", $1, $2; for (i = 3; i <= NF; i++) printf " %10s", $i; printf "\n" }'
}

as_json() {
    python3 -c '
import json, sys
names = sys.argv[1:]
rows = [line.rstrip("\n").split("\t") for line in sys.stdin]
print(json.dumps([{"text": row[0], "bytes": int(row[1]),
                   "bits_per_byte": dict(zip(names, map(float, row[2:])))} for row in rows]))
' "${COMPRESSORS[@]}"
}

main() {
    local format=as_table file name rows
    case ${1:-} in
    --json) format=as_json; shift ;;
    -h | --help) usage; exit 0 ;;
    esac
    [ "$#" -gt 0 ] || { usage >&2; exit 2; }
    for name in "${COMPRESSORS[@]}"; do
        command -v "${name%% *}" >/dev/null || die "${name%% *}: not found; scripts/setup.sh installs it"
    done

    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    rows=$(
        for file in "$@"; do
            [ -r "$file" ] || die "$file: cannot read it"
            text_of "$file" >"$work/text"
            cat "$work/text" >>"$work/all"
            name=${file##*/}
            measure "${name%.*}" "$work/text"
        done
        measure all "$work/all"
    )
    "$format" <<<"$rows"
}

work=
main "$@"
