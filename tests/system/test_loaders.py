# SPDX-License-Identifier: MIT
"""The loaders, used for real: Debian's kernel through its PVH note, a multiboot guest with modules.

The bzImage loader is used by every other boot."""
import shutil
import tempfile
from pathlib import Path

import bootimage
from support import BOOT_SECONDS, TOOLS, Checks, Run, demo_guest, run


def checksum(data):
    """FNV-1a, as guest_modules.c computes it."""
    total = 0x811C9DC5
    for byte in data:
        total = (total ^ byte) * 0x01000193 & 0xFFFFFFFF
    return total


def multiboot(checks, directory):
    words = "first second=2  'third'"
    contents = (b"x", bytes(range(256)) * 97, b"\0" * 4096)
    arguments = ("", "one two=3", "")
    options = []
    want = ["magic 2badb002", f"command line {TOOLS / 'guest_modules.elf'} {words}",
            f"upper memory {((64 << 20) - (1 << 20)) >> 10:08x}", "memory map present", f"modules {3:08x}"]
    for number, (data, argument) in enumerate(zip(contents, arguments)):
        file = directory / f"module{number}"
        file.write_bytes(data)
        options += ["--module", f"{file},{argument}" if argument else file]
        want.append(f"module {len(data):08x} {checksum(data):08x} aligned {file} {argument}".rstrip())
    outcome = run("run", "--kernel", TOOLS / "guest_modules.elf", "--cmdline", words, "--memory", "64M",
                  "--debug-exit", *options)
    faults = outcome.faults(1)
    checks.check("multiboot: ends well", not faults, "; ".join(faults))
    got = outcome.out.splitlines()
    for line in want:
        checks.check(f"multiboot: {line.replace(str(directory), '.')}", line in got, f"in {got}")


def pvh(checks, directory):
    kernel, initrd = demo_guest()
    vmlinux = directory / "vmlinux"
    vmlinux.write_bytes(bootimage.extract(kernel.read_bytes()))
    outcome = Run("run", "--kernel", vmlinux, "--initrd", initrd, "--cmdline", "console=ttyS0 origami.test",
                  ).finish(BOOT_SECONDS)
    faults = outcome.faults(0)
    checks.check(f"PVH: Debian's vmlinux boots ({outcome.seconds:.0f} s)", not faults, "; ".join(faults))
    for text in ("] Command line: console=ttyS0 origami.test\n", "] Run /init as init process\n", "\nok hello32\n",
                 "\ndemo self-test: ok\n"):
        checks.check(f"PVH: {text.strip()}", text in outcome.out, f"output ends {outcome.out[-300:]!r}")


def main():
    checks = Checks()
    directory = Path(tempfile.mkdtemp(prefix="system-"))
    try:
        multiboot(checks, directory)
        pvh(checks, directory)
    finally:
        shutil.rmtree(directory)
    checks.finish()


main()
