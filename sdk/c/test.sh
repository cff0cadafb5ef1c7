#!/bin/sh
# Builds and runs unit tests in C with the machine's own compiler:  sdk/c/test.sh TEST.c ...
set -eu

if [ $# -eq 0 ]; then
    echo "usage: test.sh TEST.c ..." >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
for compiler in ${CC:-gcc clang cc}; do
    command -v "$compiler" >/dev/null 2>&1 && break
done
command -v "$compiler" >/dev/null 2>&1 || {
    echo "test.sh: no C compiler here; on Debian: sudo apt-get install -y gcc libc6-dev" >&2
    exit 1
}

program=$(mktemp)
trap 'rm -f "$program"' EXIT
# The sanitizers find reads past a batch's end; a compiler without their libraries tests without them.
sanitize="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-sanitize=alignment"
echo 'int main(void) { return 0; }' | "$compiler" -x c $sanitize -o "$program" - 2>/dev/null || sanitize=""
for test in "$@"; do
    echo "$(basename "$test")" >&2
    "$compiler" -std=c11 -g -O1 -Wall -Wextra -Werror $sanitize -I"$here" -o "$program" "$test"
    ASAN_OPTIONS=detect_leaks=0 "$program"
done
