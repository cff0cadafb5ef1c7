#!/bin/sh
# Tests and builds this example:  examples/10-c-filter/build.sh OUT.wasm
set -eu

if [ $# -ne 1 ]; then
    echo "usage: build.sh OUT.wasm" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
sdk=$here/../../sdk/c

"$sdk/test.sh" "$here/filter_test.c"
"$sdk/build.sh" "$here/filter.c" "$1"
