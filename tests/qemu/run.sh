#!/usr/bin/env bash
# Runs the capture on Debian's kernels, where fentry works, in virtual machines without KVM.
#
# Usage: run.sh         its own tests, and pulls with a real containerd; a minute for each kernel
set -euo pipefail
cache=${PULLFUSE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullfuse}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ "$(uname -m)" = x86_64 ] || { echo "qemu: skipped: the kernels are for x86_64" >&2; exit 0; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

# add FILE...: programs, in /bin, and the libraries that they are linked with, where they look.
add() {
    local program library
    for program in "$@"; do
        install -D "$program" "$root/bin/$(basename "$program")"
        # Of a static program it says so, and fails.
        { ldd "$program" 2>/dev/null || true; } | sed -n 's|^[^/]*\(/[^ ]*\) (.*|\1|p' |
            while read -r library; do
                [ -e "$root$library" ] || install -D "$library" "$root$library"
            done
    done
}

# add_built CARGO-ARGUMENT... NAME: a test or benchmark, whose file's name has a hash that only
# cargo knows.
add_built() {
    local name=${*: -1} program
    program=$("${@:1:$#-1}" "$name" --no-run --message-format=json 2>/dev/null |
        sed -n 's|.*"executable":"\([^"]*/'"$name"'-[^"]*\)".*|\1|p' | tail -n 1)
    [ -n "$program" ] || { echo "qemu: cargo does not build $name: see cargo build --all-targets" >&2; exit 1; }
    strip -o "$work/$name" "$program"
    add "$work/$name"
}

# pack JOB: the root file system in memory, with this script as its job.
pack() {
    add "$(command -v busybox)"
    ln -s busybox "$root/bin/sh"
    install "$here/init.sh" "$root/init"
    install "$1" "$root/job"
    (cd "$root" && find . | cpio --quiet -o -H newc) > "$work/initrd"
}

# boot QEMU-ARGUMENT...: runs the job on each kernel.
boot() {
    local kernel
    for kernel in $("$here/kernels.sh" "$cache/kernels"); do
        # cx16 off: with it and no KVM, newer kernels double-fault at boot.
        timeout 300 qemu-system-x86_64 -M q35 -cpu max,cx16=off -m 1536 "$@" \
            -nographic -no-reboot -nodefaults -serial stdio -kernel "$kernel" \
            -initrd "$work/initrd" -append "console=ttyS0 quiet panic=-1 tsc=unstable" \
            < /dev/null 2>&1 | sed -u 's|\r||' | tee "$work/console"
        grep -q '^qemu: failed=0$' "$work/console" ||
            { echo "qemu: failed on $kernel" >&2; exit 1; }
    done
}

parts=$("$here/../rig/parts/build.sh" | tail -n 1)
add_built cargo test --test capture
add_built cargo test --test qemu
add "$("$here/../../daemonset/binary.sh")" "$parts/bin/containerd" "$parts/bin/cri-client" \
    "$(command -v setpriv)"
pack "$here/job.sh"
boot -accel tcg -smp 2
