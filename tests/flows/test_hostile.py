"""A hundred clients at once that mean no good, or know no better: each gets a clear answer, the server hardly grows,
takes mail from others all the while, and loses none of it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from postroad.testing.server import ServerProcess

CLIENTS = 100
MEBIBYTE = 1 << 20
MAX_GROWTH = 32 * MEBIBYTE
BOB = "bob@here.test"
PATIENCE = 60.0
# Who never reads shall be able to talk for ever, and not be ended for it.
LIMITS = "[limits]\nmin_free = 1048576\nmax_idle_commands = 1000000000\n"
STALLED = 0.5  # seconds without any progress
MOST_RECIPIENTS = 10_000
MORE_RECIPIENTS = 1_100  # what each of a hundred sends: the limit is 1,000, and what is refused leaves nothing


class Client:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int) -> Client:
        client = cls(*await asyncio.open_connection("127.0.0.1", port))
        assert (await client.reply()).startswith("220 ")
        return client

    async def say(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def reply(self) -> str:
        """One reply's last line."""
        while (line := await self._reader.readline())[3:4] == b"-":
            pass
        return line.decode()

    async def replies(self, count: int) -> list[str]:
        return [await self.reply() for _ in range(count)]

    async def expect(self, data: bytes, wanted: str, count: int = 1) -> None:
        """Say it; each of `count` replies must begin so."""
        saying = asyncio.ensure_future(self.say(data))
        for reply in await self.replies(count):
            assert reply.startswith(wanted), reply
        await saying

    async def envelope(self, recipient: str = BOB) -> None:
        await self.expect(b"EHLO client.test\r\n", "250 ")
        await self.expect(b"MAIL FROM:<stranger@far.test>\r\n", "250 2.1.0")
        await self.expect(f"RCPT TO:<{recipient}>\r\n".encode(), "250 2.1.5")

    async def ended(self) -> bool:
        return await self._reader.read(1) == b""

    def close(self) -> None:
        self._writer.transport.abort()


# --- what they do; each returns while the connection stands in the state that hurts most ---


async def sends_a_line_without_end(client: Client, number: int) -> None:
    await client.expect(b"x" * MEBIBYTE, "500 5.5.2 ")


async def sends_long_lines(client: Client, number: int) -> None:
    await client.expect(b"NOOP " + b"x" * 3000 + b"\r\n", "500 5.5.2 ")
    await client.expect((b"NOOP " + b"x" * 3000 + b"\r\n") * 10, "500 5.5.2 ", 10)


async def ends_lines_by_lf(client: Client, number: int) -> None:
    await client.expect(b"NOOP\n" * 10, "500 5.5.2 ", 10)
    await client.expect(b"NOOP\r\n", "250 ")


async def sends_lf_in_its_body(client: Client, number: int) -> None:
    await client.envelope()
    await client.expect(b"DATA\r\n", "354 ")
    await client.expect(b"Subject: smuggled\r\n\r\n" + b"line\n.\nMAIL FROM:<>\n" * 2000 + b"\r\n.\r\n", "550 5.6.0 ")


async def sends_nul(client: Client, number: int) -> None:
    await client.expect(b"NO\0OP\r\n" * 10, "500 5.5.2 ", 10)
    await client.expect(b"NOOP\r\n", "250 ")


async def sends_noise(client: Client, number: int) -> None:
    await client.say(b"XYZZY\r\n" * 1000)
    replies = await client.replies(20)
    assert all(reply.startswith("500 5.5.1 ") for reply in replies[:-1])
    assert replies[-1].startswith("421 4.7.0 ")
    assert await client.ended()


async def sends_recipients(client: Client, number: int, count: int = MORE_RECIPIENTS) -> None:
    await client.envelope()
    names = b"".join(b"RCPT TO:<bob+%d@here.test>\r\n" % each for each in range(count - 1))
    saying = asyncio.ensure_future(client.say(names))
    replies = await client.replies(count - 1)
    await saying
    assert [reply[:9] for reply in replies] == ["250 2.1.5"] * 999 + ["452 4.5.3"] * (count - 1000)


async def guesses_recipients(client: Client, number: int) -> None:
    await client.envelope()
    await client.say(b"".join(b"RCPT TO:<nobody%d@here.test>\r\n" % each for each in range(100)))
    replies = await client.replies(50)
    assert all(reply.startswith("550 5.1.1 ") for reply in replies[:-1])
    assert replies[-1].startswith("421 4.7.0 ")
    assert await client.ended()


async def stops_in_its_body(client: Client, number: int) -> None:
    await client.envelope()
    await client.expect(b"DATA\r\n", "354 ")
    await client.say(b"Subject: never ends\r\n\r\n" + b"a line of it\r\n" * 14_000)


KINDS: tuple[Callable[[Client, int], Awaitable[None]], ...] = (
    sends_a_line_without_end,
    sends_long_lines,
    ends_lines_by_lf,
    sends_lf_in_its_body,
    sends_nul,
    sends_noise,
    guesses_recipients,
    sends_recipients,
    stops_in_its_body,
)


@asynccontextmanager
async def never_reading(port: int) -> AsyncIterator[None]:
    """A hundred that talk and do not listen, until the server listens to none of them any more."""
    loop = asyncio.get_running_loop()
    sockets = [quiet_socket(port) for _ in range(CLIENTS)]
    words = b"HELP\r\n" * 5000
    try:

        async def talk(one: socket.socket) -> None:
            for _ in range(1000):
                try:
                    async with asyncio.timeout(STALLED):
                        await loop.sock_sendall(one, words)
                except TimeoutError:
                    return
            raise AssertionError("30 MB were read from a client that reads nothing")

        await asyncio.gather(*map(talk, sockets))
        yield
    finally:
        for one in sockets:
            one.close()


def quiet_socket(port: int) -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(("127.0.0.1", port))
    one.setblocking(False)
    return one


# --- the server ---


class Neighbour:
    """Somebody decent, who sends mail in the meantime."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.sent = 0

    async def send(self) -> None:
        async with asyncio.timeout(PATIENCE):
            client = await Client.connect(self._port)
            await client.envelope()
            await client.expect(b"DATA\r\n", "354 ")
            await client.expect(b"Subject: decent\r\n\r\nHello\0there\r\n.\r\n", "250 2.0.0 ")
            await client.expect(b"QUIT\r\n", "221 ")
            client.close()
        self.sent += 1


@pytest.fixture
def server(tmp_path: Path):
    server = ServerProcess(tmp_path, ("mx",), extra=LIMITS)
    server.run("domain", "add", "here.test")
    server.run("account", "add", BOB, "--password-stdin", text="secret\n")
    server.start()
    yield server
    server.stop()


def memory(server: ServerProcess) -> int:
    """Octets of the process that it shares with nobody, and its part of the others."""
    assert server.process
    for line in Path(f"/proc/{server.process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no Pss")


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="needs Linux to measure memory")
async def test_a_hundred_hostile_clients(server: ServerProcess) -> None:
    port = server.port("mx")
    neighbour = Neighbour(port)
    await neighbour.send()
    start = memory(server)
    grown: dict[str, int] = {}
    one = await Client.connect(port)
    await sends_recipients(one, 0, MOST_RECIPIENTS)
    one.close()
    for name, harm in [(kind.__name__, crowd(port, kind)) for kind in KINDS] + [("never_reads", never_reading(port))]:
        before = memory(server)
        async with harm:
            await neighbour.send()
            grown[name] = memory(server) - before
    await neighbour.send()
    kept = memory(server) - start
    print({name: f"{size // 1024} KiB" for name, size in grown.items()}, f"in the end {kept // 1024} KiB")
    assert max(grown.values()) < MAX_GROWTH, grown
    assert kept < MAX_GROWTH, "what they have left behind"

    accepted = server.run("message", "list", "--json", "--limit", "1000")
    assert accepted.count('"subject": "decent"') == neighbour.sent
    assert '"subject": "smuggled"' not in accepted
    assert '"subject": "never ends"' not in accepted


@asynccontextmanager
async def crowd(port: int, kind: Callable[[Client, int], Awaitable[None]]) -> AsyncIterator[None]:
    """A hundred of a kind, all at their worst at once."""
    clients = [await Client.connect(port) for _ in range(CLIENTS)]
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(kind(client, number) for number, client in enumerate(clients)))
        yield
    finally:
        for client in clients:
            client.close()
