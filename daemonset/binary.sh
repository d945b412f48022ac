#!/usr/bin/env bash
# Builds the static binary and prints its path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# glibc is linked in: the image has no other file than the binary.
target=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --target "$target" >&2
echo "$(realpath "${CARGO_TARGET_DIR:-target}")/$target/release/pullfuse"
