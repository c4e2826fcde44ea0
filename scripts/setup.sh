#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Install what building, testing or the demo needs, on Debian 12 or newer and Ubuntu 22.04 or newer.
#
#   scripts/setup.sh [build|test|demo|lists]...      default: build
#
#   build   compilers, CMake, Ninja and the libraries
#   test    build, and what the tests need: virtual environments, SQLite's shell, clang with libFuzzer,
#           gnuplot, and Chromium where it is a package
#   demo    build, and what scripts/demo.sh shows its results with
#   lists   only refresh the lists of available packages
#
# Does nothing, and needs no root, where everything is installed already.
set -euo pipefail

BUILD=(gcc g++ libc6-dev cmake ninja-build pkg-config libjansson-dev libyaml-dev libpcre2-dev
       libutf8proc-dev libzstd-dev zlib1g-dev libsqlite3-dev libedit-dev libcmocka-dev
       python3 python3-venv xz-utils zstd)
TEST=(sqlite3 clang gnuplot-nox)
DEMO=(sqlite3)
export DEBIAN_FRONTEND=noninteractive

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Print the usage text: the comment block at the top of this file.
usage() { sed -n '3,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }

# Run a command as root, quietly; show what it said only when it failed.
as_root() {
    local prefix=() log status=0
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "found neither root nor sudo; as root, run: $*"
        prefix=(sudo env DEBIAN_FRONTEND=noninteractive)
    fi
    log=$(mktemp)
    "${prefix[@]}" "$@" >"$log" 2>&1 </dev/null || status=$?
    [ "$status" -eq 0 ] || tail -n 20 "$log" >&2
    rm -f "$log"
    return "$status"
}

have_lists() { [ -n "$(apt-get indextargets --format '$(FILENAME)' 'Created-By: Packages' 2>/dev/null)" ]; }

# apt-get calls an update without a network a success, hence the look at what there is afterwards.
update_lists() { as_root apt-get update -q && have_lists; }

refresh_lists() {
    say "refreshing the package lists"
    update_lists && return
    say "that failed, trying once more"
    sleep 3
    update_lists || die "apt-get update failed twice: is there a network?"
}

is_installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
is_known() { apt-cache show "$1" >/dev/null 2>&1; }

# libFuzzer's run-time library lies in a package named after the version of clang.
fuzzer_packages() {
    local version package
    version=$(dpkg-query -W -f='${Depends}' clang 2>/dev/null || true)
    [ -n "$version" ] || version=$(apt-cache show clang 2>/dev/null | grep -m 1 '^Depends:' || true)
    version=$(grep -o 'clang-[0-9]*' <<<"$version" | head -n 1 | tr -dc 0-9)
    for package in "libclang-rt-$version-dev" "libfuzzer-$version-dev"; do
        if is_installed "$package" || is_known "$package"; then
            echo "$package"
            return
        fi
    done
}

missing_of() {
    local package
    for package in "$@"; do is_installed "$package" || printf '%s ' "$package"; done
}

install_missing() {
    local missing
    read -r -a missing <<<"$(missing_of "$@")"
    [ "${#missing[@]}" -gt 0 ] || return 0
    say "installing ${missing[*]}"
    as_root apt-get install -q -y --no-install-recommends "${missing[@]}" && return
    refresh_lists                       # the lists named files that the archive has replaced
    as_root apt-get install -q -y --no-install-recommends "${missing[@]}" ||
        die "apt-get could not install: ${missing[*]}"
}

main() {
    local goal packages=() want_fuzzer=no want_browser=no
    [ "$#" -gt 0 ] || set -- build
    command -v apt-get >/dev/null || die "found no apt-get; install by hand: ${BUILD[*]}"
    for goal in "$@"; do
        case $goal in
        build) packages+=("${BUILD[@]}") ;;
        test) packages+=("${BUILD[@]}" "${TEST[@]}") want_fuzzer=yes want_browser=yes ;;
        demo) packages+=("${BUILD[@]}" "${DEMO[@]}") ;;
        lists) refresh_lists ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; say "found '$goal', expected build, test, demo or lists"; exit 2 ;;
        esac
    done
    [ "${#packages[@]}" -gt 0 ] || return 0

    if [ -n "$(missing_of "${packages[@]}")" ] && ! have_lists; then
        refresh_lists                   # a fresh machine has none
    fi
    install_missing "${packages[@]}"
    if [ "$want_fuzzer" = yes ]; then
        read -r -a packages <<<"$(fuzzer_packages)"
        [ "${#packages[@]}" -gt 0 ] || say "no libFuzzer for this clang here; the fuzz targets only replay"
        install_missing "${packages[@]}"
    fi
    if [ "$want_browser" = yes ] && ! is_installed chromium; then
        if is_known chromium; then
            install_missing chromium
        else
            say "Chromium is no package here; the report's pages are tested without a browser"
        fi
    fi
    say "everything for '$*' is installed"
}

main "$@"
