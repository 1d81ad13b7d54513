# SPDX-License-Identifier: MIT
"""An engine that a guest has taken over (hostile_engine.c) against the machine process.

Whatever it writes into what it can reach, the machine process must not crash, hang or be confused: it ends with a
documented status and, when that is an error, one clear line. Sanitizer builds run the same.

    test_hostile.py [SEEDS [FIRST]]   seeds of each attack
"""
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from support import BARE, ORIGAMI, STATUS, TOOLS, Checks, Run, leftover_processes

AT_ONCE = 4
MAY_TAKE = 12     # seconds; the attacks end by themselves after 3
STOP_TAKES = 3    # the machine's own limit for an engine that does not stop
READY_TAKES = 30  # and for one that is never ready

ODD = set(range(1, 256, 2))
LINES = {STATUS["engine"]: r"engine", STATUS["shutdown"]: r"triple fault", STATUS["host"]: r"."}
ENDS = {STATUS["ok"], STATUS["engine"], STATUS["shutdown"]} | ODD

# attack, further options
ATTACKS = (
    ("garbage", ()), ("handshake", ()), ("devices", ()), ("exits", ()), ("race", ()), ("race", ("--stats",)),
    ("turns", ()), ("memory", ()), ("memory", ("--clock", "instructions")), ("statistics", ("--stats",)),
    ("reboot", ("reboot",)), ("die", ()), ("error", ()), ("exits", ("--clock", "instructions")),
)


class Attack:
    """One origami with the hostile program as its engine."""

    def __init__(self, name, options, seed):
        self.name = " ".join((name, *options, str(seed)))
        self.statistics = "--stats" in options
        self.directory = Path(tempfile.mkdtemp(prefix="system-"))
        os.link(ORIGAMI_COPY, self.directory / "origami")
        os.link(HOSTILE_COPY, self.directory / "origami-engine")
        (self.directory / "attack").write_text(f"{name} {seed}")
        arguments = [word for word in options if word.startswith("--clock") or word == "instructions"]
        if self.statistics:
            arguments += ["--stats", "stats.json"]
        if "reboot" not in options:
            arguments.append("--no-reboot")
        self.run = Run("run", "--kernel", BARE / "loop.elf", "--memory", "16M", "--debug-exit", *arguments,
                       program=self.directory / "origami", directory=self.directory)

    def end(self, checks, wanted=frozenset(ENDS), timeout=MAY_TAKE):
        outcome = self.run.finish(timeout, alone=False)
        line = LINES.get(outcome.status)
        if outcome.status == STATUS["signal"]:
            line = r"signal"
        files = [name for name in outcome.files if self.statistics and name == "stats.json"]
        faults = outcome.faults(wanted, line, files)
        if outcome.status % 2 == 1 and "Sanitizer" in outcome.err:
            faults.append("sanitizer")
        if files:
            try:
                json.loads((self.directory / "stats.json").read_text())
            except ValueError as error:
                faults.append(f"statistics: {error}")
        shutil.rmtree(self.directory)
        checks.check(self.name, not faults, "; ".join(faults))
        return outcome


def batch(checks, attacks):
    started = [Attack(*attack) for attack in attacks]
    statuses = [attack.end(checks).status for attack in started]
    left = leftover_processes()
    checks.check("nothing left", not left, f"{left} after {[attack.name for attack in started]}")
    return statuses


def silence(checks):
    """Engines that never answer: a signal still ends the run, and one that is never ready is given up."""
    quiet, deaf = Attack("silence", (), 0), Attack("deaf", (), 0)
    time.sleep(1)
    quiet.run.signal(signal.SIGTERM)
    outcome = quiet.end(checks, {STATUS["signal"]}, STOP_TAKES + 5)
    print(f"an engine that does not stop is ended after {outcome.seconds - 1:.1f} s")
    outcome = deaf.end(checks, {STATUS["engine"]}, READY_TAKES + 10)
    print(f"an engine that is never ready is given up after {outcome.seconds:.1f} s")
    checks.equal("silence leaves no process", leftover_processes(), {})


def main():
    global ORIGAMI_COPY, HOSTILE_COPY
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 400 if os.environ.get("ORIGAMI_LONG") else 25
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    checks = Checks(quiet=True)
    store = Path(tempfile.mkdtemp(prefix="system-"))
    try:
        ORIGAMI_COPY = shutil.copy(ORIGAMI, store)
        HOSTILE_COPY = shutil.copy(TOOLS / "hostile_engine", store)
        todo = [(name, options, seed) for seed in range(first, first + seeds) for name, options in ATTACKS]
        counts = {}
        for at in range(0, len(todo), AT_ONCE):
            for status in batch(checks, todo[at:at + AT_ONCE]):
                counts[status] = counts.get(status, 0) + 1
        print(f"{len(todo)} hostile engines; statuses:", dict(sorted(counts.items(), key=lambda pair: -pair[1])))
        silence(checks)
    finally:
        shutil.rmtree(store)
    checks.finish()


main()
