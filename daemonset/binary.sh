#!/usr/bin/env bash
# Builds the static binary and prints its path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# glibc is linked in: the image has no other file than the binary.
target=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --target "$target" >&2
binary=$(realpath "${CARGO_TARGET_DIR:-target}")/$target/release/pullfuse
# What tests end an agent with (src/faultpoint.rs) must not be in what runs on nodes.
if grep -qa PULLFUSE_FAULT "$binary"; then
    echo "this release can be told to end itself: build it without debug assertions" >&2
    exit 70
fi
echo "$binary"
