# SPDX-License-Identifier: MIT
"""A guest with a shell on its serial console, driven like a person would: type a command, read what it says."""
import os
import re
import time

from support import Run


class Guest:
    """The demo guest at its prompt. command() returns (status, output)."""

    PROMPT = "origami# "

    def __init__(self, kernel, initrd, *options, cmdline="console=ttyS0 quiet", boot=240, **keywords):
        self.run = Run("run", "--kernel", kernel, "--initrd", initrd, "--cmdline", cmdline, *options, **keywords)
        self.up = self.run.wait_output(self.PROMPT, boot)
        self.count = 0
        if self.up:
            self.command("stty -echo; PS1=; dmesg -n 1")

    def command(self, line, timeout=120):
        self.count += 1
        start = len(self.run.text["out"])
        mark = f"<{self.count}:"
        # The marker is computed by the guest, so that the echo of the line does not look like it.
        os.write(self.run.master, f"{line}\necho '<'{self.count}':'$?'>'\n".encode())
        end = time.monotonic() + timeout
        while time.monotonic() < end and self.run.process.poll() is None:
            text = self.run.text["out"][start:].decode("utf-8", "replace")
            found = re.search(re.escape(mark) + r"(\d+)>", text)
            if found:
                return int(found.group(1)), text[:found.start()].replace("\r\n", "\n")
            time.sleep(0.01)
        return None, self.run.text["out"][start:].decode("utf-8", "replace")

    def power_off(self, timeout=60):
        os.write(self.run.master, b"poweroff -f\n")
        return self.run.finish(timeout)
