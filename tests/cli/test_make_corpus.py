#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of tools/make_corpus.py and scripts/compressors.sh on tiny inputs made here; no network.

Each extractor gets a hand-built file of its format, damaged ones too; the split is checked for what a
model's evaluation relies on; the programs for their messages and exit codes. One .deb is built with
dpkg-deb where that exists.
"""
import bz2
import gzip
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools"))

from corpus import apt, books, entries, rdata, roff, split, sword, web  # noqa: E402
from corpus.text import Doc, cjk_share, clean, drop_seen, drop_untranslated, pack, reflow  # noqa: E402


def charsxp(text, levels=8):
    data = text.encode("latin-1" if levels & 4 else "utf-8")
    return struct.pack(">Ii", levels << 12 | 9, len(data)) + data


def r_object(*strings, names=None):
    """A character vector in R's XDR serialisation, optionally with a names attribute."""
    flags = 16 | (0x200 if names else 0)
    body = struct.pack(">II", flags, len(strings)) + b"".join(strings)
    if names:
        body += struct.pack(">I", 2 | 0x400) + struct.pack(">I", 1) + charsxp("names")
        body += struct.pack(">II", 16, len(names)) + b"".join(map(charsxp, names))
        body += struct.pack(">I", 254)
    return b"X\n" + struct.pack(">IIII", 3, 0x40202, 0x30500, 5) + b"UTF-8" + body


def record(data):
    return struct.pack(">I", len(data)) + zlib.compress(data)


class RData(unittest.TestCase):
    def test_strings_with_attributes_na_and_latin1(self):
        missing = struct.pack(">Ii", 9, -1)
        data = r_object(charsxp("naïve"), missing, charsxp("Göde", 4), names=["a", "b", "c"])
        self.assertEqual(rdata.strings(rdata.unserialize(data)), ["naïve", "Göde"])

    def test_records_follow_each_other(self):
        database = record(b"one") + record(b"two" * 1000)
        self.assertEqual(list(rdata.records(database)), [b"one", b"two" * 1000])

    def test_damage_is_named(self):
        good = r_object(charsxp("text"))
        with self.assertRaisesRegex(rdata.RDataError, "object ends at byte"):
            rdata.unserialize(good[:-2])
        with self.assertRaisesRegex(rdata.RDataError, "does not start with 'X'"):
            rdata.unserialize(b"A\n" + good[2:])
        with self.assertRaisesRegex(rdata.RDataError, "4 bytes, expected 5"):
            list(rdata.records(struct.pack(">I", 5) + zlib.compress(b"four")))
        with self.assertRaisesRegex(rdata.RDataError, "record at byte 0"):
            list(rdata.records(struct.pack(">I", 5) + bz2.compress(b"four!")))


class Text(unittest.TestCase):
    def test_clean(self):
        self.assertEqual(clean("\ufeffa\u00a0b \r\n\r\n\n\nc\u200b\t\n\n"), "a b\n\nc\n")
        self.assertEqual(clean(" \n\t\n"), "")

    def test_reflow_joins_wrapped_prose_only(self):
        wrapped = ("It is a truth universally acknowledged, that a single man in\n"
                   "possession of a fortune.\n\nSo.")
        self.assertEqual(reflow(wrapped, 66), wrapped.replace("in\n", "in "))
        verse = "Tyger Tyger, burning bright,\nIn the forests of the night;"
        self.assertEqual(reflow(verse, 66), verse)
        table = "A line that is as long as the text is wide, nearly so, yes\n    | indented |\nnext"
        self.assertEqual(reflow(table, 66), table)

    def test_reflow_joins_chinese_without_blanks(self):
        self.assertEqual(reflow("这是一行很长很长很长很长的中文\n文字。", 30), "这是一行很长很长很长很长的中文文字。")

    def test_untranslated_prose_goes(self):
        english = "This whole sentence was never translated, so that it has no place in a Chinese text."
        self.assertEqual(drop_untranslated(f"中文。\n\n{english}\n\n$ ls -l\n"), "中文。\n\n$ ls -l\n")

    def test_repeated_paragraphs_go(self):
        seen, paragraph = set(), "A paragraph that every page of the manual repeats."
        self.assertEqual(drop_seen(f"One\n\n{paragraph}", seen), f"One\n\n{paragraph}")
        self.assertEqual(drop_seen(f"One\n\n{paragraph}", seen), "One\n")

    def test_pack_groups_to_size(self):
        docs = list(pack("p", ["aaaa", "", "bbbb", "cc"], 6))
        self.assertEqual(docs, [Doc("p#1", "aaaa\n\nbbbb"), Doc("p#2", "cc")])

    def test_cjk_share(self):
        self.assertEqual(cjk_share("中文 ab"), 0.5)
        self.assertEqual(cjk_share(" \n"), 0.0)


class Formats(unittest.TestCase):
    def test_html(self):
        page = ("<html><head><title>no</title></head><body>"
                "<div class='navheader'><div>no</div>no</div>"
                "<h1><a id='x'/>题目</h1><p>中文\n断行 and\n<code>code</code>。</p>"
                "<ul><li><p>一</p></li><li>二</li></ul><script>no()</script>"
                "<h2>Next</h2><pre>a\n  b</pre><table><tr><td>1</td><td>2</td></tr></table></body></html>")
        self.assertEqual(web.sections(page), ["题目\n\n中文断行 and code。\n\n- 一\n- 二",
                                              "Next\n\na\n  b\n\n1 | 2"])

    def test_html_survives_what_is_not_closed(self):
        self.assertEqual(web.sections("<p>a<p>b<ul><li>c"), ["a\n\nb\n\n- c"])
        self.assertEqual(web.sections("<nav>never closed <p>text"), [])

    def test_man_page(self):
        page = (".\\\" comment\n.TH CAT 1\n.SH 名称\ncat \\- 连接\n"
                ".SH 选项\n.TP\n\\fB\\-A\\fP, \\fB\\-\\-all\\fR\n"
                "见 \\(lq所有\\(rq\n.BR cat (1)\n.nf\n  x  y\n.fi\n.TS\nskipped\n.TE\nend")
        self.assertEqual(roff.page_text(page),
                         "名称\ncat - 连接\n\n选项\n\n-A, --all\n见 “所有” cat(1)\n  x  y\nend")
        self.assertIsNone(roff.page_text(".Dd today\n.Sh NAME\n"))
        self.assertIsNone(roff.page_text(".so man1/other.1\n"))

    def test_sword(self):
        texts = ["<chapter sID='c'/>", "<title>Ps</title><div type='x-p'/><w lemma='1'>Sing</w> &amp; "
                 "<note>no</note>pray<l sID='1'/>line<l eID='1'/>"]
        index, data = b"", b""
        for text in texts:
            block = zlib.compress(text.encode())
            index += struct.pack("<III", len(data), len(block), len(text))
            data += block
        self.assertEqual(list(sword.blocks(index, data)), texts)
        self.assertEqual(sword.osis_text("".join(texts)).split("\f"), ["", "", "Ps\n\nSing & pray\nline"])
        with self.assertRaisesRegex(ValueError, "expected a multiple of 12"):
            list(sword.blocks(index[:-1], data))

    def test_fortunes(self):
        text = ("\x1b[32m《静夜思》\x1b[m\n床前明月光，\n疑是地上霜。\n\x1b[33m    --李白\x1b[m\n"
                "%\n│ box │\n%\nEnd\n")
        self.assertEqual(list(entries.fortunes(text, 78)),
                         ["《静夜思》\n床前明月光，\n疑是地上霜。\n-- 李白", "End"])

    def test_dictionaries(self):
        gcide = ("00-info\n\nCaf['e] \\Ca*f['e]\"\\, n.\n   1. A {coffee} house.\n      [1913 Webster]\n\n"
                 "Cat, n.\n   A cat.")
        self.assertEqual(list(entries.gcide(gcide)), ["Café, n.\n1. A coffee house.", "Cat, n.\nA cat."])
        foldoc = ("head\nFree On-line Dictionary of Computing\n\n   <d> {X}.\n\n"
                  "bit\n\n   <unit> (b) A {digit}.\n\n   (1995-02-07)\n")
        self.assertEqual([e.strip() for e in entries.foldoc(foldoc)][1], "bit\n\n(b) A digit.")

    def test_catalogue(self):
        strings = [b"one\0ones", "一".encode()]
        table = 28
        offsets = [table + 16, table + 16 + len(strings[0]) + 1]
        blob = struct.pack("<7I", 0x950412DE, 0, 2, 0, table, 0, 0)
        blob += b"".join(struct.pack("<II", len(s), o) for s, o in zip(strings, offsets))
        blob += b"\0".join(strings)
        self.assertEqual(list(entries.translations(blob)), ["one", "一"])
        with self.assertRaisesRegex(ValueError, "magic"):
            list(entries.translations(b"\0" * 28))

    def test_novel(self):
        text = ("The Project Gutenberg EBook\n\nCHAPTER I\n\nCall me _Ishmael_.\n\n  ***\n\n"
                "CHAPTER 2. Two\n\nEnd.\n\nFINIS\nlicence")
        docs = [Doc(name, clean(body)) for name, body in books.chapters("M", text)]
        self.assertEqual(docs, [Doc("M/001", "CHAPTER I\n\nCall me Ishmael.\n"),
                                Doc("M/002", "CHAPTER 2. Two\n\nEnd.\n")])


def rows_of(source, count, size=1000):
    return [split.Row(source, Doc(f"{source}/{i}", f"{source} {i} ".ljust(size, "x"))) for i in range(count)]


class Split(unittest.TestCase):
    def test_parts_are_a_partition_and_meet_the_fraction(self):
        rows = rows_of("a", 4000) + rows_of("b", 2000)
        parts = split.split(rows, 0.02)
        names = [row.doc.name for part in parts.values() for row in part]
        self.assertEqual(sorted(names), sorted(row.doc.name for row in rows))
        for part in ("valid", "test"):
            self.assertAlmostEqual(sum(r.size for r in parts[part]) / 6e6, 0.02, delta=0.002)
            self.assertEqual({r.source for r in parts[part]}, {"a", "b"})

    def test_small_domains_hold_out_enough(self):
        self.assertEqual(split.held_out_target(1_000_000, 0.01), split.LEAST_HELD_OUT)
        self.assertEqual(split.held_out_target(100_000, 0.01), 10_000)
        self.assertEqual(split.held_out_target(100_000_000, 0.01), 1_000_000)

    def test_membership_does_not_depend_on_order(self):
        rows = rows_of("a", 500)
        one, two = split.split(rows, 0.02), split.split(rows[::-1], 0.02)
        self.assertEqual({r.doc.name for r in one["valid"]}, {r.doc.name for r in two["valid"]})

    def test_duplicates_and_caps(self):
        rows = rows_of("a", 10)
        again = split.Row("b", Doc("b/0", rows[0].doc.text.replace(" ", "\n")))
        self.assertEqual(split.distinct(rows + [again]), rows)
        kept = split.capped(rows, 3500)
        self.assertEqual(len(kept), 3)
        self.assertEqual(split.capped(rows, None), rows)
        with self.assertRaisesRegex(ValueError, "name used twice"):
            split.distinct([rows[0], split.Row("a", Doc("a/0", "other"))])


@unittest.skipUnless(shutil.which("dpkg-deb"), "dpkg-deb is not here")
class Packages(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        tree = self.folder / "tree"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN" / "control").write_text(
            "Package: tiny\nVersion: 1\nArchitecture: all\n"
            "Maintainer: x <x@example.org>\nDescription: tiny\n")
        (tree / "usr").mkdir()
        (tree / "usr" / "b.txt").write_text("b")
        (tree / "usr" / "a.txt.gz").write_bytes(gzip.compress(b"a"))
        (tree / "usr" / "link.txt").symlink_to("b.txt")
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, self.folder / "tiny.deb"],
                       check=True, capture_output=True)
        self.package = apt.Package("tiny", "1", "tiny.deb", (self.folder / "tiny.deb").stat().st_size, "")

    def test_files_are_read_sorted_and_unpacked(self):
        files = apt.read_files(self.package, self.folder, ("usr/*.txt*",))
        self.assertEqual(files, {"usr/a.txt.gz": b"a", "usr/b.txt": b"b"})
        self.assertEqual(list(files), sorted(files))

    def test_a_truncated_package_is_named(self):
        deb = self.folder / "tiny.deb"
        deb.write_bytes(deb.read_bytes()[:-40])
        self.assertFalse(apt.cached(self.package, self.folder))
        with self.assertRaisesRegex(apt.AptError, "tiny.deb"):
            apt.read_files(self.package, self.folder, ("usr/*",))


class Programs(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def corpus(self, *args, **env):
        return subprocess.run([sys.executable, "-B", ROOT / "tools" / "make_corpus.py", *args], text=True,
                              capture_output=True, check=False, env={**os.environ, **env})

    def compressors(self, *args):
        return subprocess.run(["bash", ROOT / "scripts" / "compressors.sh", *args], text=True,
                              capture_output=True, check=False)

    def test_wrong_usage(self):
        self.assertEqual(self.corpus().returncode, 2)
        done = self.corpus("--out", str(self.folder / "c"), "--valid-fraction", "0.5")
        self.assertEqual(done.returncode, 2)
        self.assertIn("found 0.5, expected more than 0 and at most 0.1", done.stderr)

    def test_no_packages_on_this_system(self):
        done = self.corpus("--out", str(self.folder / "c"), PATH=str(self.folder))
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("apt-get: not found", done.stderr)

    @unittest.skipUnless(shutil.which("apt-get"), "apt-get is not here")
    def test_foreign_folders_are_left_alone(self):
        (self.folder / "mine.txt").write_text("precious")
        done = self.corpus("--out", str(self.folder))
        self.assertEqual(done.returncode, 1)
        self.assertIn("without manifest.json", done.stderr)
        self.assertEqual((self.folder / "mine.txt").read_text(), "precious")

    @unittest.skipUnless(shutil.which("xz") and shutil.which("zstd"), "xz or zstd is not here")
    def test_compressors(self):
        text = "the same again and again\n" * 400
        lines = [json.dumps({"text": text[:5000]}), json.dumps({"text": text[5000:], "name": "b"})]
        (self.folder / "one.jsonl").write_text("\n".join(lines) + "\n")
        (self.folder / "two.txt").write_text(text)
        done = self.compressors("--json", str(self.folder / "one.jsonl"), str(self.folder / "two.txt"))
        rows = json.loads(done.stdout)
        self.assertEqual([(r["text"], r["bytes"]) for r in rows],
                         [("one", 10000), ("two", 10000), ("all", 20000)])
        self.assertEqual(rows[0]["bits_per_byte"], rows[1]["bits_per_byte"])
        packed = subprocess.run(["xz", "-9e", "-c"], input=text.encode(), capture_output=True, check=True)
        self.assertAlmostEqual(rows[1]["bits_per_byte"]["xz -9e"], 8 * len(packed.stdout) / 10000, places=4)

    def test_compressors_refuse_bad_input(self):
        (self.folder / "bad.jsonl").write_text('{"text": "a"}\n{"no": 1}\n')
        done = self.compressors(str(self.folder / "bad.jsonl"))
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("bad.jsonl:2: expected", done.stderr)
        self.assertEqual(self.compressors().returncode, 2)
        self.assertEqual(self.compressors(str(self.folder / "none")).returncode, 1)


if __name__ == "__main__":
    unittest.main()
