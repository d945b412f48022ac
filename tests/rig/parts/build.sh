#!/usr/bin/env bash
# Builds every program of the rig once and links them into one folder.
#
# Usage: build.sh            builds what is missing, prints that folder's path on the last line
#
# Each part is cached outside the tree under $PULLFUSE_CACHE (default ~/.cache/pullfuse), keyed by
# its folder's files, which are a lock file and perhaps sources, so that it is rebuilt only when
# these change.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PULLFUSE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullfuse}
mkdir -p "$cache"

say() { printf 'rig: %s\n' "$*" >&2; }
die() { say "$*"; exit 69; }

# One build at a time: a second caller waits and then finds everything there.
exec 9>"$cache/build.lock"
flock 9

# part NAME KEY BUILD-FUNCTION: runs the function in an empty folder unless NAME-KEY is cached.
parts=()
part() {
    local name=$1 key=$2 build=$3 dir log started
    dir=$cache/parts/$name-$key
    parts+=("$dir")
    [ -e "$dir/.complete" ] && return
    rm -rf "$dir"
    mkdir -p "$dir/bin" "$cache/log"
    log=$cache/log/$name.log
    started=$SECONDS
    say "building $name (log: $log)"
    # errexit does not reach into a function tested by `if`, hence the subshell of its own.
    set +e
    (set -e; cd "$dir"; "$build" "$name") >"$log" 2>&1
    local status=$?
    set -e
    if [ $status -ne 0 ]; then
        tail -n 15 "$log" >&2
        die "$name could not be built; the log is $log. A failed download means the package registries are out of reach."
    fi
    touch "$dir/.complete"
    say "built $name in $((SECONDS - started)) s"
}

key_of() { cat "$here/$1"/* | sha256sum | cut -c1-12; }

# go_tools NAME OUTPUT=PACKAGE...: builds packages pinned by NAME/go.mod.
go_tools() {
    local name=$1 dir=$PWD
    shift
    for pair in "$@"; do
        (cd "$here/$name" && CGO_ENABLED=0 go build -trimpath -mod=readonly -buildvcs=false \
            -tags "no_btrfs,providerless" -ldflags "-s -w $ldflags" -o "$dir/bin/${pair%%=*}" "${pair#*=}")
    done
}

# Without these the kubelet reports v0.0.0 and the API server refuses some objects.
kubernetes_version() {
    local version
    version=$(cd "$here/$1" && go list -m -f '{{.Version}}' k8s.io/kubernetes)
    local minor=${version#v1.}
    minor=${minor%%.*}
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        printf -- '-X %s.gitVersion=%s -X %s.gitMajor=1 -X %s.gitMinor=%s ' \
            "$package" "$version" "$package" "$package" "$minor"
    done
}

build_kubernetes() {
    local ldflags
    ldflags=$(kubernetes_version "$1")
    for command in kubelet kube-apiserver kube-controller-manager kube-scheduler kubectl; do
        say_log "$command"
        go_tools "$1" "$command=k8s.io/kubernetes/cmd/$command"
    done
}
build_kubelet_133() {
    local ldflags
    ldflags=$(kubernetes_version "$1")
    go_tools "$1" kubelet-1.33=k8s.io/kubernetes/cmd/kubelet
}
build_containerd() {
    local ldflags="" m=github.com/containerd/containerd/v2
    ldflags="-X $m/version.Version=$(cd "$here/$1" && go list -m -f '{{.Version}}' $m)"
    go_tools "$1" containerd=$m/cmd/containerd \
        containerd-shim-runc-v2=$m/cmd/containerd-shim-runc-v2 ctr=$m/cmd/ctr
}
build_etcd() { local ldflags="" && go_tools "$1" etcd=go.etcd.io/etcd/server/v3; }
build_registry() {
    local ldflags="" && go_tools "$1" registry=github.com/distribution/distribution/v3/cmd/registry
}
build_helm() {
    local ldflags
    ldflags="-X helm.sh/helm/v4/internal/version.version=$(cd "$here/$1" && go list -m -f '{{.Version}}' helm.sh/helm/v4)"
    go_tools "$1" helm=helm.sh/helm/v4/cmd/helm
}
build_cri_client() { local ldflags="" && go_tools "$1" "$1=."; }
say_log() { echo "-- $*"; }

# Debian's packages are unpacked, not installed: no service starts, nothing on the host changes.
debian_packages=(runc containernetworking-plugins containerd)
build_debian() {
    apt-get download "${debian_packages[@]}"
    for package in ./*.deb; do dpkg -x "$package" root; done
    rm ./*.deb
    ln -s ../root/usr/sbin/runc bin/runc
    mkdir -p containerd-1.6
    for program in containerd containerd-shim-runc-v2 ctr; do
        ln -s "../root/usr/bin/$program" "containerd-1.6/$program"
    done
    ln -s root/usr/lib/cni cni
}
build_pause() {
    printf '#include <unistd.h>\nint main(void) { for (;;) pause(); }\n' >pause.c
    gcc -static -Os -s -o bin/pause pause.c
}
build_fine() { gcc -static -Os -s -Wall -Werror -o bin/fine "$here/fine.c"; }

command -v go >/dev/null || die "Go is missing: install Go 1.26 or newer and put it on PATH"
command -v gcc >/dev/null || die "gcc is missing: apt-get install gcc libc6-dev"
debian_key=$(apt-cache policy "${debian_packages[@]}" | sed -n 's/ *Candidate: //p' | sha256sum | cut -c1-12)

part etcd "$(key_of etcd)" build_etcd
part registry "$(key_of registry)" build_registry
part containerd "$(key_of containerd)" build_containerd
part helm "$(key_of helm)" build_helm
part cri-client "$(key_of cri-client)" build_cri_client
part debian "$debian_key" build_debian
part pause 1 build_pause
part fine "$(sha256sum <"$here/fine.c" | cut -c1-12)" build_fine
part kubernetes "$(key_of kubernetes)" build_kubernetes
part kubelet-1.33 "$(key_of kubelet-1.33)" build_kubelet_133

# One folder of links that names exactly this set of parts.
all=$cache/rig-$(printf '%s\n' "${parts[@]}" | sha256sum | cut -c1-12)
if [ ! -e "$all/.complete" ]; then
    rm -rf "$all"
    mkdir -p "$all/bin"
    for dir in "${parts[@]}"; do
        for program in "$dir"/bin/*; do ln -sf "$(readlink -f "$program")" "$all/bin/"; done
        case $dir in
        */debian-*) ln -s "$dir/containerd-1.6" "$all/containerd-1.6"; ln -s "$dir/cni" "$all/cni" ;;
        esac
    done
    touch "$all/.complete"
fi
echo "$all"
