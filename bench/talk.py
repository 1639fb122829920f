"""The load that smtp-source cannot make: mail over STARTTLS, and logins. Blocking clients in threads of some processes.

`python -m bench.talk mail|login ...` is one such process; `mail` and `logins` run several. How quick they are does not
matter, for what is counted is the server's CPU.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

PROCESSES = 3
PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
SSL_TLV = b"\x20\x00\x05\x01\x00\x00\x00\x00"  # PP2_TYPE_SSL: the client spoke TLS; no certificate was asked for


def mail(port: int, *, messages: int, size: int, sessions: int, to: str, host: str = "127.0.0.1") -> None:
    """So many messages over so many connections, each of which begins with STARTTLS."""
    _run("mail", messages, sessions, {"host": host, "port": port, "size": size, "to": to})


def logins(
    port: int, *, count: int, sessions: int, user: str, password: str, way: str, host: str = "127.0.0.1"
) -> None:
    """So many logins by AUTH PLAIN, each over a connection of its own. `way`: `full` (a whole TLS handshake each),
    `resumed` (a session is taken up again), `proxied` (a balancer has ended TLS), `plain` (no TLS: ours refuses)."""
    what = {"host": host, "port": port, "user": user, "password": password, "way": way}
    _run("login", count, sessions, what)


def _run(job: str, count: int, sessions: int, what: dict[str, Any]) -> None:
    """`count` in all, in equal shares of the sessions, which some processes have among them."""
    processes = min(PROCESSES, sessions)
    parts = [
        what | {"job": job, "shares": [count // sessions] * (sessions // processes + (number < sessions % processes))}
        for number in range(processes)
    ]
    command = (sys.executable, "-m", "bench.talk")
    running = [subprocess.Popen([*command, json.dumps(part)], stderr=subprocess.PIPE, text=True) for part in parts]
    for process in running:
        _, said = process.communicate(timeout=600)
        if process.returncode:
            raise RuntimeError(f"bench.talk: {said[-400:]}")


class Link:
    """One connection of a client."""

    def __init__(self, part: dict[str, Any]) -> None:
        self._socket: socket.socket = socket.create_connection((part["host"], part["port"]), 60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def say(self, data: bytes, code: bytes) -> None:
        """Send, and read one reply, which must begin with `code`."""
        if data:
            self._socket.sendall(data)
        said = b""
        while not said.endswith(b"\r\n") or said[said.rfind(b"\r\n", 0, -2) + 2 :][3:4] == b"-":
            got = self._socket.recv(65536)
            if not got:
                raise EOFError(said)
            said += got
        if not said.startswith(code):
            raise RuntimeError(f"{data[:40]!r}: {said!r}")

    def secure(self, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSession | None:
        """STARTTLS; the session, for the next time (TLS 1.3 sends it behind the handshake)."""
        self.say(b"STARTTLS\r\n", b"220")
        secured = context.wrap_socket(self._socket, session=session)
        self._socket = secured
        self.say(b"EHLO mail.client.test\r\n", b"250")
        return secured.session

    def introduce(self) -> None:
        """As a balancer does that has ended TLS (PROXY protocol version 2)."""
        address = socket.inet_aton("127.0.0.1") * 2 + (4000).to_bytes(2) + (587).to_bytes(2)
        length = len(address) + len(SSL_TLV)
        self._socket.sendall(PROXY_V2 + b"\x21\x11" + length.to_bytes(2) + address + SSL_TLV)

    def close(self) -> None:
        self.say(b"QUIT\r\n", b"221")
        self._socket.close()


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _mail(part: dict[str, Any], share: int) -> None:
    link = Link(part)
    link.say(b"", b"220")
    link.say(b"EHLO mail.client.test\r\n", b"250")
    link.secure(_context())
    lines = (b"X" * 78 + b"\r\n") * (part["size"] // 80)
    body = b"From: <bench@client.test>\r\nTo: <u1@bench.test>\r\nSubject: bench\r\n\r\n" + lines + b".\r\n"
    to = part["to"].encode()
    for _ in range(share):
        link.say(b"MAIL FROM:<bench@client.test>\r\n", b"250")
        link.say(b"RCPT TO:<" + to + b">\r\n", b"250")
        link.say(b"DATA\r\n", b"354")
        link.say(body, b"250")
    link.close()


def _login(part: dict[str, Any], share: int) -> None:
    way, context, session = part["way"], _context(), None
    if way == "resumed":
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # a session that can be taken up again is there at once
    text = base64.b64encode(f"\0{part['user']}\0{part['password']}".encode())
    for _ in range(share):
        link = Link(part)
        if way == "proxied":
            link.introduce()
        link.say(b"", b"220")
        link.say(b"EHLO mail.client.test\r\n", b"250")
        if way in ("full", "resumed"):
            fresh = link.secure(context, session)
            session = fresh if way == "resumed" else None
        link.say(b"AUTH PLAIN " + text + b"\r\n", b"235")
        link.close()


JOBS: dict[str, Callable[[dict[str, Any], int], None]] = {"mail": _mail, "login": _login}


def main() -> None:
    part = json.loads(sys.argv[1])
    failed: list[BaseException] = []

    def one(share: int) -> None:
        try:
            JOBS[part["job"]](part, share)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(share,)) for share in part["shares"]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        print(repr(failed[0]), file=sys.stderr)
        os._exit(1)


if __name__ == "__main__":
    main()
