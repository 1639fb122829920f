"""The trial behind 0003-tls-binding.md: `.venv/bin/python docs/decisions/0003-tls-binding.py stdlib` (or `pyopenssl`).

Prints what one side of a TLS 1.3 connection costs over memory BIOs: CPU for the server's part of a handshake, CPU for
each 1 KiB record, resident memory for an idle connection, memory for loading the binding. The client is always stdlib.
"""

from __future__ import annotations

import gc
import ssl
import sys
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

DIRECTORY = TemporaryDirectory()
CERTIFICATE, KEY = Path(DIRECTORY.name) / "cert.pem", Path(DIRECTORY.name) / "key.pem"
RECORD, COUNT, ROUNDS = b"x" * 1024, 10_000, 7


def resident() -> int:
    status = Path("/proc/self/status").read_text("ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


class Stdlib:
    def __init__(self, context: ssl.SSLContext, *, server: bool) -> None:
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.into, self.out, server)

    def handshake(self, data: bytes) -> tuple[bytes, bool]:
        self.into.write(data)
        done = False
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
            done = True
        return self.out.read(), done

    def receive(self, data: bytes) -> bytes:
        self.into.write(data)
        return self.tls.read(2048)

    def send(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self.out.read()


class PyOpenSsl:
    def __init__(self, context: object) -> None:
        self.tls = SSL.Connection(context, None)
        self.tls.set_accept_state()

    def handshake(self, data: bytes) -> tuple[bytes, bool]:
        self.tls.bio_write(data)
        done, out = False, b""
        with suppress(SSL.WantReadError):
            self.tls.do_handshake()
            done = True
        with suppress(SSL.WantReadError):
            out = self.tls.bio_read(32768)
        return out, done

    def receive(self, data: bytes) -> bytes:
        self.tls.bio_write(data)
        return self.tls.recv(2048)

    def send(self, data: bytes) -> bytes:
        self.tls.send(data)
        return self.tls.bio_read(2048)


def stdlib_server() -> Stdlib:
    return Stdlib(STDLIB_CONTEXT, server=True)


def pyopenssl_server() -> PyOpenSsl:
    return PyOpenSsl(PYOPENSSL_CONTEXT)


def connect(make_server) -> tuple[Stdlib, Stdlib | PyOpenSsl, float]:
    """A client, a server after their handshake, and the server's seconds."""
    client, spent = Stdlib(CLIENT_CONTEXT, server=False), -time.perf_counter()
    server = make_server()
    spent += time.perf_counter()
    data, client_done = client.handshake(b"")
    server_done = False
    while not (client_done and server_done):
        spent -= time.perf_counter()
        data, server_done = server.handshake(data)
        spent += time.perf_counter()
        if client_done:
            client.into.write(data)  # tickets
        else:
            data, client_done = client.handshake(data)
    return client, server, spent


def measure(make_server) -> None:
    handshakes = [1e6 * sum(connect(make_server)[2] for _ in range(200)) / 200 for _ in range(ROUNDS)]
    client, server, _ = connect(make_server)
    into, out = [], []
    for _ in range(ROUNDS):
        records = [client.send(RECORD) for _ in range(COUNT)]
        start = time.perf_counter()
        for record in records:
            server.receive(record)
        middle = time.perf_counter()
        for _ in range(COUNT):
            server.send(RECORD)
        into.append(1e6 * (middle - start) / COUNT)
        out.append(1e6 * (time.perf_counter() - middle) / COUNT)
    kept = []
    gc.collect()
    before = resident()
    for _ in range(1000):
        client, server, _ = connect(make_server)
        server.send(b"250-line\r\n" * 10)
        kept.append(server)
    gc.collect()
    print(f"handshake, server's part   {median(handshakes):7.0f} us")
    print(f"1 KiB record in; out       {median(into):7.1f}; {median(out):.1f} us")
    print(f"idle connection            {(resident() - before) / 1000:7.1f} KiB")


if __name__ == "__main__":
    loaded = resident()
    if sys.argv[1] == "pyopenssl":
        from OpenSSL import SSL

        print(f"loading the binding        {resident() - loaded:7.0f} KiB; {SSL.OpenSSL_version(0).decode()}")
    from postroad.adapters.net.selfsigned import write_self_signed

    write_self_signed(CERTIFICATE, KEY, ["mx.test"])
    CLIENT_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    CLIENT_CONTEXT.check_hostname = False
    CLIENT_CONTEXT.verify_mode = ssl.CERT_NONE
    if sys.argv[1] == "pyopenssl":
        PYOPENSSL_CONTEXT = SSL.Context(SSL.TLS_SERVER_METHOD)
        PYOPENSSL_CONTEXT.set_mode(SSL.MODE_RELEASE_BUFFERS)
        PYOPENSSL_CONTEXT.use_certificate_file(str(CERTIFICATE))
        PYOPENSSL_CONTEXT.use_privatekey_file(str(KEY))
        measure(pyopenssl_server)
    else:
        print(ssl.OPENSSL_VERSION)
        STDLIB_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        STDLIB_CONTEXT.num_tickets = 1
        STDLIB_CONTEXT.load_cert_chain(CERTIFICATE, KEY)
        measure(stdlib_server)
