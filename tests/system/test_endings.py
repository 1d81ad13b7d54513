# SPDX-License-Identifier: MIT
"""How a run ends when something other than the guest ends it: signals, killed processes, closed or full standard
streams, limits of the host. Each: one clear line, the documented status, the terminal as it was, nothing left."""
import fcntl
import os
import resource
import shutil
import signal
import sys
import tempfile
import termios
import time
from pathlib import Path

from support import BARE, ORIGAMI, STATUS, TOOLS, Checks, Run, leftover_processes, process_field, run, wait_gone

ENDLESS = {"loop": BARE / "loop.elf", "halt": BARE / "halt.elf"}
SWEEP = ("run", "--kernel", BARE / "checks64.elf", "--debug-exit")


def report(checks, name, outcome, status, line=None, more=()):
    faults = [*outcome.faults(status, line), *more]
    checks.check(f"{name} ({outcome.seconds:.1f} s)", not faults, "; ".join(faults))


def started(kernel, *options, **keywords):
    """A run whose engine is at work."""
    machine = Run("run", "--kernel", kernel, *options, **keywords)
    engine = machine.engine()
    if engine is None:
        print(f"FAIL the engine did not start: {machine.finish(1).err!r}")
        sys.exit(1)
    time.sleep(0.5)
    return machine, engine


def signals(checks):
    for guest, kernel in ENDLESS.items():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            machine, _ = started(kernel)
            raw = termios.tcgetattr(machine.slave) != machine.modes
            machine.signal(number)
            report(checks, f"{number.name} during {guest}", machine.finish(20), STATUS["signal"],
                   rf"signal {number.value} ", () if raw else ["the terminal was not raw"])
    machine, _ = started(ENDLESS["loop"], "--clock", "instructions", "--stats", "stats.json")
    machine.signal(signal.SIGTERM)
    outcome = machine.finish(20)
    faults = outcome.faults(STATUS["signal"], r"signal 15", files=["stats.json"])
    checks.check("SIGTERM: statistics are written", not faults, "; ".join(faults))
    # Two at once, and one before anything is set up.
    machine, _ = started(ENDLESS["loop"])
    machine.signal(signal.SIGTERM)
    machine.signal(signal.SIGINT)
    report(checks, "SIGTERM and SIGINT", machine.finish(20), STATUS["signal"], r"signal (2|15) ")
    for delay in (0.02, 0.04, 0.06, 0.08, 0.1):
        machine = Run("run", "--kernel", ENDLESS["loop"])
        time.sleep(delay)
        machine.signal(signal.SIGTERM)
        outcome = machine.finish(20)
        quiet = outcome.status == -signal.SIGTERM  # before it listens, a signal does what it always does
        report(checks, f"SIGTERM after {delay} s", outcome, {STATUS["signal"], -signal.SIGTERM},
               None if quiet else r"signal 15 ")


def stopping(checks):
    """Ctrl-Z from outside gives the terminal back; SIGCONT goes on."""
    machine, _ = started(ENDLESS["loop"])
    machine.signal(signal.SIGTSTP)
    time.sleep(0.5)
    stopped = (process_field(machine.pid, "State") or "?")[0]
    restored = termios.tcgetattr(machine.slave) == machine.modes
    machine.signal(signal.SIGCONT)
    time.sleep(0.5)
    raw = termios.tcgetattr(machine.slave) != machine.modes
    machine.signal(signal.SIGTERM)
    more = [text for bad, text in ((stopped != "T", f"state {stopped}, not stopped"),
                                   (not restored, "terminal not restored while stopped"),
                                   (not raw, "terminal not raw again")) if bad]
    report(checks, "SIGTSTP, SIGCONT", machine.finish(20), STATUS["signal"], r"signal 15 ", more)


def killed(checks):
    for guest, kernel in ENDLESS.items():
        machine, engine = started(kernel)
        os.kill(engine, signal.SIGKILL)
        report(checks, f"kill -9 of the engine during {guest}", machine.finish(20), STATUS["engine"],
               r"engine process was killed by signal 9")
        machine, engine = started(kernel)
        machine.signal(signal.SIGKILL)
        machine.process.wait()
        gone = wait_gone(engine, 3)
        report(checks, f"kill -9 of the machine process during {guest}", machine.finish(20), -signal.SIGKILL, None,
               () if gone else ["the engine lives on"])
        machine, engine = started(kernel)
        os.kill(engine, signal.SIGSTOP)
        machine.signal(signal.SIGTERM)
        report(checks, f"SIGTERM with a stopped engine during {guest}", machine.finish(30), STATUS["signal"],
               r"signal 15 ")


def streams(checks):
    report(checks, "standard input closed", run(*SWEEP, input="closed"), 1)
    report(checks, "standard input /dev/null", run(*SWEEP, input="null"), 1)
    for closed in ((1,), (2,), (0, 1, 2)):
        outcome = run(*SWEEP, before=lambda closed=closed: [os.close(fd) for fd in closed], timeout=60)
        report(checks, f"standard streams {closed} closed", outcome, 1)
    reading, writing = os.pipe()
    os.close(reading)
    report(checks, "nobody reads standard output", run(*SWEEP, output=writing), 1)
    os.close(writing)
    with open("/dev/full", "wb") as full:
        report(checks, "standard output is full", run(*SWEEP, output=full.fileno()), 1)
    reading, writing = os.pipe()
    os.write(writing, b"\x01x")
    outcome = run("run", "--kernel", ENDLESS["loop"], input=reading, timeout=20)
    report(checks, "Ctrl-A x through a pipe", outcome, STATUS["left"], r"Ctrl-A x")
    os.close(reading)
    os.close(writing)


def small_pipe():
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    return reading, writing


def slow_reader(checks):
    """More output than pipe and console queue hold. Nothing may be lost, and a signal must get through."""
    text = "".join(f"{number:06d} " for number in range(17000))
    flood = ("run", "--kernel", TOOLS / "guest_modules.elf", "--debug-exit", "--cmdline", text)
    for options in ((), ("--clock", "instructions")):
        reading, writing = small_pipe()
        machine = Run(*flood, *options, output=writing)
        os.close(writing)
        time.sleep(2)
        more = [] if machine.process.poll() is None else ["ended before its output was read"]
        shown = b""
        while chunk := os.read(reading, 65536):
            shown += chunk
        os.close(reading)
        if text.encode() not in shown:
            more.append(f"output lost: {len(shown)} bytes shown")
        report(checks, " ".join(("a late reader", *options)), machine.finish(30), 1, None, more)
        reading, writing = small_pipe()
        machine = Run(*flood, *options, output=writing)
        time.sleep(2)
        machine.signal(signal.SIGTERM)
        report(checks, " ".join(("a full pipe", *options)), machine.finish(30), STATUS["signal"], r"signal 15 ")
        os.close(reading)
        os.close(writing)


def limit(which, value):
    return lambda: resource.setrlimit(which, (value, value))


def limits(checks):
    """A host that gives less than is needed: status 6 (or 8 when it is the engine that lacks it), or all is well."""
    short = {STATUS["host"], STATUS["engine"], STATUS["input"]}
    sanitized = b"__asan_" in ORIGAMI.read_bytes()  # such a build reserves terabytes
    for megabytes in () if sanitized else (8, 16, 32, 64, 256, 520, 600):
        outcome = run(*SWEEP, before=limit(resource.RLIMIT_AS, megabytes << 20))
        if outcome.status == 127 and "shared librar" in outcome.err:
            continue  # the program itself does not fit
        report(checks, f"ulimit -v {megabytes}M", outcome, short | {1}, None if outcome.status == 1 else r".")
    for files in range(3, 20):
        outcome = run(*SWEEP, before=limit(resource.RLIMIT_NOFILE, files))
        if outcome.status == 127 and "shared librar" in outcome.err:
            continue
        report(checks, f"ulimit -n {files}", outcome, short | {1}, None if outcome.status == 1 else r".")
    outcome = run(*SWEEP, "--stats", "stats.json", before=limit(resource.RLIMIT_FSIZE, 0))
    # Guest memory is a file to Linux: without files of any size there is none.
    report(checks, "ulimit -f 0", outcome, short, r".")


def engine_missing(checks):
    directory = Path(tempfile.mkdtemp(prefix="system-"))
    shutil.copy(ORIGAMI, directory)
    outcome = run(*SWEEP, program=directory / "origami")
    report(checks, "no engine beside the program", outcome, STATUS["host"], r"origami-engine not found")
    shutil.rmtree(directory)


def main():
    checks = Checks()
    signals(checks)
    stopping(checks)
    killed(checks)
    streams(checks)
    slow_reader(checks)
    limits(checks)
    engine_missing(checks)
    checks.equal("nothing left in the end", leftover_processes(), {})
    checks.finish()


main()
