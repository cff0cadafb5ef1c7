#!/bin/sh
# Builds a plugin in C to a Wasm module:  sdk/c/build.sh SOURCE.c OUT.wasm [FLAGS for clang]
#
# It takes the newest clang that has a wasm-ld of its own version; where there is none, it installs Debian's packages as
# root, after saying so. Nothing else is needed: no libc, no sysroot.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: build.sh SOURCE.c OUT.wasm [FLAGS for clang]" >&2
    exit 2
fi
source=$1
out=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)

# Sets `clang`. A distribution calls it clang-22, or clang; wasm-ld stands beside it or in the path.
find_clang() {
    for clang in clang-22 clang-21 clang-20 clang-19 clang-18 clang-17 clang-16 clang-15 clang-14 clang; do
        command -v "$clang" >/dev/null 2>&1 || continue
        "$clang" --print-targets 2>/dev/null | grep -q wasm32 || continue
        wasm_ld=$("$clang" --print-prog-name=wasm-ld)
        case $wasm_ld in
            /*) [ -x "$wasm_ld" ] && return 0 ;;
            *) command -v "$wasm_ld" >/dev/null 2>&1 && return 0 ;;
        esac
    done
    return 1
}

install_clang() {
    needed="clang 14 or later with wasm-ld of the same version"
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "build.sh: $needed is missing (packages clang and lld; on macOS: brew install llvm lld)" >&2
        exit 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        echo "build.sh: $needed is missing; run: sudo apt-get install -y clang lld" >&2
        exit 1
    fi
    log=$(mktemp)
    for packages in "clang-22 lld-22" "clang lld"; do
        echo "build.sh: $needed is missing; installing Debian's $packages" >&2
        if { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages; } \
            >"$log" 2>&1; then
            rm -f "$log"
            return 0
        fi
    done
    tail -n 20 "$log" >&2
    echo "build.sh: apt-get could not install clang and lld" >&2
    rm -f "$log"
    exit 1
}

find_clang || { install_clang && find_clang; } || {
    echo "build.sh: clang was installed, but none here makes wasm32" >&2
    exit 1
}

mkdir -p "$(dirname "$out")"
"$clang" --target=wasm32 -std=c11 -O3 -ffreestanding -nostdlib -mbulk-memory -msimd128 -Wall -Wextra -Werror \
    -I"$here" "$@" -Wl,--no-entry -Wl,--strip-all -Wl,--stack-first -Wl,-z,stack-size=131072 \
    -o "$out.new" "$source"
mv "$out.new" "$out"
echo "built $out ($(wc -c <"$out") bytes)" >&2
