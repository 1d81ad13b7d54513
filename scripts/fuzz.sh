#!/bin/sh
# SPDX-License-Identifier: MIT
# fuzz.sh [RUNS] - builds every libFuzzer target with clang, ASan and UBSan, and runs each RUNS times (default a
# million). Findings stay in build-fuzz/findings.
set -eu
cd "$(dirname "$0")/.."
runs=${1:-1000000}
[ -f build-fuzz/build.ninja ] ||
    CC=clang meson setup build-fuzz -Dfuzz=true --buildtype=debugoptimized \
        -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
ninja -C build-fuzz >/dev/null
mkdir -p build-fuzz/findings
status=0
targets=$(find build-fuzz/tests -name 'fuzz-*' ! -name '*-replay' -type f -executable | sort)
[ -n "$targets" ] || { echo "fuzz.sh: no targets were built" >&2; exit 1; }
for target in $targets; do
    echo "== $target"
    name=$(basename "$target")
    mkdir -p "build-fuzz/corpus/$name"
    # What a target finds goes to its own corpus; the second folder only starts it.
    case $name in
    fuzz-checker-isa) seeds=isa ;;
    fuzz-checker-program) seeds=isa/programs ;;
    *) seeds= ;;
    esac
    "$target" -runs="$runs" -max_len=65536 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix=build-fuzz/findings/ "build-fuzz/corpus/$name" $seeds || status=1
done
exit $status
