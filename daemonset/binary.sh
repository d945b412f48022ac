#!/usr/bin/env bash
# Builds the static binaries and prints the path of pullfuse; kubectl-pullfuse is beside it.
#
# Usage: binary.sh [amd64|arm64]    the machine's own architecture by default
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case ${1:-$(uname -m)} in
amd64 | x86_64) target=x86_64-unknown-linux-gnu ;;
arm64 | aarch64) target=aarch64-unknown-linux-gnu ;;
*) echo "pullfuse runs on amd64 and arm64 only, not on $1" >&2; exit 2 ;;
esac
if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
    echo "Rust lacks the target $target: rustup target add $target, and install a C compiler and" \
        "linker for it (Debian: gcc-aarch64-linux-gnu, with CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER)" >&2
    exit 69
fi
# What cargo tells its own tests would make it build some crates anew for each caller.
for name in $(compgen -e | grep -E '^(CARGO_(PKG|MANIFEST|BIN|CRATE|PRIMARY)|OUT_DIR)' || true); do
    unset "$name"
done
# glibc is linked in: the image has no other file than the binary.
RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --bins --target "$target" >&2
binary=$(realpath "${CARGO_TARGET_DIR:-target}")/$target/release/pullfuse
# What tests end an agent with (src/faultpoint.rs) must not be in what runs on nodes.
if grep -qa PULLFUSE_FAULT "$binary"; then
    echo "this release can be told to end itself: build it without debug assertions" >&2
    exit 70
fi
echo "$binary"
