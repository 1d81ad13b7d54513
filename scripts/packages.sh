#!/bin/sh
# SPDX-License-Identifier: MIT
# packages.sh STEP - sees to it that the Debian packages a step needs are installed.
# Installs them where it may (root); otherwise prints the one command that does and stops with status 1.
set -eu

build="gcc libc6-dev make meson ninja-build pkg-config libseccomp-dev libcjson-dev liburing-dev libslirp-dev libglib2.0-dev libz3-dev gettext python3 zlib1g-dev libbz2-dev liblz4-dev liblzma-dev libzstd-dev"
build="$build libcmocka-dev libzydis-dev"
demo="busybox-static cpio gzip apt e2fsprogs"
check="qemu-system-x86 busybox-static cpio tmux lz4 iproute2 util-linux clang clang-format libclang-rt-14-dev"
fuzz="clang libclang-rt-14-dev"
bench="qemu-system-x86 libc-bin"

case "${1:-}" in
build) wanted="$build" ;;
demo) wanted="$build $demo" ;;
check) wanted="$build $demo $check" ;;
fuzz) wanted="$build $fuzz" ;;
bench) wanted="$build $demo $bench" ;;
*)
    echo "usage: scripts/packages.sh build|demo|check|fuzz|bench" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "packages: not a Debian system; needed here: $wanted" >&2
    exit 0
fi

missing=""
for package in $wanted; do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$status" = "install ok installed" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
    echo "packages: installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "packages: missing:$missing" >&2
    echo "packages: install them with: sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
