# SPDX-License-Identifier: MIT
"""Books in the SWORD project's compressed modules, OSIS markup to plain text.

A testament is three files; two matter: the index (`.bzs` or `.czs`, entries of three little-endian
32-bit words: offset, packed size, size) and the zlib blocks it points into (`.bzz`, `.czz`).
"""
import html
import re
import struct
import zlib
from typing import Iterator

_ENTRY = struct.Struct("<III")


def blocks(index: bytes, data: bytes) -> Iterator[str]:
    """Unpack the blocks of one testament in order."""
    if len(index) % _ENTRY.size:
        raise ValueError(f"block index: {len(index)} bytes, expected a multiple of {_ENTRY.size}")
    for offset, packed, size in _ENTRY.iter_unpack(index):
        block = zlib.decompress(data[offset:offset + packed])
        if len(block) != size:
            raise ValueError(f"block at {offset}: {len(block)} bytes, expected {size}")
        yield block.decode("utf-8", "replace")


def osis_text(markup: str) -> str:
    """Strip OSIS tags. Form feeds mark chapters and titles, where a document may be split."""
    text = re.sub(r"<note\b.*?</note>", "", markup, flags=re.S)
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"<chapter\b[^>]*\bsID=[^>]*>", "\f", text)
    text = re.sub(r"<title\b[^>]*>", "\f", text)
    text = re.sub(r"<(?:/title|/?lg|/?p|div(?![^>]*x-milestone))\b[^>]*>", "\n\n", text)
    text = re.sub(r"<(?:lb\b[^>]*|l\b[^>]*sID=[^>]*)>", "\n", text)
    text = html.unescape(re.sub(r"<[^>]*>", "", text))
    text = re.sub(r" {2,}", " ", text)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" *\n *", "\n", text))
