# SPDX-License-Identifier: MIT
"""Every bare-metal guest: its exit status, and "0 failed" from the inside."""
import re

from support import BARE, STATUS, Checks, run

PASSED = 1  # isa-debug-exit with 0

TIERS = ("step", "soft")

# image, words on the command line, further options, status, pattern of the output, message
IMAGES = (
    ("checks64", "", (), PASSED, r"^\d{3} checks, 0 failed", None),
    ("checks32", "", (), PASSED, r"^\d{3} checks, 0 failed", None),
    ("permissions", "", (), PASSED, r"^1 checks, 0 failed", None),
    ("platform", "", (), PASSED, r"^\d+ checks, 0 failed", None),
    ("platform", "", ("--clock", "instructions"), PASSED, r"^\d+ checks, 0 failed", None),
    ("sweep", "", (), PASSED, r"^1 checks, 0 failed", None),
    ("poweroff", "", (), STATUS["ok"], r"^power off: ", None),
    ("reset", "", (), PASSED, r"^reset through the i8042\nok reset\n1 checks, 0 failed", None),
    ("reset", "cf9", (), PASSED, r"^reset through port cf9\nok reset\n1 checks, 0 failed", None),
    ("reset", "fast", (), PASSED, r"^reset through port 92\nok reset\n1 checks, 0 failed", None),
    ("reset", "", ("--clock", "instructions"), PASSED, r"^ok reset\n1 checks, 0 failed", None),
    ("reset", "", ("--no-reboot",), STATUS["ok"], r"^reset through the i8042\n\Z", None),
    ("triple64", "", (), STATUS["shutdown"], r"^triple fault", r"triple fault"),
    ("triple32", "", (), STATUS["shutdown"], r"^triple fault", r"triple fault"),
)


def main():
    checks = Checks()
    for tier, (image, words, options, status, pattern, line) in ((tier, row) for tier in TIERS for row in IMAGES):
        name = " ".join(word for word in (f"{tier}:", image, words, *options) if word)
        outcome = run("run", "--kernel", BARE / f"{image}.elf", "--cmdline", words, "--debug-exit", "--tier", tier,
                      *options, timeout=300)
        faults = outcome.faults(status, line)
        if not re.search(pattern, outcome.out, re.M):
            faults.append(f"the output ends {outcome.out[-300:]!r}")
        counts = re.findall(r"^\d+ checks, .*", outcome.out, re.M)
        checks.check(f"{name} ({outcome.seconds:.1f} s; {counts[-1] if counts else 'no checks'})", not faults,
                     "; ".join(faults))
    # Two never end: test_endings.py. One needs a disk: test_disk.py.
    listed = {row[0] for row in IMAGES} | {"loop", "halt", "disk"}
    checks.equal("every image is run", {path.stem for path in BARE.glob("*.elf")}, listed)
    checks.finish()


main()
