"""A whole server behind a balancer: clients are who the PROXY header says, on every listener of mail."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

from postroad.lab.world import World
from postroad.testing.network import authority, write_certificate
from postroad.testing.server import HOSTNAME, running_node
from postroad.testing.site import ALICE, PASSWORD, Site

HEADER = b"PROXY TCP4 192.0.2.7 203.0.113.1 56224 25\r\n"
SSL_TLV = b"\x20\x00\x0f\x01\0\0\0\0\x21\x00\x07TLSv1.3"
ENDED_TLS = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x1e" + bytes((192, 0, 2, 7, 203, 0, 113, 1)) + b"\xdb\xa0\x00\x19" + SSL_TLV
)
LIMITS = '[limits]\nmin_free = 1048576\nproxies = ["127.0.0.0/8"]\n[front_door]\nrdns = "off"\n'
LOGIN = base64.b64encode(f"\0{ALICE}\0{PASSWORD}".encode()).decode()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, *lines: str, until: str) -> str:
        """Write these lines; what comes until a line begins so."""
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())
        said = ""
        while True:
            line = (await self.reader.readline()).decode()
            assert line, said
            said += line
            if line.startswith(until):
                return said


@asynccontextmanager
async def behind(folder: Path) -> AsyncIterator[Site]:
    certificate, key = write_certificate(folder, HOSTNAME)
    services = ("mx", "submission", "imap", "pop3", "metrics")
    async with running_node(folder / "node", services, certificate=certificate, key=key, extra=LIMITS) as node:
        site = Site(node, cast(World, None))
        await site.tenants.add_domain("here.test")
        await site.tenants.add_account(ALICE, PASSWORD)
        yield site


async def connect(site: Site, service: str, header: bytes) -> Client:
    endpoint = site.node.endpoints[service][0]
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    writer.write(header)
    return Client(reader, writer)


async def test_mail_comes_from_the_client_and_starttls_works(tmp_path: Path) -> None:
    async with behind(tmp_path) as site:
        client = await connect(site, "mx", HEADER)
        await client.say(until="220 ")
        await client.say("EHLO client.test", until="250 ")
        await client.say("STARTTLS", until="220 ")
        context = ssl.create_default_context()
        authority().configure_trust(context)
        await client.writer.start_tls(context, server_hostname=HOSTNAME)
        await client.say("EHLO client.test", f"MAIL FROM:<a@client.test>\r\nRCPT TO:<{ALICE}>\r\nDATA", until="354 ")
        await client.say("Subject: x", "", ".", until="250 2.0.0")
        client.writer.close()
        origin = (await site.messages())[0].origin
        assert (origin.client, origin.client_port, origin.protocol) == ("192.0.2.7", 56224, "ESMTPS")
        assert b"[192.0.2.7]" in (await site.raw_inbox())[0]


async def test_tls_that_the_balancer_has_ended_lets_people_log_in(tmp_path: Path) -> None:
    async with behind(tmp_path) as site:
        client = await connect(site, "submission", ENDED_TLS)
        await client.say(until="220 ")
        said = await client.say("EHLO client.test", until="250 ")
        assert "AUTH" in said
        assert "STARTTLS" not in said
        await client.say(f"AUTH PLAIN {LOGIN}", until="235 ")
        client.writer.close()

        client = await connect(site, "submission", HEADER)
        await client.say(until="220 ")
        assert "AUTH" not in await client.say("EHLO client.test", until="250 ")
        client.writer.close()


async def test_mailboxes_are_read_behind_it(tmp_path: Path) -> None:
    async with behind(tmp_path) as site:
        client = await connect(site, "imap", ENDED_TLS)
        await client.say(until="* OK")
        await client.say(f'a LOGIN {ALICE} "{PASSWORD}"', "b SELECT INBOX", until="b OK")
        client.writer.close()
        client = await connect(site, "pop3", ENDED_TLS)
        await client.say(until="+OK")
        await client.say(f"USER {ALICE}", until="+OK")
        await client.say(f"PASS {PASSWORD}", until="+OK")
        client.writer.close()


async def test_without_a_header_nothing_is_said(tmp_path: Path) -> None:
    async with behind(tmp_path) as site:
        for service in ("mx", "submission", "imap", "pop3"):
            client = await connect(site, service, b"NOOP\r\n")
            with suppress(ConnectionResetError):
                assert await client.reader.read() == b""
            client.writer.close()
