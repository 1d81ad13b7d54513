#!/bin/sh
# SPDX-License-Identifier: MIT
# modes.sh - builds every mode in a tree of its own and runs its tests there.
# The engine process itself has no sanitizer run time; asan and ubsan cover its sources in the hosted library.
set -eu
cd "$(dirname "$0")/.."
scripts/packages.sh check

mode() {
    name=$1
    shift
    echo "== $name"
    [ -f "build-$name/build.ninja" ] || meson setup "build-$name" "$@" >/dev/null
    ninja -C "build-$name" >/dev/null
    ORIGAMI_QUICK=1 meson test -C "build-$name" --no-rebuild --print-errorlogs --no-suite system \
        --timeout-multiplier 10
}

mode debug --buildtype=debug
mode asan --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false
# The machine process has a sanitizer's eye on it here: bad input and a hostile engine.
meson test -C build-asan --no-rebuild --print-errorlogs --timeout-multiplier 3 'system hostile' 'system input' \
    'system endings' 'system record'
mode hostile --buildtype=debugoptimized -Dhostile=true
CC=clang mode clang --buildtype=release
