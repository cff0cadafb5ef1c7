#!/bin/sh
# Fuzzes one target for so many seconds: fuzz/run.sh TARGET SECONDS [LIBFUZZER_OPTION...]
# It needs cargo-fuzz (cargo install cargo-fuzz) and no nightly: the compiler that builds the product is told to allow
# the sanitizer. What the fuzzer finds goes to corpus/TARGET, what breaks a reader to artifacts/TARGET.
set -eu
target=${1:?usage: fuzz/run.sh TARGET SECONDS [LIBFUZZER_OPTION...]} seconds=${2:?how many seconds}
shift 2
cd "$(dirname "$0")"
command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing; run: cargo install cargo-fuzz" >&2; exit 1; }
if [ -n "${CARGO_TARGET_DIR:-}" ]; then set -- --target-dir "$CARGO_TARGET_DIR/fuzz" "$target" -- "$@"
else set -- "$target" -- "$@"; fi
# One request may have 100 MiB; inputs of 4 KiB reach every branch of the readers, and reach it a hundred times sooner.
# An LZ4 or zstd window is the largest single allocation that a reader may make.
export ASAN_OPTIONS="quarantine_size_mb=16:${ASAN_OPTIONS:-}"
exec env RUSTC_BOOTSTRAP=1 RUST_BACKTRACE=0 cargo fuzz run "$@" -max_total_time="$seconds" -max_len=4096 -timeout=10 \
  -malloc_limit_mb=256 -rss_limit_mb=1024 -print_final_stats=1
