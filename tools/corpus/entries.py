# SPDX-License-Identifier: MIT
"""Collections of short entries: fortune files, dictionaries, message catalogues."""
import re
import struct
import unicodedata
from typing import Iterator

from .text import dedent, reflow, tidy_punctuation

_ANSI = re.compile(r"\x1b\[[0-9;:]*(?:\x1b\[[0-9;:]*)?[A-Za-z]")
_DRAWING = re.compile("[\u2500-\u259f]")
_ATTRIBUTION = re.compile(r"(?m)^\s+(?:--|—)\s*(?=\S)")
_OVERSTRIKE = re.compile(r".\x08")


def fortunes(text: str, wrap: int) -> Iterator[str]:
    """Entries of a fortune file: no colours, no box drawings, the attribution as a line of its own."""
    for entry in re.split(r"(?m)^%\n?", _OVERSTRIKE.sub("", _ANSI.sub("", text))):
        entry = entry.expandtabs(8).strip("\n")
        if not entry.strip() or _DRAWING.search(entry):
            continue
        entry = tidy_punctuation(_ATTRIBUTION.sub("-- ", entry))
        body, dash, author = entry.rpartition("\n-- ")
        yield reflow(body, wrap) + dash + author if dash else reflow(entry, wrap)


def foldoc(text: str) -> Iterator[str]:
    """Entries of the Free On-line Dictionary of Computing: headword, blank line, indented body."""
    text = text[text.index("\nFree On-line Dictionary of Computing"):]
    text = re.sub(r"(?m)^ *\(\d{4}-\d\d-\d\d\)$", "", text)
    text = re.sub(r"[{}]|(?m:(?<=^   )<[^<>\n]*>(?: |$))|(?<=\d\. )<[^<>\n]*> ?", "", text)
    for entry in re.split(r"\n\n(?=\S)", text):
        yield reflow(dedent(entry.replace("%%%", ", "), 3), 64)


_ACCENTS = {"'": "\u0301", "`": "\u0300", '"': "\u0308", "^": "\u0302", "~": "\u0303", "=": "\u0304",
            "-": "\u0304", ".": "\u0323", ",": "\u0327"}
_LETTERS = {"ae": "æ", "oe": "œ", "eth": "ð", "thorn": "þ", "deg": "°", "imac": "ī", "aum": "ä",
            "add": "·", "asl": "ā", "root": "√", "pound": "£", "AE": "Æ", "OE": "Œ", "ntil": "ñ"}


def _accented(match: "re.Match[str]") -> str:
    """One of the dictionary's bracketed letters: ['e] is é, [a^] is ă, [ae] is æ."""
    code = match[1]
    if code in _LETTERS:
        return _LETTERS[code]
    if len(code) == 2 and code[0] in _ACCENTS and code[1].isalpha():
        return unicodedata.normalize("NFC", code[1] + _ACCENTS[code[0]])
    if len(code) == 2 and code[1] == "^" and code[0].isalpha():
        return unicodedata.normalize("NFC", code[0] + "\u0306")
    return match[0]


def gcide(text: str) -> Iterator[str]:
    """Entries of the GNU Collaborative Dictionary, without source lines and pronunciations."""
    text = text[re.search(r"(?m)^[A-Z].* \\", text).start():]
    text = re.sub(r"\n *\[[^\[\]\n]*(?:Webster|WordNet|PJC|Century)[^\[\]\n]*\][^\n]*(?=\n)", "", text)
    text = re.sub(r"\[([^\[\]\s]{2,5})\]", _accented, text)
    text = re.sub(r" ?\\[^\\\n]*\\", "", text)
    text = re.sub(r"[{}]", "", text)
    for entry in re.split(r"\n\n(?=\S)", text):
        yield reflow(dedent(entry, 3), 64)


def jargon(text: str) -> Iterator[str]:
    """The Jargon File: front matter, entries and appendices, without tables of contents."""
    text = text[text.index("Welcome to the Jargon File", text.index("Welcome to the Jargon File") + 1):]
    text = re.sub(r"(?:\n\n {3}[^\n]{1,48}(?=\n\n)){6,}", "", text)
    text = re.sub(r"[{}]", "", text)
    for entry in re.split(r"\n(?= {3}:\S| {20,}\S)", text):
        yield reflow(dedent(entry, 3), 74)


_MO_MAGIC = 0x950412DE


def translations(catalogue: bytes) -> Iterator[str]:
    """Translated strings of a GNU message catalogue (`.mo`), in the order of their originals."""
    order = "<" if struct.unpack("<I", catalogue[:4])[0] == _MO_MAGIC else ">"
    magic, _, count, _, table = struct.unpack(order + "5I", catalogue[:20])
    if magic != _MO_MAGIC:
        raise ValueError(f"message catalogue: magic {magic:#x}, expected {_MO_MAGIC:#x}")
    for i in range(count):
        size, offset = struct.unpack_from(order + "2I", catalogue, table + 8 * i)
        yield catalogue[offset:offset + size].decode("utf-8", "replace").split("\0")[0]
