# SPDX-License-Identifier: MIT
"""Disks, as a person uses them: Debian's kernel on an ext4 image. What it wrote is there, on the host and at the next
boot; a machine killed in the middle of it loses nothing that was synced; images that can't be used say why."""
import hashlib
import json
import os
import re
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

from guestscript import file_in, fsck, initrd_with, make_ext4, tool
from support import BARE, STATUS, TOOLS, Checks, Run, run, skip

LONG = os.environ.get("ORIGAMI_LONG") == "1"
KILLS = 100 if LONG else 4

WRITE = """
mkdir -p /mnt
mount -t ext4 /dev/vda /mnt || exit
mkdir /mnt/tree
i=0
while [ $i -lt 200 ]; do
    echo "file number $i" >/mnt/tree/$i
    i=$((i + 1))
done
dd if=/dev/urandom of=/mnt/random bs=64k count=128 2>/dev/null
sync
echo "sum $(sha256sum </mnt/random)"
cp /mnt/random /mnt/copy
dd if=/dev/urandom of=/mnt/direct bs=4k count=64 oflag=direct 2>/dev/null
rm /mnt/tree/1??
umount /mnt
echo 'script: done'
"""

READ = """
mkdir -p /mnt
mount -t ext4 /dev/vda /mnt || exit
cmp /mnt/random /mnt/copy && echo 'script: the copy is equal'
echo "sum $(sha256sum </mnt/random)"
echo "files $(ls /mnt/tree | wc -l)"
umount /mnt
echo 'script: done'
"""

SEVERAL = """
for disk in vda vdb vdc; do
    echo "$disk $(cat /sys/block/$disk/size) $(cat /sys/block/$disk/ro) '$(cat /sys/block/$disk/serial)'"
done
dd if=/dev/vdb of=/tmp/b bs=512 count=8 2>/dev/null
echo "b $(sha256sum </tmp/b)"
dd if=/tmp/b of=/dev/vdb bs=512 count=1 oflag=direct 2>/dev/null && echo 'FAIL vdb was written'
blkdiscard /dev/vda && echo 'discarded'
dd if=/dev/zero of=/dev/vdc bs=1M count=4 conv=fsync 2>/dev/null
tail -c 512 /dev/vdc | od -c | head -n 1
dd if=/dev/vdc of=/dev/null bs=1M skip=100 2>/dev/null
echo "interrupts $(grep -c virtio /proc/interrupts)"
echo 'script: done'
"""


def faults_of(outcome, status, line=None):
    found = outcome.faults(status, line)
    if status == 0 and "script: done" not in outcome.out:
        found.append("the script did not end: " + outcome.out[-400:])
    return found


def report(checks, name, found, outcome=None):
    seconds = f" ({outcome.seconds:.1f} s)" if outcome else ""
    return checks.check(name + seconds, not found, "; ".join(found))


def persistence(checks, directory):
    """Written, synced, powered off: clean on the host, there at the next boot. On the fast tier and, with
    ORIGAMI_LONG, step by step."""
    image = directory / "disk.img"
    make_ext4(image, 64)
    outcome = run(*initrd_with(WRITE, directory / "write.img"), "--disk", image, timeout=240, input="null")
    found = faults_of(outcome, 0)
    total = re.search(r"^sum (\w+)", outcome.out, re.M)
    if not found and total:
        broken = fsck(image)
        if broken:
            found.append("e2fsck: " + broken)
        if hashlib.sha256(file_in(image, "/random")).hexdigest() != total[1]:
            found.append("the file on the host is another one")
        if file_in(image, "/tree/42") != b"file number 42\n":
            found.append("a small file is not what it was")
    report(checks, "what a guest writes is on the host", found, outcome)
    outcome = run(*initrd_with(READ, directory / "read.img"), "--disk", image, timeout=240, input="null")
    found = faults_of(outcome, 0)
    for want in ("script: the copy is equal", f"sum {total[1] if total else '?'}", "files 100"):
        if want not in outcome.out:
            found.append(f"no '{want}': {outcome.out[-300:]}")
    report(checks, "and there at the next boot", found, outcome)
    # Runs that count instructions do their I/O at once; the same script must do.
    outcome = run(*initrd_with(READ, directory / "read.img"), "--disk", f"{image},ro", "--clock", "instructions",
                  timeout=240, input="null")
    found = [] if outcome.status == 0 else outcome.faults(0)
    report(checks, "a read-only mount of it, in deterministic time", found, outcome)


def several(checks, directory):
    names = [directory / f"{letter}.img" for letter in "abc"]
    names[0].write_bytes(os.urandom(8 << 20))
    names[1].write_bytes(os.urandom(1 << 20))
    names[2].write_bytes(b"x" * (8 << 20))
    before = names[1].read_bytes()
    outcome = run(*initrd_with(SEVERAL, directory / "several.img"), "--disk", f"{names[0]},serial=first-one",
                  "--disk", f"{names[1]},ro", "--disk", names[2], timeout=240, input="null")
    found = faults_of(outcome, 0)
    for want in ("vda 16384 0 'first-one'", "vdb 2048 1 ''", "vdc 16384 0 ''",
                 "b " + hashlib.sha256(before[:4096]).hexdigest(), "discarded"):
        if want not in outcome.out:
            found.append(f"no {want!r}: {outcome.out[-600:]}")
    if names[1].read_bytes() != before:
        found.append("a read-only image was changed")
    if os.stat(names[0]).st_blocks * 512 > 1 << 20:
        found.append(f"a discarded image still takes {os.stat(names[0]).st_blocks * 512} bytes")
    if names[2].read_bytes() != b"\0" * (4 << 20) + b"x" * (4 << 20):
        found.append("the written image is not what was written")
    report(checks, "several disks: size, serial, read-only, discard", found, outcome)


LOG = """
mkdir -p /mnt
mount -t ext4 /dev/vda /mnt || exit
echo 'script: ready'
i=$(ls /mnt | grep -c '^done')
while true; do
    seq $((i * 1000)) $((i * 1000 + 4000)) >/mnt/part
    mv /mnt/part /mnt/done$i
    sync
    echo "synced $i"
    i=$((i + 1))
done
"""


def killed(checks, directory):
    """kill -9 in mid-write, again and again on one image: the journal replays, synced files are whole."""
    image = directory / "killed.img"
    make_ext4(image, 64)
    machine = initrd_with(LOG, directory / "log.img")
    found, promised = [], set()
    for number in range(KILLS):
        one = Run(*machine, "--disk", image, input="null")
        if not one.wait_output("script: ready", 120):
            found.append(f"round {number}: did not start: {one.text['out'][-300:]}")
        one.wait_output("synced", 60)
        time.sleep(0.3 + 0.37 * (number % 7))
        one.signal(signal.SIGKILL)
        outcome = one.finish(30)
        promised |= {int(each) for each in re.findall(r"^synced (\d+)$", outcome.out, re.M)}
        if found:
            break
    outcome = run(*initrd_with("mkdir -p /mnt; mount -t ext4 /dev/vda /mnt && umount /mnt && echo 'script: done'",
                               directory / "replay.img"), "--disk", image, timeout=120, input="null")
    found += faults_of(outcome, 0)
    broken = fsck(image)
    if broken:
        found.append("e2fsck after replay: " + broken)
    for each in sorted(promised) if not found else ():
        want = "".join(f"{line}\n" for line in range(each * 1000, each * 1000 + 4001)).encode()
        if file_in(image, f"/done{each}") != want:
            found.append(f"synced file {each} is not whole")
    if len(promised) < KILLS:
        found.append(f"only {len(promised)} files were synced in {KILLS} rounds")
    report(checks, f"killed in mid-write {KILLS} times: {len(promised)} synced files are whole", found)


def code(checks, directory):
    """A bare guest runs code that the disk puts in the place of other code, and times its doorbells."""
    image = directory / "code.img"
    image.write_bytes(b"".join((b"\xb8" + (n * 0x01010101).to_bytes(4, "little") + b"\xc3").ljust(512, b"\xcc")
                               for n in range(64)))
    for options in ([], ["--tier", "step"], ["--clock", "instructions"]):
        outcome = run("run", "--kernel", BARE / "disk.elf", "--debug-exit", "--disk", f"{image},ro", *options, timeout=120)
        found = outcome.faults(1)
        times = re.search(r"a doorbell (\d+) ns, an access (\d+) ns", outcome.out)
        if "code from 3000 sectors: ok," not in outcome.out:
            found.append(outcome.out)
        elif not options and int(times[1]) * 4 > int(times[2]):
            found.append("a doorbell waits: " + times[0])
        report(checks, f"code from a disk replaces code {' '.join(options)}", found, outcome)


FULL = """
dd if=/dev/zero of=/dev/vda bs=1M seek=1 count=1 oflag=direct 2>/dev/null && echo 'wrote below'
dd if=/dev/zero of=/dev/vda bs=1M seek=350 count=1 oflag=direct 2>/dev/null || echo 'refused above'
dd if=/dev/zero of=/dev/vda bs=1M seek=2 count=1 oflag=direct 2>/dev/null && echo 'wrote below again'
echo 'script: done'
"""

SHRINK = """
dd if=/dev/vda of=/dev/null bs=1M count=8 iflag=direct 2>/dev/null && echo 'read all'
echo 'script: cut it'
while dd if=/dev/vda of=/dev/null bs=64k skip=64 count=1 iflag=direct 2>/dev/null; do
    sleep 0.1
done
echo 'read refused'
dd if=/dev/zero of=/dev/vda bs=64k seek=100 count=1 oflag=direct 2>/dev/null || echo 'write refused'
echo 'script: done'
"""


def faults(checks, directory):
    """A host that can't: the guest gets an I/O error, goes on, and nothing hangs."""
    image = directory / "full.img"
    with open(image, "wb") as file:
        file.truncate(400 << 20)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300 << 20, 300 << 20))

    outcome = run(*initrd_with(FULL, directory / "full-initrd.img"), "--disk", image, input="null", timeout=120, before=limit)
    found = faults_of(outcome, 0)
    for want in ("wrote below", "refused above", "wrote below again"):
        if want not in outcome.out.splitlines():
            found.append(f"no {want!r}: {outcome.out[-400:]}")
    report(checks, "an image that may not grow", found, outcome)

    image = directory / "shrink.img"
    with open(image, "wb") as file:
        file.truncate(8 << 20)
    machine = Run(*initrd_with(SHRINK, directory / "shrink-initrd.img"), "--disk", image, input="null")
    started = machine.wait_output("script: cut it", 120)
    os.truncate(image, 1 << 20)
    outcome = machine.finish(120)
    found = faults_of(outcome, 0) + ([] if started else ["did not start"])
    for want in ("read all", "read refused", "write refused"):
        if want not in outcome.out.splitlines():
            found.append(f"no {want!r}: {outcome.out[-400:]}")
    if image.stat().st_size != 1 << 20:
        found.append("the image was brought back")
    report(checks, "an image that is cut while in use", found, outcome)

    image = directory / "gone.img"
    make_ext4(image, 64)
    machine = Run(*initrd_with(WRITE.replace("sync\n", "echo 'script: remove it'; sleep 1; sync\n", 1),
                               directory / "gone-initrd.img"), "--disk", image, input="null")
    machine.wait_output("script: remove it", 120)
    with open(image, "rb") as kept:
        os.unlink(image)
        outcome = machine.finish(120)
        (directory / "kept.img").write_bytes(kept.read())
    broken = fsck(directory / "kept.img")
    report(checks, "an image that is removed while in use",
           faults_of(outcome, 0) + (["e2fsck: " + broken] if broken else []), outcome)


def fallback(checks, directory):
    """A host that refuses io_uring, as containers do: threads, and the same bytes."""
    image = directory / "threads.img"
    make_ext4(image, 64)
    profile = TOOLS / "container_profile"
    for launcher, way in (((), None), ((profile, "--seccomp"), "threads")):
        statistics = directory / "stats.json"
        outcome = run(*initrd_with(WRITE, directory / "threads-initrd.img"), "--disk", image, "--stats", statistics,
                      input="null", timeout=240, launcher=launcher)
        found = faults_of(outcome, 0)
        used = json.loads(statistics.read_text())["disk_io"] if not found else None
        if way and used != way:
            found.append(f"disk_io is {used}")
        broken = fsck(image)
        if broken:
            found.append("e2fsck: " + broken)
        report(checks, f"{'under a container filter' if launcher else 'on this host'}: I/O by {used}", found, outcome)
        make_ext4(image, 64)


def errors(checks, directory):
    short, odd, empty = directory / "short", directory / "odd", directory / "empty"
    short.write_bytes(b"x" * 100)
    odd.write_bytes(b"x" * 1000)
    empty.write_bytes(b"")
    good = directory / "good"
    good.write_bytes(b"\0" * 4096)
    guest = ("run", "--kernel", BARE / "loop.elf")
    cases = {
        "missing": (["--disk", directory / "none"], r"disk .*none: No such file"),
        "shorter than a sector": (["--disk", short], r"shorter than one sector"),
        "empty": (["--disk", empty], r"is empty"),
        "not whole sectors": (["--disk", odd], r"1000 bytes, is no multiple of 512"),
        "a directory": (["--disk", directory], r"is a directory"),
        "a character device": (["--disk", "/dev/null"], r"neither a file nor a block device"),
        "given twice": (["--disk", good, "--disk", good], r"in use .*given twice"),
    }
    for name, (options, line) in cases.items():
        outcome = run(*guest, *options, timeout=30)
        report(checks, f"an image that is {name}", outcome.faults(STATUS["input"], line), outcome)
    first = Run(*guest, "--disk", good)
    if first.engine() is None:
        checks.check("a machine with a disk starts", False, repr(first.finish(5).err))
        return
    for options, line in (([good], r"in use by a machine"), ([f"{good},ro"], r"another machine is writing")):
        outcome = Run(*guest, "--disk", *options).finish(30, alone=False)
        report(checks, f"an image in use: {options[0]}", outcome.faults(STATUS["input"], line), outcome)
    first.signal(signal.SIGTERM)
    report(checks, "the machine that holds it", first.finish(20).faults(STATUS["signal"], r"signal 15"))
    readers = [Run(*guest, "--disk", f"{good},ro") for _ in range(2)]
    both = all(reader.engine() for reader in readers)
    for reader in readers:
        reader.signal(signal.SIGTERM)
    ended = [reader.finish(20, alone=False).faults(STATUS["signal"], r"signal 15") for reader in readers]
    checks.check("two machines read one image", both and not any(ended), repr(ended))


def main():
    if not all(tool(name) for name in ("mke2fs", "e2fsck", "debugfs")):
        skip("e2fsprogs is not installed")
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="system-") as name:
        directory = Path(name)
        parts = {"persistence": persistence, "several": several, "code": code, "killed": killed, "faults": faults,
                 "fallback": fallback, "errors": errors}
        for part in sys.argv[1:] or parts:
            parts[part](checks, directory)
    checks.finish()


main()
