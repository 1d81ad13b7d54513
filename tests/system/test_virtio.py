# SPDX-License-Identifier: MIT
"""The smaller devices, with Debian's drivers: random numbers, console, balloon; and a reboot with all of them."""
import os
import re
import tempfile
from pathlib import Path

from guestscript import initrd_with, make_ext4, tool
from support import Checks, Run, run, skip

DEVICES = r"""
echo "rng $(cat /sys/class/misc/hw_random/rng_current)"
echo "random $(head -c 100000 /dev/hwrng | wc -c)"
head -c 4096 /dev/hwrng >/tmp/a
head -c 4096 /dev/hwrng >/tmp/b
cmp -s /tmp/a /tmp/b || echo 'random differs'
gzip -c /tmp/a | wc -c | { read -r size; [ "$size" -gt 4000 ] && echo 'random does not compress'; }
echo 'hello from hvc0' >/dev/hvc0
i=0
while [ $i -lt 500 ]; do
    echo "line $i of many on hvc0"
    i=$((i + 1))
done >/dev/hvc0
read -r typed </dev/hvc0
echo "typed $typed"
i=0
while [ $i -lt 100 ] && [ "$(awk "/^balloon_inflate/ { print \$2 }" /proc/vmstat)" -lt 16384 ]; do
    sleep 0.1
    i=$((i + 1))
done
echo "inflated $(awk "/^balloon_inflate/ { print \$2 }" /proc/vmstat)"
dd if=/dev/zero of=/tmp/big bs=1M count=40 2>/dev/null
rm /tmp/big
echo 'script: done'
"""

REBOOT = """
mount -t ext4 /dev/vda /root || exit
n=$(cat /root/count 2>/dev/null || echo 0)
echo $((n + 1)) >/root/count
echo "boot $n, virtio: $(ls /sys/bus/virtio/devices | wc -l)"
umount /root
[ "$n" -lt 2 ] && reboot -f
echo 'script: done'
"""


def devices(checks, directory):
    reading, writing = os.pipe()
    arguments = initrd_with(DEVICES, directory / "devices.img")
    machine = Run(*arguments, "--rng", "--console", "--balloon", "--balloon-size", "64M", input=reading)
    machine.wait_output("line 499", 120)
    os.write(writing, b"some text\n")
    outcome = machine.finish(120)
    os.close(reading)
    os.close(writing)
    found = outcome.faults(0)
    for want in ("rng virtio_rng.0", "random 100000", "random differs", "random does not compress", "hello from hvc0",
                 "typed some text", "script: done"):
        if want not in outcome.out:
            found.append(f"no {want!r}")
    lines = [int(each) for each in re.findall(r"^line (\d+) of many on hvc0$", outcome.out, re.M)]
    if lines != list(range(500)):
        found.append(f"{len(lines)} of 500 lines, or not in order")
    pages = re.search(r"^inflated (\d+)$", outcome.out, re.M)
    if not pages or int(pages[1]) < 64 << 8:
        found.append(f"the balloon did not inflate: {pages and pages[1]} pages")
    checks.check(f"random numbers, console and balloon ({outcome.seconds:.1f} s)", not found,
                 "; ".join(found) + (outcome.out[-1500:] if found else ""))


def reboots(checks, directory):
    image = directory / "disk.img"
    make_ext4(image, 16)
    outcome = run(*initrd_with(REBOOT, directory / "reboot.img"), "--disk", image, "--rng", "--console", "--balloon",
                  input="null", timeout=240)
    found = outcome.faults(0)
    for boot in range(3):
        if f"boot {boot}, virtio: 4" not in outcome.out:
            found.append(f"no boot {boot}")
    checks.check(f"two reboots with every device ({outcome.seconds:.1f} s)", not found,
                 "; ".join(found) + (outcome.out[-1500:] if found else ""))


def main():
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="system-") as name:
        devices(checks, Path(name))
        if not tool("mke2fs"):
            skip("e2fsprogs is not installed")
        reboots(checks, Path(name))
    checks.finish()


main()
