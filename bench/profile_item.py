# SPDX-License-Identifier: MIT
"""What Origami's own counters say of one item: a machine that boots and runs it, minus a machine that
only boots. Counts are per million guest instructions of the difference, so they compare across items."""
import json
import os
import tempfile

import measure
import systems

CACHES = ("tlb_misses", "tlb_flushes", "decodes", "stubs_built")


def counters(out, demo, item, n, folder):
    """One machine's statistics and the item's CPU seconds on the host."""
    path = os.path.join(folder, "stats.json")
    machine = systems.origami(f"{out}/origami/origami", f"{demo}/vmlinuz", f"{out}/initrd.cpio.gz",
                              stats=path)
    spent = 0.0
    try:
        machine.start()
        if item:
            spent = machine.run(item, n, 600)["cpu"]
    finally:
        machine.stop()
    with open(path, encoding="utf-8") as file:
        return json.load(file), spent


def flat(stats):
    """The counters worth a look, in one level."""
    instructions, traps = stats["instructions"], stats["traps"]
    result = {"retired": instructions["retired"], "direct": instructions["direct"],
              "native_by_stub": instructions["native_by_stub"], "interpreted": instructions["interpreted"]}
    for name, value in instructions["interpreted_by_interpreter"].items():
        result[f"interpreted {name}"] = value
    for name in CACHES:
        result[name] = stats["caches"][name]
    result.update(stats.get("translation", {}))
    for name, value in traps["exceptions"].items():
        result[f"exception {name}"] = value
    result["interrupts"] = traps["interrupts"]
    for name, value in traps["exits_to_machine"].items():
        result[f"exit {name}"] = value
    return {name: value for name, value in result.items() if isinstance(value, int)}


def profile(out, demo, items, seconds):
    """Prints, per item, the counters that its work raised most."""
    native = systems.native(f"{out}/root")
    native.start()
    try:
        units = measure.calibrate(native, [item for item in items if item != measure.BOOT], seconds)
    finally:
        native.stop()
    with tempfile.TemporaryDirectory() as folder:
        base = flat(counters(out, demo, None, 0, folder)[0])
        for item, n in units.items():
            try:
                stats, spent = counters(out, demo, item, n, folder)
            except (systems.Failure, OSError, ValueError) as error:
                print(f"{item}: {error}")
                continue
            show(item, flat(stats), base, spent)


def show(item, stats, base, spent):
    more = {name: value - base.get(name, 0) for name, value in stats.items()}
    million = max(more["retired"], 1) / 1e6
    print(f"\n{item}: {million:.0f} million guest instructions, "
          f"{more['direct'] / max(more['retired'], 1):.2%} of them direct, "
          f"{spent * 1e9 / max(more['retired'], 1):.2f} ns of CPU each")
    rows = sorted(((value / million, name) for name, value in more.items()
                   if name not in ("retired", "direct") and value > 0), reverse=True)
    for value, name in rows[:24]:
        if value >= 0.5:
            print(f"    {value:12.1f} per million  {name}")
