#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Inference speed of dsmoe beside llama.cpp's, interleaved on one machine, on the same GGUF file.

    python bench/compare_inference.py MODEL.gguf --dsmoe build/release/dsmoe    # pip install llama-cpp-python

Method: every contestant is a process of its own that times prompts of --prompt random tokens and
then --gen tokens one by one (`dsmoe bench infer`, bench/peers/llama_infer.py). A round runs each
once, the order turns by one each round. llama.cpp runs with its repacked copies of weights (AMX) and without, each with and
without flash attention; the best of its settings counts, and one that crashes is left out, and said. Decoding is measured twice: after the prompt, and from an (almost) empty cache. The table
shows the best of all rounds, for other programs only ever take time away, and the median. With
--threads 1 both count processor time: the way to compare on a machine that others use. Writes a
section of Markdown to stdout.
"""
import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEER = ROOT / "bench" / "peers" / "llama_infer.py"
FIGURES = [("prefill", "best_prefill_tokens_per_s"), ("decode", "best_decode_tokens_per_s")]


def contestants(args):
    own = [args.dsmoe, "bench", "infer", args.model, "--json", "--quiet", "--threads",
           str(args.threads)]
    peer = [sys.executable, str(PEER), args.model, "--threads", str(args.threads)]
    plain, flash = ["--no-repack"], ["--flash-attention"]
    return {"dsmoe": own, "llama.cpp": peer + plain, "llama.cpp, flash": peer + plain + flash,
            "llama.cpp, repacked": peer, "llama.cpp, repacked, flash": peer + flash}


def run(command, prompt, gen, runs):
    flags = ["--prompt", str(prompt), "--gen", str(gen), "--runs", str(runs)]
    done = subprocess.run(command + flags, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{' '.join(command)}: exit {done.returncode} {done.stderr.strip()[-200:]}",
              file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def race(args):
    """{name: {(what, figure): [values]}}, and what dsmoe measured of the machine."""
    names = list(contestants(args).items())
    results = {name: {} for name, _ in names}
    machine = []
    for turn in range(args.rounds):
        for name, command in names[turn % len(names):] + names[:turn % len(names)]:
            for what, prompt in [("after the prompt", args.prompt), ("from an empty cache", 16)]:
                got = run(command, prompt, args.gen, args.runs)
                if got is None:
                    continue
                for _, key in FIGURES:
                    results[name].setdefault((what, key), []).append(got[key])
                results[name].setdefault((what, "first_token_s"), []).append(got["first_token_s"])
                if name == "dsmoe":
                    machine.append(got)
                print(f"{name}, {what}: prefill {got[FIGURES[0][1]]:.1f}, "
                      f"decode {got[FIGURES[1][1]]:.2f} tokens/s", file=sys.stderr)
    return results, machine


def print_table(args, results, machine):
    columns = [("prefill", ("after the prompt", FIGURES[0][1])),
               ("decode", ("from an empty cache", FIGURES[1][1])),
               ("decode after the prompt", ("after the prompt", FIGURES[1][1]))]
    bandwidth = max(m["bandwidth_gb_per_s"] for m in machine)
    int8 = max(m["int8_gops"] or 0 for m in machine)
    active = machine[0]["active_weight_bytes"]
    print(f"## {Path(args.model).name}: prompt {args.prompt}, {args.gen} tokens one by one, "
          f"{args.threads} threads\n")
    print(f"{platform.processor() or platform.machine()}; {args.rounds} rounds of {args.runs} runs. "
          f"Best (median) tokens per second. Reading memory {bandwidth:.1f} GB/s, int8 dots "
          f"{int8:.0f} Gop/s, weights per token {active / 1e9:.2f} GB.\n")
    print("| | " + " | ".join(name for name, _ in columns) + " | decode, share of bandwidth | "
          "first token, s |")
    print("|---" * (len(columns) + 3) + "|")
    for name, values in results.items():
        if not values:
            print(f"| {name} | crashes here | | | | |")
            continue
        cells = [f"{max(values[key]):.2f} ({statistics.median(values[key]):.2f})"
                 for _, key in columns]
        share = max(values[columns[1][1]]) * active / bandwidth / 1e9
        first = min(values[("from an empty cache", "first_token_s")])
        print(f"| {name} | " + " | ".join(cells) + f" | {100 * share:.0f} % | {first:.2f} |")
    peers = [v for n, v in results.items() if n != "dsmoe" and v]
    ratios = [max(results["dsmoe"][key]) / max(max(v[key]) for v in peers) for _, key in columns]
    print("| dsmoe / best peer | " + " | ".join(f"{r:.2f}" for r in ratios) + " | | |\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--dsmoe", default=str(ROOT / "build" / "release" / "dsmoe"))
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--gen", type=int, default=32)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    print_table(args, *race(args))


if __name__ == "__main__":
    main()
