#!/usr/bin/env bash
# Writes what the binaries are made of as a CycloneDX SBOM, and checks it against what cargo links.
#
# Usage: sbom.sh FILE [TARGET]    TARGET is Rust's name; the machine's own by default
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: sbom.sh FILE [TARGET]" >&2; exit 2; }
mkdir -p "$(dirname "$1")"
file=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${2:-$(rustc -vV | sed -n 's/^host: //p')}

# The tool writes beside each Cargo.toml of the workspace.
name=pullfuse-sbom
trap 'rm -f "$name.json" tests/rig/"$name.json"' EXIT
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s)
export SOURCE_DATE_EPOCH
cargo cyclonedx --quiet --format json --spec-version 1.5 --no-build-deps \
    --target "$target" --override-filename "$name"
# Where it was built is nobody's business.
sed "s|path+file://$PWD#|#|" "$name.json" >"$file"

die() { echo "$file $*" >&2; exit 70; }
crates=0
while read -r crate version; do
    purl="\"purl\": \"pkg:cargo/$crate@${version#v}"
    grep -qF -e "$purl\"" -e "$purl?" "$file" || die "lacks $crate $version"
    crates=$((crates + 1))
done < <(cargo tree --edges normal --target "$target" --prefix none --format '{p}' |
    cut -d ' ' -f 1-2 | sort -u)
[ $crates -gt 100 ] || die "was checked against $crates crates only"
components=$(grep -c '"purl": "pkg:cargo/[^?]*",$' "$file")
licences=$(grep -c '"licenses": \[' "$file")
[ "$licences" -gt "$components" ] || die "has $components crates and $licences licences"
echo "$file: $components crates, all with a licence, among them the $crates that cargo names"
