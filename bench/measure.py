# SPDX-License-Identifier: MIT
"""Calibration and the interleaved rounds."""
import re
import sys
import time

from systems import Failure, cpu_seconds

PROMPT = re.compile(rb"origami# ")
BOOT = "boot"


def say(text):
    print(text, file=sys.stderr, flush=True)


def calibrate(system, items, target):
    """Units of work for each item so that it takes about target seconds of CPU on bare Linux."""
    units = {}
    for item in items:
        n = 1
        while True:
            result = system.run(item, n, 120)
            spent = min(result["cpu"], result["seconds"]) or 1e-6
            if spent >= target / 4:
                units[item] = max(1, round(n * target / spent))
                break
            n *= max(2, min(64, int(target / 2 / spent)))
    return units


def one(system, item, n, allowance):
    """One run; a system that fails is replaced by a fresh one and the failure recorded."""
    try:
        if not system.alive():
            system.start()
        return system.run(item, n, allowance)
    except Failure as error:
        say(f"  {system.name}: {item}: {error}")
        if system.process is not None:
            system.kill()
        return {"error": str(error)}


def boot(system, timeout=300):
    """From the start of the program to the prompt of the demo guest's shell."""
    start = time.monotonic()
    try:
        system.launch()
        system.expect(PROMPT, timeout)
        return {"seconds": time.monotonic() - start, "sum": "prompt",
                "cpu": cpu_seconds(system.process.pid), "variant": "-"}
    except Failure as error:
        say(f"  {system.name}: boot: {error}")
        return {"error": str(error)}
    finally:
        system.kill()


def rounds(systems, boots, units, repetitions):
    """Every item on every system in turn, item by item, `repetitions` times over. The machines are
    booted anew for each round; while one works the others are halted."""
    runs = {item: [] for item in list(units) + ([BOOT] if boots else [])}
    for number in range(repetitions):
        started = time.monotonic()
        if boots:
            runs[BOOT].append({system.name: boot(system) for system in boots})
        for item, n in units.items():
            results, allowance = {}, 120
            for system in systems:
                results[system.name] = one(system, item, n, allowance)
                if system.native:
                    allowance = 60 + 400 * results[system.name].get("seconds", 1)
            runs[item].append(results)
        for system in systems:
            if not system.native:
                system.stop()
        say(f"round {number + 1} of {repetitions}: {time.monotonic() - started:.0f} s")
    return runs
