#!/usr/bin/env bash
# Runs the capture tests on another kernel, in a virtual machine without KVM.
#
# Usage: run.sh TEST-BINARY VMLINUZ    the binary linked statically
set -euo pipefail
binary=${1:?usage: run.sh TEST-BINARY VMLINUZ} kernel=${2:?usage: run.sh TEST-BINARY VMLINUZ}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/root/bin"
cp "$(command -v busybox)" "$work/root/bin/busybox"
ln -s busybox "$work/root/bin/sh"
cp "$here/init.sh" "$work/root/init"
cp "$binary" "$work/root/capture"
strip "$work/root/capture"
chmod +x "$work/root/init" "$work/root/capture"
(cd "$work/root" && find . | cpio --quiet -o -H newc) > "$work/initrd"

# cx16 off: with it and no KVM, newer kernels double-fault at boot.
timeout "${LIMIT:-240}" qemu-system-x86_64 -M q35 -accel tcg -cpu max,cx16=off -smp 2 -m 1024 \
    -nographic -no-reboot -nodefaults -serial stdio -kernel "$kernel" -initrd "$work/initrd" \
    -append "console=ttyS0 quiet panic=-1 tsc=unstable" < /dev/null | tee "$work/console"
grep -q '^qemu: exit code 0' "$work/console"
