#!/bin/sh
# Tests the plugin and builds it:  examples/14-python-tag/build.sh OUT.wasm
#
# componentize-py goes into an environment of its own below the target directory. Nothing is built when the sources are those
# of the last build.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 OUT.wasm" >&2; exit 2; }
case $1 in /*) out=$1 ;; *) out=$PWD/$1 ;; esac
root=$(cd "$(dirname "$0")/../.." && pwd)
digest=$(cd "$root" && find sdk/python sdk/wit examples/14-python-tag -type f ! -name '*.pyc' | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d ' ' -f 1)
[ -f "$out" ] && [ "$(cat "$out.sources" 2>/dev/null)" = "$digest" ] && exit 0
venv=${CARGO_TARGET_DIR:-$root/target}/examples/python-venv
if [ ! -x "$venv/bin/componentize-py" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet componentize-py==0.25.1 >&2
fi
export PYTHONPATH="$root/sdk/python" PYTHONDONTWRITEBYTECODE=1
cd "$root/examples/14-python-tag"
"$venv/bin/python" -m unittest discover -q "$root/sdk/python/tests" >&2
"$venv/bin/python" -m unittest -q >&2
"$venv/bin/python" -m pelton_sdk.build plugin.py "$out"
echo "$digest" >"$out.sources"
