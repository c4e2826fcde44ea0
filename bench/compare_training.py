#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Training speed of dsmoe beside PyTorch's, interleaved on one machine.

    tools/python.sh bench/compare_training.py --dsmoe build/release/dsmoe
    tools/python.sh bench/compare_training.py --dsmoe build/release/dsmoe --config tiny --rounds 5
    tools/python.sh bench/compare_training.py --dsmoe build/release/dsmoe --peers --sweeps

Method: every contestant is a process of its own and times whole optimiser steps after a warm-up
(the median of its steps counts). A round runs each contestant once, the order turns by one each
round, and a ratio compares two runs of the same round; the table shows the median ratio, its range,
and the ratio of the two best runs, which is the one to quote where runs were disturbed. A run
waits for other programs to leave the processors idle, and is repeated if they took more than
--disturbance of them meanwhile: a program that waits at barriers and loses a core for a moment
loses far more than that moment. Peers get tcmalloc (libtcmalloc-minimal4) if installed. Peers in
f32 are compared with dsmoe, those in reduced precision with dsmoe bf16. After the rounds the best
PyTorch peer of each precision runs once more with its profile on, for its seconds by part beside
ours. `--sweeps` adds dsmoe against itself, in the first precision of --compute: its dense twin, the
number of experts, skewed routing. A contestant that fails (a flag its program does not know, say)
leaves the race and is reported with what it said.
Writes bench/results/training-DATE.md and .csv.
"""
import argparse
import csv
import datetime
import glob
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SHAPES = {"tiny": (256, 16), "small": (512, 8)}                  # seq, batch: 4096 tokens a step
MOE, HF = "torch_moe.py", "hf_deepseek_v2.py"
PEERS = {                                                        # name -> script, arguments
    "torch grouped, compiled": [MOE, "--impl", "grouped", "--compile"],
    "torch sorted, compiled": [MOE, "--impl", "sorted", "--compile"],
    "torch sorted": [MOE, "--impl", "sorted"],
    "torch index lists": [MOE, "--impl", "index"],
    "torch masks (released code)": [MOE, "--impl", "mask"],
    "transformers DeepSeek-V2, compiled": [HF, "--compile"],
    "torch dense twin, compiled": [MOE, "--impl", "dense", "--compile"],
    "torch grouped, compiled, bf16": [MOE, "--impl", "grouped", "--compile", "--dtype", "bf16"],
    "torch sorted, compiled, bf16": [MOE, "--impl", "sorted", "--compile", "--dtype", "bf16"],
    "torch grouped, compiled, medium": [MOE, "--impl", "grouped", "--compile",
                                        "--matmul-precision", "medium"],
    "transformers DeepSeek-V2, compiled, bf16": [HF, "--compile", "--dtype", "bf16"],
}
OURS = {"dsmoe": [], "dsmoe bf16": ["--compute", "bf16"]}        # name -> flags of bench train
COMPUTE = {"f32": "dsmoe", "bf16": "dsmoe bf16"}
PARTS = {                                                        # torch_moe.py's -> dsmoe's
    "routed experts": ["experts"],
    "attention core": ["attention"],
    "projections + norms": ["project", "norm"],
    "shared expert": ["shared"],
    "dense layer": ["dense"],
    "router": ["router"],
    "dispatch + combine": ["dispatch"],
    "LM head + loss": ["head"],
    "clip + AdamW": ["clear", "clip", "optimizer"],
}
COLUMNS = ["config", "round", "name", "tokens_per_s", "step_s", "gflops", "peak_gflops",
           "peak_rss_bytes", "others_cpu_share"]


class Failed(Exception):
    """A contestant's program gave up; the message is what it said last."""


def first_line(command):
    try:
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return out.splitlines()[0] if out else ""
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def cpu_name():
    fields = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return (f"{fields.get('model name', platform.machine())}, family {fields.get('cpu family')}, "
            f"model {fields.get('model')}, {os.cpu_count()} processors")


def build_facts(binary):
    """Compiler and build type out of the CMake cache beside the binary."""
    for folder in Path(binary).resolve().parents:
        cache = folder / "CMakeCache.txt"
        if cache.exists():
            pairs = dict(line.split("=", 1) for line in cache.read_text().splitlines()
                         if "=" in line and not line.startswith(("#", "//")))
            compiler = pairs.get("CMAKE_C_COMPILER:FILEPATH") or pairs.get(
                "CMAKE_C_COMPILER:STRING", "cc")
            kind = pairs.get("CMAKE_BUILD_TYPE:STRING") or pairs.get(
                "CMAKE_BUILD_TYPE:UNINITIALIZED", "")
            return f"{first_line([compiler, '--version'])}, {kind or 'no build type'}"
    return first_line(["cc", "--version"])


def commit():
    base = first_line(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"])
    dirty = first_line(["git", "-C", str(ROOT), "status", "--porcelain", "-uno"])
    return base + ("-dirty" if dirty else "")


def processor_seconds():
    """(all, at work) so far, summed over processors, from the kernel's own counters."""
    ticks = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    unit = os.sysconf("SC_CLK_TCK")
    return sum(ticks[:8]) / unit, (sum(ticks[:8]) - ticks[3] - ticks[4]) / unit


def wait_for_quiet(patience):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        total, work = processor_seconds()
        time.sleep(1)
        total2, work2 = processor_seconds()
        if work2 - work < 0.1 * (total2 - total):
            return


def run_alone(command, env):
    """Run to the end; its output, and the share of the processors that others used meanwhile."""
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    total, work = processor_seconds()
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    total2, work2 = processor_seconds()
    own2 = resource.getrusage(resource.RUSAGE_CHILDREN)
    mine = own2.ru_utime + own2.ru_stime - own.ru_utime - own.ru_stime
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise Failed(f"exit {done.returncode}: {said[-1]}")
    return done.stdout, max(0.0, work2 - work - mine) / max(1e-9, total2 - total)


def peer_environment(threads):
    env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    tcmalloc = glob.glob("/usr/lib/*/libtcmalloc_minimal.so.4")
    if tcmalloc:
        env["LD_PRELOAD"] = tcmalloc[0]
    return env


def config_path(config):
    return ROOT / "configs" / "bench" / f"{config}.json"


def shape_flags(config, args):
    seq, batch = SHAPES[config]
    return ["--seq", str(seq), "--batch", str(batch), "--steps", str(args.steps),
            "--threads", str(args.threads)]


def our_command(path, config, flags, args):
    return ([args.dsmoe, "bench", "train", str(path), *shape_flags(config, args), *flags, "--json"],
            os.environ)


def peer_command(name, config, args):
    script, *flags = PEERS[name]
    return ([sys.executable, str(ROOT / "bench" / "peers" / script), str(config_path(config)),
             *shape_flags(config, args), *flags], peer_environment(args.threads))


def run_once(command, env, args):
    """The least disturbed of up to --tries runs: its last line of JSON, and the disturbance."""
    best = None
    for _ in range(args.tries):
        wait_for_quiet(args.patience)
        out, others = run_alone(command, env)
        if best is None or others < best[1]:
            best = json.loads(out.strip().splitlines()[-1]), others
        if others <= args.disturbance:
            break
    return best


def step_seconds(result):
    """Of the median step; dsmoe reports its parts with it."""
    return result["step_s"]["total"] if isinstance(result["step_s"], dict) else result["step_s"]


def row_of(config, r, name, result, others):
    return {"config": config, "round": r, "name": name,
            "tokens_per_s": round(result["tokens_per_s"], 1), "step_s": step_seconds(result),
            "gflops": round(result["gflops"], 1),
            "peak_gflops": round(result.get("peak_gflops") or 0, 1),
            "peak_rss_bytes": int(result["peak_rss_bytes"]),
            "others_cpu_share": round(others, 3), "result": result}


def run_rounds(config, contestants, args):
    """One row per run of {name: (command, env)}, and {name: what it said} of those that failed."""
    rows, failed = [], {}
    for r in range(args.rounds):
        names = [name for name in contestants if name not in failed]
        turn = r % max(1, len(names))
        for name in names[turn:] + names[:turn]:
            try:
                result, others = run_once(*contestants[name], args)
            except Failed as error:
                failed[name] = str(error)
                print(f"{config} round {r}  {name}: {error}", file=sys.stderr, flush=True)
                continue
            rows.append(row_of(config, r, name, result, others))
            print(f"{config} round {r}  {name:40s} {result['tokens_per_s']:8.0f} tok/s"
                  f"   others used {others:.0%}", file=sys.stderr, flush=True)
    return rows, failed


# --- tables ---------------------------------------------------------------------------------------


def reduced(name):
    return name not in OURS and ("bf16" in PEERS[name] or "medium" in PEERS[name])


def base_of(name):
    return COMPUTE["bf16" if reduced(name) else "f32"]


def per_round(rows, name, base, value):
    """value of `base` over that of `name`, for each round that has both."""
    at = {(x["round"], x["name"]): value(x) for x in rows}
    return [at[r, base] / at[r, name] for r in sorted({x["round"] for x in rows})
            if (r, base) in at and (r, name) in at]


def spread(ratios):
    return f"{statistics.median(ratios):.2f}× ({min(ratios):.2f} to {max(ratios):.2f})"


def ratio_cells(rows, name):
    """Median ratio with its range, and best over best."""
    base = base_of(name)
    ratios = per_round(rows, name, base, lambda x: x["tokens_per_s"])
    if name in OURS or not ratios:
        return "–", "–"
    best = {n: max(x["tokens_per_s"] for x in rows if x["name"] == n) for n in (base, name)}
    return spread(ratios), f"{best[base] / best[name]:.2f}×"


def speed_row(rows, name, peak, args):
    runs = [x for x in rows if x["name"] == name]
    speed = [x["tokens_per_s"] for x in runs]
    gflops = statistics.median(x["gflops"] for x in runs)
    return [name, f"{statistics.median(speed):.0f}", f"{max(speed):.0f}", f"{gflops:.0f}",
            f"{gflops / peak:.0%}" if peak else "–",
            f"{max(x['peak_rss_bytes'] for x in runs) / 2**30:.2f} GiB", *ratio_cells(rows, name),
            f"{sum(x['others_cpu_share'] > args.disturbance for x in runs)} of {len(runs)}"]


def markdown(head, body):
    lines = [head, ["---"] * len(head), *body]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def not_measured(failed):
    return "".join(f"\nNot measured: {name} ({said})\n" for name, said in failed.items())


def speed_table(rows, args):
    peak = max((x["peak_gflops"] for x in rows), default=0)
    names = sorted({x["name"] for x in rows}, key=[*OURS, *PEERS].index)
    text = markdown(["", "tokens/s median", "best", "GFLOP/s", "share of FP32 FMA peak", "peak RSS",
                     "dsmoe is", "by best", "disturbed runs"],
                    [speed_row(rows, name, peak, args) for name in names])
    gain = per_round(rows, "dsmoe", "dsmoe bf16", lambda x: x["tokens_per_s"])
    return text + (f"\ndsmoe bf16 is {spread(gain)} dsmoe.\n" if gain else "")


def startup(rows):
    """How long dsmoe took from its start to its first step."""
    runs = [x["result"] for x in rows if x["name"] in OURS]
    seconds = [x["startup_s"] for x in runs if "startup_s" in x]
    if seconds:
        return f"\nStartup of dsmoe to its first step: {statistics.median(seconds):.2f} s.\n"
    return "\nStartup to the first step: not reported by this program.\n" if runs else ""


# --- a step by part -------------------------------------------------------------------------------


def our_parts(result):
    """dsmoe's seconds under the names of torch_moe.py; a part without one there is other."""
    left = {name: s for name, s in result["step_s"].items() if name != "total"}
    parts = {part: sum(left.pop(name, 0.0) for name in names) for part, names in PARTS.items()}
    return {**parts, "other": sum(left.values())}


def best_peer(rows, base):
    """The fastest form of torch_moe.py that races against `base`; the twin is a bound, no peer."""
    speed = {}
    for x in rows:
        name = x["name"]
        if name in PEERS and PEERS[name][0] == MOE and "dense" not in PEERS[name] \
                and base_of(name) == base:
            speed.setdefault(name, []).append(x["tokens_per_s"])
    return max(speed, key=lambda name: statistics.median(speed[name]), default=None)


def split_table(config, rows, args):
    """Seconds of a step by part: the fastest run of dsmoe, and the best peer's profile."""
    columns = {}
    for base in OURS:
        runs = [x for x in rows if x["name"] == base]
        if runs:
            columns[base] = our_parts(max(runs, key=lambda x: x["tokens_per_s"])["result"])
        peer = best_peer(rows, base)
        if peer:
            command, env = peer_command(peer, config, args)
            columns[peer] = run_once([*command, "--profile"], env, args)[0]["parts"]
    if not columns:
        return ""
    body = [[part, *(f"{c.get(part, 0.0):.3f}" for c in columns.values())]
            for part in [*PARTS, "other"]]
    body.append(["step", *(f"{sum(c.values()):.3f}" for c in columns.values())])
    return "\nSeconds of a step by part:\n\n" + markdown(["", *columns], body)


def compare(config, args):
    """Rows and text of all contestants on one config."""
    contestants = {}
    if args.dsmoe:
        contestants = {name: our_command(config_path(config), config, OURS[name], args)
                       for name in (COMPUTE[c] for c in args.compute)}
    contestants.update({name: peer_command(name, config, args) for name in args.peers})
    rows, failed = run_rounds(config, contestants, args)
    text = speed_table(rows, args) + startup(rows) + split_table(config, rows, args)
    return rows, f"## {config}\n\n" + text + not_measured(failed)


# --- sweeps: dsmoe against itself -----------------------------------------------------------------


def forward_backward(row):
    """Seconds of the median step without its share of clip and optimiser."""
    parts = our_parts(row["result"])
    return row["step_s"] * (1 - parts["clip + AdamW"] / sum(parts.values()))


SECONDS = {"forward + backward": forward_backward, "step": lambda row: row["step_s"]}


class Sweep(NamedTuple):
    """Variants {name: (config, flags)} at the shape of a config; the first is what others meet."""
    title: str
    note: str
    shape: str
    what: str                                                    # of SECONDS
    variants: dict


def sweeps(args):
    for config in args.config:
        c = json.loads(config_path(config).read_text())
        width = c["n_shared_experts"] + c["num_experts_per_tok"]
        twin = {**c, "n_routed_experts": 0, "num_experts_per_tok": 0, "n_shared_experts": width}
        yield Sweep(f"{config}: dense twin",
                    "The twin is as wide as the activated experts: its relative time is the share "
                    "of its tokens/s that MoE reaches.", config, "forward + backward",
                    {"MoE": (c, []), "dense twin": (twin, [])})
        load = c["n_routed_experts"] / c["num_experts_per_tok"]
        yield Sweep(f"{config}: skewed routing",
                    f"Every token picks the first expert: it gets {load:.1f} times the mean.",
                    config, "step", {"uniform": (c, []), "skewed": (c, ["--skew"])})
    c = {**json.loads(config_path("small").read_text()), "num_hidden_layers": 3}
    yield Sweep("small, 3 layers: number of experts",
                "Activated experts are equal; only the router's rows grow.", "small",
                "forward + backward", {f"{n} experts": ({**c, "n_routed_experts": n}, [])
                                       for n in (64, 128, 256, 512)})


def run_sweep(sweep, folder, args):
    """Rows and text of one sweep; its configs are written to `folder`."""
    contestants = {}
    for i, (name, (c, flags)) in enumerate(sweep.variants.items()):
        path = folder / f"{i}.json"
        path.write_text(json.dumps(c))
        flags = OURS[COMPUTE[args.compute[0]]] + flags
        contestants[name] = our_command(path, sweep.shape, flags, args)
    rows, failed = run_rounds(sweep.title, contestants, args)
    (first, *_), seconds, body = contestants, SECONDS[sweep.what], []
    for name in contestants:
        runs = [seconds(x) for x in rows if x["name"] == name]
        relative = per_round(rows, first, name, seconds)
        if runs:
            body.append([name, f"{statistics.median(runs):.3f}",
                         spread(relative) if relative else "–"])
    text = markdown(["", f"{sweep.what}, s", f"relative to {first}"], body)
    return rows, f"### {sweep.title}\n\n{sweep.note}\n\n" + text + not_measured(failed)


def run_sweeps(args):
    rows, texts = [], [f"## Sweeps: dsmoe against itself, compute {args.compute[0]}\n"]
    with tempfile.TemporaryDirectory() as folder:
        for sweep in sweeps(args):
            more, text = run_sweep(sweep, Path(folder), args)
            rows += more
            texts.append(text)
    return rows, "\n".join(texts)


# --- the result -----------------------------------------------------------------------------------


def facts(args):
    ours = {"commit": commit(), "compiler": build_facts(args.dsmoe)} if args.dsmoe else {}
    return {**ours, "cpu": cpu_name(), "threads": args.threads,
            "peers": f"PyTorch {version('torch')}, transformers {version('transformers')}, "
                     f"Python {platform.python_version()}, "
                     + ("tcmalloc" if "LD_PRELOAD" in peer_environment(1) else "malloc"),
            "method": f"{args.rounds} interleaved rounds, {args.steps} timed steps a run, median "
                      "step; 4096 tokens a step; float32 where nothing else is said; ratios of "
                      "reduced precision are against dsmoe bf16"}


def write_results(rows, texts, args):
    stem = args.out or str(ROOT / "bench" / "results" / f"training-{datetime.date.today()}")
    head = facts(args)
    text = "# Training speed\n\n" + "".join(f"- {k}: {v}\n" for k, v in head.items()) + "\n"
    text += "\n".join(texts)
    Path(stem).parent.mkdir(parents=True, exist_ok=True)
    Path(stem + ".md").write_text(text)
    with open(stem + ".csv", "w", newline="") as f:
        f.writelines(f"# {k}: {v}\n" for k, v in head.items())
        writer = csv.DictWriter(f, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dsmoe", help="the program; without it only the peers are measured")
    parser.add_argument("--config", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--compute", nargs="+", choices=COMPUTE, default=list(COMPUTE),
                        help="precisions of dsmoe's matrix products")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--sweeps", action="store_true", help="dsmoe against itself, too")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--tries", type=int, default=3, help="runs at most to get a quiet one")
    parser.add_argument("--disturbance", type=float, default=0.03)
    parser.add_argument("--patience", type=float, default=30, help="seconds to wait for quiet")
    parser.add_argument("--out", help="result path without .md and .csv")
    args = parser.parse_args()
    if args.sweeps and not args.dsmoe:
        parser.error("--sweeps: expected --dsmoe PROGRAM, which they measure")
    results = [compare(config, args) for config in args.config]
    if args.sweeps:
        results.append(run_sweeps(args))
    rows, texts = [row for more, _ in results for row in more], [text for _, text in results]
    write_results(rows, texts, args)


if __name__ == "__main__":
    main()
