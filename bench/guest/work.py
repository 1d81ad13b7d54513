# SPDX-License-Identifier: MIT
"""The interpreter item: work.py ROUNDS. Uses no module outside the interpreter's own binary."""
import sys


class Account:
    """A small object with a method, as most Python programs are full of."""

    def __init__(self, number):
        self.number = number
        self.balance = 0

    def move(self, amount):
        self.balance = (self.balance + amount * self.number) % 1000003
        return self.balance


def words(seed, count):
    """Pseudo-random short words."""
    for _ in range(count):
        seed = (seed * 1103515245 + 12345) % 2147483648
        yield "w" + str(seed >> 20)


def one_round(number):
    accounts = [Account(i + number) for i in range(50)]
    total = 0
    for i in range(3000):
        total += accounts[i % 50].move(i)
    counts = {}
    for word in words(number, 1500):
        counts[word] = counts.get(word, 0) + 1
    common = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:20]
    text = ",".join(f"{word}={count}" for word, count in common)
    x = 0.5
    for _ in range(2000):
        x = 3.9 * x * (1.0 - x)
    return total, len(text), x


for number in range(int(sys.argv[1])):
    print(*one_round(number))
