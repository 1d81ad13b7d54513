#!/bin/sh
# SPDX-License-Identifier: MIT
# build-image.sh CC BITS OUTPUT SOURCE...: one bare-metal image, as the 32-bit ELF file that
# multiboot loaders take (a 64-bit program too: its entry is 32-bit code).
set -eu
cc=$1 bits=$2 output=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
trap 'rm -f "$output.tmp"' EXIT

# -mgeneral-regs-only: vector state is touched only by the snippets. No warning for the RWX
# segment: the snippets and the data are one image on purpose.
$cc -m"$bits" -std=gnu11 -O2 -g0 -ffreestanding -fno-builtin-printf -fno-stack-protector -fno-pic \
    -fno-pie -mgeneral-regs-only -mno-red-zone -fcf-protection=none \
    -fno-asynchronous-unwind-tables -fno-strict-aliasing -Wall -Wextra -Wshadow -Wconversion \
    -Wimplicit-fallthrough -Wstrict-prototypes -Wmissing-prototypes -Werror -Wno-unused-command-line-argument \
    -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments \
    -T "$here/link.ld" -o "$output.tmp" "$@"
objcopy -O elf32-i386 "$output.tmp" "$output"
