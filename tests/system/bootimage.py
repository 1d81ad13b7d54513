# SPDX-License-Identifier: MIT
"""The ELF kernel inside a bzImage (Linux, Documentation/arch/x86/boot.rst: payload_offset, payload_length)."""
import gzip
import lzma
import struct
import subprocess

SETUP_SECTS, HEADER_MAGIC, PAYLOAD_OFFSET = 0x1F1, 0x202, 0x248


def unpack_with(*command):
    def unpack(data):
        # The payload is followed by its size, which such a tool takes for garbage: its output counts.
        return subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return unpack


UNPACK = (
    (b"\x1f\x8b\x08", gzip.decompress),
    (b"\xfd7zXZ\0", lambda data: lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data)),
    (b"\x5d\0\0", lambda data: lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(data)),
    (b"\x28\xb5\x2f\xfd", unpack_with("zstd", "-dc")),
    (b"\x02\x21\x4c\x18", unpack_with("lz4", "-dc")),
    (b"BZh", unpack_with("bzip2", "-dc")),
)


def extract(bzimage):
    """Returns the bytes of the ELF file in the bytes of a bzImage, or raises ValueError."""
    if bzimage[HEADER_MAGIC:HEADER_MAGIC + 4] != b"HdrS":
        raise ValueError("no bzImage")
    offset, length = struct.unpack_from("<II", bzimage, PAYLOAD_OFFSET)
    start = (max(bzimage[SETUP_SECTS], 1) + 1) * 512 + offset
    payload = bzimage[start:start + length - 4]
    size = struct.unpack_from("<I", bzimage, start + length - 4)[0]
    for magic, unpack in UNPACK:
        if payload.startswith(magic):
            data = unpack(payload)
            if data[:4] != b"\x7fELF" or len(data) != size:
                raise ValueError(f"the payload unpacks to {len(data)} bytes, not {size}")
            return data
    raise ValueError("compressed in an unknown way: " + payload[:6].hex())
