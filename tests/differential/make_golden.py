#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write tests/golden/tokenizer/: what PyPI `tokenizers` learns from a small text and encodes with it.

    corpus.txt           training text, one document
    PRESET.json          the tokenizer.json that the reference learnt from it and wrote
    ids.jsonl            {"text": …, "PRESET": [ids], …} a line

Run in an environment with the reference (compare_tokenizer.py makes one); needs the built program for
the presets' chains.
"""
import argparse
import json
import pathlib
import tempfile

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import strings
from compare_tokenizer import PRESETS, SPECIALS, Program

OUT = pathlib.Path(__file__).resolve().parents[1] / "golden/tokenizer"
VOCAB_SIZE = 520


def learn(pre_tokenizer, text):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizer
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator([text], trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE, special_tokens=SPECIALS, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return t


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    program = Program(parser.parse_args().program)
    OUT.mkdir(exist_ok=True)
    text = "\n".join(strings.CODE) + "".join(strings.mixtures(240, seed=21))
    (OUT / "corpus.txt").write_text(text, encoding="utf-8", newline="")
    learnt = {}
    with tempfile.TemporaryDirectory() as folder:
        for preset in PRESETS:
            program.train(folder, OUT / "corpus.txt", 300, preset, 0, 1)
            chain = Tokenizer.from_file(folder + "/tokenizer.json").pre_tokenizer
            learnt[preset] = learn(chain, text)
            learnt[preset].save(str(OUT / (preset + ".json")), pretty=False)
    texts = [t for t in strings.EMOJI + strings.CODE + strings.WORDS[::7] if t]
    texts += list(strings.mixtures(90, seed=22)) + list(strings.with_specials(SPECIALS[:2], 20, seed=23))
    with open(OUT / "ids.jsonl", "w", encoding="utf-8") as out:
        for t in texts:
            ids = {p: learnt[p].encode(t, add_special_tokens=False).ids for p in PRESETS}
            out.write(json.dumps({"text": t, **ids}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
