#!/usr/bin/env bash
# Builds the static binary that is shipped: build.sh amd64|arm64, into dist/ARCH/volgate. For the architecture that is not this
# machine's it needs Debian's cross compiler (package gcc-aarch64-linux-gnu or gcc-x86-64-linux-gnu) and rustup.
# PROFILE=release builds faster, and larger.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
    amd64) machine=x86_64 ;;
    arm64) machine=aarch64 ;;
    *)
        echo "usage: $0 amd64|arm64" >&2
        exit 2
        ;;
esac
arch=$1 profile=${PROFILE:-shipped} target=$machine-unknown-linux-gnu

if [ "$(uname -m)" != "$machine" ]; then
    compiler=$machine-linux-gnu-gcc
    if ! command -v "$compiler" > /dev/null; then
        echo "$compiler is missing: apt-get install gcc-${machine/_/-}-linux-gnu" >&2
        exit 1
    fi
    rustup target add "$target"
    name=${target//-/_}
    export "CC_$name=$compiler" "CARGO_TARGET_${name^^}_LINKER=$compiler"
fi
# The target is named so that these flags are not those of build scripts. glibc 2.36 starts a static binary with packed
# relocations; a linker that cannot pack them for its architecture says so and goes on.
RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs" \
    cargo build --profile "$profile" --locked --bin volgate --target "$target"
install -D "${CARGO_TARGET_DIR:-target}/$target/$profile/volgate" "dist/$arch/volgate"
ls -l "dist/$arch/volgate"
