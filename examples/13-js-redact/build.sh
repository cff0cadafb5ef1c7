#!/bin/sh
# Tests the plugin and builds it:  examples/13-js-redact/build.sh OUT.wasm
#
# Works in a folder of its own below the target directory, so that no node_modules appears in the checkout. Nothing is built when
# the sources are those of the last build.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 OUT.wasm" >&2; exit 2; }
case $1 in /*) out=$1 ;; *) out=$PWD/$1 ;; esac
root=$(cd "$(dirname "$0")/../.." && pwd)
command -v npm >/dev/null || { echo "$0: npm is missing; run: apt-get install -y nodejs npm" >&2; exit 1; }
digest=$(cd "$root" && find sdk/js sdk/wit examples/13-js-redact -type f ! -path '*/node_modules/*' | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d ' ' -f 1)
[ -f "$out" ] && [ "$(cat "$out.sources" 2>/dev/null)" = "$digest" ] && exit 0
work=${CARGO_TARGET_DIR:-$root/target}/examples/js-redact
mkdir -p "$work/sdk" "$work/examples"
rm -rf "$work/examples/13-js-redact/plugin.js" "$work/sdk/wit"
cp -r "$root/sdk/js" "$root/sdk/wit" "$work/sdk/"
cp -r "$root/examples/13-js-redact" "$work/examples/"
(cd "$work/sdk/js" && npm install --silent --no-audit --no-fund >&2)
cd "$work/examples/13-js-redact"
npm install --silent --no-audit --no-fund >&2
npm test --silent >&2
npx pelton-build plugin.js "$out"
echo "$digest" >"$out.sources"
