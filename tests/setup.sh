#!/usr/bin/env bash
# Installs what `make demo`, `make test`, `make fuzz`, `make licences` and `make sbom` need and this Debian
# machine lacks.
#
# Usage: setup.sh [demo|test|fuzz|licences|sbom]    `test` adds what only the tests need
set -euo pipefail
cache=${PULLFUSE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullfuse}
deny_version=0.20.2
fuzz_version=0.13.2
cyclonedx_version=0.5.9
mode=${1:-test}

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 69; }

[ "$(id -u)" = 0 ] || die "run this as root: a node needs namespaces, mounts and cgroups"

# Debian's own Rust and Go are too old for this project, so they are not installed from there.
for tool in cargo:'Rust 1.95 or newer, for example with rustup' go:'Go 1.26 or newer'; do
    command -v "${tool%%:*}" >/dev/null || die "${tool%%:*} is missing: install ${tool#*:}, and put it on PATH"
done

# Each kubelet wants a few dozen, and the nodes of a test run are many at once.
watches=/proc/sys/fs/inotify/max_user_instances
[ "$(cat $watches)" -ge 1024 ] || echo 1024 2>/dev/null >$watches ||
    say "cannot raise $watches: kubelets may end with 'too many open files'"

# program:package, a program being a command or a file
needed=(protoc:protobuf-compiler /usr/include/google/protobuf/empty.proto:libprotobuf-dev
    clang:clang gcc:gcc /usr/lib/x86_64-linux-gnu/libc.a:libc6-dev ip:iproute2 unshare:util-linux
    nsenter:util-linux dpkg:dpkg flock:util-linux buildah:buildah)
[ "$mode" != test ] || needed+=(shellcheck:shellcheck
    setpriv:util-linux qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio
    strip:binutils promtool:prometheus
    /usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1:libfaketime)
packages=()
for pair in "${needed[@]}"; do
    program=${pair%%:*}
    case $program in
    /*) [ -e "${program/x86_64/$(uname -m)}" ] || packages+=("${pair#*:}") ;;
    *) command -v "$program" >/dev/null || packages+=("${pair#*:}") ;;
    esac
done
if [ ${#packages[@]} -gt 0 ]; then
    say "installing ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || die "apt-get update failed: the package registry is out of reach"
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null ||
        die "install these packages by hand: ${packages[*]}"
fi
# The rig's parts come from Debian's lists, which a fresh machine does not have.
apt-cache show runc >/dev/null 2>&1 || apt-get update -qq

# tool NAME VERSION: a cargo subcommand, built once.
tool() {
    [ -x "$cache/tools/bin/$1" ] && return
    say "building $1 $2 (some minutes, once)"
    cargo install --quiet --locked --root "$cache/tools" "$1@$2" || die "$1 could not be built: see above"
}
case $mode in
demo) ;;
fuzz) tool cargo-fuzz $fuzz_version ;;
sbom) tool cargo-cyclonedx $cyclonedx_version ;;
*) tool cargo-deny $deny_version ;;
esac
