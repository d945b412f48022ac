#!/usr/bin/env bash
# Builds the static binary and the image, and stores the image.
#
# Usage: image.sh DESTINATION...    such as docker://registry.example.com/pullfuse:dev or
#                                   oci-archive:pullfuse.tar; a registry on loopback may be plain HTTP
#
# ARCH: architectures, such as "amd64 arm64" for one image of both; the machine's own by default.
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: image.sh DESTINATION..." >&2; exit 2; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v buildah >/dev/null || { echo "buildah is missing: apt-get install buildah" >&2; exit 69; }

own=$(uname -m)
case $own in x86_64) own=amd64 ;; aarch64) own=arm64 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A store of its own with the plainest driver: works without an engine, in a container, as any user.
buildah() { command buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs "$@"; }

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
platforms=()
for arch in ${ARCH:-$own}; do
    binary=$(daemonset/binary.sh "$arch")
    mkdir -p "$work/context/$arch"
    cp "$binary" "$work/context/$arch/pullfuse"
    platforms+=("linux/$arch")
done
how=(--quiet --isolation chroot --file daemonset/Dockerfile
    --label "org.opencontainers.image.version=$version")
push=(push --quiet)
if [ ${#platforms[@]} = 1 ]; then
    buildah bud "${how[@]}" --platform "${platforms[0]}" --build-arg "TARGETARCH=${platforms[0]#*/}" \
        --tag pullfuse "$work/context"
else
    for platform in "${platforms[@]}"; do
        buildah bud "${how[@]}" --platform "$platform" --build-arg "TARGETARCH=${platform#*/}" \
            --manifest pullfuse "$work/context"
    done
    push=(manifest push --quiet --all)
fi
for destination; do
    case $destination in
    docker://127.0.0.1:*) buildah "${push[@]}" --tls-verify=false pullfuse "$destination" ;;
    *) buildah "${push[@]}" pullfuse "$destination" ;;
    esac
done
