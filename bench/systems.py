# SPDX-License-Identifier: MIT
"""The systems that are compared. Each is a child process that serves the benchmark on its standard
input and output: the program itself, or a virtual machine whose serial port is connected to them."""
import os
import re
import selectors
import signal
import subprocess
import time

KERNEL_COMMAND_LINE = "console=ttyS0 quiet"
MEMORY_MIB = 512
RESULT = re.compile(rb"@bench (\S+) (\d+) (\d+) (\d+) ([0-9a-f]+) (\S+)\r?\n")
FAILED = re.compile(rb"@failed (\S+) (\d+) ([^\r\n]*)\r?\n")
READY = re.compile(rb"@ready\r?\n")


class Failure(Exception):
    """A system died, was silent for too long, or failed an item."""


def cpu_seconds(pid):
    """CPU time of a process, its threads and its living descendants."""
    total, tasks = 0, f"/proc/{pid}/task"
    try:
        threads = os.listdir(tasks)
    except OSError:
        return 0.0
    for thread in threads:
        try:
            with open(f"{tasks}/{thread}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0]) / 1e9
            with open(f"{tasks}/{thread}/children", encoding="ascii") as file:
                children = file.read().split()
        except (OSError, ValueError, IndexError):
            continue
        total += sum(cpu_seconds(child) for child in children)
    return total


class System:
    """One running system."""

    def __init__(self, name, command, environment=None):
        self.name, self.command, self.environment = name, command, environment
        self.process = None
        self.output = b""
        self.native = name == "native"

    def start(self, timeout=300):
        self.launch()
        self.expect(READY, timeout)

    def launch(self):
        """Starts the process without waiting for what it runs."""
        self.output = b""
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=self.environment, start_new_session=True)
        os.set_blocking(self.process.stdout.fileno(), False)

    def expect(self, pattern, timeout):
        """Reads until one of the lines matches; returns the match."""
        end = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while True:
                match = pattern.search(self.output)
                if match:
                    self.output = self.output[match.end():]
                    return match
                left = end - time.monotonic()
                if left <= 0:
                    raise Failure(f"silent for {timeout:.0f} s{self.tail()}")
                if not selector.select(left):
                    continue
                data = self.process.stdout.read()
                if data == b"":
                    status = self.process.wait()
                    raise Failure(f"ended with status {status}{self.tail()}")
                self.output += data or b""

    def tail(self):
        """The last line of the output, for messages."""
        lines = self.output.decode("utf-8", "replace").strip().splitlines()
        return f": {lines[-1][:160]}" if lines else ""

    def run(self, item, n, timeout):
        """Runs one item; a dict with the guest's seconds, the host's, CPU seconds, and the result."""
        cpu, start = cpu_seconds(self.process.pid), time.monotonic()
        self.send(f"run {item} {n}\n")
        either = re.compile(RESULT.pattern + b"|" + FAILED.pattern)
        match = either.search(self.expect(either, timeout).group(0))
        wall = time.monotonic() - start
        cpu = cpu_seconds(self.process.pid) - cpu
        if match.group(1) is None:
            raise Failure(f"the item failed: {match.group(9).decode()}")
        return {
            "seconds": int(match.group(3)) / 1e9,
            "cpu": int(match.group(4)) / 1e9 if self.native else cpu,
            "wall": wall,
            "sum": match.group(5).decode(),
            "variant": match.group(6).decode(),
        }

    def send(self, text):
        try:
            self.process.stdin.write(text.encode())
            self.process.stdin.flush()
        except OSError as error:
            raise Failure(f"is gone{self.tail()}") from error

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """A guest powers itself off; what does not end in time is killed."""
        if self.process is None:
            return None
        try:
            if self.alive():
                self.send("quit\n")
                self.process.stdin.close()
            end = time.monotonic() + 20
            while self.alive() and time.monotonic() < end:
                self.process.stdout.read()
                time.sleep(0.02)
        except (Failure, OSError):
            pass
        self.kill()
        return self.process.returncode

    def kill(self):
        if self.alive():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()
            except OSError:
                pass


def native(root):
    environment = {"BENCH_ROOT": root, "BENCH_TMP": "/dev/shm", "PATH": "/usr/bin:/bin"}
    return System("native", [f"{root}/bin/bench", "serve"], environment)


def qemu(kernel, initrd):
    return System("qemu", [
        "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", str(MEMORY_MIB), "-kernel", kernel,
        "-initrd", initrd, "-append", KERNEL_COMMAND_LINE, "-display", "none", "-serial", "stdio",
        "-monitor", "none", "-no-reboot"])


def origami(program, kernel, initrd, tier="soft", stats=None):
    command = [program, "run", "--kernel", kernel, "--initrd", initrd, "--cmdline", KERNEL_COMMAND_LINE,
               "--memory", f"{MEMORY_MIB}M", "--tier", tier, "--no-reboot"]
    return System("origami" if tier == "soft" else tier, command + (["--stats", stats] if stats else []))
