#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that every #include respects the layering table, and a few house rules with it.

A folder of src/ may include itself, include/dsmoe, and the folders its row names. Intrinsics
headers belong to kernels/x86 and kernels/arm alone, mpi.h to parallel/comm_mpi.c. File names are
unique in src/. Exits 1 with one line per violation."""

import pathlib
import re
import sys

ALLOWED = {
    "core": "",
    "kernels": "core",
    "template": "core",
    "tokenizer": "core",
    "run": "core",
    "data": "core tokenizer",
    "model": "core kernels",
    "formats": "core kernels model",
    "parallel": "core model",
    "infer": "core kernels model formats tokenizer template",
    "eval": "core kernels model data infer run",
    "train": "core kernels model parallel data formats run eval",
    "experiment": "core run",
    "bench": "core kernels model data formats infer train",
    "report": "core run",
    "cli": "core",
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
INTRINSICS = re.compile(r"^(immintrin|x86intrin|[a-z]?mmintrin|arm_neon|cpuid)\.h$")


def violations(root):
    sources = root / "src"
    seen = {}
    for path in sorted(sources.rglob("*.[ch]")):
        rel = path.relative_to(sources)
        folder = rel.parts[0]
        if folder not in ALLOWED:
            yield f"src/{rel}: folder {folder} is not in the layering table"
            continue
        if path.name in seen:
            yield f"src/{rel}: file name already taken by src/{seen[path.name]}"
        seen[path.name] = rel
        may = set(ALLOWED[folder].split()) | {folder, "dsmoe"}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            quoted, target = match.group(1) == '"', match.group(2)
            top = target.split("/")[0]
            if quoted and "/" in target and top not in may:
                yield f"src/{rel}:{number}: {folder} may not include {target}"
            if quoted and "/" not in target:
                yield f"src/{rel}:{number}: include {target} by its path from src/"
            if INTRINSICS.match(target) and not str(rel).startswith(("kernels/x86/", "kernels/arm/", "kernels/cpu.c")):
                yield f"src/{rel}:{number}: intrinsics belong to kernels/x86 or kernels/arm"
            if target == "mpi.h" and str(rel) != "parallel/comm_mpi.c":
                yield f"src/{rel}:{number}: mpi.h belongs to parallel/comm_mpi.c"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
    found = list(violations(root))
    for line in found:
        print(line)
    if not found:
        print("layering: clean")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
