# SPDX-License-Identifier: MIT
"""Bad input: files, options, memory sizes. Every row: one clear line, the documented status, nothing left behind."""
import bz2
import gzip
import lzma
import os
import random
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from support import BARE, STATUS, TOOLS, Checks, demo_guest, run

USAGE, INPUT, HOST = STATUS["usage"], STATUS["input"], STATUS["host"]
GOOD = BARE / "loop.elf"
MODULES = TOOLS / "guest_modules.elf"
SEED = 20260101


def options(directory):
    """name, arguments, status, message"""
    kernel = ("--kernel", GOOD)
    return [
        ("no command", (), USAGE, r"no command"),
        ("unknown command", ("walk",), USAGE, r"unknown command: walk"),
        ("no kernel", ("run",), USAGE, r"--kernel FILE is needed"),
        ("no kernel, but an initrd", ("run", "--initrd", GOOD), USAGE, r"--kernel FILE is needed"),
        ("unknown option", ("run", *kernel, "--colour"), USAGE, r"option: --colour"),
        ("unknown short option", ("run", *kernel, "-z"), USAGE, r"option: -z"),
        ("kernel without a value", ("run", "--kernel"), USAGE, r"needs a value: --kernel"),
        ("flag with a value", ("run", *kernel, "--debug-exit=1"), USAGE, r"--debug-exit: on or off, not 1"),
        ("not an option", ("run", *kernel, "vmlinuz"), USAGE, r"not an option: vmlinuz"),
        ("kernel twice", ("run", *kernel, *kernel), USAGE, r"given twice: --kernel"),
        ("memory twice", ("run", *kernel, "--memory", "1G", "--memory", "2G"), USAGE, r"given twice: --memory"),
        ("cmdline twice", ("run", *kernel, "--cmdline", "a", "--cmdline", "b"), USAGE, r"given twice: --cmdline"),
        ("clock twice", ("run", *kernel, "--clock", "real", "--clock", "instructions"), USAGE, r"given twice"),
        ("debug-exit twice", ("run", *kernel, "--debug-exit", "--debug-exit"), USAGE, r"given twice"),
        ("unknown clock", ("run", *kernel, "--clock", "sundial"), USAGE, r"--clock: .*sundial"),
        ("unknown tier", ("run", *kernel, "--tier", "fast"), USAGE, r"--tier: .*fast"),
        ("tier to come", ("run", *kernel, "--tier", "direct"), USAGE, r"--tier: .*direct"),
        ("no CPUs", ("run", *kernel, "--cpus", "0"), USAGE, r"--cpus"),
        ("two CPUs", ("run", *kernel, "--cpus", "2"), USAGE, r"--cpus: only 1 so far"),
        ("CPUs in words", ("run", *kernel, "--cpus", "one"), USAGE, r"--cpus: .*one"),
        ("unknown accelerator", ("run", *kernel, "--accel", "turbo"), USAGE, r"--accel: .*turbo"),
        ("unknown network", ("run", *kernel, "--net", "pigeon"), USAGE, r"--net: none, user or tap, not pigeon"),
        ("a forward without a guest port", ("run", *kernel, "--net", "user,forward=tcp:80"), USAGE, r"--net forward: ports"),
        ("two forwards from one port", ("run", *kernel, "--net", "user,forward=tcp:8080:80,forward=tcp:8080:81"), USAGE, r"two forwards"),
        ("a forward of an address that is not the host's", ("run", *kernel, "--net", "user,forward=tcp:192.0.2.77:8080:80"), HOST, r"--net: forward tcp:192.0.2.77:8080:80: Cannot assign"),
        ("tap without a name", ("run", *kernel, "--net", "tap"), USAGE, r"tap needs name=DEVICE"),
        ("tap with a forward", ("run", *kernel, "--net", "tap,name=t,forward=tcp:1:1"), USAGE, r"are for user"),
        ("a part that is none", ("run", *kernel, "--net", "user,colour=red"), USAGE, r"no such part: colour"),
        ("network and virtual time", ("run", *kernel, "--net", "user", "--clock", "instructions"), USAGE, r"not with --clock"),
        ("no configuration file", ("run", "--config", directory / "no.json"), INPUT, r"no.json: No such file"),
        ("configuration that is none", ("run", "--config", GOOD), INPUT, r"loop.elf: line 1: "),
        ("configuration from a directory", ("run", "--config", directory), INPUT, r"Is a directory"),
        ("endless configuration", ("run", "--config", "/dev/zero"), INPUT, r"/dev/zero: larger than 1 MiB"),
        ("33 modules", ("run", "--kernel", MODULES, *["--module", GOOD] * 33), USAGE, r"more than 32"),
        ("initrd for a multiboot kernel", ("run", *kernel, "--initrd", directory / "cpio"), USAGE, r"--initrd is for"),
        ("long command line", ("run", "--kernel", directory / "vmlinuz", "--cmdline", "x" * 100000), INPUT, r"--cmdline: 100000 characters"),
        ("statistics to nowhere", ("run", *kernel, "--stats", directory / "no/where"), HOST, r"--stats .*No such"),
        ("statistics to a directory", ("run", "--kernel", BARE / "poweroff.elf", "--stats", directory), HOST, r"--stats"),
        ("statistics to /proc", ("run", *kernel, "--stats", "/proc/x"), HOST, r"--stats"),
        ("engine missing", ("run", *kernel, "--engine", directory / "no-engine"), HOST, r"no-engine: No such file"),
        ("engine no program", ("run", *kernel, "--engine", directory / "cpio"), HOST, r"cpio: Permission denied"),
        ("engine of another kind", ("run", *kernel, "--engine", "/bin/true"), STATUS["engine"], r"true ended by itself"),
    ]


def memory():
    kernel = ("run", "--kernel", GOOD, "--memory")
    rows = [(f"memory {size!r}", (*kernel, size), USAGE, r"--memory: ")
            for size in ("0", "1K", "1023K", "1025K", "-1", "-512M", "", " ", "512X", "M", "0x100M", "1.5G", "1e9", "512MB",
                         "99999999999999999999", "18446744073709551615T", "16777216T", "1T", "513G")]
    rows.append(("memory 1M", (*kernel, "1M"), INPUT, r"--memory|memory"))
    rows.append(("memory 1M, bzImage", ("run", "--kernel", "VMLINUZ", "--memory", "1M"), INPUT, r"memory"))
    host = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if host < 400 << 30:
        rows.append(("memory 500G", (*kernel, "500G"), HOST, r"more than this host's memory"))
    return rows


def file_rows(option, path, contents, more, name, line):
    """The same bad files for each option that takes one."""
    directory = path.parent
    rows = []
    for kind, file, message in (
            ("missing", directory / "no-such-file", r"no-such-file: No such file"),
            ("empty", directory / "empty", r"empty: the file is empty"),
            ("a directory", directory, r"Is a directory"),
            ("/dev/zero", "/dev/zero", r"/dev/zero: larger than"),
            ("/dev/null", "/dev/null", r"/dev/null: the file is empty"),
            ("a name too long", "x" * 300, r"File name too long"),
            ("no name", "", r".")):
        rows.append((f"{name}: {kind}", (*more, option, file), {INPUT, USAGE} if kind == "no name" else INPUT, message))
    for kind, data in contents:
        file = directory / f"{name}-{len(os.listdir(directory))}"
        file.write_bytes(data)
        rows.append((f"{name}: {kind}", (*more, option, file), INPUT, line))
    return rows


def cuts(data, count, generator):
    """Lengths at which a file is cut: every small one, round ones, random ones; never the whole."""
    lengths = {1, 2, 3, 4, 7, 8, 15, 16, 31, 51, 52, 63, 64, 100, 511, 512, 513, 0x201, 0x202, 0x206, 0x250, 0x268, 1023,
               1024, 4095, 4096, 8192, 65536, len(data) // 2, len(data) - 4096, len(data) - 1}
    while len(lengths) < count:
        lengths.add(int(len(data) ** generator.random()))
    return sorted(length for length in lengths if 0 < length < len(data))


def truncated(data, count, generator):
    return [(f"cut to {length} bytes", data[:length]) for length in cuts(data, count, generator)]


def randoms(generator):
    """Random bytes, bare and after each magic number."""
    blocks = [("random bytes", generator.randbytes(size)) for size in (1, 100, 4096, 300000)]
    header = bytearray(generator.randbytes(100000))
    header[0x1FE:0x200], header[0x202:0x206] = b"\x55\xaa", b"HdrS"
    blocks.append(("random bytes as a bzImage", bytes(header)))
    for kind in (1, 2):
        elf = bytearray(generator.randbytes(100000))
        elf[:7] = b"\x7fELF" + bytes([kind, 1, 1])
        blocks.append((f"random bytes as ELF{32 * kind}", bytes(elf)))
    for flags in (0, 3, 0x10003):
        block = bytearray(generator.randbytes(100000))
        struct.pack_into("<III", block, 4096, 0x1BADB002, flags, -(0x1BADB002 + flags) & 0xFFFFFFFF)
        blocks.append((f"random bytes as multiboot, flags {flags:#x}", bytes(block)))
    return blocks


def cpio():
    """The smallest archive with a file in it."""
    def entry(name, data):
        fields = [0, 0o100644, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name + b"\0"
        return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)
    return entry(b"init", b"#" * 5000) + entry(b"TRAILER!!!", b"").rstrip(b"\0") + b"\0"


def tool(command, data):
    """What a compressor makes of the data; nothing if it is not there."""
    return subprocess.run(command, input=data, capture_output=True).stdout if shutil.which(command[0]) else b""


def rows_of(directory):
    generator = random.Random(SEED)
    kernel, _ = demo_guest()
    (directory / "empty").write_bytes(b"")
    archive = cpio()
    (directory / "cpio").write_bytes(archive)
    image = kernel.read_bytes()
    (directory / "vmlinuz").write_bytes(image)
    elf = GOOD.read_bytes()
    rows = options(directory)
    rows += [(name, tuple(directory / "vmlinuz" if word == "VMLINUZ" else word for word in words), status, line)
             for name, words, status, line in memory()]
    rows += file_rows("--kernel", directory / "x", randoms(generator), ("run",), "kernel", r".")
    # Behind the code, whose size is given in units of 16 bytes, there may be a signature, which is not needed to run.
    code = (image[0x1F1] + 1) * 512 + struct.unpack_from("<I", image, 0x1F4)[0] * 16
    rows += file_rows("--kernel", directory / "x", truncated(image[:code - 15], 60, generator), ("run",), "bzImage", r"bzImage-\d+: ")
    # What lies behind the last segment (sections, names) is not needed to run.
    needed = max(struct.unpack_from("<I", elf, 52 + 4)[0] + struct.unpack_from("<I", elf, 52 + 16)[0], 84)
    rows += file_rows("--kernel", directory / "x", truncated(elf[:needed], 40, generator), ("run",), "ELF", r"ELF-\d+: ")
    initrd = [("random bytes", generator.randbytes(size)) for size in (1, 7, 4096, 300000)]
    rows += file_rows("--initrd", directory / "x", initrd + truncated(archive, 40, generator),
                      ("run", "--kernel", directory / "vmlinuz"), "initrd", r"initrd-\d+: ")
    # As Debian's: microcode in an archive of its own, zeros, then the rest, compressed.
    early = archive + b"\0" * (-len(archive) % 512)
    for name, compress in (("gzip", gzip.compress), ("bzip2", bz2.compress), ("xz", lzma.compress),
                           ("lzma", lambda data: lzma.compress(data, lzma.FORMAT_ALONE)),
                           ("zstd", lambda data: tool(("zstd", "-q"), data)), ("LZ4", lambda data: tool(("lz4", "-lq"), data))):
        whole = compress(archive * 3)
        if not whole:
            continue
        contents = [(f"{name} {kind}", early + data) for kind, data in truncated(whole, 12, generator)[-12:]]
        contents.append((f"{name} with a cut archive in it", compress(archive[:-150])))
        contents.append((f"{name} of something else", compress(generator.randbytes(3000))))
        rows += file_rows("--initrd", directory / "x", contents, ("run", "--kernel", directory / "vmlinuz"), "initrd",
                          rf"initrd-\d+: (the {name} stream is truncated|the cpio archive is truncated|no cpio archive in the {name})")
    rows += file_rows("--module", directory / "x", [], ("run", "--kernel", MODULES), "module", r".")
    rows.append(("module larger than memory", ("run", "--kernel", MODULES, "--memory", "8M", "--module",
                                               directory / "vmlinuz"), INPUT, r"memory"))
    rows.append(("initrd larger than memory", ("run", "--kernel", directory / "vmlinuz", "--memory", "12M", "--initrd",
                                               directory / "vmlinuz"), INPUT, r"."))
    return rows


def unreadable(checks, directory):
    """Root reads everything: as somebody else."""
    secret = directory / "secret"
    secret.write_bytes(b"x")
    secret.chmod(0)
    directory.chmod(0o755)
    staged = directory / "bin"
    staged.mkdir()
    for file in ("origami", "origami-engine"):
        shutil.copy(TOOLS.parents[1] / file, staged)
    shutil.copy(MODULES, staged)
    launcher = (TOOLS / "container_profile", "--user", "65534") if os.geteuid() == 0 else ()
    for option, more in (("--kernel", ()), ("--module", ("--kernel", staged / "guest_modules.elf"))):
        outcome = run("run", *more, option, secret, program=staged / "origami", launcher=launcher)
        faults = outcome.faults(INPUT, r"secret: Permission denied")
        checks.check(f"unreadable {option}", not faults, "; ".join(faults))


def main():
    checks = Checks(quiet=True)
    directory = Path(tempfile.mkdtemp(prefix="system-"))
    try:
        rows = rows_of(directory)
        for name, words, status, line in rows:
            outcome = run(*words, timeout=20)
            faults = outcome.faults(status, line)
            checks.check(name, not faults, "; ".join(faults))
        unreadable(checks, directory)
    finally:
        shutil.rmtree(directory)
    checks.finish()


main()
