"""Clients as they come to a mail server from all the world, good ones and bad ones, to try a front door with.

Each comes from an address of its own in 127.0.1.0/24, whose names, lists and look-ups the laboratory's DNS has. For a
server to take them for strangers, `[limits] exempt` must not spare them. `postroad lab visit KIND` sends one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from postroad.lab.dns import LabDns
from postroad.ports.net import Endpoint

PATIENCE = 30.0  # seconds for one reply
BAD_LIST, GOOD_LIST, MAD_LIST, PARKED_LIST, SHUT_LIST, GONE_LIST = (
    f"{name}.lab.test" for name in ("bl", "wl", "mad", "parked", "shut", "gone")
)


@dataclass(slots=True)
class Talk:
    """One connection of a visitor. `lines` is what both sides said."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    helo: str
    recipient: str
    lines: list[str] = field(default_factory=list)

    def say(self, *commands: str) -> None:
        """Without waiting for anything."""
        self.lines += [f"C: {command}" for command in commands]
        self.writer.write("".join(f"{command}\r\n" for command in commands).encode())

    async def hear(self) -> str:
        """The last line of one reply; "" when the server has hung up."""
        while True:
            async with asyncio.timeout(PATIENCE):
                line = (await self.reader.readline()).decode("utf-8", "replace").rstrip("\r\n")
            if line:
                self.lines.append(f"S: {line}")
            if line[3:4] != "-":
                return line

    async def ask(self, command: str) -> str:
        self.say(command)
        return await self.hear()

    @property
    def letter(self) -> tuple[str, ...]:
        return ("Subject: from the laboratory", "", f"I am {self.helo}.", ".")


Script = Callable[[Talk], Awaitable[None]]


async def politely(talk: Talk) -> None:
    """One message, each reply waited for."""
    await talk.hear()
    if not (await talk.ask(f"EHLO {talk.helo}")).startswith("250"):
        return
    await talk.ask(f"MAIL FROM:<someone@{talk.helo.strip('[]')}>")
    if (await talk.ask(f"RCPT TO:<{talk.recipient}>")).startswith("250"):
        await talk.ask("DATA")
        talk.say(*talk.letter)
        await talk.hear()
    await talk.ask("QUIT")


async def as_the_server(talk: Talk) -> None:
    """It says that it is whom it talks to."""
    banner = await talk.hear()
    talk.helo = banner.split()[1] if len(banner.split()) > 1 else talk.helo
    await talk.ask(f"EHLO {talk.helo}")
    await talk.ask("MAIL FROM:<>")
    await talk.ask(f"RCPT TO:<{talk.recipient}>")
    await talk.ask("QUIT")


async def hastily(talk: Talk) -> None:
    """It says all that it has to say before it has heard a word."""
    talk.say(f"HELO {talk.helo}", f"MAIL FROM:<someone@{talk.helo}>", f"RCPT TO:<{talk.recipient}>", "DATA")
    talk.say(*talk.letter, "QUIT")
    while await talk.hear():
        pass


async def guessing(talk: Talk) -> None:
    """It tries names until it is told to stop."""
    await talk.hear()
    await talk.ask(f"EHLO {talk.helo}")
    await talk.ask(f"MAIL FROM:<someone@{talk.helo}>")
    domain = talk.recipient.rpartition("@")[2]
    for number in range(200):
        reply = await talk.ask(f"RCPT TO:<name{number}@{domain}>")
        if not reply.startswith("550"):
            break


@dataclass(frozen=True, slots=True)
class Visitor:
    """One kind of client: where it comes from, its name in HELO and in DNS, what it does."""

    address: str
    helo: str
    does: str
    script: Script = politely
    ptr: str = ""  # its name in reverse DNS; empty: it has none
    listed: str = ""  # the list that has it


VISITORS: dict[str, Visitor] = {
    "good": Visitor("127.0.1.1", "mail.good.test", "a mail server as it should be", ptr="mail.good.test"),
    "nameless": Visitor("127.0.1.2", "mail.nameless.test", "its address has no name"),
    "liar": Visitor("127.0.1.3", "mail.liar.test", "its address has a name that is another's", ptr="mail.good.test"),
    "impostor": Visitor("127.0.1.4", "mail.impostor.test", "says that it is your server", as_the_server,
                        ptr="mail.impostor.test"),
    "homely": Visitor("127.0.1.5", "localhost", "has no name to say", ptr="home.test"),
    "listed": Visitor("127.0.1.6", "mail.listed.test", "a list has it", ptr="mail.listed.test", listed=BAD_LIST),
    "trusted": Visitor("127.0.1.7", "mail.trusted.test", "a list of good ones has it", ptr="mail.trusted.test",
                       listed=GOOD_LIST),
    "hasty": Visitor("127.0.1.8", "mail.hasty.test", "talks before it is its turn", hastily, ptr="mail.hasty.test"),
    "prober": Visitor("127.0.1.9", "mail.prober.test", "tries names", guessing, ptr="mail.prober.test"),
}  # fmt: skip


def furnish(dns: LabDns) -> None:
    """Names and lists of the visitors. `test` and `127.in-addr.arpa` have to be there."""
    lists: dict[str, dict[str, str]] = {BAD_LIST: {}, GOOD_LIST: {}}
    for visitor in VISITORS.values():
        if visitor.ptr:
            dns.put(".".join(reversed(visitor.address.split("."))) + ".in-addr.arpa", "PTR", f"{visitor.ptr}.")
        if visitor.ptr and visitor.address != VISITORS["liar"].address:
            dns.put(visitor.ptr, "A", visitor.address)
        if visitor.listed:
            lists[visitor.listed][visitor.address] = "127.0.0.2"
    for zone, listed in lists.items():
        dns.add_list(zone, listed)
    dns.add_list(MAD_LIST, {}, everybody="127.0.0.2")
    dns.add_list(PARKED_LIST, everybody="203.0.113.80")
    dns.add_list(SHUT_LIST, everybody="127.255.255.254")
    dns.add_list(GONE_LIST)


async def visit(kind: str, server: Endpoint, recipient: str) -> list[str]:
    """Send one visitor; what both sides said. Raises OSError, TimeoutError."""
    visitor = VISITORS[kind]
    reader, writer = await asyncio.open_connection(server.host, server.port, local_addr=(visitor.address, 0))
    talk = Talk(reader, writer, visitor.helo, recipient)
    try:
        await visitor.script(talk)
    except ConnectionError:
        talk.lines.append("S: (hangs up)")
    finally:
        writer.close()
    return talk.lines
