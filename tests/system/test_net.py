# SPDX-License-Identifier: MIT
"""--net user from inside a guest: address, names, bulk data both ways, forwards, and what must be out of reach."""
import hashlib
import os
import socket
import subprocess
import time
import urllib.request

import network
from guest import Guest
from support import STATUS, Checks, demo_guest

LONG = bool(os.environ.get("ORIGAMI_LONG"))
BULK = 100_000_000 if LONG else 10_000_000
FAR = network.FAR


def address_and_names(checks, guest):
    status, text = guest.command("ip -4 addr show eth0; ip route; cat /etc/resolv.conf")
    checks.check("DHCP gives 10.0.2.15, gateway and name server",
                 all(word in text for word in ("inet 10.0.2.15/24", "default via 10.0.2.2", "nameserver 10.0.2.3")), text)
    status, text = guest.command("ping -c 3 -i 0.2 -W 2 10.0.2.2")
    times = [float(line.split("time=")[1].split()[0]) for line in text.splitlines() if "time=" in line]
    checks.check(f"the gateway answers pings at once ({times} ms)", status == 0 and times and min(times) < 200, text)
    status, text = guest.command(f"nslookup -type=a {network.NAME} 10.0.2.3")
    checks.check("a name is looked up", FAR in text, text)
    status, text = guest.command(f"timeout 10 wget -q -O - http://{network.NAME}:8000/5 | wc -c")
    checks.equal("HTTP by name", text.split(), ["5"])


def bulk(checks, guest):
    digest = network.pattern(BULK)[1]
    start = time.monotonic()
    status, text = guest.command(f"wget -q -O /tmp/bulk http://{FAR}:8000/{BULK}; echo $?", 900)
    down = time.monotonic() - start
    status, text = guest.command("sha256sum /tmp/bulk", 300)
    checks.check(f"{BULK} bytes to the guest ({BULK / down / 1e6:.1f} MB/s)", text.startswith(digest), text)
    start = time.monotonic()
    status, text = guest.command(f"wget -q -O - --post-file /tmp/bulk http://{FAR}:8000/", 900)
    up = time.monotonic() - start
    checks.check(f"{BULK} bytes from the guest ({BULK / up / 1e6:.1f} MB/s)", text.strip() == digest, text)


def forwards(checks, guest):
    digest = network.pattern(BULK)[1]
    guest.command("httpd -p 80 -h /tmp")
    got = hashlib.sha256(urllib.request.urlopen("http://127.0.0.1:8080/bulk", timeout=120).read()).hexdigest()
    checks.equal("a forwarded port is reached from the host", got, digest)
    other = socket.socket()
    other.settimeout(2)
    checks.check("a forward without an address is bound to loopback only", other.connect_ex((FAR, 8080)) != 0)


def isolation(checks, guest, secret, secret6):
    """Every way to the host's loopback that a guest can type."""
    guest.command("ip link set lo down; echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet; "
                  "ip route add 127.0.0.0/8 via 10.0.2.2; ip route add 0.0.0.0/8 via 10.0.2.2; "
                  "ip -6 route add ::/0 via fe80::2 dev eth0")
    for url in ("http://10.0.2.2:8001/", "http://127.0.0.1:8001/", "http://127.1.2.3:8001/", "http://0.0.0.1:8001/",
                "http://10.0.2.3:8001/", "http://10.0.2.77:8001/", "http://255.255.255.255:8001/",
                "http://[fec0::2]:8001/", "http://[fec0::3]:8001/", "http://[fec0::77]:8001/", "http://[::1]:8001/",
                "http://[::ffff:127.0.0.1]:8001/", "http://[::127.0.0.1]:8001/", "http://[ff02::1]:8001/",
                "http://loop.test:8001/"):
        status, text = guest.command(f"timeout 3 wget -q -O - {url}", 20)
        checks.check(f"out of reach: {url}", status not in (0, None) and not text.count("\0"), (status, text))
    checks.equal("nobody asked the loopback servers", (secret.requests, secret6.requests), ([], []))
    guest.command("ip route del 127.0.0.0/8; ip route del 0.0.0.0/8; ip link set lo up")


def slow_peers(checks, guest):
    status, text = guest.command(f"(timeout 60 sh -c 'nc {FAR} 8002 </dev/zero >/dev/null' &); sleep 5; "
                                 f"timeout 10 wget -q -O - http://{FAR}:8000/1000 | wc -c")
    checks.check("a peer that does not read slows down nobody else", text.split()[-1:] == ["1000"], text)
    status, text = guest.command(f"timeout 3 wget -q -O - http://{FAR}:8002/; echo $?")
    checks.check("a peer that does not answer is a time-out in the guest", status == 0 and text.split()[-1] != "0", text)
    status, text = guest.command("for i in $(seq 1 200); do nc %s 8002 </dev/null >/dev/null & done; sleep 3; "
                                 "timeout 10 wget -q -O - http://%s:8000/1000 | wc -c" % (FAR, FAR), 60)
    checks.check("200 connections at once", "1000" in text.split(), text)


def reboot(checks, guest):
    os.write(guest.run.master, b"reboot -f\n")
    before = guest.run.text["out"].count(b"lease of 10.0.2.15")
    end = time.monotonic() + 240
    while guest.run.text["out"].count(b"lease of 10.0.2.15") == before and time.monotonic() < end:
        time.sleep(0.1)
    checks.check("after a reboot the network is there again",
                 guest.run.text["out"].count(b"lease of 10.0.2.15") > before and
                 guest.run.wait_output(Guest.PROMPT, 60))


def tap(checks, kernel, initrd):
    """A tap device, where one can be made."""
    made = subprocess.run("ip tuntap add tap0 mode tap && ip addr add 203.0.113.1/24 dev tap0 && ip link set tap0 up",
                          shell=True, capture_output=True, text=True)
    if made.returncode:
        print("no tap device can be made here:", made.stderr.strip())
        return
    network.serve("203.0.113.1", 8000)
    guest = Guest(kernel, initrd, "--net", "tap,name=tap0,mac=52:54:00:00:00:77")
    guest.command("ip addr add 203.0.113.2/24 dev eth0")
    status, text = guest.command("cat /sys/class/net/eth0/address")
    checks.equal("tap: the address that was asked for", text.split(), ["52:54:00:00:00:77"])
    status, text = guest.command(f"timeout 60 wget -q -O - http://203.0.113.1:8000/{BULK} | sha256sum", 120)
    checks.check(f"tap: {BULK} bytes", text.startswith(network.pattern(BULK)[1]), text)
    outcome = guest.power_off()
    faults = outcome.faults(STATUS["ok"])
    checks.check("tap: a clean end", not faults, "; ".join(faults))


def main():
    network.enter(__file__)
    checks = Checks()
    kernel, initrd = demo_guest()
    network.name_server(FAR, {network.NAME: FAR, "loop.test": "127.0.0.1"})
    network.serve(FAR, 8000)
    network.stalled(FAR, 8002)
    secret, secret6 = network.serve("127.0.0.1", 8001), network.serve("::1", 8001)
    guest = Guest(kernel, initrd, "--net", "user,forward=tcp:8080:80")
    checks.check("the guest is up", guest.up, guest.run.text["out"][-500:])
    if not guest.up:
        guest.run.process.kill()
        checks.finish()
    address_and_names(checks, guest)
    bulk(checks, guest)
    forwards(checks, guest)
    isolation(checks, guest, secret, secret6)
    slow_peers(checks, guest)
    reboot(checks, guest)
    outcome = guest.power_off()
    faults = outcome.faults(STATUS["ok"])
    checks.check("a clean end", not faults, "; ".join(faults))

    guest = Guest(kernel, initrd, "--net", "user,host-loopback=on", "--no-reboot")
    status, text = guest.command("timeout 10 wget -q -O - http://10.0.2.2:8001/5 | wc -c")
    checks.equal("with host-loopback=on the host's loopback is at 10.0.2.2", text.split(), ["5"])
    outcome = guest.power_off()
    faults = outcome.faults(STATUS["ok"])
    checks.check("a clean end without reboots", not faults, "; ".join(faults))
    tap(checks, kernel, initrd)
    checks.finish()


main()
