# SPDX-License-Identifier: MIT
"""Plain-text helpers that every extractor shares.

Text leaves here with Unix newlines, no control characters, no trailing blanks and no runs of empty
lines. Paragraphs that were hard-wrapped for a terminal are joined again, because the position of a
wrap says nothing about the language; verse, tables and other lines broken on purpose stay as they are.
"""
import hashlib
import re
import unicodedata
from typing import Iterable, Iterator, NamedTuple


class Doc(NamedTuple):
    """One document: the unit that is deduplicated and goes whole into train, valid or test."""
    name: str
    text: str


# Ideographs, kana, and the punctuation that is set in their full-width square.
_CJK = "\u2e80-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff60\U00020000-\U0003ffff"
_CJK_CHAR = re.compile(f"[{_CJK}]")
_CJK_GAP = re.compile(f"(?<=[{_CJK}])[ \u3000]+(?=[{_CJK}])")
_CJK_PUNCT = re.compile(r"[\u3000-\u303f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2028\u2029\u202a-\u202e\u2060\ufeff"
                        "\x00-\x08\x0b-\x1f\x7f-\x9f\ue000-\uf8ff]")
_ODD_SPACE = re.compile("[\u00a0\u2000-\u200a\u202f\u205f]")
_KEEP_INDENT = 4      # a line indented by this much was laid out by hand
_WRAP_SHARE = 0.6     # a line shorter than this share of the text width was ended on purpose


def clean(text: str) -> str:
    """Normalise newlines and blanks; drop what cannot be seen. Ends with exactly one newline."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    text = _ODD_SPACE.sub(" ", _INVISIBLE.sub("", text))
    text = "\n".join(line.rstrip(" \t\u3000") for line in text.split("\n"))
    text = re.sub(r"\n{3,}", "\n\n", text).strip("\n")
    return text + "\n" if text else ""


def join_cjk(text: str) -> str:
    """Remove the blanks between two CJK characters: they come from line breaks in the source."""
    return _CJK_GAP.sub("", text)


def cjk_share(text: str) -> float:
    """Share of the non-blank characters that are CJK, 0 for empty text."""
    visible = len(re.sub(r"\s", "", text))
    return len(_CJK_CHAR.findall(text)) / visible if visible else 0.0


def width(line: str) -> int:
    """Columns that a line takes on a terminal: wide characters count two."""
    if line.isascii():
        return len(line)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def _glue(left: str, right: str) -> str:
    """Join two halves of a wrapped line with a blank where the script wants one."""
    a, b = left[-1:], right[:1]
    both_cjk = _CJK_CHAR.match(a) and _CJK_CHAR.match(b)
    touches_punct = _CJK_PUNCT.match(a) or _CJK_PUNCT.match(b)
    return left + ("" if both_cjk or touches_punct else " ") + right


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def reflow(text: str, wrap: int) -> str:
    """Join lines that were broken only because they reached `wrap` columns."""
    out: list[str] = []
    last = ""             # the source line that ended out[-1]; "" forbids a join
    for line in text.split("\n"):
        by_hand = _indent(line) >= _KEEP_INDENT or not line.strip()
        if not by_hand and last and width(last) >= _WRAP_SHARE * wrap:
            out[-1] = _glue(out[-1], line.strip())
        else:
            out.append(line)
        last = "" if by_hand else line
    return "\n".join(out)


def dedent(text: str, columns: int) -> str:
    """Take up to `columns` blanks off the front of each line."""
    return re.sub(rf"(?m)^ {{1,{columns}}}", "", text)


def pack(prefix: str, pieces: Iterable[str], least: int) -> Iterator[Doc]:
    """Group neighbouring pieces (entries, poems, sections) into documents of at least `least` bytes."""
    group: list[str] = []
    size = number = 0
    for piece in pieces:
        piece = piece.strip("\n")
        if not piece.strip():
            continue
        group.append(piece)
        size += len(piece.encode())
        if size >= least:
            number += 1
            yield Doc(f"{prefix}#{number}", "\n\n".join(group))
            group, size = [], 0
    if group:
        yield Doc(f"{prefix}#{number + 1}", "\n\n".join(group))


def digest(text: str) -> str:
    """SHA-256 of a string, hexadecimal: the hash behind every choice and checksum here."""
    return hashlib.sha256(text.encode()).hexdigest()
