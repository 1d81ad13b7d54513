# SPDX-License-Identifier: MIT
"""What the two processes look like from outside while a guest runs: SECURITY.md, checked on the real thing."""
import os
import re
import shutil
import signal
import subprocess

from support import (BARE, ENGINE, NOBODY, ORIGAMI, STATUS, TOOLS, Checks, Run, children, process_field,
                     stage)

# What the engine may have mapped: its own memory (anonymous), and objects of ours without a name in the file system.
OBJECTS = re.compile(r"/memfd:origami-(wire|ram-low|ram-high|stubs) \(deleted\)$")
VSYSCALL = 0xFFFFFFFFFF600000  # the kernel's page for old programs; nobody can unmap it


def mappings(pid):
    """start, end, protection, name"""
    rows = []
    for line in open(f"/proc/{pid}/maps"):
        span, protection, _, _, _, *name = line.split(None, 5)
        start, end = (int(part, 16) for part in span.split("-"))
        rows.append((start, end, protection, name[0].strip() if name else ""))
    return [row for row in rows if row[0] != VSYSCALL]


def status_fields(checks, who, pid, wanted):
    for field, value in wanted.items():
        checks.equal(f"{who}: {field}", process_field(pid, field), value)


def engine_memory(checks, who, engine):
    rows = mappings(engine)
    foreign = [row for row in rows if row[3] and not OBJECTS.match(row[3])]
    checks.check(f"{who}: nothing of the loader, the C library or the host is mapped", not foreign, foreign)
    checks.check(f"{who}: no mapping is writable and executable",
                 not [row for row in rows if "w" in row[2] and "x" in row[2]], rows)
    shared = sorted({row[3].split()[0].removeprefix("/memfd:") for row in rows if row[3]})
    print(f"{who}: {len(rows)} mappings, {sum(row[1] - row[0] for row in rows) >> 20} MiB; objects {', '.join(shared)}")
    return next(row[0] for row in rows if "x" in row[2] and not row[3])


def look(checks, directory, tier, who):
    """As root, origami runs as somebody else: root sees everything, and can tell what that user could not."""
    launcher = [TOOLS / "container_profile", "--user", NOBODY] if os.geteuid() == 0 else []
    run = Run("run", "--kernel", "loop.elf", "--tier", tier, "--memory", "64M", program=directory / "origami",
              launcher=launcher, directory=directory)
    working = run.wait_output("looping for ever", 20)
    engine = run.engine() if working else None
    if not checks.check(f"{who}: runs", engine is not None, "" if working else run.finish(1).err):
        return None
    base = None
    status_fields(checks, who, engine, {"Seccomp": "2", "NoNewPrivs": "1", "Threads": "1", "SigBlk": "0" * 16,
                                        "CoreDumping": "0"})
    status_fields(checks, f"{who}: machine process", run.pid, {"Seccomp": "2", "NoNewPrivs": "1"})
    if os.geteuid() == 0:
        checks.equal(f"{who}: no descriptor is open", os.listdir(f"/proc/{engine}/fd"), [])
        checks.equal(f"{who}: no environment, no argument", (open(f"/proc/{engine}/environ", "rb").read(),
                                                            open(f"/proc/{engine}/cmdline", "rb").read()), (b"", b""))
        base = engine_memory(checks, who, engine)
    else:
        # Not dumpable: not even its owner may look.
        for name in ("fd", "maps", "mem"):
            try:
                os.listdir(f"/proc/{engine}/fd") if name == "fd" else open(f"/proc/{engine}/{name}", "rb").read(1)
                checks.check(f"{who}: /proc/PID/{name} is closed to its owner", False, "could be read")
            except PermissionError:
                checks.check(f"{who}: /proc/PID/{name} is closed to its owner", True)
    # What is in /proc/PID belongs to root when the process is not dumpable, else to its user.
    own = os.stat(f"/proc/{engine}/maps").st_uid
    checks.check(f"{who}: not dumpable", own == 0, f"/proc/PID/maps belongs to user {own}")
    limit = next(line for line in open(f"/proc/{engine}/limits") if line.startswith("Max core file size"))
    checks.equal(f"{who}: no core dump", limit.split()[4:6], ["0", "0"])
    names = sorted(children(run.pid).values())
    checks.check(f"{who}: the machine process has no other child than the engine and the terminal's guard",
                 names == ["origami-engine", "origami-tty"], names)
    run.signal(signal.SIGTERM)
    faults = run.finish(20).faults(STATUS["signal"], r"signal 15")
    checks.check(f"{who}: ends", not faults, "; ".join(faults))
    return base


def namespace(pid, name):
    return os.readlink(f"/proc/{pid}/ns/{name}")


def alone(checks, options, wanted, root):
    """The machine process in namespaces of its own, where this host allows them (it does if unshare(1) works)."""
    run = Run("run", "--kernel", BARE / "loop.elf", "--memory", "64M", *map(str, options))
    who = " ".join(["namespaces", *map(str, options)])
    if checks.check(f"{who}: runs", run.wait_output("looping for ever", 20)):
        entered = [name for name in ("user", "mnt", "net") if namespace(run.pid, name) != namespace("self", name)]
        checks.equal(f"{who}: its own", entered, wanted)
        checks.equal(f"{who}: capabilities", process_field(run.pid, "CapEff"), "0" * 16)
        if "mnt" in wanted and os.geteuid() == 0:
            checks.equal(f"{who}: files there are", sorted(os.listdir(f"/proc/{run.pid}/root")), root)
    run.signal(signal.SIGTERM)
    faults = run.finish(20).faults(STATUS["signal"], r"signal 15", files=["stats"] if "--stats" in options else ())
    checks.check(f"{who}: ends", not faults, "; ".join(faults))


def main():
    checks = Checks()
    if subprocess.run(["unshare", "--user", "--net", "--mount", "true"], capture_output=True).returncode == 0:
        alone(checks, (), ["user", "mnt", "net"], [])
        alone(checks, ("--no-reboot",), ["user", "mnt", "net"], [])
        alone(checks, ("--net", "user"), ["user", "mnt"], ["etc"])
        alone(checks, ("--stats", "stats"), ["user", "net"], None)
    else:
        print("this host refuses namespaces: not looked at")
    directory = stage((ORIGAMI, ENGINE, BARE / "loop.elf"))
    bases = [look(checks, directory, tier, f"{tier} {number}") for tier in ("step", "soft") for number in (1, 2)]
    shutil.rmtree(directory)
    if None not in bases:
        print("engine bases:", ", ".join(f"{base:#x}" for base in bases))
        checks.equal("each launch has a base of its own", len(set(bases)), len(bases))
        # The kernel's own choice would be within 2^40 bytes of the top: ours is anywhere.
        checks.check("the bases are spread over the address space", len({base >> 40 for base in bases}) > 1, bases)
    checks.finish()


main()
