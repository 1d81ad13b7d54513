#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds the demo guest in OUTDIR, without root, from Debian's packages:
#   OUTDIR/vmlinuz         the kernel of linux-image-cloud-amd64, byte for byte
#   OUTDIR/disk.img        an empty ext4 file system of 64 MiB; one that is there is left as it is
#   OUTDIR/initrd.cpio.gz  busybox-static, guests/demo/init, a 32-bit program, and the kernel's modules
#                          for virtio disks, network, console, random numbers and balloon
# Packages are kept in $ORIGAMI_CACHE (default ~/.cache/origami) and fetched only once. A package
# file may be given instead: ORIGAMI_KERNEL_DEB, ORIGAMI_BUSYBOX_DEB.
# Both files are written under a temporary name first: what exists under its name is whole.
set -eu
LC_ALL=C
export LC_ALL
umask 022

die() {
    echo "build.sh: $*" >&2
    exit 1
}

[ $# -eq 1 ] || die "usage: guests/demo/build.sh OUTDIR"
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" || die "cannot create $1"
out=$(cd "$1" && pwd)
cache=${ORIGAMI_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/origami}
cc=${CC:-cc}

for tool in dpkg-deb tar "${cc%% *}"; do
    command -v "$tool" >/dev/null || die "$tool is missing (Debian: apt-get install dpkg tar gcc)"
done
work=$(mktemp -d "$out/.build.XXXXXX") || die "cannot write to $out"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# fetch PACKAGE: prints the path of its .deb, from the cache or from the archive
fetch() {
    for cached in "$cache/$1"_*_amd64.deb; do
        if [ -f "$cached" ]; then
            echo "$cached"
            return
        fi
    done
    command -v apt-get >/dev/null || die "apt-get is missing: this needs Debian, or ORIGAMI_KERNEL_DEB and ORIGAMI_BUSYBOX_DEB"
    mkdir -p "$cache" "$work/fetch"
    if ! (cd "$work/fetch" && apt-get -qq -o APT::Sandbox::User=root download "$1:amd64") \
        >"$work/apt.log" 2>&1; then
        die "cannot download $1 ($(grep -m1 '^E:' "$work/apt.log" || echo 'is the machine offline?'))"
    fi
    file=$(echo "$work/fetch/$1"_*.deb)
    mv "$file" "$cache/"
    echo "$cache/${file##*/}"
}

# The versioned package behind linux-image-cloud-amd64; when apt has no lists, what the cache has.
kernel_package() {
    name=$({ apt-cache depends linux-image-cloud-amd64 2>/dev/null || true; } |
        sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
    for cached in "$cache"/linux-image-[0-9]*_amd64.deb; do
        [ -f "$cached" ] && [ -z "$name" ] && name=${cached##*/} && name=${name%%_*}
    done
    [ -n "$name" ] || die "apt knows no linux-image-cloud-amd64 (run 'apt-get update', or set ORIGAMI_KERNEL_DEB)"
    echo "$name"
}

kernel_deb=${ORIGAMI_KERNEL_DEB:-}
if [ -z "$kernel_deb" ]; then
    name=$(kernel_package)
    kernel_deb=$(fetch "$name")
fi
busybox_deb=${ORIGAMI_BUSYBOX_DEB:-}
[ -n "$busybox_deb" ] || busybox_deb=$(fetch busybox-static)

# extract DEB PATTERN FILE: one member of a package
extract() {
    [ -f "$1" ] || die "$1: no such file"
    member=$(dpkg-deb --fsys-tarfile "$1" 2>/dev/null | tar -t 2>/dev/null | grep -m1 -x "$2") ||
        die "$1: damaged, or not the right package (remove it and run again)"
    dpkg-deb --fsys-tarfile "$1" 2>/dev/null | tar -xO "$member" >"$3" 2>/dev/null || die "$1: cannot unpack $member"
}

extract "$kernel_deb" '\./boot/vmlinuz-.*' "$work/vmlinuz"
# The kernel's modules for our devices, in the order they are to be loaded; init reads the list.
modules="drivers/virtio/virtio_ring drivers/virtio/virtio drivers/virtio/virtio_pci_modern_dev
drivers/virtio/virtio_pci_legacy_dev drivers/virtio/virtio_pci drivers/block/virtio_blk
net/core/failover drivers/net/net_failover drivers/net/virtio_net drivers/char/hw_random/virtio-rng
drivers/char/virtio_console drivers/virtio/virtio_balloon"
mkdir "$work/modules"
dpkg-deb --fsys-tarfile "$kernel_deb" 2>/dev/null |
    tar -x -C "$work/modules" --wildcards './lib/modules/*/kernel/drivers/*virtio*' './lib/modules/*/kernel/*failover*' \
        2>/dev/null || die "$kernel_deb: cannot unpack its modules"
for module in $modules; do
    set -- "$work"/modules/lib/modules/*/kernel/"$module".ko
    [ -f "$1" ] || die "$kernel_deb: has no $module.ko"
    mv "$1" "$work/${module##*/}.ko"
    echo "${module##*/}"
done >"$work/module-list"
extract "$busybox_deb" '\./bin/busybox' "$work/busybox"
chmod 755 "$work/busybox"
$cc -O2 -o "$work/mkcpio" "$here/mkcpio.c" || die "cannot compile mkcpio.c"
$cc -m32 -Os -ffreestanding -nostdlib -static -fno-pic -no-pie -fno-stack-protector \
    -fcf-protection=none -fno-asynchronous-unwind-tables -Wl,--build-id=none -s \
    -o "$work/hello32" "$here/hello32.c" || die "cannot compile hello32.c for 32 bits"

{
    for dir in bin dev etc proc root sys tmp; do
        echo "dir $dir 755"
    done
    echo "node dev/console 600 5 1"
    echo "node dev/null 666 1 3"
    echo "file init 755 $here/init"
    echo "file etc/inittab 644 $here/inittab"
    echo "file etc/self-test 644 $here/self-test"
    echo "file etc/udhcpc.script 755 $here/udhcpc.script"
    echo "dir lib 755"
    echo "dir lib/modules 755"
    echo "file lib/modules/list 644 $work/module-list"
    for module in $modules; do
        echo "file lib/modules/${module##*/}.ko 644 $work/${module##*/}.ko"
    done
    echo "file bin/busybox 755 $work/busybox"
    echo "file bin/hello32 755 $work/hello32"
    "$work/busybox" --list | sort | grep -v -x busybox |
        while read -r applet; do
            echo "link bin/$applet busybox"
        done
} >"$work/list"
"$work/mkcpio" "$work/list" >"$work/initrd.cpio.gz" || die "cannot write the initrd"
# A disk for /disk, made once: it is the user's from then on.
if [ ! -e "$out/disk.img" ]; then
    mke2fs=$(PATH="$PATH:/usr/sbin:/sbin" command -v mke2fs) || die "mke2fs is missing (Debian: apt-get install e2fsprogs)"
    truncate -s 64M "$work/disk.img"
    "$mke2fs" -q -t ext4 -L origami "$work/disk.img" || die "cannot make the disk"
    mv "$work/disk.img" "$out/disk.img"
fi
mv "$work/vmlinuz" "$out/vmlinuz"
mv "$work/initrd.cpio.gz" "$out/initrd.cpio.gz"
echo "demo guest: $out/vmlinuz ($(basename "$kernel_deb")), $out/initrd.cpio.gz"
