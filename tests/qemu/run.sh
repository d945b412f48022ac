#!/usr/bin/env bash
# Runs the capture tests on Debian's kernels, where fentry works, in virtual machines without KVM.
#
# Usage: run.sh TEST-BINARY    about a minute for each kernel
set -euo pipefail
binary=${1:?usage: run.sh TEST-BINARY}
cache=${PULLFUSE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullfuse}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ "$(uname -m)" = x86_64 ] || { echo "qemu: skipped: the kernels are for x86_64" >&2; exit 0; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/bin"
cp "$(command -v busybox)" "$root/bin/busybox"
ln -s busybox "$root/bin/sh"
cp "$here/init.sh" "$root/init"
strip -o "$root/capture" "$binary"
cp "$(command -v setpriv)" "$root/bin/setpriv"
chmod +x "$root/init" "$root/capture"
# The libraries that the programs are linked with, where they look for them.
ldd "$binary" "$root/bin/setpriv" | sed -n 's|^[^/]*\(/[^ ]*\) (.*|\1|p' | sort -u |
    while read -r library; do
        install -D "$library" "$root$library"
    done
(cd "$root" && find . | cpio --quiet -o -H newc) > "$work/initrd"

for kernel in $("$here/kernels.sh" "$cache/kernels"); do
    # cx16 off: with it and no KVM, newer kernels double-fault at boot.
    timeout 300 qemu-system-x86_64 -M q35 -accel tcg -cpu max,cx16=off -smp 2 -m 1024 \
        -nographic -no-reboot -nodefaults -serial stdio -kernel "$kernel" \
        -initrd "$work/initrd" -append "console=ttyS0 quiet panic=-1 tsc=unstable" \
        < /dev/null 2>&1 | sed -u 's|\r||' | tee "$work/console"
    grep -q '^qemu: failed=0$' "$work/console" || { echo "qemu: failed on $kernel" >&2; exit 1; }
done
