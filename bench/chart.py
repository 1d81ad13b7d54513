#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""chart.py RESULTS.json OUT.svg [time|cpu] - draws the ratios to bare Linux as bars, Origami's longest last."""
import json
import math
import sys

COLOURS = {"origami": "#2b6cb0", "qemu": "#b7791f"}
NAMES = {"origami": "Origami (Soft tier)", "qemu": "QEMU TCG"}
LEFT, WIDTH, ROW, TOP = 120, 560, 34, 70


def scale(value, largest):
    """Logarithmic from 0.5; ratios span two decades."""
    return max(1.0, WIDTH * math.log(max(value, 0.51) / 0.5) / math.log(largest / 0.5))


def axis(largest, height):
    lines = []
    for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000):
        if tick > largest:
            break
        x = LEFT + scale(tick, largest)
        lines.append(f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{height - 30}" '
                     f'stroke="{"#555" if tick == 1 else "#ddd"}"/>')
        lines.append(f'<text x="{x:.1f}" y="{height - 14}" text-anchor="middle">{tick}x</text>')
    return lines


def bars(rows, largest):
    lines = []
    for i, (name, values) in enumerate(rows):
        y = TOP + i * ROW
        weight = ' font-weight="bold"' if name == "geometric mean" else ""
        lines.append(f'<text x="{LEFT - 8}" y="{y + 17}" text-anchor="end"{weight}>{name}</text>')
        for j, (system, value) in enumerate(values.items()):
            if value is None:
                continue
            width = scale(value, largest)
            lines.append(f'<rect x="{LEFT}" y="{y + 13 * j}" width="{width:.1f}" height="12" '
                         f'fill="{COLOURS[system]}"/>')
            lines.append(f'<text x="{LEFT + width + 4:.1f}" y="{y + 13 * j + 10}" font-size="10">'
                         f'{value:.2f}</text>')
    return lines


def draw(results, measure="time"):
    rows = []
    for name, item in results["items"].items():
        ratios = {system: (item[measure][f"{system}/native"] or {}).get("median") for system in COLOURS}
        if any(ratios.values()):
            rows.append((name, ratios))
    rows.sort(key=lambda row: row[1]["origami"] or 1e9)
    means = results["geometric_means"][measure]
    rows.append(("geometric mean", {system: means.get(f"{system}/native", {}).get("mean")
                                    for system in COLOURS}))
    largest = 1.25 * max(v for _, values in rows for v in values.values() if v)
    height = TOP + len(rows) * ROW + 40
    what = "CPU time" if measure == "cpu" else "time"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 60}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{what.capitalize()} as a multiple of bare Linux '
        '(shorter is better)</text>',
        f'<text x="{LEFT}" y="40" fill="#555">Median of {results["repetitions"]} interleaved rounds; '
        'logarithmic scale</text>',
    ]
    for i, system in enumerate(COLOURS):
        x = LEFT + 300 + 160 * i
        lines.append(f'<rect x="{x}" y="46" width="10" height="10" fill="{COLOURS[system]}"/>')
        lines.append(f'<text x="{x + 15}" y="55">{NAMES[system]}</text>')
    lines += axis(largest, height) + bars(rows, largest) + ["</svg>", ""]
    return "\n".join(lines)


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        results = json.load(file)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(draw(results, *sys.argv[3:]))


if __name__ == "__main__":
    main()
