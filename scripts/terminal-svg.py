#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws a captured terminal screen (text on standard input) as an SVG picture on standard output."""
import html
import sys

CELL, LINE, PAD = 8.4, 18, 16


def main():
    lines = [line.rstrip("\n") for line in sys.stdin]
    while lines and not lines[-1].strip():
        lines.pop()
    while lines and not lines[0].strip():
        lines.pop(0)
    width = int(max(map(len, lines), default=0) * CELL + 2 * PAD)
    height = len(lines) * LINE + 2 * PAD
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
          f'viewBox="0 0 {width} {height}" role="img" aria-label="a terminal with a booted guest">')
    print(f'<rect width="{width}" height="{height}" rx="8" fill="#16181d"/>')
    print('<g font-family="ui-monospace,Menlo,Consolas,DejaVu Sans Mono,monospace" font-size="14" '
          'fill="#d8dee9" xml:space="preserve">')
    for number, line in enumerate(lines):
        y = PAD + (number + 1) * LINE - 5
        print(f'<text x="{PAD}" y="{y}" textLength="{len(line) * CELL:.1f}">{html.escape(line)}</text>'
              if line else "", end="\n" if line else "")
    print("</g></svg>")


if __name__ == "__main__":
    main()
