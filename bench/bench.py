#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the benchmark on bare Linux, under QEMU's TCG and under Origami, interleaved, and prints
ratios. `make bench` calls it; bench/README.md says how to read the result."""
import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys

sys.dont_write_bytecode = True # the source tree stays clean
import chart
import measure
import profile_item
import report
import systems

HERE = os.path.dirname(os.path.abspath(__file__))


def options():
    parser = argparse.ArgumentParser(prog="bench.py", description=__doc__)
    parser.add_argument("--build", default="build", help="the build tree (default build)")
    parser.add_argument("--repetitions", type=int, metavar="N", help="rounds (default 5)")
    parser.add_argument("--items", metavar="LIST", help="only these, separated by commas")
    parser.add_argument("--seconds", type=float, metavar="S",
                        help="size of an item: CPU seconds on bare Linux (default 0.1)")
    parser.add_argument("--quick", action="store_true",
                        help="3 rounds of small items: an impression, not a result")
    parser.add_argument("--step", action="store_true", help="the Step tier too (slow: with --quick)")
    parser.add_argument("--profile", action="store_true",
                        help="no comparison: what Origami's counters say of each item")
    parser.add_argument("--json", metavar="FILE", help="default BUILD/bench/results.json")
    parser.add_argument("--svg", metavar="FILE",
                        help="picture (default: docs/bench.svg after a whole run of 5 rounds)")
    arguments = parser.parse_args()
    if arguments.repetitions is None:
        arguments.repetitions = 3 if arguments.quick else 5
    if arguments.seconds is None:
        arguments.seconds = 0.02 if arguments.quick else 0.1
    if arguments.repetitions < 1 or arguments.seconds <= 0:
        parser.error("--repetitions and --seconds must be positive")
    return arguments


def build(tree):
    """The guest, the programs, and a copy of Origami that a rebuild cannot change half way."""
    out = os.path.join(tree, "bench")
    os.makedirs(os.path.join(out, "origami"), exist_ok=True)
    demo = os.path.join(tree, "demo")
    if not os.path.exists(os.path.join(demo, "initrd.cpio.gz")):
        subprocess.run([os.path.join(HERE, "../guests/demo/build.sh"), demo], check=True, stdout=sys.stderr)
    subprocess.run([os.path.join(HERE, "build.sh"), out, demo], check=True)
    digest = hashlib.sha256()
    for program in ("origami", "origami-engine"):
        copy = os.path.join(out, "origami", program)
        if os.path.exists(copy):
            os.remove(copy)
        shutil.copy2(os.path.join(tree, program), copy)
        with open(copy, "rb") as file:
            digest.update(file.read())
    return out, demo, digest.hexdigest()[:16]


def choose(out, wanted):
    """The items to run: all that could be built, or those asked for."""
    listing = subprocess.run([f"{out}/root/bin/bench", "list"], check=True, capture_output=True, text=True)
    known = [line.split()[0] for line in listing.stdout.splitlines()] + [measure.BOOT]
    with open(f"{out}/root/missing", encoding="ascii") as file:
        missing = file.read().split()
    for item in missing:
        measure.say(f"bench: left out, its program was not found: {item}")
    if wanted:
        names = wanted.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            sys.exit(f"bench: no such item: {', '.join(unknown)} (there are {', '.join(known)})")
        known = [name for name in known if name in names]
    return [name for name in known if name not in missing]


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "?"


def about(digest):
    """Where and with what: so that two results can be told apart."""
    cpu = "?"
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    return {"cpu": cpu, "cpus": os.cpu_count(), "kernel": os.uname().release,
            "load_at_start": round(os.getloadavg()[0], 1), "qemu": first_line(["qemu-system-x86_64", "--version"]),
            "compiler": first_line(["gcc", "--version"]), "origami": digest}


def compare(arguments, out, demo, digest, items):
    kernel, initrd, program = f"{demo}/vmlinuz", f"{out}/initrd.cpio.gz", f"{out}/origami/origami"
    compared = [systems.native(f"{out}/root"), systems.qemu(kernel, initrd),
                systems.origami(program, kernel, initrd)]
    boots = [systems.qemu(kernel, f"{demo}/initrd.cpio.gz"),
             systems.origami(program, kernel, f"{demo}/initrd.cpio.gz")]
    if arguments.step:
        compared.append(systems.origami(program, kernel, initrd, "step"))
    results = about(digest)
    results["repetitions"] = arguments.repetitions
    compared[0].start()
    try:
        units = measure.calibrate(compared[0], [i for i in items if i != measure.BOOT], arguments.seconds)
        runs = measure.rounds(compared, boots if measure.BOOT in items else [], units,
                              arguments.repetitions)
    finally:
        for system in compared + boots:
            if system.alive():
                system.kill()
    results["load_at_end"] = round(os.getloadavg()[0], 1)
    results["units"] = units
    results.update(report.summarise(runs))
    return results


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(12)) # so that the machines are stopped
    arguments = options()
    tree = os.path.abspath(arguments.build)
    out, demo, digest = build(tree)
    items = choose(out, arguments.items)
    if arguments.profile:
        profile_item.profile(out, demo, items, arguments.seconds)
        return 0
    results = compare(arguments, out, demo, digest, items)
    path = arguments.json or f"{out}/results.json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    picture = arguments.svg
    if not picture and not (arguments.items or arguments.quick) and arguments.repetitions >= 5:
        picture = os.path.join(HERE, "../docs/bench.svg")
    if picture and results["geometric_means"]["time"]:
        with open(picture, "w", encoding="utf-8") as file:
            file.write(chart.draw(results))
    print(report.table(results))
    print(f"\nload of the host: {results['load_at_start']} at the start, {results['load_at_end']} at the end "
          f"({results['cpus']} CPUs); saved: {os.path.relpath(path)}")
    for problem in results["problems"]:
        print(f"PROBLEM: {problem}")
    return 1 if results["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
