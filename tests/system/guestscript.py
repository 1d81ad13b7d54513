# SPDX-License-Identifier: MIT
"""The demo guest with a script of the test's own: an archive behind the demo's initrd replaces its self-test."""
import gzip
import os
import shutil
import subprocess
from pathlib import Path

from support import demo_guest


def cpio(files):
    """A newc archive (Linux Documentation/driver-api/early-userspace/buffer-format) of {name: bytes}."""
    out = b""
    for name, data in [*files.items(), ("TRAILER!!!", b"")]:
        mode = 0 if name == "TRAILER!!!" else 0o100755
        fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return out


def initrd_with(script, path):
    """Writes an initrd to `path` that runs `script` (busybox sh) and powers off; returns the arguments of a run."""
    kernel, initrd = demo_guest()
    path = Path(path)
    with open(path, "wb") as out, open(initrd, "rb") as demo:
        shutil.copyfileobj(demo, out)
        out.write(b"\0" * (-out.tell() % 4))
        out.write(gzip.compress(cpio({"etc/self-test": script.encode()})))
    return ["run", "--kernel", kernel, "--initrd", path, "--memory", "256M",
            "--cmdline", "console=ttyS0 quiet origami.test"]


def tool(name):
    """A program of e2fsprogs, which Debian keeps out of an ordinary user's PATH."""
    for folder in [*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/sbin"]:
        if folder and os.access(os.path.join(folder, name), os.X_OK):
            return os.path.join(folder, name)
    return None


def make_ext4(path, megabytes):
    with open(path, "wb") as image:
        image.truncate(megabytes << 20)
    subprocess.run([tool("mke2fs"), "-q", "-t", "ext4", "-F", str(path)], check=True)


def fsck(path):
    """What e2fsck finds without changing anything; None when the file system is clean."""
    found = subprocess.run([tool("e2fsck"), "-fn", str(path)], capture_output=True, text=True)
    return None if found.returncode == 0 else found.stdout + found.stderr


def file_in(image, name):
    """A file's bytes, out of an ext4 image, without mounting it."""
    return subprocess.run([tool("debugfs"), "-R", f"cat {name}", str(image)], capture_output=True, check=True).stdout
