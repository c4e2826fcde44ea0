#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make a text corpus (English, Chinese, code) out of distribution packages.

    tools/make_corpus.py --out data/text [--size small|medium] [--valid-fraction F]

Writes OUT/{train,valid,test}/{english,chinese,code}.jsonl, one document a line with the keys text,
source and name, and OUT/manifest.json. Packages are read, not installed; no root is needed. The same
package versions give the same bytes. docs/corpus.md lists sources and licences.

Only the Python standard library is used: this is a set-up tool, run before anything is built.
"""
import argparse
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from corpus import apt, split
from corpus.sources import SOURCES, Source
from corpus.text import Doc, clean, digest

DOMAINS = tuple(dict.fromkeys(source.domain for source in SOURCES))
DEFAULT_FRACTION = {"small": 0.02, "medium": 0.01}
LEAST_DOCUMENT = 200                         # bytes: what is shorter is a title without a text
TOOLS = Path(__file__).resolve().parent
SETUP = TOOLS.parent / "scripts" / "setup.sh"


class CorpusError(RuntimeError):
    """The corpus cannot be made; the message is for the user."""


def say(message: str) -> None:
    if not say.quiet:
        print(message, file=sys.stderr, flush=True)


say.quiet = False


def cap(source: Source, size: str) -> "int | None":
    return getattr(source, size)


def refresh_lists() -> bool:
    """Ask setup.sh, which knows about root, for fresh package lists."""
    return subprocess.run(["bash", str(SETUP), "lists"], check=False).returncode == 0


def choose_packages(sources: "list[Source]") -> "dict[str, apt.Package]":
    """The package of each source that the distribution has, by source name."""
    names = sorted({name for source in sources for name in source.packages})
    known = apt.locate(names)
    if not known:
        say("corpus: no package lists on this machine, fetching them")
        if not refresh_lists():
            raise CorpusError("no package lists: 'scripts/setup.sh lists' fetches them (as root)")
        known = apt.locate(names)
    if not known:
        raise CorpusError("the package lists know none of the sources; does the archive's 'main' "
                          "(Ubuntu: 'universe') component stand in the apt sources?")
    chosen = {}
    for source in sources:
        package = next((known[name] for name in source.packages if name in known), None)
        if package:
            chosen[source.name] = package
        else:
            say(f"corpus: no package {' or '.join(source.packages)} here; going on without {source.name}")
    for domain in DOMAINS:
        if not any(source.name in chosen for source in sources if source.domain == domain):
            wanted = ", ".join(source.packages[0] for source in sources if source.domain == domain)
            raise CorpusError(f"{domain}: none of its packages is available, expected one of {wanted}")
    return chosen


def download(chosen: "dict[str, apt.Package]", cache: Path) -> None:
    missing = [p for p in chosen.values() if not apt.cached(p, cache)]
    if missing:
        say(f"corpus: downloading {len(missing)} packages, {sum(p.size for p in missing) / 1e6:.1f} MB")
        apt.download(missing, cache)


def fetch(sources: "list[Source]", chosen: "dict[str, apt.Package]",
          cache: Path) -> "dict[str, apt.Package]":
    """Download what is missing. Where the archive has moved on, renew the lists and choose again."""
    try:
        download(chosen, cache)
        return chosen
    except apt.AptError as error:
        say(f"corpus: {error}")
        if not refresh_lists():
            raise CorpusError(f"{error}; is there a network?") from None
    chosen = choose_packages(sources)
    download(chosen, cache)
    return chosen


def documents(source: Source, package: apt.Package, cache: Path) -> "list[split.Row]":
    """All documents of a source, cleaned."""
    files = apt.read_files(package, cache, source.patterns)
    if not files:
        raise CorpusError(f"{package.file}: no file like {' or '.join(source.patterns)}")
    rows = []
    for doc in source.extract(files):
        text = doc.text if source.verbatim else clean(doc.text)
        if len(text.encode()) >= LEAST_DOCUMENT and "\ufffd" not in text:
            rows.append(split.Row(source.name, Doc(doc.name, text)))
    return rows


def collect(sources: "list[Source]", chosen: "dict[str, apt.Package]", cache: Path,
            size: str) -> "dict[str, list[split.Row]]":
    """Documents per domain, capped and distinct."""
    found: "dict[str, list[split.Row]]" = {domain: [] for domain in DOMAINS}
    present = [source for source in sources if source.name in chosen]
    for number, source in enumerate(present, 1):
        package = chosen[source.name]
        rows = split.capped(split.distinct(documents(source, package, cache)), cap(source, size))
        found[source.domain] += rows
        say(f"corpus: [{number}/{len(present)}] {package.name} {package.version}: {len(rows)} documents, "
            f"{sum(row.size for row in rows) / 1e6:.2f} MB")
    return {domain: split.distinct(rows) for domain, rows in found.items()}


def recipe_of(size: str, fraction: float, sources: "list[Source]",
              chosen: "dict[str, apt.Package]") -> "dict[str, object]":
    """Everything that determines the corpus: our own source, the options, the packages."""
    code = [Path(__file__), *sorted(TOOLS.glob("corpus/*.py"))]
    maker = digest("".join(path.read_text(encoding="utf-8") for path in code))
    return {"maker": maker[:16], "size": size, "valid_fraction": fraction,
            "packages": [{"source": s.name, "domain": s.domain, "package": chosen[s.name].name,
                          "version": chosen[s.name].version, "licence": s.licence}
                         for s in sources if s.name in chosen]}


def up_to_date(out: Path, recipe: "dict[str, object]") -> bool:
    """Whether OUT already is this corpus, undamaged."""
    try:
        manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        files = manifest.pop("files")
        return manifest == recipe and all(split.file_sha256(out / name) == entry["sha256"]
                                          for name, entry in files.items())
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def write(out: Path, recipe: "dict[str, object]", found: "dict[str, list[split.Row]]",
          fraction: float) -> "dict[str, dict[str, object]]":
    """Write the corpus beside OUT, then put it in place with renames."""
    partial, old = out.with_name(f".{out.name}.partial"), out.with_name(f".{out.name}.old")
    for folder in (partial, old):
        shutil.rmtree(folder, ignore_errors=True)
    files = {}
    try:
        for domain, rows in found.items():
            for part, chosen in split.split(rows, fraction).items():
                files[f"{part}/{domain}.jsonl"] = split.write_jsonl(
                    partial / part / f"{domain}.jsonl", chosen)
        (partial / "manifest.json").write_text(
            json.dumps({**recipe, "files": files}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if out.exists():
            out.rename(old)
        partial.rename(out)
    finally:
        for folder in (partial, old):
            shutil.rmtree(folder, ignore_errors=True)
    return files


def check_target(out: Path) -> None:
    """Never replace a folder that is not a corpus of ours."""
    if out.exists() and not out.is_dir():
        raise CorpusError(f"{out}: found a file, expected a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / "manifest.json").is_file():
        raise CorpusError(f"{out}: found a folder without manifest.json, expected a corpus or nothing")


def summarise(files: "dict[str, dict[str, object]]") -> None:
    for domain in DOMAINS:
        parts = " ".join(f"{part} {files[f'{part}/{domain}.jsonl']['text_bytes'] / 1e6:.2f} MB"
                         f" ({files[f'{part}/{domain}.jsonl']['documents']})" for part in split.PARTS)
        say(f"corpus: {domain}: {parts}")


def make(args: argparse.Namespace) -> None:
    start = time.monotonic()
    apt.check_tools()
    check_target(args.out)
    fraction = args.valid_fraction or DEFAULT_FRACTION[args.size]
    sources = [source for source in SOURCES if cap(source, args.size) != 0]
    chosen = choose_packages(sources)
    if up_to_date(args.out, recipe_of(args.size, fraction, sources, chosen)):
        say(f"corpus: {args.out} is up to date")
        return
    chosen = fetch(sources, chosen, args.cache)
    recipe = recipe_of(args.size, fraction, sources, chosen)
    files = write(args.out, recipe, collect(sources, chosen, args.cache, args.size), fraction)
    summarise(files)
    say(f"corpus: {args.out} made in {time.monotonic() - start:.1f} s")


def fraction_argument(text: str) -> float:
    value = float(text)
    if not 0 < value <= split.MOST_HELD_OUT:
        raise argparse.ArgumentTypeError(
            f"found {text}, expected more than 0 and at most {split.MOST_HELD_OUT}")
    return value


def arguments() -> argparse.Namespace:
    home_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=lambda path: Path(path).absolute(), required=True,
                        help="folder to write")
    parser.add_argument("--size", choices=sorted(DEFAULT_FRACTION, reverse=True), default="small",
                        help="small: about 10 MB; medium: about 100 MB")
    parser.add_argument("--valid-fraction", type=fraction_argument, default=None,
                        help="share of each domain in valid, and in test (small 0.02, medium 0.01)")
    parser.add_argument("--cache", type=Path, default=Path(home_cache) / "dsmoe" / "packages",
                        help="where downloaded packages are kept")
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    say.quiet = args.quiet
    try:
        make(args)
    except (CorpusError, apt.AptError) as error:
        print(f"corpus: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        full = " (the disk is full)" if error.errno == errno.ENOSPC else ""
        print(f"corpus: {error.filename or args.out}: {error.strerror}{full}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
