#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Build and test everything, from nothing: set-up, release build, sanitizers, and every test.
#
#   scripts/test.sh          all of it (what CI runs)
#   scripts/test.sh quick    release build and the fast tests only
#
# Build folders are build/ (release), build-debug/ (ASan + UBSan) and build-tsan/. The last lines are
# CTest's own summary of the whole release run.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
'' | quick) ;;
-h | --help) sed -n '3,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
*) echo "test: unknown argument $1 (try --help)" >&2; exit 2 ;;
esac

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
jobs=$(nproc)

say "set-up"
scripts/setup.sh test

build() { # preset, folder
    say "build: $1"
    cmake --preset "$1" -DBUILD_TESTING=ON >/dev/null # demo.sh leaves it off
    cmake --build "$2" -j "$jobs" -- --quiet
}

build release build
if [ "${1:-}" = quick ]; then
    exec ctest --no-tests=error --test-dir build --output-on-failure -j "$jobs" -LE 'differential|kill'
fi

build debug build-debug
say "address and undefined-behaviour sanitizers: unit, kernel, golden and fuzz-replay tests"
ctest --no-tests=error --test-dir build-debug --output-on-failure -j "$jobs" -L 'unit|kernels|golden|fuzz'

build tsan build-tsan
say "thread sanitizer: the threaded tests"
ctest --no-tests=error --test-dir build-tsan --output-on-failure -j 1 -L threads

say "release: every test"
ctest --no-tests=error --test-dir build --output-on-failure -j "$jobs"
