#!/bin/sh
# Tests and builds this example:  examples/12-go-route/build.sh OUT.wasm
# Exits with 77 where the machine has no Go 1.24 or later.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: build.sh OUT.wasm" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
sdk=$here/../../sdk/go

"$sdk/build.sh" "$here" "$1"
cd "$here"
"$(command -v go || echo /usr/local/go/bin/go)" test ./...
