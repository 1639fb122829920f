"""A load of submitters that keeps count: what was sent, what was acknowledged, what was cut off in between.

Each session sends its share, message after message, on one connection; when the connection breaks it comes back and
sends again what was not acknowledged, as every real client does. Plain streams, so that it costs little.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_AWAY = 0.1  # seconds until a client whose connection broke comes back
_GIVE_UP = 50  # refusals in a row of one session after which the load fails


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message to send. `token` is its subject and is unique."""

    token: str
    reverse_path: str
    recipients: tuple[str, ...]
    size: int = 1024

    def content(self) -> bytes:
        head = f"From: <{self.reverse_path}>\r\nTo: <{self.recipients[0]}>\r\nSubject: {self.token}\r\n"
        head += f"Message-ID: <{self.token}@load.test>\r\nDate: Mon, 23 Nov 2026 09:00:00 +0000\r\n\r\n"
        line = b"x" * 70 + b"\r\n"
        return head.encode() + line * max(1, (self.size - len(head)) // len(line))


@dataclass(slots=True)
class Tally:
    """What the senders saw."""

    acknowledged: dict[str, str] = field(default_factory=dict)  # token -> the id that the 250 named
    final_dots: Counter[str] = field(default_factory=Counter)  # how often the final dot of each token went out
    refused: dict[str, str] = field(default_factory=dict)  # token -> the last refusal; it was sent again
    refusals: int = 0
    broken: int = 0  # connections that ended before their time


class Refused(Exception):  # noqa: N818
    """The server answered, but not as hoped."""


@dataclass(slots=True)
class Submitter:
    """How the sessions reach the server, and the account they use (none on the `mx` listener)."""

    host: str
    port: Callable[[], int]
    account: str = ""
    password: str = ""
    tls: ssl.SSLContext | None = None  # implicit TLS
    patience: float = 60.0

    async def run(self, parcels: Sequence[Parcel], sessions: int, tally: Tally) -> None:
        """Send everything, over `sessions` parallel sessions, until each parcel is acknowledged."""
        async with asyncio.TaskGroup() as group:
            for number in range(min(sessions, len(parcels))):
                group.create_task(self._session(list(parcels[number::sessions]), tally))

    async def _session(self, parcels: list[Parcel], tally: Tally) -> None:
        waiting = parcels[::-1]
        refusals = 0
        while waiting:
            left = len(waiting)
            try:
                await self._connection(waiting, tally)
            except Refused:
                refusals = refusals + 1 if len(waiting) == left else 0
                if refusals > _GIVE_UP:
                    raise
            except (OSError, EOFError, TimeoutError, asyncio.IncompleteReadError):
                tally.broken += 1
            if waiting:
                await asyncio.sleep(_AWAY)  # the server is away; a real client waits longer

    async def _connection(self, waiting: list[Parcel], tally: Tally) -> None:
        reader, writer = await asyncio.open_connection(self.host, self.port(), ssl=self.tls)
        try:
            await self._expect(reader, b"220")
            await self._command(reader, writer, "EHLO load.test", b"250")
            if self.account:
                secret = base64.b64encode(f"\0{self.account}\0{self.password}".encode()).decode()
                await self._command(reader, writer, f"AUTH PLAIN {secret}", b"235")
            while waiting:
                await self._send(reader, writer, waiting[-1], tally)
                waiting.pop()
            await self._command(reader, writer, "QUIT", b"221")
        finally:
            writer.transport.abort()

    async def _send(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, parcel: Parcel, tally: Tally
    ) -> None:
        lines = [f"MAIL FROM:<{parcel.reverse_path}>", *(f"RCPT TO:<{name}>" for name in parcel.recipients), "DATA"]
        writer.write("".join(f"{line}\r\n" for line in lines).encode())
        try:
            for _ in lines[:-1]:
                await self._expect(reader, b"250")
            await self._expect(reader, b"354")
            tally.final_dots[parcel.token] += 1
            writer.write(parcel.content() + b".\r\n")
            answer = await self._expect(reader, b"250")
        except Refused as reply:
            tally.refused[parcel.token] = str(reply)
            tally.refusals += 1
            raise
        tally.acknowledged[parcel.token] = answer.rpartition(" ")[2]

    async def _command(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: str, wanted: bytes
    ) -> None:
        writer.write(line.encode() + b"\r\n")
        await self._expect(reader, wanted)

    async def _expect(self, reader: asyncio.StreamReader, wanted: bytes) -> str:
        """The last line of the reply; raises Refused when it is another one."""
        while True:
            async with asyncio.timeout(self.patience):
                line = await reader.readuntil(b"\n")
            if line[3:4] != b"-":
                break
        if not line.startswith(wanted):
            raise Refused(line.decode(errors="replace").strip())
        return line.decode("ascii", "replace").strip()
