#!/bin/sh
# Builds the SDK's test guests and runs its unit tests by node:  sdk/assemblyscript/test.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for guest in uppercase probe place; do
    "$here/build.sh" "$here/tests/guests/$guest.ts" "$out/$guest.wasm"
done
PELTON_GUESTS=$out node --test "$here/tests/sdk.test.mjs"
