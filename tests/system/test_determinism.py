# SPDX-License-Identifier: MIT
"""With --clock instructions a run repeats: in each tier two boots of Debian's kernel side by side, compared bit for bit.

The same boots give the efficiency figures: the share of innocuous instructions that ran natively, nanoseconds per
instruction. They also show the 240 seconds to a prompt, since the whole test of the guest is over by then."""
import json
import os
import shutil
import tempfile
from pathlib import Path

from support import BOOT_SECONDS, Checks, Run, demo_guest, leftover_processes

NATIVE_SHARE = 0.99  # of the innocuous instructions that change no control flow


def figures(tier, statistics):
    retired = statistics["instructions"]["retired"]
    seconds = statistics["seconds"]
    print(f"speed: {tier}: {retired / 1e9:.2f} G instructions in {seconds['engine_running']:.1f} s, "
          f"{seconds['engine_running'] / retired * 1e9:.1f} ns each; "
          f"two boots at once on {len(os.sched_getaffinity(0))} CPUs, load {os.getloadavg()[0]:.1f}")


def first_difference(outputs):
    for a, b in zip(*(output.splitlines() for output in outputs)):
        if a != b:
            return f"{a!r} against {b!r}"
    return "one is longer"


def compare_statistics(checks, tier, a, b):
    checks.equal(f"{tier}: the state is whole", a["state"]["complete"], True)
    for part in ("registers", "extended", "memory"):
        checks.equal(f"{tier}: the same hash of {part}", a["state"].get(part), b["state"].get(part))
    for part in ("instructions", "traps"):
        checks.equal(f"{tier}: the same counts of {part}", a[part], b[part])
    share = a["instructions"]["native_share_of_innocuous"]
    checks.check(f"{tier}: native share of innocuous instructions {share:.4f}", share >= NATIVE_SHARE,
                 f"under {NATIVE_SHARE}")


def boot_twice(checks, tier, guest, directory):
    kernel, initrd = guest
    files = [directory / f"{tier}-{name}.json" for name in "ab"]
    runs = [Run("run", "--kernel", kernel, "--initrd", initrd, "--cmdline", "console=ttyS0 origami.test", "--clock",
                "instructions", "--tier", tier, "--stats", file, input="null") for file in files]
    outcomes = [run.finish(2 * BOOT_SECONDS, alone=False) for run in runs]
    outcomes[1].processes = leftover_processes()
    for name, outcome in zip("ab", outcomes):
        faults = outcome.faults(0)
        for line in ("ok hello32", "demo self-test: ok"):
            if line not in outcome.out.splitlines():
                faults.append(f"no line {line!r}; output ends {outcome.out[-300:]!r}")
        checks.check(f"{tier}: boot {name} ({outcome.seconds:.0f} s)", not faults, "; ".join(faults))
    outputs = [outcome.out for outcome in outcomes]
    checks.check(f"{tier}: the serial output is the same byte for byte", outputs[0] == outputs[1],
                 first_difference(outputs))
    if checks.check(f"{tier}: both wrote statistics", all(file.exists() for file in files)):
        a, b = (json.loads(file.read_text()) for file in files)
        compare_statistics(checks, tier, a, b)
        figures(tier, a)


def main():
    checks = Checks()
    guest = demo_guest()
    directory = Path(tempfile.mkdtemp(prefix="system-"))
    for tier in ("step", "soft"):
        boot_twice(checks, tier, guest, directory)
    shutil.rmtree(directory)
    checks.finish()


main()
