#!/bin/sh
# Builds a plugin in AssemblyScript to a Wasm module:  sdk/assemblyscript/build.sh ENTRY.ts OUT.wasm
#
# It needs node and npm. The compiler, one exact version, is installed by npm once: into node_modules beside this script, or into
# the folder that PELTON_ASC names.
set -eu

if [ $# -ne 2 ]; then
    echo "usage: build.sh ENTRY.ts OUT.wasm" >&2
    exit 2
fi
entry=$1
case $2 in
    /*) out=$2 ;;
    *) out=$PWD/$2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
version=0.28.20
tools=${PELTON_ASC:-$here}

major=$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\).*/\1/p')
if [ "${major:-0}" -lt 20 ] || ! command -v npm >/dev/null 2>&1; then
    echo "build.sh: node 20 or later with npm is needed (found: $(node --version 2>/dev/null || echo none)); see https://nodejs.org" >&2
    exit 1
fi
asc=$tools/node_modules/assemblyscript/bin/asc.js
if ! grep -qs "\"version\": \"$version\"" "$tools/node_modules/assemblyscript/package.json"; then
    mkdir -p "$tools"
    echo "build.sh: installing assemblyscript $version into $tools/node_modules" >&2
    npm install --prefix "$tools" --no-save --no-audit --no-fund --silent "assemblyscript@$version" >&2
fi

mkdir -p "$(dirname "$out")"
# The compiler names sources by their path from the base folder, and the abort function is found by that name.
base=$(cd "$(dirname "$entry")" && pwd)
while ! case $here/ in "$base"/*) true ;; *) false ;; esac; do base=$(dirname "$base"); done
sdk=${here#"$base"}
sdk=${sdk#/}
entry=$(cd "$(dirname "$entry")" && pwd)/$(basename "$entry")
# `minimal`: the SDK collects garbage between calls. No code of the module runs before `_initialize`.
node "$asc" "${entry#"$base"/}" --baseDir "$base" -O3 --noColors --runtime minimal --exportStart _initialize \
    --use "abort=${sdk:+$sdk/}assembly/abort/peltonAbort" -o "$out.new"
mv "$out.new" "$out"
echo "built $out ($(wc -c <"$out") bytes)" >&2
