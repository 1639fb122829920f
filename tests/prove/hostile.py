"""Clients that mean no good, each kind in its own way; a crowd of them in a process of its own.

`python -m tests.prove.hostile '{"mx": 2525, ...}' --connections 1000 --seconds 300 --net 1`: so many at any time, each
from an address of its own in 127.NET.0.0/16, back again soon after it was cut off. Prints what became of them as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import random
import socket
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

RECIPIENT = b"bob@prove.test"
PIECE = 16 * 1024
NICE = 10  # in life they are elsewhere, and take no CPU from the server's machine
GATHERING = 5.0  # seconds until all have come
GONE = (OSError, EOFError, ssl.SSLError)


class Cut(Exception):
    """The server has ended the conversation."""


@dataclass
class Evil:
    """One hostile connection, with as little buffer of its own as can be."""

    one: socket.socket
    chance: random.Random
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    async def say(self, data: bytes) -> None:
        await self.loop.sock_sendall(self.one, data)

    async def hear(self) -> bytes:
        if not (data := await self.loop.sock_recv(self.one, PIECE)):
            raise Cut
        return data

    async def hear_to_the_end(self) -> None:
        while True:
            await self.hear()

    async def until(self, mark: bytes) -> None:
        """Read until a line begins so."""
        seen = b"\n"
        while b"\n" + mark not in seen:
            seen = seen[-4096:] + await self.hear()

    async def converse(self, *lines: bytes, mark: bytes = b"2") -> None:
        await self.until(b"220")
        for line in lines:
            await self.say(line + b"\r\n")
            await self.until(mark)

    async def flood(self, words: bytes, *, pause: float = 0.0) -> None:
        """Talk and read, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.hear_to_the_end())
            group.create_task(self._talk(words, pause))

    async def _talk(self, words: bytes, pause: float) -> None:
        while True:
            await self.say(words)
            await asyncio.sleep(pause)

    async def envelope(self) -> None:
        await self.until(b"220")
        await self.say(b"EHLO evil.test\r\nMAIL FROM:<evil@evil.test>\r\nRCPT TO:<" + RECIPIENT + b">\r\n")
        await self.until(b"250 2.1.5")


Kind = Callable[[Evil], Awaitable[None]]


# --- slow and silent ---


async def silent(evil: Evil) -> None:
    await evil.hear_to_the_end()


async def slow(evil: Evil) -> None:
    for octet in b"EHLO evil.test\r\nMAIL FROM:<evil@evil.test>\r\n" * 100:
        await evil.say(bytes([octet]))
        await asyncio.sleep(1.0)


async def slow_in_its_body(evil: Evil) -> None:
    await evil.envelope()
    await evil.say(b"DATA\r\n")
    await evil.until(b"354")
    while True:
        await evil.say(b"a line a second\r\n")
        await asyncio.sleep(1.0)


async def stops_in_its_body(evil: Evil) -> None:
    await evil.envelope()
    await evil.say(b"DATA\r\n")
    await evil.until(b"354")
    await evil.say(b"Subject: evil\r\n\r\n" + b"it never ends\r\n" * 16_000)
    await evil.hear_to_the_end()


async def stops_in_its_chunk(evil: Evil) -> None:
    await evil.envelope()
    await evil.say(b"BDAT 50000000 LAST\r\n" + b"x" * 200_000)
    await evil.hear_to_the_end()


async def half_closed(evil: Evil) -> None:
    await evil.envelope()
    await evil.say(b"DATA\r\n")
    await evil.until(b"354")
    await evil.say(b"Subject: evil\r\n\r\nhalf of it")
    evil.one.shutdown(socket.SHUT_WR)
    await evil.hear_to_the_end()


async def breaks_off_in_its_body(evil: Evil) -> None:
    await evil.envelope()
    await evil.say(b"DATA\r\nSubject: evil\r\n\r\nhalf of it")
    evil.one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset


# --- floods ---


async def floods(evil: Evil) -> None:
    await evil.until(b"220")
    await evil.flood(b"NOOP\r\n" * 2000)


async def floods_with_greetings(evil: Evil) -> None:
    await evil.until(b"220")
    await evil.flood(b"EHLO evil.test\r\nRSET\r\n" * 100, pause=0.01)


async def floods_with_noise(evil: Evil) -> None:
    await evil.flood(evil.chance.randbytes(PIECE))


async def floods_with_recipients(evil: Evil) -> None:
    await evil.envelope()
    await evil.flood(b"".join(b"RCPT TO:<bob+%d@prove.test>\r\n" % each for each in range(500)), pause=0.05)


async def guesses_recipients(evil: Evil) -> None:
    await evil.envelope()
    await evil.flood(b"".join(b"RCPT TO:<nobody%d@prove.test>\r\n" % each for each in range(100)), pause=0.05)


async def never_reads(evil: Evil) -> None:
    while True:
        await evil.say(b"EHLO x\r\n" + b"HELP\r\n" * 2000)


async def line_without_end(evil: Evil) -> None:
    await evil.flood(b"x" * PIECE, pause=0.1)


async def smuggles(evil: Evil) -> None:
    await evil.envelope()
    await evil.say(b"DATA\r\n")
    await evil.until(b"354")
    await evil.say(b"Subject: evil\r\n\r\n" + b"line\n.\nMAIL FROM:<>\r\n.\n" * 500 + b"\r\n.\r\n")
    await evil.until(b"550")
    await evil.hear_to_the_end()


async def comes_and_goes(evil: Evil) -> None:
    evil.one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


async def browser(evil: Evil) -> None:
    await evil.say(b"POST / HTTP/1.1\r\nHost: mail\r\n\r\n" + b"MAIL FROM:<evil@evil.test>\r\n" * 2000)
    await evil.hear_to_the_end()


# --- TLS ---


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextlib.asynccontextmanager
async def _over_tls(evil: Evil) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(
        sock=evil.one.dup(), ssl=_context(), server_hostname="x", limit=PIECE
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def asks_for_tls_and_stops(evil: Evil) -> None:
    await evil.converse(b"EHLO evil.test")
    await evil.say(b"STARTTLS\r\n")
    await evil.until(b"220")
    await evil.hear_to_the_end()


async def half_a_hello(evil: Evil) -> None:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + evil.chance.randbytes(200)
    await evil.say(hello)
    await evil.hear_to_the_end()


async def noise_for_tls(evil: Evil) -> None:
    await evil.say(b"\x16\x03\x01\x40\x00" + evil.chance.randbytes(PIECE))
    await evil.hear_to_the_end()


async def handshakes(evil: Evil) -> None:
    async with _over_tls(evil):
        await asyncio.sleep(evil.chance.random())


async def secured_and_silent(evil: Evil) -> None:
    async with _over_tls(evil) as (reader, _):
        while await reader.read(PIECE):
            pass


async def secured_flood(evil: Evil) -> None:
    async with _over_tls(evil) as (reader, writer):
        for _ in range(100_000):
            writer.write(b"NOOP\r\n" * 500)
            await writer.drain()
            if not await reader.read(PIECE):
                return


async def guesses_passwords(evil: Evil) -> None:
    async with _over_tls(evil) as (reader, writer):
        await reader.readline()
        writer.write(b"EHLO evil.test\r\n")
        for number in range(50):
            secret = base64.b64encode(b"\0bob@prove.test\0guess%d-%d" % (number, evil.chance.randrange(10**9)))
            writer.write(b"AUTH PLAIN " + secret + b"\r\n")
            while (line := await reader.readline())[:3] not in (b"535", b"454"):
                if not line:
                    return


# --- behind a balancer, and kin ---


async def noise_for_proxy(evil: Evil) -> None:
    await evil.say(
        evil.chance.choice((b"PROXY TCP4 ", b"PROXY UNKNOWN ", b"\r\n\r\n\0\r\nQUIT\n!\x11\x10\0", b"EHLO x\r\n"))
    )
    await evil.say(evil.chance.randbytes(evil.chance.randrange(5000)))
    await evil.hear_to_the_end()


async def half_a_proxy_header(evil: Evil) -> None:
    await evil.say(b"PROXY TCP4 192.0.2.1 ")
    await evil.hear_to_the_end()


async def behind_a_proxy(evil: Evil) -> None:
    await evil.say(b"PROXY TCP4 192.0.2.%d 192.0.2.1 40000 587\r\n" % evil.chance.randrange(256))
    await evil.until(b"220")
    await evil.flood(b"EHLO x\r\nMAIL FROM:<a@b.test>\r\n" * 100, pause=0.05)


async def lmtp_flood(evil: Evil) -> None:
    await evil.until(b"220")
    await evil.say(b"LHLO evil.test\r\nMAIL FROM:<evil@evil.test>\r\n")
    await evil.flood(b"RCPT TO:<nobody@prove.test>\r\nNOOP\r\n" * 200, pause=0.05)


async def lmtp_stops(evil: Evil) -> None:
    await evil.until(b"220")
    await evil.say(b"LHLO evil.test\r\nMAIL FROM:<evil@evil.test>\r\nRCPT TO:<" + RECIPIENT + b">\r\nDATA\r\n")
    await evil.until(b"354")
    await evil.say(b"x" * 500_000)
    await evil.hear_to_the_end()


async def imap_flood(evil: Evil) -> None:
    await evil.flood(b"a NOOP\r\nb CAPABILITY\r\n" * 200, pause=0.05)


async def imap_literal(evil: Evil) -> None:
    await evil.say(b"a LOGIN {4096}\r\n")
    await evil.say(b"x" * 4000)
    await evil.hear_to_the_end()


async def imap_noise(evil: Evil) -> None:
    await evil.flood(b"a ((((((((" + evil.chance.randbytes(2000) + b"\r\n", pause=0.05)


async def pop3_flood(evil: Evil) -> None:
    await evil.flood(b"CAPA\r\nUSER bob\r\n" * 200, pause=0.05)


async def pop3_noise(evil: Evil) -> None:
    await evil.flood(evil.chance.randbytes(2000) + b"\r\n", pause=0.05)


KINDS: tuple[tuple[str, Kind], ...] = (
    *(("mx", kind) for kind in (
        silent, slow, slow_in_its_body, stops_in_its_body, stops_in_its_chunk, half_closed, breaks_off_in_its_body,
        floods, floods_with_greetings, floods_with_noise, floods_with_recipients, guesses_recipients, never_reads,
        line_without_end, smuggles, comes_and_goes, browser, asks_for_tls_and_stops, half_a_hello, noise_for_tls,
    )),
    *(("submissions", kind) for kind in (
        silent, half_a_hello, noise_for_tls, handshakes, secured_and_silent, secured_flood, guesses_passwords,
    )),
    *(("submission", kind) for kind in (noise_for_proxy, half_a_proxy_header, behind_a_proxy, silent)),
    *(("lmtp", kind) for kind in (lmtp_flood, lmtp_stops, silent)),
    *(("imap", kind) for kind in (imap_flood, imap_literal, imap_noise, silent, never_reads)),
    *(("pop3", kind) for kind in (pop3_flood, pop3_noise, silent, slow)),
)  # fmt: skip


PATIENT = frozenset((
    silent, slow, slow_in_its_body, stops_in_its_body, stops_in_its_chunk, half_closed, never_reads, secured_and_silent,
    asks_for_tls_and_stops, lmtp_stops, imap_literal, line_without_end,
))  # fmt: skip


class Crowd:
    """So many connections at any time: who is cut off is away for a second, and patient ones take the place."""

    def __init__(self, ports: dict[str, int], connections: int, net: int, kinds: Sequence[tuple[str, Kind]]) -> None:
        self.connections = connections
        self.ports = ports
        self.kinds = kinds
        self.patient = [(service, kind) for service, kind in kinds if kind in PATIENT] or kinds
        self.net = net
        self.open = self.peak = 0
        self.over = False
        self.made: Counter[str] = Counter()

    async def run(self, seconds: float) -> None:
        connections = self.connections
        loop = asyncio.get_running_loop()
        began = loop.time()
        tasks = [asyncio.create_task(self._one(number)) for number in range(connections)]
        while (now := loop.time()) < began + seconds:
            if now > began + GATHERING:
                missing = min(connections - self.open, 2 * connections - len(tasks))
                tasks += [asyncio.create_task(self._one(len(tasks), self.patient)) for _ in range(max(missing, 0))]
            await asyncio.sleep(1.0)
        self.over = True
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=GATHERING)

    async def _one(self, number: int, kinds: Sequence[tuple[str, Kind]] = ()) -> None:
        chance, kinds = random.Random(number), kinds or self.kinds
        service, kind = kinds[number % len(kinds)]
        source = f"127.{self.net}.{number // 250 % 256}.{1 + number % 250}"
        await asyncio.sleep(chance.random() * GATHERING)  # they do not all come in the same second
        while not self.over:
            if self.open >= self.connections:
                await asyncio.sleep(chance.random())
                continue
            await self._visit(service, kind, source, chance)
            await asyncio.sleep(0.5 + chance.random())

    async def _visit(self, service: str, kind: Kind, source: str, chance: random.Random) -> None:
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if kind is never_reads:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.setblocking(False)
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            one.bind((source, 0))
            await asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", self.ports[service]))
            self.made[f"{service} {kind.__name__}"] += 1
            await kind(Evil(one, chance))
        except* (*GONE, Cut, TimeoutError):
            pass
        finally:
            self.open -= 1
            one.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("ports", type=json.loads)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--net", type=int, default=1)
    parser.add_argument("--kinds", nargs="*", default=(), help="only these")
    options = parser.parse_args()
    os.nice(NICE)
    kinds = [(service, kind) for service, kind in KINDS if not options.kinds or kind.__name__ in options.kinds]
    crowd = Crowd(options.ports, options.connections, options.net, kinds)
    try:
        import uvloop
    except ImportError:
        asyncio.run(crowd.run(options.seconds))
    else:
        uvloop.run(crowd.run(options.seconds))
    json.dump({"peak": crowd.peak, "made": crowd.made}, sys.stdout)


if __name__ == "__main__":
    main()
