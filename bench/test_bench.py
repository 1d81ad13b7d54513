#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Unit tests of the runner: python3 bench/test_bench.py"""
import os
import sys
import unittest
import xml.dom.minidom

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True # the source tree stays clean
import chart
import measure
import report
import systems


def run(seconds, result="aa", wall=None):
    return {"seconds": seconds, "cpu": seconds, "wall": wall or seconds, "sum": result, "variant": "-"}


SERVER = """
echo @ready
while read -r word item n; do
    case $item in
    good) echo "noise @bench $item $n 500 400 00ff -" ;;
    bad) echo "@failed $item $n no luck" ;;
    dies) exit 3 ;;
    quit) exit 0 ;;
    esac
done
"""


class Ratios(unittest.TestCase):
    def test_median_of_the_rounds_ratios(self):
        rounds = [{"qemu": run(over), "native": run(under)}
                  for over, under in ((10, 1), (40, 2), (30, 1))]
        self.assertEqual(report.ratio(rounds, "qemu", "native", "seconds"),
                         {"median": 20.0, "min": 10.0, "max": 30.0, "rounds": 3})

    def test_failed_rounds_do_not_count(self):
        rounds = [{"qemu": {"error": "died"}, "native": run(1)}]
        self.assertIsNone(report.ratio(rounds, "qemu", "native", "seconds"))

    def test_problems_are_found(self):
        found = report.problems("x", [{"native": run(1), "qemu": run(1, "bb")},
                                      {"native": run(1), "qemu": {"error": "died"}},
                                      {"native": run(1), "qemu": run(2, wall=1)}])
        self.assertEqual([text.split(":")[1].split()[0] for text in found], ["WRONG", "qemu", "qemu's"])

    def test_table_and_picture(self):
        runs = {"x": [{"native": run(1), "qemu": run(8), "origami": run(2)}] * 5}
        summary = report.summarise(runs)
        self.assertEqual(summary["geometric_means"]["time"]["qemu/origami"]["mean"], 4.0)
        self.assertIn("| x ", report.table(summary))
        xml.dom.minidom.parseString(chart.draw({"repetitions": 5, **summary}))


class Systems(unittest.TestCase):
    def setUp(self):
        self.system = systems.System("test", ["sh", "-c", SERVER])
        self.system.start(10)
        self.addCleanup(self.system.stop)

    def test_result(self):
        result = self.system.run("good", 7, 10)
        self.assertEqual((result["seconds"], result["sum"]), (5e-7, "00ff"))

    def test_failure_has_a_reason(self):
        with self.assertRaisesRegex(systems.Failure, "no luck"):
            self.system.run("bad", 7, 10)

    def test_silence_ends(self):
        with self.assertRaisesRegex(systems.Failure, "silent"):
            self.system.run("unknown", 7, 0.2)

    def test_what_died_is_started_anew(self):
        measure.say = lambda text: None
        self.assertIn("error", measure.one(self.system, "dies", 1, 10))
        self.assertEqual(measure.one(self.system, "good", 1, 10)["variant"], "-")


if __name__ == "__main__":
    unittest.main()
