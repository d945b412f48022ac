#!/usr/bin/env bash
# Builds the static binary and the image, and stores the image.
#
# Usage: image.sh DESTINATION    such as docker://registry.example.com/pullfuse:dev or
#                                oci-archive:pullfuse.tar; a registry on loopback may be plain HTTP
set -euo pipefail
destination=${1:?usage: image.sh DESTINATION}
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v buildah >/dev/null || { echo "buildah is missing: apt-get install buildah" >&2; exit 69; }

binary=$(daemonset/binary.sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$binary" "$work/pullfuse"

# A store of its own with the plainest driver: works without an engine, in a container, as any user.
buildah() { command buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs "$@"; }
buildah bud --quiet --isolation chroot --file daemonset/Dockerfile --tag pullfuse "$work"
case $destination in
docker://127.0.0.1:*) buildah push --quiet --tls-verify=false pullfuse "$destination" ;;
*) buildah push --quiet pullfuse "$destination" ;;
esac
