#!/bin/sh
# A short run of `requests` for each API key, every input a request of that key: fuzz/each_key.sh RUNS [KEY...].
# Prints a table. It begins with the seeds of the key, and keeps nothing of what it finds.
set -eu
runs=${1:?usage: fuzz/each_key.sh RUNS [KEY...]}
shift
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- $(ls corpus/requests | sed -n 's/^\([0-9][0-9]\)-.*/\1/p' | sort -u)
target_dir=${CARGO_TARGET_DIR:+$CARGO_TARGET_DIR/fuzz}
binary=${PELTON_FUZZ_REQUESTS:-${target_dir:-target}/$(rustc -vV | sed -n 's/^host: //p')/release/requests}
[ -x "$binary" ] || { echo "$binary is missing; run: fuzz/run.sh requests 1" >&2; exit 1; }
mkdir -p artifacts/requests
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ASAN_OPTIONS="quarantine_size_mb=16:detect_odr_violation=0"
[ -n "${PELTON_FUZZ_NO_HEAD:-}" ] || printf '| Key | Executions | Edges | Features |\n|---|--:|--:|--:|\n'
for key in "$@"; do
  mkdir -p "$work/$key"
  cp corpus/requests/"$key"-* "$work/$key"
  name=$(ls "$work/$key" | head -1 | cut -d- -f2)
  PELTON_FUZZ_KEY=$(expr "$key" + 0) "$binary" "$work/$key" -runs="$runs" -max_len=4096 -timeout=10 -malloc_limit_mb=256 \
    -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix=artifacts/requests/ > "$work/log" 2>&1 ||
    { tail -40 "$work/log"; exit 1; }
  awk -v name="$name ($(expr "$key" + 0))" '
    / cov: / { for (i = 1; i < NF; i++) { if ($i == "cov:") edges = $(i + 1); if ($i == "ft:") features = $(i + 1) } }
    /^stat::number_of_executed_units:/ { runs = $2 }
    END { printf "| %s | %d | %d | %d |\n", name, runs, edges, features }' "$work/log"
done
