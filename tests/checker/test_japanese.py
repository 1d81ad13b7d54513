# SPDX-License-Identifier: MIT
"""The commands in Japanese: nothing of ours stays English, and columns line up.

Usage: test_japanese.py ORIGAMI_CHECKER ISA_DIRECTORY CATALOG
Status 77 (skipped) where no UTF-8 locale lets messages be translated.
"""
import os
import re
import subprocess
import sys
import unicodedata
import unittest
import xml.etree.ElementTree
from pathlib import Path

CHECKER, LIBRARY, CATALOG = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])

# What stays as it is: names, syntax, and the strings of descriptions.
KEPT = re.compile(
    r"origami(-checker)?|isa/\S+|\S+\.(isa|html|prog|md)|mc680[01]0|x86-64|umip|classic|hybrid|"
    r"recursive|all|none|check|explain|list|diff|fmt|simulate|probe|Popek|Goldberg|third-generation|"
    r"address_bits|step|end|patching|jq|Linux|read the whole status register|supervisor|user_state|"
    r"Motorola")


def run(*arguments, text=None, **environment):
    setting = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "LANGUAGE": "ja",
               "ORIGAMI_ISA_PATH": str(LIBRARY)}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LOCPATH"):
        if name in os.environ:
            setting[name] = os.environ[name]
    setting.update(environment)
    return subprocess.run([CHECKER, *arguments], env=setting, capture_output=True, text=True,
                          encoding="utf-8", timeout=120, input=text)


def columns(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def english(text):
    """Words of two letters and more that nothing in KEPT explains."""
    text = re.sub(r"'[^']*'|insn \".*|(?<![^\s\[])--?[a-z][a-z-]*|MOVE\s+from\s+SR", " ", text)
    words = re.findall(r"[A-Za-z][A-Za-z'-]*[A-Za-z]", 
                       re.sub(rf"\b({KEPT.pattern})\b", " ", text, flags=re.ASCII))
    return [word for word in words if word.islower() or word.istitle()]


class Japanese(unittest.TestCase):
    def test_help(self):
        for command in ("check", "explain", "diff", "list", "simulate", "probe", "fmt"):
            result = run(command, "--help")
            self.assertEqual(result.returncode, 0)
            self.assertIn("使い方", result.stdout)
            self.assertEqual(english(result.stdout), [], command)
            for line in result.stdout.splitlines():
                if line.startswith("  origami "):
                    continue
                self.assertLessEqual(columns(line), 86, line)
        self.assertEqual(english(run("--help").stdout), [])

    def test_parse_errors(self):
        """What is wrong with a file is said in Japanese; the place stays machine-readable."""
        for text, message in (('isa "x"; pc P : ;', "値が必要ですが、「;」があります"),
                              ('isa "x"; pc P : 2; insn A { Q = 1; }', "「Q」は代入できるセルではありません"),
                              ('isa "x"; mode M : 1 {s = 0,', "ファイルがここで終わっています"),
                              ("isa 'x'", "意味がありません")):
            result = run("check", "-", text=text)
            self.assertEqual(result.returncode, 65, text)
            self.assertIn(message, result.stderr)
            self.assertRegex(result.stderr, r"^-:1:\d+: エラー: ")

    def test_simulate(self):
        for name, monitor in (("mc68000", "classic"), ("pdp-11-45", "patching")):
            result = run("simulate", f"{LIBRARY}/{name}.isa", f"{LIBRARY}/programs/{name}.prog",
                         "--under=1", f"--monitor={monitor}")
            self.assertIn(result.returncode, (0, 1), result.stderr)
            self.assertIn("素の計算機と", result.stdout)
            body = "\n".join(line for line in result.stdout.splitlines()[1:]
                             if not re.match(r"  \S.* +\d+ +\d+  |.* = ", line))
            self.assertEqual(english(re.sub(r'"[^"]*"|0x\w+', "", body)), [], body)

    def test_simulate_columns(self):
        lines = run("simulate", f"{LIBRARY}/pdp-11-45.isa", f"{LIBRARY}/programs/pdp-11-45.prog",
                    "--under=1").stdout.splitlines()
        for word in ("反射", "代行  "):
            title = next(i for i, line in enumerate(lines) if word in line + "  ")
            ends = [columns(lines[title][:m.end()]) for m in re.finditer(r"\S+", lines[title])]
            row = [columns(lines[title + 1][:m.end()]) for m in
                   re.finditer(r"\S+", lines[title + 1])]
            self.assertEqual(ends[1:], row[1:len(ends)], lines[title])

    def test_simulate_errors(self):
        for arguments in (("--monitor=none", "a", "b"), ("--steps=x", "a", "b"), ("a",),
                          ("-", "b"), ("--under=99", "a", "b")):
            result = run("simulate", *arguments)
            self.assertEqual(result.returncode, 64)
            self.assertRegex(result.stderr, "[ぁ-ん]", arguments)

    def test_probe(self):
        result = run("probe")
        if result.returncode == 2:
            self.skipTest("not an x86-64 CPU under Linux")
        self.assertEqual(result.returncode, 0, result.stdout)
        for word in ("まとめ", "臨界: 証明済み", "CPUIDフォールト", "観測"):
            self.assertIn(word, result.stdout)
        for line in result.stdout.splitlines():
            self.assertNotRegex(line, r"\b(trapped|proved|executed|consistent|probes)\b")
        json = run("probe", "--json").stdout
        self.assertNotRegex(json, "[ぁ-んァ-ン]")
        self.assertIn("executed", json)

    def test_options_line_up(self):
        for command in ("check", "explain", "list"):
            starts = {columns(m.group(1)) for m in
                      re.finditer(r"^(  -., --\S+ +)\S", run(command, "--help").stdout, re.M)}
            self.assertEqual(starts, {24}, command)

    def test_explain(self):
        text = run("explain", "mc68000", "MOVE from SR").stdout
        for word in ("臨界命令", "モードセンシティブ", "スーパバイザモード", "ユーザモード", "モニタ",
                     "トラップ", "等価性が失われる", "準仮想化", "ハイブリッドモニタ"):
            self.assertIn(word, text)
        body = re.sub(r"(?m)^    .*[{}].*$|^        D\[r\].*$", "", text)
        self.assertEqual(english(body), [])

    def test_tables_line_up(self):
        """The columns of the witness begin where their titles do."""
        lines = run("explain", "mc68000", "MOVE from SR").stdout.splitlines()
        title = next(i for i, line in enumerate(lines) if line.split()[:2] == ["前", "後"])
        starts = [columns(lines[title][:m.start()]) for m in re.finditer(r"\S+", lines[title])]
        row = next(line for line in lines if line.startswith("    S "))
        self.assertEqual([columns(row[:m.start()]) for m in re.finditer(r"\S+", row)][1:], starts)
        for line in lines:
            if not line.startswith("    insn"):
                self.assertLessEqual(columns(line), 80, line)

    def test_check(self):
        text = run("check", "mc68000").stdout
        self.assertTrue(text.startswith("仮想化不可能: Motorola MC68000\n"))
        theorems = [line for line in text.splitlines() if line.startswith("  定理")]
        self.assertEqual(len(theorems), 3)
        ends = {columns(line[:re.search(r"\S+$", line).start()]) for line in theorems}
        self.assertEqual(len(ends), 1)
        head = text.split("命令:\n")[0]
        self.assertEqual(english(re.sub(r"(?m)^  範囲: .*$", "", head)), [])

    def test_page(self):
        page = run("check", "--html=-", "mc68000").stdout
        root = xml.etree.ElementTree.fromstring(page)
        self.assertEqual(root.get("lang"), "ja")
        self.assertIn("仮想化不可能", page)
        self.assertIn("モニタは何を誤るか", page)

    def test_errors(self):
        self.assertIn("ファイルを指定してください", run("check").stderr)
        self.assertIn("という命令はありません", run("explain", "mc68000", "xyz").stderr)

    def test_without_catalog_or_locale(self):
        for setting in ({"LANGUAGE": "xx"}, {"LC_ALL": "C"}, {"LC_ALL": "no_SUCH.UTF-8"}):
            self.assertIn("Usage: origami check", run("check", "--help", **setting).stdout)

    def test_exit_status_is_the_same(self):
        self.assertEqual(run("check", "mc68000").returncode, 1)
        self.assertEqual(run("check", "mc68010").returncode, 0)
        self.assertEqual(run("check").returncode, 64)


class Catalog(unittest.TestCase):
    def test_complete(self):
        """No text without a translation, none that was guessed."""
        text = CATALOG.read_text(encoding="utf-8")
        self.assertNotIn("#, fuzzy", text)
        entries = text.split("\n\n")[1:]
        for entry in entries:
            self.assertFalse(re.search(r'msgstr(\[0\])? ""$', entry.rstrip("\n")), entry)
        self.assertGreater(len(entries), 200)


if __name__ == "__main__":
    if "使い方" not in run("check", "--help").stdout:
        print("messages can't be translated here: no C.UTF-8 locale, or built without gettext")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1], verbosity=2)
