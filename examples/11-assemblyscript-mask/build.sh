#!/bin/sh
# Builds and tests this example:  examples/11-assemblyscript-mask/build.sh OUT.wasm
set -eu

if [ $# -ne 1 ]; then
    echo "usage: build.sh OUT.wasm" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)

"$here/../../sdk/assemblyscript/build.sh" "$here/mask.ts" "$1"
PELTON_MODULE=$1 node --test "$here/mask.test.mjs" >&2
