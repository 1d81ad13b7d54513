# SPDX-License-Identifier: MIT
"""Without privileges: as an ordinary user, without /dev/kvm, under a default container's seccomp profile.

Each alone with bare-metal guests (one of them reboots, so an engine is started under the machine's own filter
too), and all three together with Debian's kernel and the demo guest's test of itself."""
import json
import os
import shutil

from support import BARE, BOOT_SECONDS, ENGINE, NOBODY, ORIGAMI, TOOLS, Checks, Run, demo_guest, stage

def restricted(restrictions, directory, *arguments, timeout):
    launcher = [TOOLS / "container_profile", *restrictions, "--probe"]
    return Run("run", *arguments, program=directory / "origami", launcher=launcher,
               directory=directory).finish(timeout)


def bare(checks, directory, name, restrictions):
    for image, tier in (("checks64.elf", "soft"), ("checks64.elf", "step"), ("reset.elf", "soft"), ("reset.elf", "step")):
        outcome = restricted(restrictions, directory, "--kernel", image, "--tier", tier, "--debug-exit", timeout=120)
        faults = outcome.faults(1)
        if " 0 failed" not in outcome.out or "probe: " not in outcome.out:
            faults.append(f"output {outcome.out[-300:]!r}")
        checks.check(f"{name}: {image}, {tier}", not faults, "; ".join(faults))


def debian(checks, directory, restrictions):
    outcome = restricted(restrictions, directory, "--kernel", "vmlinuz", "--initrd", "initrd.cpio.gz", "--cmdline",
                         "console=ttyS0 quiet origami.test", "--stats", "stats.json", timeout=BOOT_SECONDS)
    faults = outcome.faults(0, files=["stats.json"])
    for line in ("probe: /dev/kvm does not work", "probe: the seccomp profile holds", "ok hello32",
                 "demo self-test: ok"):
        if line not in outcome.out.splitlines():
            faults.append(f"no line {line!r}; output ends {outcome.out[-300:]!r}")
    checks.check(f"all together: Debian boots and passes its own test ({outcome.seconds:.0f} s)", not faults,
                 "; ".join(faults))
    if not faults:
        statistics = json.loads((directory / "stats.json").read_text())
        checks.equal("all together: the statistics are whole", statistics["state"]["complete"], True)


def main():
    checks = Checks()
    kernel, initrd = demo_guest()
    directory = stage((ORIGAMI, ENGINE, BARE / "checks64.elf", BARE / "reset.elf", kernel, initrd))
    user = ["--user", NOBODY] if os.geteuid() == 0 else []
    try:
        if user:
            bare(checks, directory, "as an ordinary user", user)
        bare(checks, directory, "/dev/kvm hidden", ["--hide-kvm"])
        bare(checks, directory, "container profile", ["--seccomp"])
        debian(checks, directory, [*user, "--hide-kvm", "--seccomp"])
    finally:
        shutil.rmtree(directory)
    checks.finish()


main()
