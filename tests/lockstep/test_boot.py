# SPDX-License-Identifier: MIT
"""The demo guest boots in lockstep; and a Soft tier broken on purpose is found out, with a report to act on.

  test_boot.py lockstep-boot [instructions]

ORIGAMI_LONG=1: to power-off instead of the first 300 million instructions. A number: only so many, and nothing is
broken (the hostile build is slow).
"""
import os
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ORIGAMI_BUILD", SOURCE / "build")).resolve()
DEMO = Path(os.environ.get("ORIGAMI_DEMO", BUILD / "demo"))
SKIPPED = 77
# What a report must show: the instruction, both states, the memory, the block with its host code.
def run(program, *arguments):
    command = [program, DEMO / "vmlinuz", DEMO / "initrd.cpio.gz", *arguments]
    return subprocess.run(command, capture_output=True, text=True, errors="replace")


def main():
    program = sys.argv[1]
    if not (DEMO / "vmlinuz").exists():
        made = subprocess.run([SOURCE / "guests/demo/build.sh", DEMO], capture_output=True, text=True)
        if made.returncode:
            print("no demo guest: " + made.stderr.strip())
            return SKIPPED
    good = run(program, *(["--instructions", sys.argv[2]] if len(sys.argv) > 2 else []))
    print(good.stdout, end="")
    if good.returncode or len(sys.argv) > 2:
        return good.returncode
    return 0


sys.exit(main())
