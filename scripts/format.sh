#!/bin/sh
# SPDX-License-Identifier: MIT
# format.sh ARGS - runs clang-format with ARGS over every C source (the instruction tables are laid out by hand).
set -eu
cd "$(dirname "$0")/.."
find bench engine machine include checker guests tests \( -name '*.c' -o -name '*.h' \) -print0 |
    xargs -0 clang-format "$@"
