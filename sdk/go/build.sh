#!/bin/sh
# Builds a plugin in Go to a Wasm module:  sdk/go/build.sh FOLDER OUT.wasm
#
# It needs Go 1.24 or later, of the standard toolchain, and nothing else. Where there is none it says so and exits with 77,
# which test runners take for "skipped".
set -eu

if [ $# -ne 2 ]; then
    echo "usage: build.sh FOLDER OUT.wasm" >&2
    exit 2
fi
case $2 in
    /*) out=$2 ;;
    *) out=$PWD/$2 ;;
esac

for go in ${GO:-go /usr/local/go/bin/go}; do
    command -v "$go" >/dev/null 2>&1 && break
done
version=$("$go" env GOVERSION 2>/dev/null || echo none)
minor=$(echo "$version" | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
if [ "${minor:-0}" -lt 24 ]; then
    echo "build.sh: Go 1.24 or later is needed (found: $version); see https://go.dev/dl, or set GO to its path" >&2
    exit 77
fi

mkdir -p "$(dirname "$out")"
cd "$1"
# Without symbol tables and paths of this machine the module is smaller, and the same wherever it is built.
GOOS=wasip1 GOARCH=wasm GOFLAGS=-mod=mod "$go" build -buildmode=c-shared -trimpath -ldflags="-s -w -buildid=" -o "$out.new" .
mv "$out.new" "$out"
echo "built $out ($(wc -c <"$out") bytes)" >&2
