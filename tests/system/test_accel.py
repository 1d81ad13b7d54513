# SPDX-License-Identifier: MIT
"""--accel: the bare-metal guests through /dev/kvm, and what `auto` says.

A /dev/kvm that emulates guest code (nested and paravirtual ones may) does not know every instruction of the large
images; there these must end with KVM's own word for it, after so many checks that passed. Every run is killed when it
takes too long."""
import os
import re
import signal

from support import BARE, STATUS, Checks, Run, run, skip

PASSED = 1
KVM = ("--accel", "kvm")
CANNOT = r"KVM cannot carry out a guest instruction"

# image, words on the command line, further options, status, pattern of the output, message
SMALL = (
    ("poweroff", "", (), STATUS["ok"], r"^power off: ", None),
    ("reset", "", (), PASSED, r"^reset through the i8042\nok reset\n1 checks, 0 failed", None),
    ("reset", "cf9", (), PASSED, r"^reset through port cf9\nok reset\n1 checks, 0 failed", None),
    ("reset", "fast", (), PASSED, r"^reset through port 92\nok reset\n1 checks, 0 failed", None),
    ("reset", "", ("--no-reboot",), STATUS["ok"], r"^reset through the i8042\n\Z", None),
    ("triple64", "", (), STATUS["shutdown"], r"^triple fault", r"triple fault"),
    ("triple32", "", (), STATUS["shutdown"], r"", r"triple fault"),
    ("sweep", "", (), PASSED, r"^1 checks, 0 failed", None),
)
LARGE = (
    ("checks64", "", (), PASSED, r"^\d{3} checks, 0 failed", None),
    ("checks32", "", (), PASSED, r"^\d{3} checks, 0 failed", None),
    ("permissions", "", (), PASSED, r"^1 checks, 0 failed", None),
    ("platform", "", (), PASSED, r"^\d+ checks, 0 failed", None),
)
EMULATED = (
    ("platform", "", (), STATUS["engine"], r"^ok lapic.timer.wakes_hlt\n(.*\n)*ok tpr.blocks", CANNOT),
    ("checks64", "", (), STATUS["engine"], r"^ok ac.cpl3_am_ac\n", CANNOT),
)


def check_image(checks, row):
    image, words, options, status, pattern, line = row
    outcome = run("run", *KVM, "--kernel", BARE / f"{image}.elf", "--cmdline", words, "--debug-exit", *options,
                  timeout=120)
    faults = outcome.faults(status, line)
    if not re.search(pattern, outcome.out, re.M):
        faults.append(f"the output ends {outcome.out[-300:]!r}")
    name = " ".join(word for word in ("kvm:", image, words, *options) if word)
    checks.check(f"{name} ({outcome.seconds:.1f} s)", not faults, "; ".join(faults))


def main():
    checks = Checks()
    auto = run("run", "--accel", "auto", "--kernel", BARE / "poweroff.elf", timeout=60)
    used = not auto.err
    said = re.fullmatch(r"origami: KVM is not used: (/dev/kvm.*|this kernel's KVM lacks .*)\n", auto.err)
    checks.check(f"auto: KVM, or why not: {auto.err.strip()!r}", auto.status == 0 and (used or said), auto.err)
    counting = run("run", "--accel", "auto", "--clock", "instructions", "--kernel", BARE / "poweroff.elf")
    faults = counting.faults(STATUS["ok"], r"KVM is not used: it cannot count instructions")
    checks.check("auto with --clock instructions", not faults, "; ".join(faults))
    both = run("run", *KVM, "--clock", "instructions", "--kernel", BARE / "poweroff.elf")
    faults = both.faults(STATUS["usage"], r"--accel kvm cannot count instructions")
    checks.check("kvm with --clock instructions", not faults, "; ".join(faults))
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        none = run("run", *KVM, "--kernel", BARE / "poweroff.elf")
        faults = none.faults(STATUS["host"], r"--accel kvm: /dev/kvm: ")
        checks.check("kvm where there is none", not faults, "; ".join(faults))
        if checks.failed:
            checks.finish()
        skip(f"no usable /dev/kvm; {checks.count} checks without it passed")
    for row in SMALL + (LARGE if used else EMULATED):
        check_image(checks, row)
    for image in ("loop", "halt"):
        machine = Run("run", *KVM, "--kernel", BARE / f"{image}.elf", input="null")
        machine.wait_output("for ever", 30)
        machine.signal(signal.SIGTERM)
        faults = machine.finish(30).faults(STATUS["signal"], r"ended by signal 15")
        checks.check(f"kvm: {image} is ended by SIGTERM", not faults, "; ".join(faults))
    checks.finish()


main()
