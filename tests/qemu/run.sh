#!/usr/bin/env bash
# Runs the capture on Debian's kernels, where fentry works, in virtual machines without KVM.
#
# Usage: run.sh [test]    its own tests, and pulls with a real containerd; a minute for each kernel
#        run.sh cost      what listening costs, in instructions; some minutes
set -euo pipefail
job=${1:-test}
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

# add_built NAME CARGO-ARGUMENT...: a test or benchmark, whose file's name has a hash that only
# cargo knows.
add_built() {
    local name=$1 program
    program=$(cargo "${@:2}" "$name" --no-run --quiet --message-format=json-render-diagnostics |
        sed -n 's|.*"executable":"\([^"]*/'"$name"'-[^"]*\)".*|\1|p' | tail -n 1)
    strip -o "$work/$name" "$program"
    add "$work/$name"
}

# initrd: a root file system in memory with the job.
initrd() {
    add "$(command -v busybox)"
    ln -s busybox "$root/bin/sh"
    install "$here/init.sh" "$root/init"
    install "$here/job-$job.sh" "$root/job"
    (cd "$root" && find . | cpio --quiet -o -H newc) > "$work/initrd"
    kernels=$("$here/kernels.sh" "$cache/kernels")
}

# boot KERNEL PREEMPTION QEMU-ARGUMENT...: runs the job.
boot() {
    # cx16 off: with it and no KVM, newer kernels double-fault at boot. No huge pages: memory that the
    # kernel moves to make one cannot be read meanwhile, and that is a gap.
    local options="console=ttyS0 quiet panic=-1 tsc=unstable transparent_hugepage=never preempt=$2"
    timeout 1200 qemu-system-x86_64 -M q35 -cpu max,cx16=off -m 1536 "${@:3}" \
        -nographic -no-reboot -nodefaults -serial stdio -kernel "$1" \
        -initrd "$work/initrd" -append "$options" \
        < /dev/null 2>&1 | sed -u 's|\r||' | tee "$work/console"
    grep -q '^qemu: failed=0$' "$work/console" ||
        { echo "qemu: failed on $1, preempt=$2" >&2; exit 1; }
}

case $job in
test)
    parts=$("$here/../rig/parts/build.sh" | tail -n 1)
    add_built capture test --test
    add_built qemu test --test
    add "$("$here/../../daemonset/binary.sh")" "$parts/bin/containerd" "$parts/bin/cri-client" \
        "$(command -v setpriv)"
    initrd
    for kernel in $kernels; do
        boot "$kernel" voluntary -accel tcg -smp 2
        boot "$kernel" full -accel tcg -smp 2
    done
    ;;
cost)
    add_built cost bench --bench
    initrd
    for kernel in $kernels; do
        boot "$kernel" voluntary -accel tcg,thread=single -smp 1 -icount shift=0,sleep=off
    done
    ;;
*)
    echo "usage: run.sh [test|cost]" >&2
    exit 2
    ;;
esac
