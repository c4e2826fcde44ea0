# SPDX-License-Identifier: MIT
"""From documents to train, valid and test: cap, deduplicate, choose, write.

Every choice follows the SHA-256 of the document's name, so it depends neither on the order of the
sources nor on a random state.
"""
import hashlib
import json
from pathlib import Path
from typing import Iterable, NamedTuple

from .text import Doc, digest

PARTS = ("train", "valid", "test")
LEAST_HELD_OUT = 50_000      # bytes of a domain in valid, and in test, where the fraction gives fewer
MOST_HELD_OUT = 0.1          # but never more than this share of a small domain
_ALWAYS_FITS = 4_000         # bytes: a document of a small source may be all that it holds out


class Row(NamedTuple):
    """A document and the source it came from."""
    source: str
    doc: Doc

    @property
    def size(self) -> int:
        return len(self.doc.text.encode())


def by_hash(rows: Iterable[Row], salt: str) -> "list[Row]":
    return sorted(rows, key=lambda row: digest(f"{salt}:{row.doc.name}"))


def capped(rows: "list[Row]", most: "int | None") -> "list[Row]":
    """A sample of at most `most` bytes, in the original order."""
    if most is None:
        return rows
    kept, total = set(), 0
    for row in by_hash(rows, "cap"):
        if total + row.size <= most:
            kept.add(row.doc.name)
            total += row.size
    return [row for row in rows if row.doc.name in kept]


def distinct(rows: Iterable[Row]) -> "list[Row]":
    """Drop documents whose text, blanks aside, was seen before; names must be unique."""
    texts, names, kept = set(), set(), []
    for row in rows:
        key = digest("".join(row.doc.text.split()))
        if key in texts:
            continue
        if row.doc.name in names:
            raise ValueError(f"document {row.doc.name}: name used twice")
        texts.add(key)
        names.add(row.doc.name)
        kept.append(row)
    return kept


def held_out_target(total: int, fraction: float) -> int:
    """Bytes that valid, and test, should get from a domain of `total` bytes."""
    return int(min(max(fraction * total, LEAST_HELD_OUT), MOST_HELD_OUT * total))


def held_out(rows: "list[Row]", quota: float) -> "dict[str, str]":
    """Choose whole documents for valid, then test, in hash order; the part of each by its name.

    A document is taken when at least half of it fits, so that the parts meet the quota on average; one
    that alone would be most of a part stays in train."""
    part_of, room = {}, {"valid": quota, "test": quota}
    for row in by_hash((r for r in rows if r.size <= max(quota / 2, _ALWAYS_FITS)), "split"):
        part = next((p for p in room if row.size / 2 <= room[p]), None)
        if part:
            part_of[row.doc.name] = part
            room[part] -= row.size
    return part_of


def split(rows: "list[Row]", fraction: float) -> "dict[str, list[Row]]":
    """Divide a domain; each of its sources gives its share of what is held out."""
    total = sum(row.size for row in rows)
    share = held_out_target(total, fraction) / total if total else 0.0
    part_of = {}
    for source in dict.fromkeys(row.source for row in rows):
        own = [row for row in rows if row.source == source]
        part_of.update(held_out(own, share * sum(row.size for row in own)))
    return {part: [row for row in rows if part_of.get(row.doc.name, "train") == part] for part in PARTS}


def write_jsonl(path: Path, rows: "list[Row]") -> "dict[str, object]":
    """Write one document per line; return what the manifest says about the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    checksum = hashlib.sha256()
    with open(path, "wb") as file:
        for row in rows:
            line = json.dumps({"text": row.doc.text, "source": row.source, "name": row.doc.name},
                              ensure_ascii=False) + "\n"
            file.write(line.encode())
            checksum.update(line.encode())
    return {"documents": len(rows), "text_bytes": sum(row.size for row in rows),
            "sha256": checksum.hexdigest()}


def file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
