#!/bin/sh
# Builds a guest crate of this workspace to a Wasm module:  plugins/build.sh CRATE OUT.wasm
#
# The Wasm target comes from rustup; where rustup cannot add it, from Debian's packages, which this script
# installs as root, after saying so. Nothing is built when the sources are those of the last build.
set -eu

if [ $# -ne 2 ]; then
    echo "usage: plugins/build.sh CRATE OUT.wasm" >&2
    exit 2
fi
crate=$1
case $2 in
    /*) out=$2 ;;
    *) out=$PWD/$2 ;;
esac
root=$(cd "$(dirname "$0")/.." && pwd)
target_dir=${CARGO_TARGET_DIR:-$root/target}/guests
packages="rustc-web cargo-web rust-web-src lld-22"
wasm_ld=/usr/lib/llvm-22/bin/wasm-ld
web_src=/usr/lib/rustlib/src/rust/library/std/Cargo.toml
cd "$root"

manifest=$(grep -l --include=Cargo.toml -r "^name = \"$crate\"\$" plugins sdk runtime examples tests bench | head -n 1)
if [ -z "$manifest" ]; then
    echo "plugins/build.sh: no crate \`$crate\` in plugins, sdk, runtime, examples, tests or bench" >&2
    exit 1
fi

# The folders of the crates that the guest names by path; `sdk` counts for every guest.
beside=$(sed -n "s|.*path = \"\([^\"]*\)\".*|$(dirname "$manifest")/\1|p" "$manifest")

sources_digest() {
    {
        find sdk "$(dirname "$manifest")" $beside -type f ! -path '*/target/*' | LC_ALL=C sort | xargs sha256sum
        sha256sum Cargo.toml Cargo.lock plugins/build.sh
    } | sha256sum | cut -d ' ' -f 1
}

rustup_has_target() {
    command -v rustup >/dev/null 2>&1 || return 1
    rustup target list --installed 2>/dev/null | grep -qx wasm32-unknown-unknown && return 0
    timeout 120 rustup target add wasm32-unknown-unknown >/dev/null 2>&1
}

debian_has_target() {
    [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && [ -x "$wasm_ld" ] && [ -e "$web_src" ]
}

install_debian_packages() {
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "plugins/build.sh: no Wasm target for Rust here; run: rustup target add wasm32-unknown-unknown" >&2
        exit 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        echo "plugins/build.sh: no Wasm target for Rust here; run: sudo apt-get install -y $packages" >&2
        exit 1
    fi
    echo "plugins/build.sh: rustup cannot add wasm32-unknown-unknown; installing Debian's $packages" >&2
    log=$(mktemp)
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages; } \
        >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "plugins/build.sh: apt-get could not install $packages" >&2
        rm -f "$log"
        exit 1
    fi
    rm -f "$log"
}

digest=$(sources_digest)
if [ -f "$out" ] && [ "$(cat "$out.sources" 2>/dev/null)" = "$digest" ]; then
    exit 0
fi

export CARGO_TARGET_DIR="$target_dir"
# getrandom (under the JSON Schema library) takes its bytes from the host, by the plugin's own backend.
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS='-Ctarget-feature=+bulk-memory,+simd128 --cfg getrandom_backend="custom"'
if rustup_has_target; then
    cargo build --quiet --locked --profile guest --target wasm32-unknown-unknown -p "$crate"
else
    debian_has_target || install_debian_packages
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo build --quiet --locked --profile guest \
        --target wasm32-unknown-unknown -p "$crate" -Zbuild-std=std,panic_abort \
        --config "target.wasm32-unknown-unknown.linker=\"$wasm_ld\""
fi

mkdir -p "$(dirname "$out")"
built=$target_dir/wasm32-unknown-unknown/guest/$(echo "$crate" | tr - _).wasm
cp "$built" "$out.new"
mv "$out.new" "$out"
echo "$digest" >"$out.sources"
echo "built $out ($(wc -c <"$out") bytes)" >&2
