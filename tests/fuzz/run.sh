#!/usr/bin/env bash
# Looks for inputs that break a reader, guided by what each reaches, and prints a table.
#
# Usage: run.sh SECONDS [TARGET...]    so many seconds for each target, all of them by default
#
# Two at a time on two cores; JOBS=1 leaves one of them to others. What was reached is kept in
# target/fuzz/corpus, and the next run goes on from there.
set -euo pipefail
seconds=${1:?usage: run.sh SECONDS [TARGET...]}
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PULLFUSE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullfuse}
out=$(cd "$here/../.." && pwd)/target/fuzz
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$out/target}
# Debian's clang brings a C++ library, its gcc does not.
export CXX=${CXX:-clang++}
# Stable Rust has coverage but no sanitizers, which find what only unsafe code can do wrong.
fuzz() { "$cache/tools/bin/cargo-fuzz" "$@" --fuzz-dir "$here" --sanitizer none --dev; }

(cd "$here" && fuzz build)
if [ $# = 0 ]; then
    mapfile -t targets < <(cd "$here" && "$cache/tools/bin/cargo-fuzz" list --fuzz-dir "$here")
    set -- "${targets[@]}"
fi
bin=$(dirname "$(find "$CARGO_TARGET_DIR" -path "*/debug/$1" -type f -perm -u+x | head -n 1)")

# Files of readers live in memory, and go with the run.
TMPDIR=$(mktemp -d -p /dev/shm)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

# one TARGET: a line of the table; fails on a crash.
one() {
    local target=$1 corpus=$out/corpus/$1 found=$out/found/$1 log=$out/$1.log status=0
    mkdir -p "$corpus" "$found"
    "$bin/$target" "$corpus" -max_total_time="$seconds" -max_len=16384 -timeout=20 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$found/" >"$log" 2>&1 || status=$?
    local runs coverage crash
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
    crash=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    printf '%-10s %12s %10s  %s\n' "$target" "${runs:-?}" "${coverage#cov: }" \
        "$([ $status = 0 ] && echo none || echo "exit code $status: ${crash:-see $log}")"
    return $status
}
export -f one
export out bin seconds

printf '%-10s %12s %10s  %s\n' target executions coverage crash
failed=0
printf '%s\n' "$@" | xargs -P "${JOBS:-$(nproc)}" -I{} bash -c 'one {}' || failed=1
if [ $failed = 1 ]; then
    echo "A crash again: $bin/TARGET FILE. Mend it, and keep FILE as tests/data/damage/found/TARGET-WHAT"
    exit 1
fi
