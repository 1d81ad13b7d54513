#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Disk and network of Origami beside those of QEMU's TCG, with the same back ends: a raw file behind virtio-blk, the
user network behind virtio-net, a server on this host. `make bench` calls it; bench/README.md says how to read it."""
import argparse
import gzip
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import threading

sys.dont_write_bytecode = True # the source tree stays clean
import measure
import systems

HERE = os.path.dirname(os.path.abspath(__file__))
DISK_MIB = 256
SCRIPT = "/bin/io /dev/vda 10.0.2.2 {port} </dev/ttyS0 >/dev/ttyS0\n"
COMMAND_LINE = "console=ttyS0 quiet origami.test"

# item: (units, unit of the result, what one unit is worth in it: units per second times this, or ns per unit)
ITEMS = {
    "disk-write": (192, "MB/s", 1.048576),
    "disk-read": (384, "MB/s", 1.048576),
    "disk-random": (3000, "us", None),
    "disk-flush": (300, "us", None),
    "net-down": (64, "MB/s", 1.048576),
    "net-up": (64, "MB/s", 1.048576),
    "net-roundtrip": (1000, "us", None),
    "net-connect": (100, "us", None),
}


class Server:
    """'d' N: sends N bytes. 'u' N: takes N bytes, answers with the count. 'e' N: sends back N bytes."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection = self.listener.accept()[0]
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request = b""
            while len(request) < 22:
                piece = connection.recv(22 - len(request))
                if not piece:
                    return
                request += piece
            left, block = int(request[1:21]), bytes(1 << 20)
            if request[:1] == b"d":
                while left:
                    connection.sendall(block[:left])
                    left -= min(left, len(block))
            else:
                total = 0
                while total < left:
                    piece = connection.recv(min(left - total, 1 << 20))
                    if not piece:
                        return
                    total += len(piece)
                    if request[:1] == b"e":
                        connection.sendall(piece)
                if request[:1] == b"u":
                    connection.sendall(struct.pack("<Q", total))
        except OSError:
            pass
        finally:
            connection.close()


def archive(files):
    """A newc archive of {name: (mode, bytes)} (Linux Documentation/driver-api/early-userspace/buffer-format)."""
    out = b""
    for name, (mode, data) in [*files.items(), ("TRAILER!!!", (0, b""))]:
        fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return out


def build(tree, port):
    """The guest: the demo's initrd with our program behind it. Returns kernel and initrd."""
    demo, out = os.path.join(tree, "demo"), os.path.join(tree, "bench")
    os.makedirs(out, exist_ok=True)
    subprocess.run([os.path.join(HERE, "../guests/demo/build.sh"), demo], check=True, stdout=sys.stderr)
    program = os.path.join(out, "io")
    subprocess.run([os.environ.get("CC", "gcc"), "-O2", "-Wall", "-Wextra", "-static", "-o", program,
                    os.path.join(HERE, "io/io.c")], check=True)
    with open(program, "rb") as file:
        files = {"bin/io": (0o100755, file.read()),
                 "etc/self-test": (0o100755, SCRIPT.format(port=port).encode())}
    initrd = os.path.join(out, "io-initrd.cpio.gz")
    with open(initrd, "wb") as to, open(os.path.join(demo, "initrd.cpio.gz"), "rb") as base:
        shutil.copyfileobj(base, to)
        to.write(b"\0" * (-to.tell() % 4))
        to.write(gzip.compress(archive(files), 1))
    return os.path.join(demo, "vmlinuz"), initrd


def disk(tree, name):
    path = os.path.join(tree, "bench", f"io-{name}.raw")
    with open(path, "wb") as file:
        block = b"origami " * (1 << 17)
        for _ in range(DISK_MIB):
            file.write(block)
    return path


def machines(tree, kernel, initrd):
    qemu = systems.System("qemu", [
        "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", str(systems.MEMORY_MIB), "-kernel", kernel,
        "-initrd", initrd, "-append", COMMAND_LINE, "-display", "none", "-serial", "stdio", "-monitor", "none",
        "-no-reboot", "-drive", f"file={disk(tree, 'qemu')},if=virtio,format=raw,cache=writeback",
        "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net"])
    ours = systems.System("origami", [
        os.path.join(tree, "origami"), "run", "--kernel", kernel, "--initrd", initrd, "--cmdline", COMMAND_LINE,
        "--memory", f"{systems.MEMORY_MIB}M", "--no-reboot", "--disk", disk(tree, "origami"),
        "--net", "user,host-loopback=on"])
    return [qemu, ours]


def value(item, run):
    """What a person reads: MB/s, or microseconds an operation."""
    units, _, worth = ITEMS[item]
    units = run["n"]
    return units * worth / run["seconds"] if worth else run["seconds"] / units * 1e6


def table(results):
    lines = ["| item | unit | qemu | origami | times as good as qemu |", "|---|---|---:|---:|---:|"]
    for item, runs in results.items():
        unit = ITEMS[item][1]
        cells = {}
        for name in ("qemu", "origami"):
            values = [value(item, run[name]) for run in runs if "error" not in run[name]]
            cells[name] = statistics.median(values) if values else None
        ratios = []
        for run in runs:
            if "error" not in run["qemu"] and "error" not in run["origami"]:
                ratios.append(run["qemu"]["seconds"] / run["origami"]["seconds"])
        shown = [f"{cells[name]:.1f}" if cells[name] is not None else "-" for name in ("qemu", "origami")]
        lines.append(f"| {item} | {unit} | {shown[0]} | {shown[1]} | "
                     f"{statistics.median(ratios):.2f} |" if ratios else f"| {item} | {unit} | {shown[0]} | {shown[1]} | - |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="io.py", description=__doc__)
    parser.add_argument("--build", default="build", help="the build tree (default build)")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="rounds (default 5)")
    parser.add_argument("--items", metavar="LIST", help="only these, separated by commas")
    parser.add_argument("--quick", action="store_true", help="3 rounds of a quarter of the work")
    arguments = parser.parse_args()
    names = arguments.items.split(",") if arguments.items else list(ITEMS)
    if set(names) - set(ITEMS):
        parser.error(f"there are: {', '.join(ITEMS)}")
    tree, server = os.path.abspath(arguments.build), Server()
    kernel, initrd = build(tree, server.port)
    compared = machines(tree, kernel, initrd)
    results, problems = {name: [] for name in names}, []
    rounds = 3 if arguments.quick else arguments.repetitions
    try:
        for number in range(rounds):
            for name in names:
                n = max(1, ITEMS[name][0] // (4 if arguments.quick else 1))
                runs = {system.name: {**measure.one(system, name, n, 300), "n": n} for system in compared}
                results[name].append(runs)
                problems += [f"{name}: {who}: {run['error']}" for who, run in runs.items() if "error" in run]
                sums = {run["sum"] for run in runs.values() if "sum" in run}
                if len(sums) > 1:
                    problems.append(f"{name}: WRONG RESULT: {runs}")
            measure.say(f"round {number + 1} of {rounds}")
    finally:
        for system in compared:
            if system.process is not None:
                system.stop()
        for name in ("qemu", "origami"):
            os.unlink(os.path.join(tree, "bench", f"io-{name}.raw"))
    with open(os.path.join(tree, "bench", "io.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    print(table(results))
    for problem in problems:
        print("PROBLEM:", problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
