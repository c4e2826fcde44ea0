#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run one transcript of the program and compare what it says, line by line.

usage: run.py PROGRAM CASE.t

A case is a list of steps, run by sh in one fresh folder with the program's folder first on PATH:

    $ dsmoe data info nowhere        the command; further lines that begin with "$ " belong to it
    2> dsmoe data: nowhere/{*}       expected lines of stderr
    1> text                          expected lines of stdout
    exit 1                           expected status, 0 if not given

Streams without expected lines must stay empty. "{*}" stands for any text within a line, a line "..." for
any lines. "#" begins a comment at the start of a line. Commands may use $SOURCE, the repository.
"""
import difflib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT_S = 120


class Step:
    def __init__(self, line_number, command):
        self.line_number = line_number
        self.command = [command]
        self.expected = {"1": [], "2": []}
        self.status = 0


def parse(path):
    steps, in_command = [], False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("$ "):
            if in_command:
                steps[-1].command.append(line[2:])
            else:
                steps.append(Step(number, line[2:]))
            in_command = True
            continue
        in_command = False
        if not line or line.startswith("#"):
            continue
        match = re.match(r"([12])>(?: (.*))?$", line)
        if match and steps:
            steps[-1].expected[match.group(1)].append(match.group(2) or "")
        elif line.startswith("exit ") and steps:
            steps[-1].status = int(line[5:])
        else:
            sys.exit(f"{path}:{number}: cannot read this line: {line}")
    if not steps:
        sys.exit(f"{path}: no step")
    return steps


def line_fits(pattern, line):
    parts = [re.escape(part) for part in pattern.split("{*}")]
    return re.fullmatch(".*".join(parts), line) is not None


def lines_fit(patterns, lines):
    """Do the lines match, where "..." takes any number of them?"""
    if not patterns:
        return not lines
    if patterns[0] == "...":
        return any(lines_fit(patterns[1:], lines[i:]) for i in range(len(lines) + 1))
    return bool(lines) and line_fits(patterns[0], lines[0]) and lines_fit(patterns[1:], lines[1:])


def run(step, folder, program):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DSM_")}
    environment.update(PATH=f"{program.parent}:{os.environ['PATH']}", LC_ALL="C", SOURCE=str(SOURCE))
    done = subprocess.run(["sh", "-c", "\n".join(step.command)], cwd=folder, env=environment,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S)
    streams = {"1": done.stdout, "2": done.stderr}
    return done.returncode, {k: v.decode(errors="replace").splitlines() for k, v in streams.items()}


def complaints(step, status, found):
    if status != step.status:
        yield f"exit status {status}, expected {step.status}"
    for stream, name in (("1", "stdout"), ("2", "stderr")):
        if not lines_fit(step.expected[stream], found[stream]):
            yield from difflib.unified_diff(step.expected[stream], found[stream], f"{name} expected",
                                            f"{name} found", lineterm="")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, case = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="dsmoe-cli-") as folder:
        for step in parse(case):
            status, found = run(step, folder, program)
            wrong = list(complaints(step, status, found))
            if wrong:
                command = "\n$ ".join(step.command)
                print(f"{case}:{step.line_number}:\n$ {command}")
                print("\n".join(wrong))
                for stream in "12":
                    print(f"--- {stream}>", *found[stream], sep="\n")
                sys.exit(1)


if __name__ == "__main__":
    main()
