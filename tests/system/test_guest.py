# SPDX-License-Identifier: MIT
"""`origami guest build`: wrong options, a mirror that is not there, directories in the way: one line, and nothing left
behind. With ORIGAMI_LONG=1 a guest is built twice (same bytes), booted, entered by ssh, and looked at afterwards."""
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from guestscript import tool
from support import ORIGAMI, STATUS, Checks, Run

USAGE, HOST = STATUS["usage"], STATUS["host"]
NOWHERE = "http://127.0.0.1:9/debian"  # nobody listens on the discard port
TOOLS = ("mmdebstrap", "fakechroot", "fakeroot", "mke2fs", "debugfs", "cpio")


def guest(directory, *arguments, timeout=600, **environment):
    return subprocess.run([ORIGAMI, "guest", *map(str, arguments)], cwd=directory, capture_output=True, text=True,
                          timeout=timeout, stdin=subprocess.DEVNULL, env=dict(os.environ, LC_ALL="C", **environment))


def errors(checks, directory):
    (directory / "full").mkdir()
    (directory / "full" / "file").write_text("mine")
    (directory / "text").write_text("no key\n")
    before = sorted(os.listdir(directory))
    for arguments, status, message in (
            ((), USAGE, "no command"), (("walk",), USAGE, "unknown command: walk"),
            (("build",), USAGE, "no directory"), (("build", "a", "b"), USAGE, "more than one directory: b"),
            (("build", "x", "--size", "3"), USAGE, "--size: "), (("build", "x", "--size"), USAGE, "needs a value: --size"),
            (("build", "x", "--size=0G"), USAGE, "--size: "), (("build", "x", "--hostname", "A_"), USAGE, "--hostname: "),
            (("build", "x", "--hostname", "a\nb"), USAGE, "--hostname: "),
            (("build", "x", "--packages", "a,,b"), USAGE, "--packages: "),
            (("build", "x", "--packages", "a;reboot"), USAGE, "--packages: "),
            (("build", "x", "--forward", "65536"), USAGE, "--forward: "), (("build", "x", "--forward", "0"), USAGE, "--forward: "),
            (("build", "x", "--mirror", "nonsense"), USAGE, "--mirror: "), (("build", "x", "--suite", "../x"), USAGE, "--suite: "),
            (("build", "x", "--color", "1"), USAGE, "unknown option: --color"),
            (("build", "x", "--ssh-key", "none"), HOST, "--ssh-key none: cannot be read"),
            (("build", "x", "--ssh-key", "text"), USAGE, "--ssh-key text: not a public key"),
            (("build", "none/x"), HOST, "none: no such directory"),
            (("build", "full"), HOST, "full: is there already"), (("build", "text"), HOST, "text: is there already")):
        if status == HOST and "ssh" not in " ".join(arguments) and not all(map(tool, TOOLS)):
            continue
        outcome = guest(directory, *arguments)
        lines = outcome.stderr.splitlines()
        checks.check(f"guest {' '.join(arguments)!r}", outcome.returncode == status and len(lines) == 1 and
                     lines[0].startswith("origami: guest: ") and message in lines[0], (outcome.returncode, outcome.stderr))
    checks.equal("nothing is left behind", sorted(os.listdir(directory)), before)
    text = guest(directory, "--help")
    checks.check("--help", text.returncode == 0 and "Usage: origami guest build DIR" in text.stdout and not text.stderr)
    epoch = guest(directory, "build", "x", SOURCE_DATE_EPOCH="now")
    checks.check("SOURCE_DATE_EPOCH that is none", epoch.returncode == USAGE and "SOURCE_DATE_EPOCH" in epoch.stderr)
    bare = guest(directory, "build", "x", PATH="/nonexistent")
    checks.check("no tools at all", bare.returncode != 0 and not (directory / "x").exists())


def no_mirror(checks, directory):
    outcome = guest(directory, "build", "x", "--mirror", NOWHERE)
    checks.check("a mirror that is not there", outcome.returncode == HOST and
                 "the packages cannot be installed" in outcome.stderr.splitlines()[-1], outcome.stderr)
    left = sorted(name for name in os.listdir(directory) if name.startswith("x"))
    checks.equal("only the log is left", left, ["x.log"])


def interrupted(checks, directory):
    """Killed in the middle: everything that was started ends, and nothing is left."""
    process = subprocess.Popen([ORIGAMI, "guest", "build", "y"], cwd=directory, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not list(directory.glob("y.building.*/log")) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(2)
    process.terminate()
    checks.equal("SIGTERM: status", process.wait(60), HOST)
    checks.equal("SIGTERM: files left", [name for name in os.listdir(directory) if name.startswith("y")], [])
    left = [path for path in Path("/proc").glob("[0-9]*") if b"TMPDIR=" + str(directory).encode() in read(path / "environ")]
    checks.equal("SIGTERM: processes left", left, [])


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def digest(path):
    value = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            value.update(piece)
    return value.hexdigest()


def whole(checks, directory):
    """From nothing to ssh."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / "key"], check=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    for name in ("one", "two"):
        outcome = guest(directory, "build", name, "--ssh-key", "key.pub", "--forward", port, timeout=1800)
        if not checks.check(f"guest {name} is built", outcome.returncode == 0, outcome.stderr):
            return
    for file in sorted(os.listdir(directory / "one")):
        checks.equal(f"the same bytes: {file}", digest(directory / "two" / file), digest(directory / "one" / file))
    run = Run("run", "--config", directory / "one" / "vm.json")
    if not checks.check("login prompt", run.wait_output("login:", 900), run.text["out"][-500:]):
        run.process.kill()
        return
    ssh = ["ssh", "-i", directory / "key", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",
           "ConnectTimeout=120", "-p", port, "root@127.0.0.1"]
    inside = subprocess.run([*ssh, "systemctl is-system-running --wait; head -c 8000000 /dev/urandom >/root/data; "
                             "sha256sum </root/data; sync"], capture_output=True, text=True, timeout=900)
    words = inside.stdout.split()
    checks.check("ssh: systemd is content", words[:1] == ["running"], inside.stdout + inside.stderr)
    subprocess.run([*ssh, "poweroff"], capture_output=True, timeout=120)
    faults = run.finish(300).faults(STATUS["ok"])
    checks.check("powers off", not faults, "; ".join(faults))
    disk = directory / "one" / "root.ext4"
    check = subprocess.run([tool("e2fsck"), "-fn", disk], capture_output=True, text=True)
    checks.check("the file system is whole", check.returncode == 0, check.stdout)
    data = subprocess.run([tool("debugfs"), "-R", "cat /root/data", disk], capture_output=True).stdout
    checks.equal("what was written is there", hashlib.sha256(data).hexdigest(), (words + ["", ""])[1])


def main():
    checks = Checks()
    directory = Path(tempfile.mkdtemp(prefix="guest-"))
    try:
        errors(checks, directory)
        if all(map(tool, TOOLS)):
            no_mirror(checks, directory)
            interrupted(checks, directory)
            if os.environ.get("ORIGAMI_LONG"):
                whole(checks, directory)
        else:
            print("no mmdebstrap, fakechroot, fakeroot here: nothing is built")
    finally:
        shutil.rmtree(directory)
    checks.finish()


main()
