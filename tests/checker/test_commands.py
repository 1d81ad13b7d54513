# SPDX-License-Identifier: MIT
"""The commands as a user runs them: exit statuses, JSON, the HTML page, explain, diff, list.

Usage: test_commands.py ORIGAMI_CHECKER ISA_DIRECTORY
"""
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

CHECKER = sys.argv[1]
LIBRARY = Path(sys.argv[2])
XHTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"

MACHINE = """
mode M : 1 {s = 0, u = 1} analyze s over u;
pc P : 2; relocation l : 3; relocation b : 3; user A : 32; user B : 32; memory E[4] : 8; monitor 1;
map a : 2 -> 4 { if (zext(a, 3) >= b) { fault; } yield zext(a, 4) + zext(l, 4); }
relocate x : 2 when l + zext(x, 3) >= l { l = l + zext(x, 3); }
trap code : 2 { E[0] = zext(M, 8); M = s; }
insn LOAD(a : 2) { let v = load(a); A = zext(v, 32); }
"""
# Whether it is sensitive depends on the factors of a product of two 32-bit primes.
HARD = 'isa "hard";' + MACHINE + """
insn FACTOR {
    if (zext(A, 64) * zext(B, 64) == 0xf15e48e47e60f1ab && A != 1 && B != 1) { M = u; A = 7; }
}
"""
HOSTILE = """isa "<script>alert(1)</script>"; title "<img src=x onerror=alert(2)> & \\" ]]> -->";
source "</pre><script>alert(3)</script>"; scope "'\\"></svg><script>alert(4)</script>";""".replace(
    '\\"', "'") + MACHINE + """
insn "</title><script>alert(5)</script>" "<b onclick='x'>&amp;" { M = u; }
insn "a'b&c<d>e" { if (M == u) { trap; } l = 0; }
insn "VERY_LONG_NAME_%s" { A = 1; }
""" % ("x" * 40)


def run(*arguments, stdin=None, **environment):
    """LC_ALL=C: English. ORIGAMI_ISA_PATH: the library under test."""
    setting = {"PATH": os.environ["PATH"], "LC_ALL": "C", "ORIGAMI_ISA_PATH": str(LIBRARY)}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LOCPATH"):
        if name in os.environ:
            setting[name] = os.environ[name]
    setting.update(environment)
    return subprocess.run([CHECKER, *arguments], input=stdin, env=setting, capture_output=True,
                          text=True, timeout=300)


@functools.cache
def analysed(name):
    return json.loads(run("check", "--json", name).stdout)


class ExitStatus(unittest.TestCase):
    def expect(self, status, *arguments, **more):
        result = run(*arguments, **more)
        self.assertEqual(result.returncode, status, (arguments, result.stdout[-300:], result.stderr))
        if status >= 64:
            self.assertNotEqual(result.stderr, "")
        return result

    def test_help(self):
        for command in ("check", "explain", "diff", "list", "fmt", "simulate", "probe"):
            text = self.expect(0, command, "--help").stdout
            self.assertIn("Usage: origami", text)
            self.assertLess(max(map(len, text.splitlines())), 101, command)
        self.expect(0, "--help")
        self.expect(0, "--version")
        self.expect(64)
        self.expect(64, "no-such-command")

    def test_fmt(self):
        """In place, and nothing lost when it can't be written."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "z.isa"
            text = (LIBRARY / "z80.isa").read_text()
            path.write_text(re.sub("(?m)^ +", "", text))
            path.chmod(0o640)
            self.assertEqual(run("fmt", "--check", str(path)).returncode, 1)
            self.assertEqual(run("fmt", str(path)).stdout, text)
            self.assertEqual(run("fmt", "--in-place", str(path)).returncode, 0)
            self.assertEqual(path.read_text(), text)
            self.assertEqual(path.stat().st_mode & 0o777, 0o640)
            self.assertEqual(os.listdir(folder), ["z.isa"])
            self.assertEqual(run("fmt", "--check", str(path)).returncode, 0)
            path.write_text("isa")
            self.assertEqual(run("fmt", "--in-place", str(path)).returncode, 65)
            self.assertEqual(path.read_text(), "isa")
        self.assertEqual(run("fmt", "/nowhere/z.isa").returncode, 66)

    def test_simulate_start(self):
        """A monitor is built for the states that the description allows; others are refused."""
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "p.prog"
            isa = str(LIBRARY / "riscv.isa")
            for cells, status, message in (
                    ("", 65, "breaks the invariant in line"),
                    ("cell mcounteren = 1\ncell scounteren = 1\ncell privilege = M\n", 65,
                     "another mode than S and U"),
                    ("cell mcounteren = 1\ncell scounteren = 1\ncell privilege = S\n", 0, "")):
                program.write_text("set address_bits = 6\n" + cells)
                result = run("simulate", isa, str(program), "--under=1", "--steps=5")
                self.assertEqual(result.returncode, status, result.stderr)
                self.assertIn(message, result.stderr)
                self.assertEqual(run("simulate", isa, str(program), "--steps=5").returncode, 0)

    def test_check(self):
        self.expect(0, "check", "mc68010")
        self.expect(1, "check", "mc68000")
        self.expect(0, "check", "--mode=hybrid", "mc68000")
        self.expect(1, "check", "--mode=recursive", "mc68000")
        self.expect(2, "check", "-", stdin='isa "z"; pc P : 2; user A : 4; insn NOP { }')
        self.expect(64, "check")
        self.expect(64, "check", "a", "b")
        self.expect(64, "check", "--no-such-option", "mc68000")
        self.expect(64, "check", "--mode=other", "mc68000")
        self.expect(64, "check", "--timeout=0", "mc68000")
        self.expect(64, "check", "--resources=nothing_like_it", "mc68000")
        self.expect(64, "check", "--set", "x", "mc68000")
        self.expect(64, "check", "--json", "--html=-", "mc68000")
        self.expect(65, "check", "-", stdin="isa 1;")
        self.expect(65, "check", "--set", "no_such_parameter=1", "mc68000")
        self.expect(65, "check", "--enumerate", "mc68000")
        self.expect(66, "check", "no-such-description")
        self.expect(66, "check", "/no/such/file.isa")
        self.expect(70, "check", "--html=/no/such/folder/x.html", "mc68010")

    def test_undecided(self):
        """A question that takes longer than its time: no verdict, and nothing invented."""
        result = self.expect(3, "check", "--timeout=1", "--json", "-", stdin=HARD)
        report = json.loads(result.stdout)
        self.assertEqual(report["verdict"], "UNDECIDED")
        classes = {i["name"]: i["classes"] for i in report["instructions"]}
        self.assertEqual(classes["LOAD"]["critical"], "no")
        self.assertEqual(classes["FACTOR"]["critical"], "undecided")
        self.expect(3, "explain", "--timeout=1", "-", "FACTOR", stdin=HARD)

    def test_condition(self):
        """Theorem 3 where a resource of the host decides what user code does."""
        report = analysed("sparc-v9")
        self.assertEqual(report["theorem_3_conditions"],
                         [{"instruction": "RDTICK", "resources": ["NPT"]}])
        self.assertEqual(report["theorems"]["Theorem 3 (hybrid monitor)"], "undecided")
        result = run("check", "--mode=hybrid", "sparc-v9")
        self.assertEqual(result.returncode, 3)
        self.assertIn("RDTICK, in user mode, goes by NPT", result.stdout)
        self.assertIn("RDTICK, in user mode, goes by NPT",
                      run("check", "--html=-", "sparc-v9").stdout)
        self.assertEqual(run("check", "--mode=hybrid", "--set=npt=0", "sparc-v9").returncode, 0)
        self.assertEqual(analysed("mc68000")["theorem_3_conditions"], [])

    def test_explain(self):
        self.expect(0, "explain", "mc68010", "MOVE from SR")
        self.expect(1, "explain", "mc68000", "MOVE from SR")
        self.expect(1, "explain", "mc68000", "move FROM sr")
        self.expect(2, "explain", "-", "NOP", stdin='isa "z"; pc P : 2; user A : 4; insn NOP { }')
        self.expect(64, "explain", "mc68000")
        self.assertIn("MOVE from SR", self.expect(64, "explain", "mc68000", "from").stderr)
        self.expect(65, "explain", "-", "X", stdin="isa")
        self.expect(66, "explain", "no-such-description", "X")

    def test_diff(self):
        self.expect(0, "diff", "mc68000", "mc68000")
        self.expect(1, "diff", "mc68000", "mc68010")
        self.expect(2, "diff", "mc68000", "-", stdin='isa "z"; pc P : 2; user A : 4; insn NOP { }')
        self.expect(64, "diff", "mc68000")
        self.expect(65, "diff", "mc68000", "-", stdin="isa")
        self.expect(66, "diff", "mc68000", "no-such-description")

    def test_list(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "a-tiny-one.isa").write_text(
                'isa "z"; pc P : 2; user A : 4; insn NOP { }')
            text = self.expect(0, "list", ORIGAMI_ISA_PATH=f"::{folder}:/no/such/folder").stdout
            self.assertRegex(text, r"(?m)^a-tiny-one +NOT APPLICABLE ")
            self.assertRegex(text, r"(?m)^mc68000 +NOT VIRTUALIZABLE +1 critical  Motorola")
            self.assertEqual(run("check", "a-tiny-one", ORIGAMI_ISA_PATH=folder).returncode, 2)
            Path(folder, "wrong.isa").write_text("isa")
            self.expect(65, "list", "--fast", ORIGAMI_ISA_PATH=folder)
        self.expect(64, "list", "a", "b")
        self.expect(64, "list", "--resources=all")
        self.expect(66, "list", "no-such-description")

    def test_no_library(self):
        """A program that was copied away from everything still says what is missing."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, "bin", "origami-checker")
            copy.parent.mkdir()
            shutil.copy(CHECKER, copy)
            result = subprocess.run([copy, "list"], env={"LC_ALL": "C"}, capture_output=True)
            self.assertEqual(result.returncode, 66)
            self.assertIn(b"ORIGAMI_ISA_PATH", result.stderr)
            self.assertEqual(subprocess.run([copy, "check", "mc68000"], env={"LC_ALL": "C"},
                                            capture_output=True).returncode, 66)

    def test_full_disk(self):
        for command in (["check", "mc68010"], ["list", "--fast"], ["explain", "mc68010", "STOP"]):
            with open("/dev/full", "w") as full:
                result = subprocess.run([CHECKER, *command], stdout=full, stderr=subprocess.PIPE,
                                        env={"LC_ALL": "C", "ORIGAMI_ISA_PATH": str(LIBRARY)})
            self.assertEqual(result.returncode, 70, command)


class Json(unittest.TestCase):
    CLASSES = {"privileged", "sensitive", "control sensitive", "location sensitive",
               "mode sensitive", "resource sensitive", "user sensitive", "supervisor sensitive",
               "innocuous", "critical", "hybrid critical", "partially trapping",
               "traps or commutes", "traps or commutes in user mode"}

    def state(self, state, cells):
        self.assertEqual(set(state) - {"halted"}, {c["name"] for c in cells})
        for cell in cells:
            values = state[cell["name"]]
            for value in values if isinstance(values, list) else [values]:
                self.assertIsInstance(value, str)
                self.assertLess(int(value), 1 << cell["width"])

    def test_schema(self):
        for name in ("mc68000", "pdp-11-45", "third-generation"):
            report = analysed(name)
            cells = report["proved_for"]["cells"]
            self.assertEqual(report["isa"], name)
            self.assertIn(report["verdict"], ("VIRTUALIZABLE", "NOT VIRTUALIZABLE"))
            self.assertEqual(len(report["theorems"]), 4)
            self.assertTrue(all(report["premises"].values()))
            self.assertGreater(report["seconds"], 0)
            for instruction in report["instructions"]:
                self.assertEqual(set(instruction["classes"]), self.CLASSES)
                self.assertLessEqual(set(instruction["classes"].values()), {"yes", "no", "undecided"})
                for witness in instruction["witnesses"]:
                    self.state(witness["before"], cells)
                    self.assertIn(witness["outcome"], ("runs", "traps", "memory-traps"))
                    if "second_before" in witness:
                        self.state(witness["second_before"], cells)

    def test_not_translated(self):
        other = run("check", "--json", "mc68000", LC_ALL="C.UTF-8", LANGUAGE="ja").stdout
        first, second = json.loads(run("check", "--json", "mc68000").stdout), json.loads(other)
        for report in (first, second):
            report.pop("seconds")
            for instruction in report["instructions"]:
                instruction.pop("seconds")
        self.assertEqual(first, second)


class Html(unittest.TestCase):
    def page(self, *arguments, **more):
        result = run("check", "--html=-", *arguments, **more)
        self.assertLess(result.returncode, 64, result.stderr)
        self.assertTrue(result.stdout.startswith("<!DOCTYPE html>"))
        return result.stdout, xml.etree.ElementTree.fromstring(result.stdout)

    def check_page(self, text, root):
        """Well-formed, nothing that runs or loads, every link leads somewhere."""
        ids = [e.get("id") for e in root.iter() if e.get("id")]
        self.assertEqual(len(ids), len(set(ids)))
        for element in root.iter():
            name = element.tag.split("}")[-1]
            self.assertNotIn(name, ("script", "img", "link", "iframe", "object", "base"))
            for attribute, value in element.attrib.items():
                self.assertFalse(attribute.startswith("on"), attribute)
                if attribute == "href":
                    self.assertIn(value.removeprefix("#"), ids)
                self.assertNotEqual(attribute, "src")
        style = root.find(f".//{XHTML}style").text
        self.assertNotIn("url(", style)
        self.assertNotIn("@import", style)

    def test_library(self):
        for name in ("mc68000", "mc68010", "x86-64", "third-generation"):
            text, root = self.page(name)
            self.check_page(text, root)
            report = analysed(name)
            names = [i["name"] for i in report["instructions"]]
            for picture in root.iter(f"{SVG}svg"):
                drawn = [t.text for t in picture.iter(f"{SVG}title")][1:]
                self.assertEqual(sorted(d.split(": ")[0] for d in drawn), sorted(names))
            stories = list(root.iter(f"{XHTML}details"))
            critical = [i for i in report["instructions"] if i["classes"]["critical"] == "yes"]
            self.assertGreaterEqual(len(stories), len(critical))
            told = ["".join(s.itertext()) for s in stories[:len(critical)]]
            for instruction, story in zip(critical, told):
                self.assertIn(instruction["name"], story)
                self.assertIn("The ways out", story)

    def test_picture_does_not_overlap(self):
        """Names lie within the picture and not on each other."""
        for name in ("mc68000", "mc68010", "x86-64", "ia-32", "riscv"):
            _, root = self.page(name)
            for picture in root.iter(f"{SVG}svg"):
                width = int(picture.get("viewBox").split()[2])
                spans = {}
                for text in picture.iter(f"{SVG}text"):
                    if text.get("class") != "name":
                        continue
                    left, line = int(text.get("x")), int(text.get("y"))
                    shown = "".join(text.itertext())[len(text.find(f"{SVG}title").text):]
                    spans.setdefault(line, []).append((left, left + 8 * len(shown)))
                for line in spans.values():
                    line.sort()
                    self.assertLess(line[-1][1], width)
                    for before, after in zip(line, line[1:]):
                        self.assertLess(before[1], after[0])

    def test_hostile(self):
        text, root = self.page("-", stdin=HOSTILE)
        self.check_page(text, root)
        self.assertNotIn("<script", text)
        self.assertNotIn("<img", text)
        self.assertIn("&lt;script&gt;alert(5)", text)
        self.assertIn("Content-Security-Policy", text)

    def test_not_utf_8(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "x.isa")
            path.write_bytes(b'isa "x"; title "\xff\xfe\xe2\x80\xae\x7f\xc2\x9b";' + MACHINE.encode())
            text, root = self.page(str(path))
            self.check_page(text, root)
            self.assertNotIn("\u202e", text)

    def test_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "report.html")
            result = run("check", f"--html={path}", "mc68000")
            self.assertEqual(result.returncode, 1)
            self.assertIn(str(path), result.stdout)
            self.assertIn("NOT VIRTUALIZABLE", path.read_text())


class Explain(unittest.TestCase):
    def test_every_critical_instruction(self):
        """Both states, the difference, the error and the ways out: for the whole library."""
        titles = {"mode": ["supervisor mode", "user mode"], "location": ["here", "moved"],
                  "resource": ["first", "second"], "control": ["the state"]}
        told = 0
        for path in sorted(LIBRARY.glob("*.isa")):
            report = analysed(path.stem)
            for instruction in report["instructions"]:
                if instruction["classes"]["critical"] != "yes":
                    continue
                result = run("explain", str(path), instruction["name"])
                where = f"{path.name} {instruction['name']}\n{result.stdout}"
                self.assertEqual(result.returncode, 1, where)
                kind = result.stdout.split("The proof that it is ")[1].split()[0]
                lines = result.stdout.splitlines()
                table = lines.index(next(l for l in lines if l.split()[:2] == ["before", "after"]))
                self.assertEqual(re.split(r"  +", lines[table - 1].strip()), titles[kind], where)
                self.assertEqual(lines[table].split(), ["before", "after"] * len(titles[kind]))
                marked = next(l for l in lines[table:] if l.startswith("  > "))
                self.assertTrue(marked.endswith("<- here"), where)
                for part in ("What it does", "What a monitor would get wrong", "is lost.",
                             "The ways out", "Patching", "Hybrid monitor", "Hardware"):
                    self.assertIn(part, " ".join(result.stdout.split()), where)
                self.assertLess(max(len(l) for l in lines if not l.startswith("    ")), 90, where)
                told += 1
        self.assertGreater(told, 50)

    def test_privileged_and_innocuous(self):
        text = run("explain", "mc68010", "MOVE from SR").stdout
        self.assertIn("An example of the trap", text)
        self.assertIn("trap 8", text)
        self.assertIn("runs directly", run("explain", "mc68010", "ADD").stdout)
        self.assertIn("A state where it traps in user mode",
                      run("explain", "pdp-10", "JRST 4").stdout)

    def test_source(self):
        text = run("explain", "mc68000", "MOVE from SR").stdout
        self.assertIn("D[r] = status();\n    }\n", text)


class Diff(unittest.TestCase):
    def test_motorola(self):
        text = run("diff", "mc68000", "mc68010").stdout
        for part in ("NOT VIRTUALIZABLE   VIRTUALIZABLE", "+ MOVE from CCR", "* MOVE from SR",
                     "mode sensitive: D[0] is", "it traps in user mode, always"):
            self.assertIn(part, text)

    def test_umip_is_five_fewer(self):
        text = run("diff", "x86-64", "x86-64", "--second", "umip=1").stdout
        changed = [line[4:] for line in text.splitlines() if line.startswith("  * ")]
        self.assertEqual(changed, ["SGDT", "SIDT", "SLDT", "STR", "SMSW"])


class List(unittest.TestCase):
    def test_library(self):
        text = run("list", "--fast").stdout
        self.assertEqual([line.split()[0] for line in text.splitlines()],
                         sorted(path.stem for path in LIBRARY.glob("*.isa")))

    def test_instructions(self):
        text = run("list", "mc68000").stdout
        self.assertRegex(text, r"MOVE from SR +CRITICAL +read the whole status register")
        self.assertRegex(run("list", "-f", "mc68000").stdout, r"MOVE from SR +read the whole")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
