# SPDX-License-Identifier: MIT
"""What the system tests share: running origami as a user would, and looking at what it leaves behind.

A run gets a terminal of its own as standard input, a directory of its own, and pipes for output and errors. When
it has ended, `outcome` knows its status, its output, and what a clean end must not leave: processes (the test
process is a subreaper, so every orphan becomes its child), files, changed terminal modes.
"""
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ORIGAMI_BUILD", SOURCE / "build")).resolve()
ORIGAMI = BUILD / "origami"
ENGINE = BUILD / "origami-engine"
BARE = BUILD / "guests" / "bare"
TOOLS = BUILD / "tests" / "system"
DEMO = Path(os.environ.get("ORIGAMI_DEMO", BUILD / "demo"))

STATUS = {"ok": 0, "usage": 2, "input": 4, "host": 6, "engine": 8, "shutdown": 10, "signal": 12, "left": 14,
          "replay": 16}
SANITIZER = re.compile(r"Sanitizer|runtime error:")
SKIPPED = 77  # Meson's word for "not run"

# Sanitizer builds: what the leak check needs, the machine process forbids itself.
os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=0")

PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Checks:
    """Counts checks and prints one line for each that fails (or for all, when few)."""

    def __init__(self, quiet=False):
        self.count = self.failed = 0
        self.quiet = quiet
        self.lock = threading.Lock()

    def check(self, name, good, detail=""):
        with self.lock:
            self.count += 1
            if not good:
                self.failed += 1
                print(f"FAIL {name}: {detail}", flush=True)
            elif not self.quiet:
                print(f"ok {name}", flush=True)
        return good

    def equal(self, name, got, want):
        return self.check(name, got == want, f"got {got!r}, want {want!r}")

    def finish(self):
        print(f"{self.count} checks, {self.failed} failed")
        sys.exit(1 if self.failed or not self.count else 0)


def skip(why):
    print("skip:", why)
    sys.exit(SKIPPED)


# ---- Processes ----

def process_field(pid, field):
    """A line of /proc/PID/status, or None when the process is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return None


def children(pid):
    """The living and unreaped children of a process: {pid: name}."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and process_field(entry, "PPid") == str(pid):
            found[int(entry)] = process_field(entry, "Name")
    return found


def child_named(pid, name, seconds=10):
    """Waits for the child `name` of `pid` and returns its pid."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for child, its_name in children(pid).items():
            if its_name == name:
                return child
        time.sleep(0.02)
    return None


def alive(pid):
    state = process_field(pid, "State")
    return state is not None and state[0] not in "ZX"


def wait_gone(pid, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not alive(pid):
            return True
        time.sleep(0.02)
    return False


def leftover_processes(seconds=3):
    """Orphans of ended runs that still live after `seconds`. Only for when no run is in progress."""
    end = time.monotonic() + seconds
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return {}
        if time.monotonic() > end:
            left = children(os.getpid())
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            return left
        time.sleep(0.01)


# ---- One run ----

class Run:
    """origami in progress. `input`: 'terminal', 'null', 'closed' or a descriptor. `output`: 'pipe' or a descriptor."""

    def __init__(self, *arguments, program=None, launcher=(), input="terminal", output="pipe", before=None,
                 directory=None):
        self.directory = Path(directory or tempfile.mkdtemp(prefix="system-"))
        self.own_directory = directory is None
        self.modes = None
        self.master = self.slave = -1
        if input == "terminal":
            self.master, self.slave = os.openpty()
            self.modes = termios.tcgetattr(self.slave)
        self.files_before = set(os.listdir(self.directory))
        self.started = time.monotonic()

        def prepare():
            if input == "closed":
                os.close(0)
            if before:
                before()

        environment = dict(os.environ, TMPDIR=str(self.directory), LC_ALL="C")
        self.process = subprocess.Popen(
            [*map(str, launcher), str(program or ORIGAMI), *map(str, arguments)],
            stdin={"terminal": self.slave, "null": subprocess.DEVNULL, "closed": None}.get(input, input),
            stdout=subprocess.PIPE if output == "pipe" else output, stderr=subprocess.PIPE,
            preexec_fn=prepare, cwd=self.directory, env=environment)
        self.text = {"out": b"", "err": b""}
        self.readers = [threading.Thread(target=self.collect, args=pair, daemon=True)
                        for pair in (("out", self.process.stdout), ("err", self.process.stderr)) if pair[1]]
        for reader in self.readers:
            reader.start()

    def collect(self, name, stream):
        while chunk := os.read(stream.fileno(), 65536):
            self.text[name] += chunk

    @property
    def pid(self):
        return self.process.pid

    def engine(self):
        return child_named(self.pid, "origami-engine")

    def wait_output(self, text, seconds=60):
        """Waits until the guest has written `text`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and text.encode() not in self.text["out"]:
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        return text.encode() in self.text["out"]

    def signal(self, number):
        self.process.send_signal(number)

    def finish(self, timeout=60, alone=True):
        """Waits for the end. `alone`: no other run of this test is in progress."""
        hung = False
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            hung = True
            self.process.kill()
            self.process.wait()
        return Outcome(self, hung, leftover_processes() if alone else {})


class Outcome:
    def __init__(self, run, hung, processes):
        self.seconds = time.monotonic() - run.started
        self.hung = hung
        self.processes = processes
        for reader in run.readers:
            reader.join(5)
        for stream in (run.process.stdout, run.process.stderr):
            if stream:
                stream.close()
        self.status = run.process.returncode
        self.out = run.text["out"].decode("utf-8", "replace").replace("\r\n", "\n")
        self.err = run.text["err"].decode("utf-8", "replace")
        self.modes_kept = True
        if run.modes is not None:
            self.modes_kept = termios.tcgetattr(run.slave) == run.modes
            os.close(run.master)
            os.close(run.slave)
        self.files = sorted(set(os.listdir(run.directory)) - run.files_before)
        if run.own_directory:
            shutil.rmtree(run.directory)

    def faults(self, status, line=None, files=()):
        """What is not as it must be, as a list of words; empty when all is well.

        status: the status wanted, or a set of them. line: what the one line on standard error must match; None
        when there must be none."""
        wanted = status if isinstance(status, (set, frozenset, range)) else {status}
        lines = self.err.splitlines()
        found = []
        if self.hung:
            found.append("did not end")
        if self.status not in wanted:
            found.append(f"status {self.status}, want {status}")
        if SANITIZER.search(self.err):
            found.append("sanitizer report:\n" + self.err)
        elif line is None and lines:
            found.append(f"unexpected message {self.err!r}")
        elif line is not None and (len(lines) != 1 or not self.err.endswith("\n")):
            found.append(f"{len(lines)} lines on standard error: {self.err!r}")
        elif line is not None and not (lines[0].startswith("origami: ") and re.search(line, lines[0])):
            found.append(f"the message is {lines[0]!r}, want {line!r}")
        elif line is not None and not lines[0].isprintable():
            found.append(f"control characters in {lines[0]!r}")
        if not self.modes_kept:
            found.append("terminal modes changed")
        if self.processes:
            found.append(f"processes left: {self.processes}")
        if self.files != sorted(files):
            found.append(f"files left: {self.files}, want {sorted(files)}")
        return found


def run(*arguments, timeout=60, **options):
    return Run(*arguments, **options).finish(timeout)


def stage(files):
    """Copies files into a directory that any user can read, and write to."""
    directory = Path(tempfile.mkdtemp(prefix="system-"))
    directory.chmod(0o777)
    for file in files:
        shutil.copy(file, directory)
    return directory


# Whoever runs the tests in the background may have had these ignored, and Origami respects that.
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

NOBODY = "65534"


# ---- Guests ----

def demo_guest():
    """The demo guest's kernel and initrd; made now if `make check` has not made them."""
    kernel, initrd = DEMO / "vmlinuz", DEMO / "initrd.cpio.gz"
    if not (kernel.exists() and initrd.exists()):
        made = subprocess.run([SOURCE / "guests/demo/build.sh", DEMO], capture_output=True, text=True)
        if made.returncode:
            skip("no demo guest: " + made.stderr.strip())
    return kernel, initrd


BOOT_SECONDS = 240  # the promise: a prompt within this time on two cores
