#!/bin/sh
# SPDX-License-Identifier: MIT
# Run Python with the packages of tools/requirements.txt:  tools/python.sh SCRIPT [ARGS...]
# The virtual environment is made at first use: in $DSMOE_VENV, or .venv at the top of the tree.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
venv=${DSMOE_VENV:-$root/.venv}
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q -r "$root/tools/requirements.txt"
fi
exec "$venv/bin/python" "$@"
