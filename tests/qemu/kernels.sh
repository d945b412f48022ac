#!/usr/bin/env bash
# Fetches Debian's kernels for tests/qemu/run.sh and prints the paths of their images.
#
# Usage: kernels.sh FOLDER
set -euo pipefail
folder=${1:?usage: kernels.sh FOLDER}
keys=/usr/share/keyrings/debian-archive-keyring.gpg
# The archive that this machine is set up for.
# shellcheck disable=SC2016 # apt's own variable
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' |
    head -n 1)
[ -n "$mirror" ] || { echo "apt knows no archive of Debian 12: run apt-get update" >&2; exit 69; }

# apt with lists of its own: the machine's are left alone, and the newer kernel is from backports.
fetch() {
    local suite=$1 there=$folder/$1
    if ! compgen -G "$there/boot/vmlinuz-*" >/dev/null; then
        mkdir -p "$there/lists/partial" "$there/cache/archives/partial"
        echo "deb [signed-by=$keys] $mirror $suite main" > "$there/sources.list"
        local apt=(-qq -o APT::Sandbox::User=root -o Dir::Etc::sourceparts=-
            -o "Dir::Etc::sourcelist=$there/sources.list"
            -o "Dir::State::lists=$there/lists" -o "Dir::Cache=$there/cache")
        apt-get "${apt[@]}" update >&2
        local package
        package=$(apt-cache "${apt[@]}" depends linux-image-cloud-amd64 |
            sed -n 's/.*Depends: //p' | head -n 1)
        (cd "$there" && apt-get "${apt[@]}" download "$package" >&2)
        dpkg --fsys-tarfile "$there"/linux-image-*.deb |
            tar -x -C "$there" --wildcards './boot/vmlinuz-*'
        rm -rf "$there"/*.deb "$there/lists" "$there/cache"
    fi
    echo "$there"/boot/vmlinuz-*
}
fetch bookworm
fetch bookworm-backports
