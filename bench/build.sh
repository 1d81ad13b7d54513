#!/bin/sh
# SPDX-License-Identifier: MIT
#
# build.sh OUTDIR DEMODIR builds the benchmark in OUTDIR, without root (DEMODIR: see guests/demo):
#   OUTDIR/root             the programs as native runs use them
#   OUTDIR/initrd.cpio.gz   the same files for the guests, byte for byte
# The shell is busybox-static; the compiler is the cc1 of this machine's gcc and the interpreter its
# /usr/bin/python3, both with their libraries. Nothing else of the host is used at run time.
# ROOT/programs names what is missing ("compiler", "python"): those items are then left out.
set -eu
LC_ALL=C
export LC_ALL
umask 022

die() {
    echo "bench/build.sh: $*" >&2
    exit 1
}

[ $# -eq 2 ] || die "usage: bench/build.sh OUTDIR DEMODIR"
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" || die "cannot create $1"
out=$(cd "$1" && pwd)
demo=$(cd "$2" && pwd) || die "$2: no demo guest there (guests/demo/build.sh $2)"
cc=${CC:-gcc}
python=${BENCH_PYTHON:-/usr/bin/python3}
work=$(mktemp -d "$out/.build.XXXXXX") || die "cannot write to $out"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

root=$work/root
mkdir -p "$root/bin" "$root/lib" "$root/data" "$root/python/lib"
$cc -O2 -std=c11 -Wall -Wextra -static -ffp-contract=off -o "$root/bin/bench" "$here"/guest/*.c -lm ||
    die "cannot compile the benchmark"
$cc -O2 -o "$work/mkcpio" "$here/../guests/demo/mkcpio.c" || die "cannot compile mkcpio.c"
gzip -dc "$demo/initrd.cpio.gz" | (cd "$work" && cpio -id --quiet bin/busybox)
mv "$work/bin/busybox" "$root/bin/busybox" || die "no busybox in $demo/initrd.cpio.gz"
cp "$here/guest/work.sh" "$here/guest/work.py" "$root/data/"
python3 "$here/generate.py" >"$root/data/unit.i" || die "cannot write the file to compile"

# bundle PROGRAM NAME: a program with its libraries; fails if it is not a dynamic ELF program
bundle() {
    [ -x "$1" ] || return 1
    ldd "$1" >"$work/ldd" 2>/dev/null || return 1
    cp -L "$1" "$root/bin/$2"
    sed -n 's/.*=> \(\/[^ ]*\) (0x.*/\1/p' "$work/ldd" | while read -r library; do
        cp -L "$library" "$root/lib/"
    done
    loader=$(sed -n 's/^[[:space:]]*\(\/[^ ]*ld-linux[^ ]*\) (0x.*/\1/p' "$work/ldd")
    cp -L "$loader" "$root/lib/loader"
}

: >"$root/missing"
bundle "$($cc -print-prog-name=cc1)" cc1 || echo compiler >>"$root/missing"
if bundle "$(readlink -f "$python")" python3; then
    library=$("$python" -c 'import sys, os; print(os.path.dirname(os.__file__))')
    name=$(basename "$library")
    mkdir -p "$root/python/lib/$name/lib-dynload"
    # What the interpreter reads to start; without bytecode files, so that every start is alike.
    for file in os.py codecs.py io.py abc.py; do
        cp -L "$library/$file" "$root/python/lib/$name/"
    done
    cp -rL "$library/encodings" "$root/python/lib/$name/"
    find "$root/python" -depth -name __pycache__ -exec rm -rf {} +
else
    echo python >>"$root/missing"
fi

{
    for dir in dev etc proc root sys tmp; do
        echo "dir $dir 755"
    done
    echo "node dev/console 600 5 1"
    echo "node dev/null 666 1 3"
    echo "file init 755 $here/guest/init"
    (cd "$root" && find . -mindepth 1 -type d | sort) | while read -r path; do
        echo "dir ${path#./} 755"
    done
    (cd "$root" && find . -type f | sort) | while read -r path; do
        echo "file ${path#./} 755 $out/root/${path#./}"
    done
} >"$work/list"
rm -rf "$out/root"
mv "$root" "$out/root"
"$work/mkcpio" "$work/list" >"$work/initrd.cpio.gz" || die "cannot write the initrd"
mv "$work/initrd.cpio.gz" "$out/initrd.cpio.gz"
