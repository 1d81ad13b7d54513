#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the C file that the compiler item compiles: many small functions, already preprocessed.

The generator is a fixed linear congruence, so the file is the same wherever it is made.
"""


class Dice:
    """A fixed sequence of numbers."""

    def __init__(self):
        self.state = 20

    def roll(self, sides):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % sides


def expression(dice, depth):
    """An expression over a, b, c and the array t."""
    if depth == 0:
        return ("a", "b", "c", "t[a & 63]", "t[b & 63]", str(dice.roll(1000)))[dice.roll(6)]
    left, right = expression(dice, depth - 1), expression(dice, depth - 1)
    return f"({left} {'+-*^&|'[dice.roll(6)]} {right})"


def function(dice, number):
    """One function: a loop with a switch or branches, and a call of an earlier function."""
    lines = [f"unsigned f{number}(unsigned a, unsigned b, unsigned *t)", "{", "    unsigned c = a ^ b;"]
    lines.append(f"    for (unsigned i = 0; i < {dice.roll(20) + 2}; i++) {{")
    if dice.roll(2):
        lines.append(f"        switch (c % {dice.roll(6) + 3}) {{")
        for case in range(3):
            lines.append(f"        case {case}: c += {expression(dice, 2)}; break;")
        lines.append(f"        default: t[c & 63] = {expression(dice, 1)};")
        lines.append("        }")
    else:
        lines.append(f"        if (c > {expression(dice, 1)})")
        lines.append(f"            c ^= {expression(dice, 2)};")
        lines.append("        else")
        lines.append(f"            b = {expression(dice, 2)};")
    lines.append("    }")
    if number:
        lines.append(f"    return c + f{dice.roll(number)}(b, c, t);")
    else:
        lines.append("    return c;")
    lines.append("}")
    return "\n".join(lines)


def main():
    dice = Dice()
    for number in range(8):
        print(function(dice, number))


if __name__ == "__main__":
    main()
