#!/bin/sh
# Builds the guests of tests/engine/flat.rs with the SDKs for C, AssemblyScript and Go:  flat-guests.sh FOLDER
#
# The test finds them by PELTON_FLAT_GUESTS=FOLDER. Where the machine has no Go >= 1.24, its guests are left out, and said
# to be. Nothing is built when the sources are those of the last build.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: flat-guests.sh FOLDER" >&2
    exit 2
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
sdk=$(cd "$(dirname "$0")/../../../sdk" && pwd)

digest=$(find "$sdk/c" "$sdk/assemblyscript" "$sdk/go" "$0" -type f ! -path '*/node_modules/*' | LC_ALL=C sort | xargs sha256sum |
    sha256sum | cut -d ' ' -f 1)
[ "$(cat "$out/sources" 2>/dev/null)" = "$digest" ] && exit 0

rm -f "$out"/*.wasm
for guest in uppercase probe place tally; do
    "$sdk/c/build.sh" "$sdk/c/tests/$guest.c" "$out/c-$guest.wasm"
done
for guest in uppercase probe place; do
    "$sdk/assemblyscript/build.sh" "$sdk/assemblyscript/tests/guests/$guest.ts" "$out/assemblyscript-$guest.wasm"
done
for guest in uppercase probe place tally; do
    code=0
    "$sdk/go/build.sh" "$sdk/go/internal/guests/$guest" "$out/go-$guest.wasm" || code=$?
    [ "$code" -eq 77 ] && break
    [ "$code" -eq 0 ] || exit "$code"
done
echo "$digest" >"$out/sources"
