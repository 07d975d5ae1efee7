#!/usr/bin/env bash
# Runs the tests of the running server: they start .build/release/zoo (or $ZOO) and speak HTTP with it.
#
# Their Python packages go to .build/server-tests. Where the packages cannot be had, that is said and nothing is tested.
set -euo pipefail
cd "$(dirname "$0")/../.."
export ZOO="${ZOO:-$PWD/.build/release/zoo}"
venv=.build/server-tests
python="$venv/bin/python"
wanted=Tests/Server/requirements.txt
if [ ! -x "$ZOO" ]; then
    echo "run.sh: '$ZOO' is missing; run 'make build'" >&2
    exit 1
fi
if ! cmp -s "$wanted" "$venv/requirements.txt"; then
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv" || {
        echo "run.sh: NOT TESTED: '${PYTHON:-python3}' cannot make a virtual environment" >&2
        exit 0
    }
    "$python" -m pip install --quiet --disable-pip-version-check -r "$wanted" || {
        rm -rf "$venv"
        echo "run.sh: NOT TESTED: the packages of $wanted cannot be installed; is the network there?" >&2
        exit 0
    }
    cp "$wanted" "$venv/requirements.txt"
fi
exec "$python" -m pytest -q -p no:cacheprovider Tests/Server "$@"
