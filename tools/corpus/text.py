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
_CJK_PUNCT = "\u3000-\u303f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
_QUOTES = "\u2018-\u201d\u2026"         # shared with Latin text: CJK only beside CJK
_CJK_CHAR = re.compile(f"[{_CJK}]")


def _between(gap: str, some: str, others: str) -> "re.Pattern[str]":
    """Matches `gap` between a character of one class and one of the other, either way round."""
    return re.compile(f"(?<=[{some}]){gap}(?=[{others}])|(?<=[{others}]){gap}(?=[{some}])")


_BLANKS, _WRAP = "[ \u3000]+", "[ \t]*\n[ \t]*"
_CJK_GAP = _between(_BLANKS, _CJK, _CJK + _QUOTES)
_CJK_WRAP = _between(_WRAP, _CJK, _CJK + _QUOTES)
_PUNCT_GAP = _between(_BLANKS, _CJK_PUNCT, _CJK)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2028\u2029\u202a-\u202e\u2060\ufeff"
                        "\x00-\x08\x0b-\x1f\x7f-\x9f\ue000-\uf8ff]")
_ODD_SPACE = re.compile("[\u00a0\u2000-\u200a\u202f\u205f]")
_KEEP_INDENT = 4      # a line indented by this much was laid out by hand
_SENTENCE_GAP = re.compile(r"(?<=[a-z][.?!,;:]) {2}(?=\S)|(?<=[.?!][\"')]) {2}(?=\S)")
_PARAGRAPH = 24       # characters: a shorter line is a heading or a list item and may come again
_WRAP_SHARE = 0.7     # a line shorter than this share of the text width was ended on purpose


def unix_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def clean(text: str) -> str:
    """Normalise newlines and blanks; drop what cannot be seen. Ends with exactly one newline."""
    text = unix_newlines(text).replace("\f", "\n")
    text = _ODD_SPACE.sub(" ", _INVISIBLE.sub("", text))
    text = "\n".join(line.rstrip(" \t\u3000") for line in text.split("\n"))
    text = re.sub(r"\n{3,}", "\n\n", text).strip("\n")
    return text + "\n" if text else ""


def join_cjk(text: str) -> str:
    """Remove all blanks between CJK characters, for sources that put them between words."""
    return _CJK_GAP.sub("", text)


def unwrap_cjk(text: str) -> str:
    """Remove the line breaks between CJK characters that HTML would show as blanks."""
    return _CJK_WRAP.sub("", text)


def tidy_punctuation(text: str) -> str:
    """Remove the blanks between full-width punctuation and CJK characters."""
    return _PUNCT_GAP.sub("", text)


_UNTRANSLATED = re.compile(r"(?m)^[-\"'(A-Za-z][^\n\u2e80-\uffef]{60,}[.:?!)]$\n*")


def drop_untranslated(text: str) -> str:
    """Remove the lines of English prose that a translation to Chinese still has."""
    return _UNTRANSLATED.sub("", text)


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
    seam = left[-1:] + "\n" + right[:1]
    tight = _CJK_WRAP.search(seam) or re.search(f"[{_CJK_PUNCT}]", seam)
    return left + ("" if tight else " ") + right


def _indented(line: str) -> bool:
    return line.startswith(" " * _KEEP_INDENT)


def reflow(text: str, wrap: int) -> str:
    """Join lines that were broken only because they reached `wrap` columns.

    An indented line stays as it is, unless it is the first of a paragraph that goes on without indent."""
    full = _WRAP_SHARE * wrap
    out: list[str] = []
    last = ""             # the source line that ended out[-1]; "" forbids a join
    lines = text.split("\n")
    for line, following in zip(lines, lines[1:] + [""]):
        opens = (_indented(line) and width(line) >= full and bool(following.strip())
                 and not _indented(following))
        by_hand = not line.strip() or _indented(line) and not opens
        if last and not by_hand and not opens and width(last) >= full:
            out[-1] = _glue(out[-1], line.strip())
        else:
            out.append(line if by_hand else line.strip())
        last = "" if by_hand else line
    return _SENTENCE_GAP.sub(" ", "\n".join(out))


def dedent(text: str, columns: int) -> str:
    """Take up to `columns` blanks off the front of each line."""
    return re.sub(rf"(?m)^ {{1,{columns}}}", "", text)


def drop_seen(text: str, seen: "set[str]") -> str:
    """Remove paragraphs of a line that an earlier text had already; remembers those of this one."""
    kept = []
    for line in text.split("\n"):
        if len(line) < _PARAGRAPH or line not in seen:
            kept.append(line)
        seen.add(line)
    return "\n".join(kept)


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
