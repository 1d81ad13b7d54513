# SPDX-License-Identifier: MIT
"""With --clock instructions a run repeats: two boots of Debian's kernel, side by side, compared bit for bit.

The same two boots give the efficiency figures: the share of innocuous instructions that ran natively, nanoseconds
per instruction, seconds to the first program."""
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

from support import BOOT_SECONDS, Checks, Run, demo_guest, leftover_processes

NATIVE_SHARE = 0.99  # of the innocuous instructions that change no control flow


def figures(statistics):
    retired = statistics["instructions"]["retired"]
    seconds = statistics["seconds"]
    print(f"speed: {retired / 1e9:.2f} G instructions in {seconds['engine_running']:.1f} s, "
          f"{seconds['engine_running'] / retired * 1e9:.1f} ns each; "
          f"two boots at once on {len(os.sched_getaffinity(0))} CPUs, load {os.getloadavg()[0]:.1f}")


def main():
    checks = Checks()
    kernel, initrd = demo_guest()
    directory = Path(tempfile.mkdtemp(prefix="system-"))
    runs = [Run("run", "--kernel", kernel, "--initrd", initrd, "--cmdline", "console=ttyS0 origami.test", "--clock",
                "instructions", "--stats", directory / f"{name}.json", input="null") for name in "ab"]
    outcomes = [run.finish(2 * BOOT_SECONDS, alone=False) for run in runs]
    outcomes[1].processes = leftover_processes()
    for name, outcome in zip("ab", outcomes):
        faults = outcome.faults(0)
        for line in ("ok hello32", "demo self-test: ok"):
            if line not in outcome.out.splitlines():
                faults.append(f"no line {line!r}; output ends {outcome.out[-300:]!r}")
        checks.check(f"boot {name} ({outcome.seconds:.0f} s)", not faults, "; ".join(faults))
    checks.check("the serial output is the same byte for byte", outcomes[0].out == outcomes[1].out,
                 next((f"{a!r} against {b!r}" for a, b in zip(outcomes[0].out.splitlines(),
                                                              outcomes[1].out.splitlines()) if a != b), "lengths"))
    files = [directory / f"{name}.json" for name in "ab"]
    if checks.check("both wrote statistics", all(file.exists() for file in files)):
        a, b = (json.loads(file.read_text()) for file in files)
        checks.equal("the state is whole", a["state"]["complete"], True)
        for part in ("registers", "extended", "memory"):
            checks.equal(f"the same hash of {part}", a["state"].get(part), b["state"].get(part))
        for part in ("instructions", "traps"):
            checks.equal(f"the same counts of {part}", a[part], b[part])
        share = a["instructions"]["native_share_of_innocuous"]
        checks.check(f"native share of innocuous instructions {share:.4f}", share >= NATIVE_SHARE,
                     f"under {NATIVE_SHARE}")
        figures(a)
    stamp = re.search(r"^\[ *([\d.]+)\] Run /init", outcomes[0].out, re.M)
    print(f"guest time to the first program: {stamp.group(1) if stamp else '?'} s")
    shutil.rmtree(directory)
    checks.finish()


main()
