# SPDX-License-Identifier: MIT
"""The demo as a person uses it: in a terminal (tmux), keys typed one after the other, the screen read back.

    test_terminal.py [COMMAND]    COMMAND starts the demo (default: what `make demo` runs); "make demo" works too
"""
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support import BARE, BOOT_SECONDS, ORIGAMI, STATUS, Checks, demo_guest, leftover_processes, skip

GUEST_PROMPT = "origami# "
HOST_PROMPT = "host% "


class Screen:
    """A terminal with a shell in it."""

    def __init__(self, directory):
        self.tmux = ["tmux", "-S", str(directory / "tmux"), "-f", "/dev/null"]
        shell = f"env -u ENV PS1='{HOST_PROMPT}' /bin/sh"
        self.call("new-session", "-d", "-s", "demo", "-x", "160", "-y", "50", "-c", str(directory), shell,
                  ";", "set-option", "-g", "history-limit", "20000")
        self.wait(HOST_PROMPT + "$", 10)

    def call(self, *arguments):
        return subprocess.run([*self.tmux, *arguments], check=True, capture_output=True, text=True).stdout

    def close(self):
        subprocess.run([*self.tmux, "kill-server"], capture_output=True)

    def keys(self, *keys):
        self.call("send-keys", "-t", "demo", *keys)

    def type(self, line):
        self.call("send-keys", "-t", "demo", "-l", line)
        self.keys("Enter")

    def text(self):
        return self.call("capture-pane", "-p", "-J", "-S", "-", "-t", "demo").rstrip("\n ") + " "

    def wait(self, pattern, seconds):
        """Waits until `pattern` is on the screen or in what has scrolled off it. Returns the text, or None."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            text = self.text()
            if re.search(pattern, text, re.M):
                return text
            time.sleep(0.1)
        return None


class Session:
    """What is typed, and what must appear after it."""

    def __init__(self, checks, screen):
        self.checks, self.screen, self.number = checks, screen, 0

    def expect(self, name, pattern, seconds):
        start = time.monotonic()
        found = self.screen.wait(pattern, seconds) is not None
        took = time.monotonic() - start
        return self.checks.check(f"{name} ({took:.1f} s)", found,
                                 f"no {pattern!r} within {seconds} s; the screen ends\n{self.screen.text()[-1500:]}")

    def command(self, line, pattern, seconds=60):
        """Types a line at the guest's prompt; `pattern` must match in what it prints, up to a mark of ours."""
        self.number += 1
        self.screen.type(f"{line}; echo end-$((1000 + {self.number}))")
        mark = f"end-{1000 + self.number}"
        text = self.screen.wait(f"^{mark}$", seconds)
        shown = text.rpartition(f"+ {self.number}))")[2].rpartition(mark)[0] if text else None
        self.checks.check(f"typed: {line}", shown is not None and re.search(pattern, shown, re.M),
                          f"shown: {shown!r}, want {pattern!r}")

    def prompts(self, banners):
        """The text before the shell has been shown `banners` times and a prompt follows the last."""
        return rf"(?s)(running in Origami.*){{{banners}}}\n{GUEST_PROMPT}$"


def use_guest(session):
    session.command("ls /", r"\binit\b")
    session.command("cat /proc/cpuinfo", r"^processor\s*: 0$")
    session.command("hello32", r"^hello from 32-bit user mode$")
    session.command("seq 1 1000 | grep 9 | sort -rn | head -n 1", r"^999$")
    session.command("echo $((6 * 7)) >/tmp/x && cat /tmp/x", r"^42$")
    session.command("stty size; tty", r"/dev/(ttyS0|console)")
    session.screen.type("sleep 1000")
    time.sleep(2)
    session.screen.keys("C-c")
    session.command("echo interrupted $?", r"^interrupted 130$", 20)
    session.screen.keys("C-a", "h")
    session.expect("Ctrl-A h shows help", r"^Ctrl-A x +leave", 10)
    session.screen.keys("Enter")
    session.command("echo after help", r"^after help$")


def demo(checks, screen, command):
    session = Session(checks, screen)
    screen.type("stty -a >before")
    screen.type(f"{command}; echo status=$?; stty -a >after")
    if not session.expect("a prompt", session.prompts(1), BOOT_SECONDS):
        return False
    use_guest(session)
    screen.type("reboot")
    if not session.expect("reboot: a prompt again", session.prompts(2), BOOT_SECONDS):
        return False
    session.command("uname -a", r"Debian")
    screen.type("poweroff")
    return session.expect("poweroff ends with status 0", rf"^status=0\n{HOST_PROMPT}$", 60)


def leave(checks, screen, loop):
    """Ctrl-A x, from a guest that never looks at its input. make demo would hide the status."""
    session = Session(checks, screen)
    screen.type("clear")
    screen.type(f"{shlex.quote(str(ORIGAMI))} run --kernel {shlex.quote(str(loop))}; "
                "echo left=$?; stty -a >after-leaving")
    time.sleep(1)
    screen.keys("C-a", "x")
    session.expect("Ctrl-A x leaves with its status", rf"^left={STATUS['left']}\n{HOST_PROMPT}$", 20)


def main():
    if not shutil.which("tmux"):
        skip("tmux is not installed")
    checks = Checks()
    kernel, initrd = demo_guest()
    command = sys.argv[1] if len(sys.argv) > 1 else " ".join(map(shlex.quote, map(str, (
        ORIGAMI, "run", "--kernel", kernel, "--initrd", initrd, "--cmdline", "console=ttyS0 quiet", "--memory",
        "512M"))))
    directory = Path(tempfile.mkdtemp(prefix="system-"))
    screen = Screen(directory)
    try:
        if not demo(checks, screen, command):
            screen.keys("C-a", "x")  # it still runs
        loop = BARE / "loop.elf"
        if loop.exists():
            leave(checks, screen, loop)
        else:
            print("not tried, for want of", loop, "- Ctrl-A x")
        modes = [(directory / name).read_text() if (directory / name).exists() else name
                 for name in ("before", "after", "after-leaving")]
        checks.equal("terminal modes after the demo", modes[1], modes[0])
        if loop.exists():
            checks.equal("terminal modes after leaving", modes[2], modes[0])
    finally:
        screen.close()
        left = leftover_processes()
        checks.equal("no process left", left, {})
        shutil.rmtree(directory)
    checks.finish()


main()
