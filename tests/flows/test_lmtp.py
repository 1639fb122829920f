"""LMTP into a whole server, by TCP and by a Unix socket: one answer for each recipient (RFC 2033)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

from postroad.lab.world import World
from postroad.testing.server import running_node
from postroad.testing.site import ALICE, BOB, PASSWORD, Site

LIMITS = "[limits]\nmin_free = 1048576\n"


async def say(writer: asyncio.StreamWriter, reader: asyncio.StreamReader, *lines: str, answers: int) -> list[str]:
    """Write these lines; the last lines of so many answers."""
    writer.write("".join(f"{line}\r\n" for line in lines).encode())
    said: list[str] = []
    while len(said) < answers:
        line = (await reader.readline()).decode().rstrip("\r\n")
        assert line, said
        if line[3:4] != "-":
            said.append(line)
    return said


async def furnished(node: Any) -> Site:
    site = Site(node, cast(World, None))
    await site.tenants.add_domain("here.test")
    await site.tenants.add_account(ALICE, PASSWORD)
    await site.tenants.add_account(BOB, PASSWORD)
    return site


async def test_each_recipient_has_its_own_answer(tmp_path: Path) -> None:
    async with running_node(tmp_path, ("lmtp", "metrics"), extra=LIMITS) as node:
        site = await furnished(node)
        await site.tenants.set_quota(BOB, 1000)
        endpoint = node.endpoints["lmtp"][0]
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        assert (await say(writer, reader, answers=1))[0].endswith("LMTP ready")
        recipients = (ALICE, "nobody@here.test", BOB, "Alice@here.test", "someone@elsewhere.test", BOB)
        asked = [f"RCPT TO:<{recipient}>" for recipient in recipients]
        said = await say(writer, reader, "LHLO lists.test", "MAIL FROM:<ann@far.test>", *asked, "DATA", answers=9)
        assert [line[:9] for line in said[2:8]] == [
            "250 2.1.5", "550 5.1.1", "250 2.1.5", "250 2.1.5", "550 5.7.1", "250 2.1.5",
        ]  # fmt: skip
        said = await say(writer, reader, "Subject: large", "", "x" * 900, "y" * 90, ".", answers=4)
        assert [line[:9] for line in said] == ["250 2.0.0", "452 4.2.2", "250 2.0.0", "452 4.2.2"]

        # A small one finds room everywhere; in chunks the answers come to the last of them.
        said = await say(writer, reader, "MAIL FROM:<ann@far.test>", asked[0], asked[2], "BDAT 14", answers=3)
        writer.write(b"Subject: small")
        assert await say(writer, reader, answers=1) == ["250 2.0.0 14 octets received"]
        said = await say(writer, reader, "BDAT 4 LAST", "", "", answers=2)
        assert [line[:9] for line in said] == ["250 2.0.0", "250 2.0.0"]

        # Nobody has room: nothing is kept.
        said = await say(writer, reader, "MAIL FROM:<ann@far.test>", asked[2], "DATA", answers=3)
        said = await say(writer, reader, "x" * 990, "y" * 90, ".", answers=1)
        assert said[0].startswith("452 4.2.2")
        assert (await say(writer, reader, "QUIT", answers=1))[0].startswith("221")
        writer.close()

        assert [mail["Subject"] for mail in await site.inbox(ALICE)] == ["large", "small"]
        assert [mail["Subject"] for mail in await site.inbox(BOB)] == ["small"]
        first, second = await site.messages()
        assert first.origin.service == second.origin.service == "lmtp"
        assert b"with LMTP" in (await site.raw_inbox(BOB))[0]
        refused = {(row.recipient, row.stage, row.enhanced) for row in await site.refusals(5)}
        assert (BOB, "message", "4.2.2") in {(to, stage, str(code)) for to, stage, code in refused}


async def test_a_unix_socket_takes_mail_and_is_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "lmtp"
    listen = f'[[listen]]\nservice = "lmtp"\naddress = "unix:{path}"\n'
    async with running_node(tmp_path / "node", ("metrics",), extra=listen + LIMITS) as node:
        site = await furnished(node)
        assert path.stat().st_mode & 0o777 == 0o666  # who may reach it is said by its folder
        reader, writer = await asyncio.open_unix_connection(path)
        lines = ("LHLO lists.test", "MAIL FROM:<>", f"RCPT TO:<{ALICE}>", "DATA")
        assert (await say(writer, reader, *lines, answers=5))[-1].startswith("354")
        assert (await say(writer, reader, "Subject: local", "", ".", answers=1))[0].startswith("250 2.0.0")
        writer.close()
        assert [mail["Subject"] for mail in await site.inbox(ALICE)] == ["local"]
        assert (await site.messages())[0].origin.client == ""
    assert not path.exists()
