"""Logins over the wire, in SMTP, IMAP and POP3: a line-wise client over TLS that goes through a SASL exchange."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Protocol


class Exchange(Protocol):
    """The client's part of a mechanism."""

    def begin(self) -> bytes:
        """The initial response."""

    def respond(self, challenge: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a protocol spells an exchange. `hello` is sent until a line that begins with `ready`."""

    hello: bytes
    ready: bytes
    auth: bytes
    go_on: bytes
    good: bytes
    offers: bytes  # what stands in front of the mechanisms


DIALECTS = {
    "submissions": Dialect(b"EHLO client.test", b"250 ", b"AUTH %b %b", b"334 ", b"235 ", b"250-AUTH "),
    "imaps": Dialect(b"a CAPABILITY", b"a OK", b"b AUTHENTICATE %b %b", b"+ ", b"b OK", b"* CAPABILITY "),
    "pop3s": Dialect(b"CAPA", b".", b"AUTH %b %b", b"+ ", b"+OK", b"SASL "),
}


class Wire:
    """One connection."""

    def __init__(self, dialect: Dialect, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.dialect = dialect
        self.reader = reader
        self.writer = writer
        self.announced: list[str] = []

    @classmethod
    async def connect(cls, service: str, host: str, port: int, context: ssl.SSLContext, name: str) -> Wire:
        """Connected, greeted, and told what is announced."""
        reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=name)
        wire = cls(DIALECTS[service], reader, writer)
        await reader.readline()
        wire.say(wire.dialect.hello)
        while True:
            line = await reader.readline()
            wire._note(line)
            if line.startswith(wire.dialect.ready):
                return wire

    def _note(self, line: bytes) -> None:
        words = line.replace(b"250 AUTH", b"250-AUTH").decode().strip()
        if words.startswith(self.dialect.offers.decode()):
            self.announced = [word.removeprefix("AUTH=") for word in words.split()[1:]]

    def say(self, line: bytes) -> None:
        self.writer.write(line + b"\r\n")

    async def log_in(self, mechanism: str, exchange: Exchange) -> bytes:
        """Through the exchange; the last line that came."""
        initial = b64encode(exchange.begin()) or b"="
        self.say(self.dialect.auth % (mechanism.encode(), initial))
        while True:
            line = await asyncio.wait_for(self.reader.readline(), 20)
            if not line.startswith(self.dialect.go_on) or line.startswith(self.dialect.good):
                return line.strip()
            challenge = b64decode(line.removeprefix(self.dialect.go_on).strip())
            self.say(b64encode(exchange.respond(challenge)))

    def is_good(self, line: bytes) -> bool:
        return line.startswith(self.dialect.good)

    def end_point(self) -> bytes:
        """What `tls-server-end-point` binds to, as a client sees it (RFC 5929 §4)."""
        certificate = self.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return hashlib.sha256(certificate).digest()

    async def close(self) -> None:
        self.writer.transport.abort()


class Saying:
    """An exchange of fixed responses."""

    def __init__(self, *responses: bytes) -> None:
        self._responses = list(responses)

    def begin(self) -> bytes:
        return self._responses.pop(0)

    def respond(self, challenge: bytes) -> bytes:
        del challenge
        return self._responses.pop(0) if self._responses else b""
