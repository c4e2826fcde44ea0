#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write src/tokenizer/unicode_table.c: the character classes of the reference's regex engine.

Tokenizer files are defined by what PyPI `tokenizers` does with them, and its engine (Oniguruma)
carries its own Unicode version; its other pre-tokenizers use others yet. So the table is not taken from
a Unicode data file but asked of the reference itself, over all code points: general category, \\s and
\\w of patterns, what counts as a word beside an added token, as a digit and as punctuation.

    pip install tokenizers && tools/make_unicode_table.py > src/tokenizer/unicode_table.c
"""
import tokenizers
from tokenizers import Regex
from tokenizers.pre_tokenizers import Digits, Punctuation, Split, Whitespace

CATEGORIES = ("Cn Cc Cf Co Cs Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No "
              "Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs").split()
SPACE, WORD, IDENT, NUMERIC, PUNCTUATION = 0x20, 0x40, 0x80, 0x100, 0x200
CLASS_BITS = 11
BLOCK = 4096


def members(pattern):
    """Code points that a one-character pattern matches: what Split(removed) does not give back."""
    split = Split(Regex(pattern), "removed")
    for base in range(0, 0x110000, BLOCK):
        text = "".join(chr(c) for c in range(base, base + BLOCK) if not 0xD800 <= c < 0xE000)
        kept = set("".join(piece for piece, _ in split.pre_tokenize_str(text)))
        yield from (ord(c) for c in text if c not in kept)


def isolated(splitter):
    """Code points that a pre-tokenizer cuts off from the letters around them."""
    for c in range(0x110000):
        if not 0xD800 <= c < 0xE000 and len(splitter.pre_tokenize_str("a%ca" % c)) == 3:
            yield c


def joined(splitter):
    """Code points that a pre-tokenizer keeps together with the letter before them."""
    for c in range(0x110000):
        if not 0xD800 <= c < 0xE000 and splitter.pre_tokenize_str("a%c" % c)[0][0] == "a%c" % c:
            yield c


def classes():
    table = [0] * 0x110000
    for c in range(0xD800, 0xE000):
        table[c] = CATEGORIES.index("Cs")
    for index, name in enumerate(CATEGORIES):
        if name != "Cs":
            for c in members(r"\p{%s}" % name):
                table[c] = index
    flags = ((SPACE, members(r"\s")), (WORD, members(r"\w")), (IDENT, joined(Whitespace())),
             (NUMERIC, isolated(Digits(individual_digits=True))), (PUNCTUATION, isolated(Punctuation())))
    for flag, points in flags:
        for c in points:
            table[c] |= flag
    return table


def main():
    table = classes()
    runs = [(c, table[c]) for c in range(len(table)) if c == 0 or table[c] != table[c - 1]]
    print("/* SPDX-License-Identifier: MIT */")
    print("/* Made by tools/make_unicode_table.py from tokenizers %s; do not edit. */"
          % tokenizers.__version__)
    print('#include "tokenizer/unicode.h"\n')
    print("/* Each run: first code point << DSM_CLASS_BITS | class; it ends where the next begins. */")
    print("/* clang-format off */\nconst uint32_t dsm_unicode_runs[] = {")
    for i in range(0, len(runs), 8):
        print("    " + " ".join("0x%x," % (c << CLASS_BITS | v) for c, v in runs[i:i + 8]))
    print("};\n/* clang-format on */\n\nconst size_t dsm_unicode_n_runs = sizeof dsm_unicode_runs / sizeof *dsm_unicode_runs;")


if __name__ == "__main__":
    main()
