"""What a server without mail weighs, and what one idle connection costs: growth of PSS over 1,000 of them."""

from __future__ import annotations

import argparse
import resource
import socket
import ssl
import tempfile
import time
from pathlib import Path

from bench.harness import machine, require_root_and, say
from bench.ours import Postroad
from postroad.adapters.net.selfsigned import write_self_signed

PASSWORD = "correct horse battery"
TLS = '[tls]\ncertificate = "{folder}/cert.pem"\nkey = "{folder}/key.pem"\n'


def talk(link: socket.socket, line: str, until: bytes) -> None:
    """Send a line (or nothing) and read up to the line that begins with `until`."""
    if line:
        link.sendall(line.encode() + b"\r\n")
    received = b""
    while not (received.endswith(b"\n") and any(part.startswith(until) for part in received.splitlines())):
        data = link.recv(4096)
        if not data:
            raise EOFError(received)
        received += data


def smtp(link: socket.socket, context: ssl.SSLContext | None) -> socket.socket:
    talk(link, "", b"220 ")
    talk(link, "EHLO client.test", b"250 ")
    if context:
        talk(link, "STARTTLS", b"220 ")
        link = context.wrap_socket(link)
        talk(link, "EHLO client.test", b"250 ")
    return link


def imap(link: socket.socket, context: ssl.SSLContext | None) -> socket.socket:
    """Log in, select, idle. Without TLS login is refused, so plain connections stay before login."""
    talk(link, "", b"* OK")
    if context:
        talk(link, "a STARTTLS", b"a OK")
        link = context.wrap_socket(link)
        talk(link, f'b LOGIN u1@bench.test "{PASSWORD}"', b"b OK")
        talk(link, "c SELECT INBOX", b"c OK")
        talk(link, "d IDLE", b"+ ")
    return link


CASES = {
    "smtp, after EHLO, plain": ("mx", smtp, False, 16),
    "smtp, after EHLO, TLS": ("mx", smtp, True, 40),
    "imap, connected, plain": ("imap", imap, False, 16),
    "imap, in IDLE, TLS": ("imap", imap, True, 40),
}


def open_all(port: int, case: str, count: int) -> list[socket.socket]:
    _, greet, secured, _ = CASES[case]
    context = ssl.create_default_context() if secured else None
    if context:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    links = []
    for number in range(count):
        link = socket.socket()
        link.bind((f"127.0.1.{1 + number % 200}", 0))
        link.settimeout(30)
        link.connect(("127.0.0.1", port))
        links.append(greet(link, context))
    return links


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench idle", description=__doc__)
    parser.add_argument("--connections", type=int, default=1000)
    options = parser.parse_args(arguments)
    require_root_and()
    resource.setrlimit(resource.RLIMIT_NOFILE, (options.connections * 2 + 200,) * 2)
    say(machine())
    for case, (service, _, _, mark) in CASES.items():
        with tempfile.TemporaryDirectory(dir="/var/tmp") as temporary:
            folder = Path(temporary)
            write_self_signed(folder / "cert.pem", folder / "key.pem", ["localhost"])
            server = Postroad(folder, services=("mx", "imap"), extra=TLS.format(folder=folder))
            server.command("domain", "add", "bench.test")
            server.command("account", "add", "u1@bench.test", "--password-stdin", text=PASSWORD + "\n")
            server.start()
            try:
                time.sleep(10)
                resident = _resident(server)
                open_all(server.ports[service], case, 20)  # what the first connections load is not theirs
                time.sleep(1)
                before = server.group.pss()
                links = open_all(server.ports[service], case, options.connections)
                time.sleep(2)
                each = (server.group.pss() - before) / options.connections
                say(f"  {case:26} {each:6.1f} KiB a connection (mark {mark}); server without mail {resident:.1f} MiB")
                for link in links:
                    link.close()
            finally:
                server.stop()


def _resident(server: Postroad) -> float:
    total = 0
    for pid in server.group.pids():
        status = Path(f"/proc/{pid}/status").read_text()
        total += next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return total / 1024
