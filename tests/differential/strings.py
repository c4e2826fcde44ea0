# SPDX-License-Identifier: MIT
"""The differential corpus: strings on which two tokenizers must give the same ids.

All of it is made here, from fixed seeds: every Unicode plane, scripts, emoji, code, digits, white
space, damaged UTF-8, special tokens inside text. No string holds U+0000: the command line ends texts
with it.
"""
import random

EMOJI = ["👍", "👨‍👩‍👧‍👦", "🇫🇷", "🏳️‍🌈", "☺️", "👩🏽‍🚀", "©", "™", "🤷🏿‍♂️", "0️⃣", "\U0001FAE8"]

WORDS = ("the quick Brown FOX don't I'll we've they're x's 'tis café naïve Straße İstanbul ſtraße Ǆ "
         "Привет, мир! Ελληνικά שלום עולם مرحبا بالعالم नमस्ते दुनिया ไทย 한국어 조선말 日本語 カタカナ ー・ "
         "ひらがな 我爱自然语言处理。 《红楼梦》 ，、；： 一二三 １２３ ４５６ٰ ₁₂₃ Ⅷ ½ ٣٤٥ १२३ 1234567890 3.14159 "
         "0x1F 1e-9 $9.99 50% a_b_c __init__ std::vector<int> => -> != && || // /* */ #include @user "
         "http://example.org/?q=1&r=2 user@example.org \\n \\t {} [] () <> ... --- === ~~~ `` '' \"\"").split()

SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n", "\n ", "\u00a0", "\u3000", "\u2003",
          "\u2028", "\u0085", "\u200b", "\ufeff", "\x0b", "\x0c", "\x1c", "\u1680", "\u180e", "\u202f"]

CODE = [
    "def f(x):\n\treturn x+12345\n\n", "  def f(x):\r\n\treturn x+12345\r\n\r\n",
    "for (int i = 0; i < n; i++) {\n    a[i] += b[i]*c;\n}\n", "if x==1:\n        pass  # comment  \n",
    "SELECT * FROM t WHERE a='b''c';", "<a href=\"x\">1&nbsp;2</a>", "\\begin{eqnarray*}\n\\alpha_1^2",
    "    \n\n   \n x", "\t\t\t\tx\t\t\n", "a\n\n\n\nb", "//////////", "!!!!!!!!a", "'s't're've'm'll'd 'S 'LL",
]

PIECES = ["a", "Z", "é", "e\u0301", "\u0301", "1", "２", "½", "中", "一", "龥", "龦", "\u3400", "あ", "ア",
          "・", "ー", "\u3099", "가", "힣", "\ud7ff", "ࠀ", "क", "्", "!", "：", "。", "“",
          "$", "+", "€", "_", "-", "'", "\"", "\\", "/", ".", ",", " ", "  ", "\n", "\r", "\t", "\u3000",
          "\u00a0", "\u2028", "\u0085", "\x01", "\x7f", "\u00ad", "\u200d", "\ufffd",
          "\U0001F600", "\U00020000", "\U000E0041", "\U0010FFFF", "\uE000", "\u0378", "ǅ", "ʰ", "ª", "K",
          "Ａ", "！", "～", "\U00010400", "\U0001D400", "\U00016FE0", "Ⅷ", "〇", "①", "ﬁ", "İ", "ß", "ſ"]


def planes(step):
    """Every step-th code point, in runs of 32 and next to letters, spaces, digits and signs."""
    points = [c for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
    for i in range(0, len(points), 32):
        if (i // 32) % step == 0:
            yield "".join(map(chr, points[i:i + 32]))
    for frame in ("a%sb", " %s", "1%s1", "!%s\n", "中%s中", "%s%s a"):
        chosen = points[::step * 7 if step > 1 else 1]
        for i in range(0, len(chosen), 24):
            yield "|".join(frame.replace("%s", chr(c)) for c in chosen[i:i + 24])


def mixtures(n, seed=1):
    """Random strings of small adversarial pieces, of words, and of both with white space."""
    r = random.Random(seed)
    for i in range(n):
        kind = i % 3
        if kind == 0:
            yield "".join(r.choice(PIECES) for _ in range(r.randint(1, 40)))
        elif kind == 1:
            yield "".join(r.choice(WORDS) + r.choice(SPACES[:6]) for _ in range(r.randint(1, 30)))
        else:
            yield "".join(r.choice(r.choice([PIECES, WORDS, SPACES, EMOJI])) for _ in range(r.randint(1, 40)))


def runs():
    """Long runs of one thing."""
    for piece in PIECES + SPACES:
        for n in (2, 3, 5, 31, 32, 33, 100, 1000):
            yield piece * n
            yield "x" + piece * n + "y"


def with_specials(specials, n, seed=2):
    """Special tokens, whole and broken, inside text."""
    r = random.Random(seed)
    for special in specials:
        yield special
        yield special * 3
        yield "a" + special + "b"
        yield "  " + special + "  \n" + special + "\n"
        yield special[:-1] + " " + special[1:]
        yield special[:len(special) // 2] + special
    for _ in range(n if specials else 0):
        yield "".join(r.choice(r.choice([WORDS, SPACES, specials])) for _ in range(r.randint(1, 20)))


def damaged(n, seed=3):
    """Bytes that are not UTF-8: cut, flipped and random."""
    r = random.Random(seed)
    for text in mixtures(n, seed + 1):
        data = bytearray(text.encode())
        for _ in range(r.randint(1, 4)):
            if data and r.random() < 0.5:
                data[r.randrange(len(data))] = r.randint(1, 255)
            elif data:
                del data[r.randrange(len(data))]
        yield bytes(data)
    for _ in range(n // 4):
        yield bytes(r.randint(1, 255) for _ in range(r.randint(1, 60)))


def everything(size, specials=()):
    """The corpus as a list; size 1 is quick, 10 and more thorough."""
    out = list(EMOJI) + WORDS + CODE + SPACES + ["", " "]
    out += planes(max(1, 20 // size))
    out += mixtures(600 * size)
    out += runs()
    out += with_specials(list(specials), 100 * size)
    return out
