# SPDX-License-Identifier: MIT
"""Novels as lines of text to one document per chapter."""
import re
from typing import Iterator

from .text import Doc, reflow

_WRAP = 72
_CHAPTER = re.compile(r"^(?:CHAPTER|Chapter) (?:[IVXLC]+|\d+)\b.*$|^Epilogue$", re.M)
_VOLUME = re.compile(r"^VOLUME [IVX]+$", re.M)
_ENDS = re.compile(r"^\s*(?:FINIS|Finis|THE END|A NOTE ON THE TEXT|End of .*Project Gutenberg.*)$", re.M)
_EMPHASIS = re.compile(r"_([^_\n]+(?:\n[^_\n]+)?)_")


def _body(text: str) -> str:
    """Cut away what the publisher and the transcriber put around the novel."""
    start = _CHAPTER.search(text)
    end = _ENDS.search(text, start.end() if start else 0)
    return text[start.start() if start else 0:end.start() if end else len(text)]


def chapters(title: str, text: str) -> Iterator[Doc]:
    """Split a novel at its chapter headings; emphasis marks go, paragraphs become lines."""
    body = _EMPHASIS.sub(r"\1", _VOLUME.sub("", _body(text)))
    starts = [m.start() for m in _CHAPTER.finditer(body)] + [len(body)]
    for number, (begin, end) in enumerate(zip(starts, starts[1:]), 1):
        chapter = re.sub(r"[ \t]*\*(?:[ \t]*\*)+[ \t]*$", "", body[begin:end], flags=re.M)
        yield Doc(f"{title}/{number:03d}", reflow(re.sub(r"(?<=\S) {2,}", " ", chapter), _WRAP))
