# SPDX-License-Identifier: MIT
"""A network of the test's own: it runs in namespaces where nobody else is, with a "far" address, a loopback, a name
server and HTTP servers. Nothing here leaves the machine."""
import hashlib
import http.server
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading

from support import skip

FAR = "198.51.100.1"  # RFC 5737: for documentation, so nobody's
NAME = "far.test"
BLOCK = hashlib.sha256(b"origami").digest() * 2048  # 64 KiB


def enter(script):
    """Runs the script again in empty user, network and mount namespaces, where FAR is an address, too."""
    if os.environ.get("ORIGAMI_NETWORK") == "1":
        return
    resolv = tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False)
    resolv.write(f"nameserver {FAR}\n")
    resolv.close()
    os.chmod(resolv.name, 0o644)
    setup = ("set -e; ip link set lo up; ip addr add %s/32 dev lo; "
             "mount --bind %s /etc/resolv.conf; exec \"$@\"" % (FAR, resolv.name))
    unshare = ["unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-c", setup, "sh"]
    try:
        trial = subprocess.run([*unshare, "true"], capture_output=True, text=True)
        if trial.returncode:
            skip("no network namespace here: " + trial.stderr.strip())
        environment = dict(os.environ, ORIGAMI_NETWORK="1")
        status = subprocess.run([*unshare, sys.executable, script, *sys.argv[1:]], env=environment).returncode
    except FileNotFoundError as error:
        skip(f"no network namespace here: {error}")
    finally:
        os.unlink(resolv.name)
    sys.exit(status)


def pattern(size):
    """`size` bytes that do not repeat within 64 KiB, and their hash."""
    digest = hashlib.sha256()
    blocks = []
    while size:
        piece = BLOCK[:size]
        digest.update(piece)
        blocks.append(piece)
        size -= len(piece)
    return blocks, digest.hexdigest()


class Web(http.server.BaseHTTPRequestHandler):
    """GET /N: N bytes of the pattern. POST: remembers the hash of what came, and answers with it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requests.append((self.client_address[0], self.path))
        size = int(self.path.strip("/") or 5)
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.send_header("Connection", "close")
        self.end_headers()
        for block in pattern(size)[0]:
            self.wfile.write(block)

    def do_POST(self):
        left = int(self.headers["Content-Length"])
        digest = hashlib.sha256()
        while left:
            piece = self.rfile.read(min(left, 1 << 20))
            if not piece:
                break
            digest.update(piece)
            left -= len(piece)
        answer = digest.hexdigest().encode()
        self.server.requests.append((self.client_address[0], self.path))
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *unused):
        pass


class Web6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


def serve(address, port):
    """An HTTP server in a thread; `.requests` lists who asked for what."""
    kind = Web6 if ":" in address else http.server.ThreadingHTTPServer
    server = kind((address, port), Web)
    server.daemon_threads = True
    server.requests = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def name_server(address, names):
    """A DNS server: A records of `names`, nothing else."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((address, 53))

    def answer():
        while True:
            query, peer = udp.recvfrom(4096)
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode("ascii", "replace"))
                at += 1 + query[at]
            question = query[12:at + 5]
            kind = struct.unpack(">H", query[at + 1:at + 3])[0]
            found = names.get(".".join(labels)) if kind == 1 else None
            known = ".".join(labels) in names
            reply = query[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, 1 if found else 0, 0, 0) + question
            if found:
                reply += b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(found)
            udp.sendto(reply, peer)

    threading.Thread(target=answer, daemon=True).start()


def stalled(address, port):
    """Takes connections and then neither reads nor writes."""
    listener = socket.create_server((address, port))
    kept = []

    def take():
        while True:
            kept.append(listener.accept()[0])

    threading.Thread(target=take, daemon=True).start()
    return kept
