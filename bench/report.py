# SPDX-License-Identifier: MIT
"""From runs to ratios, a table and a JSON file. Times are compared only within a round, where they
were taken one after another; only their ratios leave this file."""
import math
import statistics

PAIRS = (("origami", "native"), ("qemu", "native"), ("qemu", "origami"), ("step", "native"))


def ratio(runs, over, under, measure):
    """Median, smallest and largest ratio over the rounds in which both systems succeeded."""
    values = sorted(
        round_[over][measure] / round_[under][measure] for round_ in runs
        if over in round_ and under in round_ and "error" not in round_[over]
        and "error" not in round_[under] and round_[under][measure] > 0)
    if not values:
        return None
    return {"median": round(statistics.median(values), 3), "min": round(values[0], 3),
            "max": round(values[-1], 3), "rounds": len(values)}


def problems(item, runs):
    """Failures, checksums that differ, clocks that do not follow the host's."""
    found = []
    for number, round_ in enumerate(runs, 1):
        sums = {name: run["sum"] for name, run in round_.items() if "sum" in run}
        if len(set(sums.values())) > 1:
            found.append(f"{item}: WRONG RESULT in round {number}: {sums}")
        for name, run in round_.items():
            if "error" in run:
                found.append(f"{item}: {name} failed in round {number}: {run['error']}")
            elif "wall" in run and run["seconds"] > 1.02 * run["wall"] + 0.02:
                found.append(f"{item}: {name}'s clock is ahead of the host's in round {number}: "
                             f"{run['seconds'] / run['wall']:.2f} times")
    return found


def clock_agreement(runs):
    """Guest time over host time per system, over all items whose preparation is short."""
    totals = {}
    for item, rounds in runs.items():
        if item in ("memcpy", "chase", "boot"):
            continue
        for round_ in rounds:
            for name, run in round_.items():
                if "wall" in run:
                    guest, host = totals.get(name, (0, 0))
                    totals[name] = (guest + run["seconds"], host + run["wall"])
    return {name: round(guest / host, 4) for name, (guest, host) in totals.items() if host}


def summarise(runs):
    """The part of the JSON file that is computed."""
    items, found = {}, []
    for item, rounds in runs.items():
        variants = {}
        for round_ in rounds:
            for name, run in round_.items():
                if "variant" in run:
                    variants[name] = run["variant"]
        items[item] = {"variants": variants}
        for measure, title in (("seconds", "time"), ("cpu", "cpu")):
            items[item][title] = {f"{over}/{under}": ratio(rounds, over, under, measure)
                                  for over, under in PAIRS}
        found += problems(item, rounds)
    return {"items": items, "geometric_means": means(items), "problems": found,
            "guest_clock_over_host_clock": clock_agreement(runs)}


def means(items):
    result = {}
    for title in ("time", "cpu"):
        result[title] = {}
        for over, under in PAIRS:
            pair = f"{over}/{under}"
            values = [item[title][pair]["median"] for item in items.values() if item[title][pair]]
            if values:
                result[title][pair] = {
                    "mean": round(math.exp(statistics.fmean(map(math.log, values))), 3),
                    "items": len(values)}
    return result


def number(value):
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def variant_note(variants):
    distinct = {name: v for name, v in variants.items() if v != "-"}
    if not distinct:
        return ""
    if len(set(distinct.values())) == 1:
        return next(iter(distinct.values()))
    return ", ".join(f"{name} {v}" for name, v in distinct.items())


def table(summary):
    """The table as Markdown, which reads well on a terminal too."""
    pairs = [pair for over, under in PAIRS if (pair := f"{over}/{under}") in summary["geometric_means"]["cpu"]]
    head = ["item"] + pairs + [f"cpu {pair}" for pair in pairs] + ["variant"]
    rows = []
    for name, item in summary["items"].items():
        cells = [number((item[title][pair] or {}).get("median"))
                 for title in ("time", "cpu") for pair in pairs]
        rows.append([name] + cells + [variant_note(item["variants"])])
    rows.append(["geometric mean"] + [number(summary["geometric_means"][title].get(pair, {}).get("mean"))
                                      for title in ("time", "cpu") for pair in pairs] + [""])
    widths = [max(len(row[i]) for row in [head] + rows) for i in range(len(head))]
    text = ["| " + " | ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                              for i, (cell, w) in enumerate(zip(row, widths))) + " |"
            for row in [head] + rows]
    text.insert(1, "|" + "|".join("-" * (w + 1) + ("-" if i == 0 else ":") for i, w in enumerate(widths)) + "|")
    return "\n".join(text)
