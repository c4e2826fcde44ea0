#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Training speed of dsmoe beside PyTorch's, interleaved on one machine.

    tools/python.sh bench/compare_training.py --dsmoe build/release/dsmoe
    tools/python.sh bench/compare_training.py --dsmoe build/release/dsmoe --config tiny --rounds 5

Method: every contestant is a process of its own and times whole optimiser steps after a warm-up
(the median of its steps counts). A round runs each contestant once, the order turns by one each
round, and a ratio compares two runs of the same round; the table shows the median ratio, its range,
and the ratio of the two best runs, which is the one to quote where runs were disturbed. A run
waits for other programs to leave the processors idle, and is repeated if they took more than
--disturbance of them meanwhile: a program that waits at barriers and loses a core for a moment
loses far more than that moment. Peers get tcmalloc (libtcmalloc-minimal4) if installed.
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
import time
from pathlib import Path

from peers.torch_moe import flops_per_token, load_config

ROOT = Path(__file__).resolve().parent.parent
SHAPES = {"tiny": (256, 16), "small": (512, 8)}                  # seq, batch: 4096 tokens a step
PEERS = {                                                        # name -> arguments of torch_moe.py
    "torch grouped, compiled": ["--impl", "grouped", "--compile"],
    "torch sorted, compiled": ["--impl", "sorted", "--compile"],
    "torch sorted": ["--impl", "sorted"],
    "torch index lists": ["--impl", "index"],
    "torch masks (released code)": ["--impl", "mask"],
    "torch dense twin, compiled": ["--impl", "dense", "--compile"],
}
OURS = "dsmoe"


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
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr.strip()}")
    return done.stdout, max(0.0, work2 - work - mine) / max(1e-9, total2 - total)


def peer_environment(threads):
    env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    tcmalloc = glob.glob("/usr/lib/*/libtcmalloc_minimal.so.4")
    if tcmalloc:
        env["LD_PRELOAD"] = tcmalloc[0]
    return env


def command_of(name, config, args):
    seq, batch = SHAPES[config]
    shape = [str(ROOT / "configs" / "bench" / f"{config}.json"), "--seq", str(seq),
             "--batch", str(batch), "--steps", str(args.steps), "--threads", str(args.threads)]
    if name == OURS:
        return [args.dsmoe, "bench", "train", *shape, "--json"], os.environ
    script = str(ROOT / "bench" / "peers" / "torch_moe.py")
    return [sys.executable, script, *shape, *PEERS[name]], peer_environment(args.threads)


def run_once(name, config, args):
    """The least disturbed of up to --tries runs: its last line of JSON, and the disturbance."""
    best = None
    for _ in range(args.tries):
        wait_for_quiet(args.patience)
        out, others = run_alone(*command_of(name, config, args))
        if best is None or others < best[1]:
            best = json.loads(out.strip().splitlines()[-1]), others
        if others <= args.disturbance:
            break
    return best


def run_rounds(config, names, args):
    """One row per run: what it reported and how much others took from it."""
    rows = []
    for r in range(args.rounds):
        turn = r % len(names)
        for name in names[turn:] + names[:turn]:
            result, others = run_once(name, config, args)
            rows.append({"config": config, "round": r, "name": name,
                         "tokens_per_s": round(result["tokens_per_s"], 1),
                         "peak_rss_bytes": int(result["peak_rss_bytes"]),
                         "peak_gflops": round(result.get("peak_gflops") or 0, 1),
                         "others_cpu_share": round(others, 3)})
            print(f"{config:6s} round {r}  {name:28s} {result['tokens_per_s']:8.0f} tok/s"
                  f"   others used {others:.0%}", file=sys.stderr, flush=True)
    return rows


def ratios(rows, name):
    """tokens/s of dsmoe over that of `name`, per round."""
    speed = {(x["round"], x["name"]): x["tokens_per_s"] for x in rows}
    return [speed[r, OURS] / speed[r, name] for r in sorted({x["round"] for x in rows})
            if (r, OURS) in speed]


def ratio_cells(rows, name):
    """Median ratio with its range, and best over best."""
    per_round = ratios(rows, name)
    if name == OURS or not per_round:
        return "–", "–"
    best = {n: max(x["tokens_per_s"] for x in rows if x["name"] == n) for n in (OURS, name)}
    return (f"{statistics.median(per_round):.2f}× ({min(per_round):.2f} to {max(per_round):.2f})",
            f"{best[OURS] / best[name]:.2f}×")


def table(config, rows, args):
    path = ROOT / "configs" / "bench" / f"{config}.json"
    flops = flops_per_token(load_config(path), SHAPES[config][0])
    peak = max(x["peak_gflops"] for x in rows)
    lines = [f"## {config}", "",
             "| | tokens/s median | best | GFLOP/s | share of peak | peak RSS | dsmoe is | by best "
             "| disturbed runs |",
             "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for name in sorted({x["name"] for x in rows}, key=[OURS, *PEERS].index):
        runs = [x for x in rows if x["name"] == name]
        speed = [x["tokens_per_s"] for x in runs]
        median = statistics.median(speed)
        gflops = median * flops / 1e9
        cells = [name, f"{median:.0f}", f"{max(speed):.0f}", f"{gflops:.0f}",
                 f"{gflops / peak:.0%}" if peak else "–",
                 f"{max(x['peak_rss_bytes'] for x in runs) / 2**30:.2f} GiB",
                 *ratio_cells(rows, name),
                 f"{sum(x['others_cpu_share'] > args.disturbance for x in runs)} of {len(runs)}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def facts(args):
    import torch
    ours = {"commit": commit(), "compiler": build_facts(args.dsmoe)} if args.dsmoe else {}
    return {**ours, "cpu": cpu_name(), "threads": args.threads,
            "peers": f"PyTorch {torch.__version__}, Python {platform.python_version()}, "
                     + ("tcmalloc" if "LD_PRELOAD" in peer_environment(1) else "malloc"),
            "method": f"{args.rounds} interleaved rounds, {args.steps} timed steps a run, "
                      "median step; 4096 tokens a step, float32"}


def write_results(rows, args):
    stem = args.out or str(ROOT / "bench" / "results" / f"training-{datetime.date.today()}")
    head = facts(args)
    text = "# Training speed\n\n" + "".join(f"- {k}: {v}\n" for k, v in head.items()) + "\n"
    text += "\n".join(table(c, [x for x in rows if x["config"] == c], args)
                      for c in dict.fromkeys(x["config"] for x in rows))
    Path(stem).parent.mkdir(parents=True, exist_ok=True)
    Path(stem + ".md").write_text(text)
    with open(stem + ".csv", "w", newline="") as f:
        f.writelines(f"# {k}: {v}\n" for k, v in head.items())
        writer = csv.DictWriter(f, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dsmoe", help="the program; without it only the peers are measured")
    parser.add_argument("--config", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--tries", type=int, default=3, help="runs at most to get a quiet one")
    parser.add_argument("--disturbance", type=float, default=0.03)
    parser.add_argument("--patience", type=float, default=30, help="seconds to wait for quiet")
    parser.add_argument("--out", help="result path without .md and .csv")
    args = parser.parse_args()
    names = ([OURS] if args.dsmoe else []) + args.peers
    rows = [row for config in args.config for row in run_rounds(config, names, args)]
    write_results(rows, args)


if __name__ == "__main__":
    main()
