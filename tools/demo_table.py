#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Print a model's bits per byte beside the compressors' on the same text, smallest first.

    demo_table.py BITS_PER_BYTE COMPRESSORS.json

COMPRESSORS.json is what `scripts/compressors.sh --json` wrote; its row "all" counts. Exits 1 when a
compressor is ahead of the model."""

import json
import sys


def main():
    model, rows = float(sys.argv[1]), json.load(open(sys.argv[2], encoding="utf-8"))
    whole = next(row for row in rows if row["text"] == "all")
    entries = sorted([(model, "this model"), *((bits, name) for name, bits in whole["bits_per_byte"].items())])
    print(f"\nbits per byte on the same {whole['bytes']:,} bytes of unseen text (lower is better)")
    for bits, name in entries:
        print(f"  {name:<12} {bits:6.3f}  {'#' * round(bits * 16)}")
    best = entries[0][1]
    print(f"  {'the model wins' if best == 'this model' else best + ' is ahead: train longer'}")
    return 0 if best == "this model" else 1


if __name__ == "__main__":
    sys.exit(main())
