#!/bin/sh
# SPDX-License-Identifier: MIT
# run-qemu.sh IMAGE [COMMAND LINE]: an image under QEMU TCG, for a second opinion. The exit status
# is QEMU's: (v << 1) | 1 after isa-debug-exit, 0 after power-off or (because of -no-reboot) reset.
# QEMU_CPU chooses the model, for example QEMU_CPU=max,vendor=GenuineIntel.
set -eu
image=$1
exec timeout "${QEMU_TIMEOUT:-60}" qemu-system-x86_64 -accel tcg -cpu "${QEMU_CPU:-max}" \
    -kernel "$image" -append "${2:-}" -device isa-debug-exit,iobase=0xf4,iosize=4 -serial stdio \
    -display none -no-reboot </dev/null
