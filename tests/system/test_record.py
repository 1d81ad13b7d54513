# SPDX-License-Identifier: MIT
"""Recorded runs and their replays: the same output, the same end and the same hashes of registers and memory, in both
tiers; logs that are cut short, damaged, forged, or of another machine."""
import json
import os
import random
import shutil
import signal
import tempfile
import time
import zlib
from pathlib import Path

from support import BARE, BOOT_SECONDS, STATUS, Checks, Run, demo_guest, leftover_processes, run

SEED = 20261122
HEADER = 176
TIERS = ("soft", "step")
FIELDS = {1: 1, 2: 3, 3: 2, 4: 1, 5: 1, 6: 3, 7: 1, 8: 3, 9: 0, 10: 2}  # kind: numbers in the record
BOOT, EXIT, PAUSE, ANSWER, LINE, MSI, DEADLINE, DMA, STOP, END = FIELDS


# ---- Logs as lists of records, to forge them ----

def number(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def parse(log):
    """[(kind, numbers, bytes)] of a log's records."""
    records, at = [], HEADER
    while at < len(log):
        kind, numbers = log[at], []
        at += 1
        for _ in range(FIELDS[kind]):
            value = shift = 0
            while True:
                byte = log[at]
                at += 1
                value |= (byte & 0x7F) << shift
                shift += 7
                if not byte & 0x80:
                    break
            numbers.append(value)
        size = numbers[2] if kind == DMA else 0
        records.append((kind, numbers, log[at:at + size]))
        at += size + 2
    return records


def build(header, records):
    """The log again, with checks that fit."""
    log, crc = bytearray(header[:HEADER]), int.from_bytes(header[HEADER - 4:HEADER], "little")
    for kind, numbers, data in records:
        record = bytes([kind]) + b"".join(map(number, numbers)) + data
        crc = zlib.crc32(record, crc)
        log += record + (crc & 0xFFFF).to_bytes(2, "little")
    return bytes(log)


# ---- Runs ----

class Sessions:
    def __init__(self, checks, directory):
        self.checks, self.directory, self.count = checks, directory, 0

    def path(self, suffix):
        self.count += 1
        return self.directory / f"{self.count}{suffix}"

    def compare(self, name, recorded, replays, statistics, status, line, replay_line):
        """Outcomes and files of statistics: of the recorded run, then of each replay."""
        hashes = json.loads(statistics[0].read_text())
        self.checks.equal(f"{name}: the state is whole", hashes["state"]["complete"], True)
        for number_, (replay, file) in enumerate(zip(replays, statistics[1:]), 1):
            what = f"{name}: replay {number_}"
            faults = replay.faults(status, replay_line)
            if replay.out != recorded.out:
                faults.append(f"other output: {replay.out[-200:]!r}, not {recorded.out[-200:]!r}")
            again = json.loads(file.read_text()) if file.exists() else {}
            for part in ("state", "traps"):
                a, b = dict(hashes[part]), dict(again.get(part, {}))
                if part == "traps":  # the exits differ in what the machine itself asked for
                    a.pop("exits_to_machine")
                    b.pop("exits_to_machine", None)
                if a != b:
                    faults.append(f"{part}: {b}, not {a}")
            if hashes["instructions"]["retired"] != again.get("instructions", {}).get("retired"):
                faults.append("another count of instructions")
            self.checks.check(f"{what} ({replay.seconds:.1f} s)", not faults, "; ".join(faults))

    def session(self, name, options, act=None, status=0, line=None, replay_line=None, tier="soft", replays=TIERS,
                seconds=60):
        """Records, with `act` as the user, then replays in each of the tiers named. Returns the log."""
        log = self.path(".log")
        files = [self.path(".json") for _ in range(1 + len(replays))]
        machine = Run("run", *options, "--tier", tier, "--record", log, "--stats", files[0], directory=self.directory)
        if act:
            act(machine)
        recorded = machine.finish(seconds)
        recorded.files = []
        faults = recorded.faults(status, line)
        if not self.checks.check(f"{name}: recorded ({recorded.seconds:.1f} s)", not faults, "; ".join(faults)):
            return log
        contents = {file: file.read_bytes() for file in self.directory.glob("*.img")}
        runs = [Run("run", *options, "--tier", one, "--replay", log, "--stats", file, directory=self.directory,
                    input="null") for one, file in zip(replays, files[1:])]
        outcomes = [machine.finish(seconds, alone=False) for machine in runs]
        outcomes[-1].processes = leftover_processes()
        for outcome in outcomes:
            outcome.files = []
        for file, before in contents.items():
            self.checks.check(f"{name}: replays leave {file.name} alone", file.read_bytes() == before)
        self.compare(name, recorded, outcomes, files, status, line, replay_line)
        return log


def type_lines(machine, lines):
    """A user at the demo guest's prompt."""
    machine.wait_output("origami# ", BOOT_SECONDS)
    for line in (*lines, "poweroff"):
        seen = len(machine.text["out"])
        for key in line + "\r":
            os.write(machine.master, key.encode())
            time.sleep(0.02)
        end = time.monotonic() + 30
        while line != "poweroff" and b"origami# " not in machine.text["out"][seen:] and time.monotonic() < end:
            time.sleep(0.05)


def typing(machine):
    type_lines(machine, ("echo $((40+2))-answer", "cat /proc/interrupts", "sleep 1; date"))


def using(image):
    """Reads and writes a disk, takes random numbers; what the disk then holds is of no use to a replay."""
    def act(machine):
        type_lines(machine, ("md5sum /dev/vda", "dd if=/dev/urandom of=/dev/vda bs=4k count=64 seek=3; sync",
                             "dd if=/dev/hwrng bs=16 count=1 | md5sum", "ifconfig -a; cat /proc/interrupts"))
        machine.process.wait(60)
        image.write_bytes(b"changed" * 1000)
    return act


def stopped_by(number, after=0.7):
    def act(machine):
        machine.engine()
        time.sleep(after)
        machine.signal(number)
    return act


def leaving(machine):
    machine.engine()
    time.sleep(0.7)
    os.write(machine.master, b"\x01x")


def sessions(checks, directory):
    all_of = Sessions(checks, directory)
    for name in ("checks64", "checks32", "platform", "permissions"):
        all_of.session(name, ("--kernel", BARE / f"{name}.elf", "--debug-exit"), status=1, seconds=120)
    all_of.session("power-off", ("--kernel", BARE / "poweroff.elf"), tier="step")
    all_of.session("triple fault", ("--kernel", BARE / "triple64.elf"), status=STATUS["shutdown"],
                   line=r"triple fault", replay_line=r"triple fault")
    for guest in ("loop", "halt", "reset"):
        for number in (signal.SIGTERM, signal.SIGINT):
            all_of.session(f"{guest}, {number.name}", ("--kernel", BARE / f"{guest}.elf"), stopped_by(number),
                           STATUS["signal"], rf"signal {number.value} ",
                           rf"the recording ends here: ended by signal {number.value} ")
    all_of.session("loop, Ctrl-A x", ("--kernel", BARE / "loop.elf"), leaving, STATUS["left"], r"Ctrl-A x",
                   r"the recording ends here: left with Ctrl-A x", tier="step")
    kernel, initrd = demo_guest()
    demo = ("--kernel", kernel, "--initrd", initrd)
    all_of.session("demo guest, typed", demo, typing, replays=("soft", "soft", "step"), seconds=3 * BOOT_SECONDS)
    image = directory / "disk.img"
    image.write_bytes(random.Random(SEED).randbytes(1 << 20))
    all_of.session("disk, network, random numbers", (*demo, "--disk", image, "--net", "user", "--rng"), using(image),
                   replays=("soft",), seconds=BOOT_SECONDS)
    all_of.session("demo guest, Ctrl-A x in the boot", demo, leaving, STATUS["left"], r"Ctrl-A x",
                   r"the recording ends here: left", seconds=BOOT_SECONDS)


def killed(checks, directory):
    """A log whose run was killed is good to its end, and repeats."""
    kernel, initrd = demo_guest()
    options = ("run", "--kernel", kernel, "--initrd", initrd)
    log = directory / "killed.log"
    machine = Run(*options, "--record", log, directory=directory)
    machine.wait_output("Memory:", BOOT_SECONDS)
    machine.signal(signal.SIGKILL)
    seen = machine.finish(20)
    outputs = set()
    for i in (1, 2):
        outcome = run(*options, "--replay", log, input="null", timeout=BOOT_SECONDS)
        outputs.add(outcome.out)
        faults = outcome.faults(STATUS["replay"], r"the recording ends here: its run was cut short")
        if "Memory:" not in outcome.out or not outcome.out.startswith(seen.out):
            faults.append(f"the output is not what was seen: {outcome.out[-100:]!r}, {seen.out[-100:]!r}")
        checks.check(f"killed: replay {i}", not faults, "; ".join(faults))
    checks.equal("killed: replays are alike", len(outputs), 1)


# ---- Bad logs ----

def forged(good, records):
    """name, log, status, message. The checks fit, so only what is in the records is wrong."""
    answers = [i for i, record in enumerate(records) if record[0] == ANSWER]
    exits = [i for i, record in enumerate(records) if record[0] == EXIT]
    lie, moved, other = list(records), list(records), list(records)
    kind, numbers, data = records[answers[len(answers) // 2]]
    lie[answers[len(answers) // 2]] = (kind, [numbers[0] ^ 0x20], data)
    kind, numbers, data = records[exits[len(exits) // 2]]
    moved[exits[len(exits) // 2]] = (kind, [numbers[0] + 1, *numbers[1:]], data)
    other[exits[len(exits) // 2]] = (kind, [*numbers[:2], numbers[2] ^ 1], data)
    early = records[:exits[-1]] + [(END, [0, 0], b"")]
    replay, follow = STATUS["replay"], r"does not follow the recording at instruction \d+"
    # An answer that the guest does not care about may go unnoticed: it need not follow, but must end.
    yield "an answer changed", build(good, lie), {1, replay}, None
    yield "an exit at another time", build(good, moved), replay, follow + r".*another time"
    yield "another exit", build(good, other), replay, follow + r".*something else"
    yield "an exit too many", build(good, records[:exits[3] + 1] + records[exits[3]:]), replay, follow
    yield "an exit too few", build(good, records[:exits[3]] + records[exits[3] + 1:]), replay, follow
    yield "END too early", build(good, early), replay, r"the recording ends here, and the guest does not"
    yield "END twice", build(good, records + [(END, [0, 0], b"")]), STATUS["input"], r"damaged at byte \d+"
    yield "no BOOT", build(good, records[1:]), STATUS["input"], r"damaged at byte"
    yield "nothing but a header", good[:HEADER], replay, r"ends before the boot"
    yield "BOOT and no more", build(good, records[:1]), replay, r"cut short"
    for name, record in (("memory that is not there", (DMA, [0, 1 << 40, 4], b"abcd")),
                         ("memory at the end of addresses", (DMA, [0, (1 << 64) - 2, 4], b"abcd"))):
        yield name, build(good, records[:5] + [record] + records[5:]), replay, r"memory that the guest does not have"
    yield "a line no machine has", build(good, records[:5] + [(LINE, [0x1FF], b"")] + records[5:]), {1, replay}, None
    yield "a pause in the past", build(good, records[:5] + [(PAUSE, [0, (1 << 64) - 5], b"")] + records[5:]), replay, follow + r".*cannot be stopped"
    yield "a pause that never comes", build(good, records[:5] + [(PAUSE, [1 << 60, 0], b"")] + records[5:]), replay, follow


def damaged(good, generator):
    input_, replay = STATUS["input"], STATUS["replay"]
    yield "random bytes", generator.randbytes(5000), input_, r"no recording of Origami"
    yield "one byte", b"O", input_, r"no recording"
    yield "the magic alone", good[:8], input_, r"cut short in its header"
    yield "another version", good[:8] + b"\x63" + good[9:], input_, r"a recording of format 99; this program knows 1"
    yield "a damaged header", good[:100] + bytes([good[100] ^ 1]) + good[101:], input_, r"header is damaged"
    yield "random records", good[:HEADER] + generator.randbytes(5000), {input_, replay}, r"damaged at byte|ends before"
    for length in sorted(generator.sample(range(HEADER), 8)):
        yield f"cut to {length} bytes", good[:length], input_, r"cut short in its header|no recording|is empty"
    for length in sorted(generator.sample(range(HEADER, len(good) - 8), 12)):
        yield f"cut to {length} bytes", good[:length], replay, r"cut short|ends before the boot"
    for _ in range(12):
        at = generator.randrange(HEADER, len(good) - 100)
        yield f"bit flipped in byte {at}", good[:at] + bytes([good[at] ^ 1 << generator.randrange(8)]) + good[at + 1:], \
            input_, r"damaged at byte \d+"


def bad_logs(checks, directory):
    """With a guest that reads a little and ends."""
    log = directory / "good.log"
    options = ("run", "--kernel", BARE / "platform.elf", "--debug-exit")
    recorded = run(*options, "--record", log, input="null")
    checks.equal("the log to damage", recorded.status, 1)
    good = log.read_bytes()
    records = parse(good)
    checks.equal("records read and written again", build(good, records), good)
    rows = [*damaged(good, random.Random(SEED)), *forged(good, records)]
    bad = directory / "bad.log"
    for name, contents, status, message in rows:
        bad.write_bytes(contents)
        outcome = run(*options, "--replay", bad, input="null", timeout=30)
        line = message if message or outcome.status == 1 else r"does not follow"
        faults = outcome.faults(status, line)
        checks.check(f"bad log: {name}", not faults, "; ".join(faults))


def refusals(checks, directory):
    """name, options, status, message"""
    log = directory / "good.log"
    kernel = ("--kernel", BARE / "platform.elf")
    options = (*kernel, "--debug-exit")
    text = directory / "letter"
    text.write_text("keep me\n")
    (directory / "empty").write_bytes(b"")
    os.mkfifo(directory / "fifo")
    input_, usage, host = STATUS["input"], STATUS["usage"], STATUS["host"]
    other = r"good.log: recorded with another "
    for name, words, status, message in (
            ("replay: missing", (*options, "--replay", directory / "none"), input_, r"none: No such file"),
            ("replay: empty", (*options, "--replay", directory / "empty"), input_, r"the file is empty"),
            ("replay: a directory", (*options, "--replay", directory), input_, r"Is a directory"),
            ("replay: a pipe", (*options, "--replay", directory / "fifo"), input_, r"regular file"),
            ("replay: /dev/zero", (*options, "--replay", "/dev/zero"), input_, r"regular file"),
            ("replay: no log", (*options, "--replay", text), input_, r"no recording"),
            ("another kernel", ("--kernel", BARE / "checks64.elf", "--debug-exit", "--replay", log), input_, other + "--kernel"),
            ("another memory", (*options, "--memory", "256M", "--replay", log), input_, other + "--memory"),
            ("another command line", (*options, "--cmdline", "x", "--replay", log), input_, other + "--cmdline"),
            ("a module more", (*options, "--module", text, "--replay", log), input_, other + "--module"),
            ("no debug-exit", (*kernel, "--replay", log), input_, other + "--debug-exit"),
            ("no reboot", (*options, "--no-reboot", "--replay", log), input_, other + "--no-reboot"),
            ("record and replay", (*options, "--record", log, "--replay", log), usage, r"contradict"),
            ("record in real time", (*options, "--record", log, "--clock", "real"), usage, r"--clock real"),
            ("record over something else", (*options, "--record", text), host, r"letter: exists and is no recording"),
            ("record over a directory", (*options, "--record", directory), host, r"--record .*Is a directory"),
            ("record to a pipe", (*options, "--record", directory / "fifo"), host, r"fifo: exists and is no recording"),
            ("record nowhere", (*options, "--record", directory / "no/where"), host, r"--record .*No such file"),
            ("record, kernel missing", ("--kernel", directory / "none", "--record", log), input_, r"none: No such file"),
            ("record, no kernel", ("--kernel", text, "--record", log), input_, r".")):
        before = log.read_bytes()
        outcome = run("run", *words, input="null", timeout=30)
        faults = outcome.faults(status, message)
        if log.read_bytes() != before or text.read_text() != "keep me\n":
            faults.append("a file was changed")
        checks.check(name, not faults, "; ".join(faults))
    machine = Run("run", "--kernel", BARE / "loop.elf", "--record", directory / "busy.log")
    machine.engine()
    time.sleep(0.3)
    outcome = Run("run", *options, "--record", directory / "busy.log", input="null").finish(30, alone=False)
    faults = [fault for fault in outcome.faults(host, r"--record .*busy.log: .*busy") if "processes" not in fault]
    checks.check("record what is being recorded", not faults, "; ".join(faults))
    machine.signal(signal.SIGTERM)
    machine.finish(20)


def main():
    checks = Checks(quiet=True)
    directory = Path(tempfile.mkdtemp(prefix="system-"))
    try:
        bad_logs(checks, directory)
        refusals(checks, directory)
        sessions(checks, directory)
        killed(checks, directory)
    finally:
        shutil.rmtree(directory)
    checks.finish()


main()
