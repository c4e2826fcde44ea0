# SPDX-License-Identifier: MIT
"""The table of sources: which files of which package become which documents.

To add a source, write an extractor (files by path -> documents) and a row in SOURCES.
"""
import os.path
import re
from typing import Callable, Iterator, NamedTuple, Optional

from . import books, entries, rdata, roff, sword, web
from .text import (Doc, cjk_share, drop_seen, drop_untranslated, join_cjk, pack, tidy_punctuation,
                   unix_newlines)

Files = "dict[str, bytes]"

_ENTRY_GROUP = 1500      # bytes: short entries are grouped into documents of this size
_SECTION_GROUP = 2500    # bytes: so are the short sections of a page
_CHINESE = 0.15          # least share of CJK characters in a document that counts as Chinese


def _decode(data: bytes) -> str:
    return unix_newlines(data.decode("utf-8", "replace"))


def _stems(files: Files) -> "dict[str, bytes]":
    """The same files under short names: without the folders they share and the page suffix."""
    root = os.path.commonpath([os.path.dirname(path) for path in files])
    return {re.sub(r"(\.zh-cn)?\.html$", "", os.path.relpath(path, root)): files[path] for path in files}


# --- extractors: one per kind of source -----------------------------------------------------------

def austen(files: Files) -> Iterator[Doc]:
    for database in files.values():
        for record in rdata.records(database):
            lines = rdata.strings(rdata.unserialize(record))
            title = next(line for line in lines if line.strip()).title()
            yield from books.chapters(title, "\n".join(lines))


def moby_dick(files: Files) -> Iterator[Doc]:
    for database in files.values():
        for record in rdata.records(database):
            text = "\n".join(rdata.strings(rdata.unserialize(record)))
            yield from books.chapters("Moby Dick", unix_newlines(text))


def fortunes_zh(files: Files) -> Iterator[Doc]:
    """Entries quoted from the Debian Reference are left out: it is a source of its own."""
    for stem, data in _stems(files).items():
        kept = (e for e in entries.fortunes(_decode(data), 78)
                if cjk_share(e) >= _CHINESE and not re.search("参考(手册|卡片)", e[-80:]))
        yield from pack(f"fortunes-zh/{stem}", dict.fromkeys(kept), _ENTRY_GROUP)


_UNFIT = frozenset("ascii-art drugs ethnic men-women translate-me".split())


def fortunes(files: Files) -> Iterator[Doc]:
    """All but the files of drawings, of other languages and of jokes about groups of people."""
    for stem, data in _stems(files).items():
        if stem in _UNFIT:
            continue
        kept = dict.fromkeys(entries.fortunes(_decode(data), 76))
        yield from pack(f"fortunes/{stem}", kept, _ENTRY_GROUP)


def _pages(prefix: str, files: Files) -> Iterator[Doc]:
    """Pages of one manual; the paragraphs that it repeats from page to page stay once."""
    seen: "set[str]" = set()
    for stem, data in _stems(files).items():
        sections = (drop_seen(section, seen) for section in web.sections(_decode(data)))
        yield from pack(f"{prefix}/{stem}", sections, _SECTION_GROUP)


def pages(prefix: str) -> Callable[[Files], Iterator[Doc]]:
    return lambda files: _pages(prefix, files)


def pages_zh(prefix: str, least_share: float = _CHINESE) -> Callable[[Files], Iterator[Doc]]:
    """Chinese pages; English that was left standing in them goes."""
    def extract(files: Files) -> Iterator[Doc]:
        for name, text in _pages(prefix, files):
            text = drop_untranslated(text)
            if cjk_share(text) >= least_share:
                yield Doc(name, text)
    return extract


_BOILERPLATE = re.compile("版权|COPYRIGHT|跋|中文版|译|维护|更新|报告|AUTHOR|作者|计划", re.I)


def manpages_zh(files: Files) -> Iterator[Doc]:
    for path, data in files.items():
        text = roff.page_text(_decode(data))
        if text is None:
            continue
        parts = re.split(r"\n\n+(?=\S+[^\n]{0,40}\n(?!\n))", drop_untranslated(join_cjk(text)))
        kept = (p for p in parts if not _BOILERPLATE.search(p.split("\n", 1)[0][:40]))
        name = "manpages-zh/" + path.rsplit("/", 1)[-1].removesuffix(".gz")
        yield from (d for d in pack(name, kept, 4 * _SECTION_GROUP) if cjk_share(d.text) >= _CHINESE)


def cataclysm(files: Files) -> Iterator[Doc]:
    """Descriptions from a game: strings long enough to be prose, with nothing to fill in."""
    for data in files.values():
        strings = (re.sub(r"</?color[^>]*>", "", s) for s in entries.translations(data))
        prose = (s for s in strings
                 if len(s) >= 24 and cjk_share(s) > 0.6 and not re.search(r"[<>%\[{|]", s))
        yield from pack("cataclysm", dict.fromkeys(map(tidy_punctuation, prose)), _ENTRY_GROUP)


def sword_module(prefix: str) -> Callable[[Files], Iterator[Doc]]:
    def extract(files: Files) -> Iterator[Doc]:
        for stem, index in _stems(files).items():
            if stem.endswith("zs"):                # ot.bzs is the index of ot.bzz
                data = _stems(files)[stem[:-1] + "z"]
                pieces = sword.osis_text("".join(sword.blocks(index, data))).split("\f")
                yield from pack(f"{prefix}/{stem[:2]}", pieces, 2 * _SECTION_GROUP)
    return extract


def dictionary(prefix: str, split: Callable[[str], Iterator[str]]) -> Callable[[Files], Iterator[Doc]]:
    def extract(files: Files) -> Iterator[Doc]:
        for data in files.values():
            yield from pack(prefix, split(_decode(data)), _ENTRY_GROUP)
    return extract


_GENERATED = re.compile(r"pydoc_data/|encodings/(?!__init__|utf|ascii|idna|aliases)|html/entities\.py|"
                        r"lib2to3/tests|/test/|_sysconfigdata|/z?(sys(num|call)|errors|types)_?[^/]*\.go|"
                        r"tables?\.go|/testdata/|opGen|rewrite[A-Z0-9a-z]*\.go|_string\.go|bundle\.go")
_LICENCE_HEADER = re.compile(r"\A(?://|#) Copyright [^\n]*\n(?:(?://|#)[^\n]*\n)*\n+")
_LARGE_FILE = 100_000    # bytes: past this, source files are mostly tables


def source_files(root: str) -> Callable[[Files], Iterator[Doc]]:
    """Source code, one document a file, without generated tables and licence headers."""
    def extract(files: Files) -> Iterator[Doc]:
        for path, data in files.items():
            if len(data) <= _LARGE_FILE and not _GENERATED.search(path):
                yield Doc(path.removeprefix(root), _LICENCE_HEADER.sub("", _decode(data)))
    return extract


# --- the table --------------------------------------------------------------------------------------

class Source(NamedTuple):
    """A row. Caps are bytes of text to take at most: 0 leaves the source out, None takes all of it."""
    name: str
    domain: str
    packages: "tuple[str, ...]"        # alternatives: the first one that the distribution has
    patterns: "tuple[str, ...]"        # paths to read inside the package
    extract: Callable[[Files], Iterator[Doc]]
    small: Optional[int]
    medium: Optional[int]
    licence: str
    verbatim: bool = False             # code: keep blank lines and indentation as they are


MB = 1_000_000
_PYTHONS = tuple(f"libpython3.{minor}-stdlib" for minor in (11, 12, 13, 10, 14, 9))
_GOS = tuple(f"golang-1.{minor}-src" for minor in (19, 22, 21, 23, 24, 20, 18))
_FORTUNES = "usr/share/games/fortunes/[a-z]*"

SOURCES = (
    Source("austen", "english", ("r-cran-janeaustenr",), ("*/data/Rdata.rdb",), austen,
           None, None, "public domain (package MIT)"),
    Source("moby-dick", "english", ("r-cran-tokenizers",), ("*/data/Rdata.rdb",), moby_dick,
           None, None, "public domain (package MIT)"),
    Source("treasury-of-david", "english", ("sword-comm-tdavid",), ("*/ot.?z?",), sword_module("tdavid"),
           0, None, "public domain"),
    Source("concise-commentary", "english", ("sword-comm-mhcc",), ("*/?t.?z?",), sword_module("mhcc"),
           0, None, "public domain"),
    Source("world-english-bible", "english", ("sword-text-web",), ("*/?t.?z?",), sword_module("web"),
           0, None, "public domain"),
    Source("anarchist-faq", "english", ("anarchism",),
           ("*/html/sec*.html", "*/html/append*.html", "*/html/*intro.html"), pages("anarchism"),
           0, None, "GPL-2"),
    Source("foldoc", "english", ("dict-foldoc",), ("*/foldoc.dict.dz",),
           dictionary("foldoc", entries.foldoc), 0, None, "GFDL-1.1+"),
    Source("jargon-file", "english", ("jargon-text",), ("*/jargon.txt.gz",),
           dictionary("jargon", entries.jargon), 0, None, "public domain"),
    Source("fortunes", "english", ("fortunes",), (_FORTUNES,), fortunes, 0, None, "mixed, see package"),
    Source("fortunes-min", "english", ("fortunes-min",), (_FORTUNES,), fortunes,
           0, None, "mixed, see package"),
    Source("postgresql", "english", tuple(f"postgresql-doc-{n}" for n in (15, 16, 14, 17, 13)),
           ("*/html/*.html",), pages("postgresql"), 0, 7 * MB, "PostgreSQL"),
    Source("gcide", "english", ("dict-gcide",), ("*/gcide.dict.dz",),
           dictionary("gcide", entries.gcide), 0, 10 * MB, "GPL-2+"),

    Source("fortunes-zh", "chinese", ("fortunes-zh",), (_FORTUNES,), fortunes_zh, None, None, "GPL-3+"),
    Source("debian-reference", "chinese", ("debian-reference-zh-cn",), ("*/*.zh-cn.html",),
           pages_zh("debian-reference"), None, None, "GPL-2+"),
    Source("debian-faq", "chinese", ("debian-faq-zh-cn",), ("*.zh-cn.html",), pages_zh("debian-faq"),
           None, None, "verbatim, with notice"),
    Source("maint-guide", "chinese", ("maint-guide-zh-cn",), ("*.zh-cn.html",), pages_zh("maint-guide"),
           None, None, "GPL-2+"),
    Source("libreoffice-help", "chinese", ("libreoffice-help-zh-cn",), ("*/zh-CN/text/*.html",),
           pages_zh("libreoffice", 0.4), 1250_000, None, "MPL-2.0, LGPL-3+"),
    Source("cataclysm", "chinese", ("cataclysm-dda-data",), ("*/zh_CN/LC_MESSAGES/*.mo",), cataclysm,
           0, None, "CC-BY-SA-3.0"),
    Source("manpages-zh", "chinese", ("manpages-zh",), ("*/man/zh_CN/man?/*.gz",), manpages_zh,
           0, None, "GFDL-1.2+, GPL-2+ and others"),
    Source("debian-handbook", "chinese", ("debian-handbook",), ("*/html/zh-CN/*.html",),
           pages_zh("debian-handbook"), 0, None, "GPL-2+ or CC-BY-SA-3.0"),

    Source("python-stdlib", "code", _PYTHONS, ("usr/lib/python3.*.py",), source_files("usr/lib/"),
           2 * MB, None, "PSF-2.0", verbatim=True),
    Source("go-stdlib", "code", _GOS, ("usr/share/go-*/src/*.go",), source_files("usr/share/"),
           0, 15 * MB, "BSD-3-Clause", verbatim=True),
)
