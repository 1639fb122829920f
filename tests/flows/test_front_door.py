"""The front door of a whole server: the laboratory's clients knock at it, its DNS and its lists say who they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from postroad.adapters.clock import SystemClock
from postroad.lab.visitors import BAD_LIST, GONE_LIST, GOOD_LIST, MAD_LIST, PARKED_LIST, SHUT_LIST, VISITORS, visit
from postroad.ports.store import Refusal
from postroad.reports.story import FRONT_DOOR
from postroad.testing.site import BOB, Sections, Site, node_in, running_site, running_world, until

LISTS: list[dict[str, object]] = [
    {"zone": BAD_LIST, "weight": 10, "help": "https://bl.lab.test/?{client}"},
    {"zone": GOOD_LIST, "weight": -3},
    *({"zone": zone, "weight": 20, "codes": ["127.*.*.*"]} for zone in (MAD_LIST, PARKED_LIST, SHUT_LIST, GONE_LIST)),
]


def sections(*, lists: bool = False, **front_door: object) -> Sections:
    made: dict[str, object] = {"limits": {"min_free": 1 << 20, "exempt": ["127.0.0.1/32"]}, "front_door": front_door}
    if lists:
        made["dns_list"] = LISTS
    return made  # type: ignore[return-value]


@asynccontextmanager
async def door(folder: Path, *, lists: bool = False, **front_door: object) -> AsyncIterator[Site]:
    async with running_site(folder, sections(lists=lists, **front_door)) as site:
        if lists:  # those that are sane are in use once they have been tested
            good = [zone for zone in site.node.door.zones if zone.name in (BAD_LIST, GOOD_LIST)]

            async def tested() -> bool:
                return all(zone.is_on for zone in good)

            await until(tested, bool)
        yield site


async def knock(site: Site, kind: str, recipient: str = BOB) -> list[str]:
    """What the server said, line by line."""
    lines = await visit(kind, site.node.endpoints["mx"][0], recipient)
    return [line.removeprefix("S: ") for line in lines if line.startswith("S: ")]


def answered(said: list[str], beginning: str) -> str:
    """The one line that begins so."""
    (found,) = (line for line in said if line.startswith(beginning))
    return found


async def refusal(site: Site, stage: str = "rcpt") -> Refusal:
    """The one that was refused there."""

    async def rows() -> list[Refusal]:
        return [row for row in await site.refusals(1) if row.stage == stage]

    return (await until(rows, bool))[0]


async def noted(site: Site) -> str:
    """What the front door said of the newest message, as its story tells it."""
    story = await site.story((await site.messages())[-1].id)
    (line,) = (line for line in story.lines() if line.kind == FRONT_DOOR)
    return line.text


# kind: what is kept of it with the settings as they are
TAKEN = {
    "good": "front door: rdns: mail.good.test; helo: mail.good.test",
    "nameless": "front door: rdns: 127.0.1.2 has no name (+2); helo: mail.nameless.test",
    "liar": "front door: rdns: mail.good.test does not lead back to 127.0.1.3 (+2); helo: mail.liar.test",
    "homely": "front door: rdns: home.test; helo: localhost is no name of a host (+2)",
    "listed": "front door: rdns: mail.listed.test; helo: mail.listed.test",
    "hasty": "front door: rdns: mail.hasty.test; helo: mail.hasty.test;"
    " early: it talked before the answer to its greeting (+3)",
}


async def test_with_the_defaults_strangers_are_looked_at_and_let_in(tmp_path: Path) -> None:
    async with door(tmp_path) as site:
        for kind, words in TAKEN.items():
            said = await knock(site, kind)
            assert any(line.startswith("250 2.0.0 queued as") for line in said), (kind, said)
            assert await noted(site) == words
        assert len(await site.inbox(BOB)) == len(TAKEN)
        newest = (await site.messages())[-1]
        assert TAKEN["hasty"] in await site.run("message", "trace")
        told = await site.run_json("message", "trace")
        assert told["events"][0]["detail"]["verdicts"][0] == ["rdns", "pass", 0.0, "mail.hasty.test"]
        assert newest.origin.client == VISITORS["hasty"].address


async def test_who_says_that_it_is_this_server_is_refused_and_may_write_to_postmaster(tmp_path: Path) -> None:
    async with door(tmp_path) as site:
        said = await knock(site, "impostor")
        line = answered(said, "550 5.7.1 you are not this server")
        reference = line.rpartition(" ")[2]
        row = await refusal(site)
        assert (row.connection, row.stage, row.recipient, row.helo) == (reference, "rcpt", BOB, "mail.example.test")
        assert "helo: mail.example.test is our own name (refuse)" in row.cause
        listed = await site.run("message", "list", "--refused", "--address", reference)
        assert "is our own name" in listed
        assert any(line.startswith("250 2.1.5") for line in await knock(site, "impostor", "postmaster@here.test"))
        assert any(line.startswith("250 2.1.5") for line in await knock(site, "impostor", "abuse@here.test"))


async def test_lists_are_weighed_and_mad_ones_switched_off(tmp_path: Path) -> None:
    async with door(tmp_path, lists=True) as site:
        line = answered(await knock(site, "listed"), "550 5.7.1 ")
        assert line.startswith(
            "550 5.7.1 127.0.1.6 is listed by bl.lab.test: see https://bl.lab.test/?127.0.1.6; if this is wrong, write"
            " to postmaster@here.test with reference "
        )
        assert (await refusal(site)).cause.startswith("10 of 10: ")
        await knock(site, "trusted")
        assert "127.0.1.7 is listed by wl.lab.test (127.0.0.2) (-3)" in await noted(site)
        assert any(line.startswith("250 2.0.0") for line in await knock(site, "good")), "no mad list refuses it"

        async def states() -> dict[str, str]:
            return {zone.name: zone.why_off for zone in site.node.door.zones}

        found = await until(states, lambda all_: "not tested yet" not in all_.values())
        assert found[BAD_LIST] == found[GOOD_LIST] == ""
        assert "lists 127.0.0.1" in found[MAD_LIST]
        assert "lists 127.0.0.1" in found[PARKED_LIST]
        assert "does not serve our resolver" in found[SHUT_LIST]
        assert "does not list its test point" in found[GONE_LIST]
        gauges = {gauge.labels["zone"]: gauge.value for gauge in await site.node.gauges() if gauge.labels.get("zone")}
        assert gauges == {zone: float(not why) for zone, why in found.items()}
        checked = await site.run("check", code=1)
        assert "mad.lab.test" in checked
        assert "bl.lab.test is sane" in checked


async def test_who_talks_before_the_banner(tmp_path: Path) -> None:
    async with door(tmp_path, banner_wait=0.1, early="refuse") as site:
        answered(await knock(site, "hasty"), "550 5.5.1 you talk before it is your turn")
        assert "early: it talked before the banner (refuse)" in (await refusal(site)).cause
        assert any(line.startswith("250 2.0.0") for line in await knock(site, "good"))


ENVELOPE = b"MAIL FROM:<a@far.test>\r\nRCPT TO:<bob@here.test>\r\n"
LETTER = b"Subject: x\r\n\r\nhello\r\n.\r\n"
# what is said at once, group by group, with the replies to each; and what was noted
GROUPS = {
    "as PIPELINING allows": ([(b"EHLO c.test\r\n", 1), (ENVELOPE + b"DATA\r\n", 3), (LETTER, 1)], ""),
    "one by one": (
        [(b"HELO c.test\r\n", 1), *((line, 1) for line in ENVELOPE.splitlines(True)), (b"DATA\r\n", 1), (LETTER, 1)],
        "",
    ),
    "BDAT": ([(b"EHLO c.test\r\n", 1), (ENVELOPE + b"BDAT 21 LAST\r\nSubject: x\r\n\r\nhello\r\n", 3)], ""),
    "behind DATA": ([(b"EHLO c.test\r\n", 1), (ENVELOPE + b"DATA\r\n" + LETTER, 4)], "the answer to DATA"),
    "behind EHLO": (
        [(b"EHLO c.test\r\n" + ENVELOPE, 3), (b"DATA\r\n", 1), (LETTER, 1)], "the answer to its greeting",
    ),
    "without PIPELINING": (
        [(b"HELO c.test\r\n", 1), (ENVELOPE + b"DATA\r\n", 3), (LETTER, 1)],
        "a reply, having heard of no PIPELINING",
    ),
}  # fmt: skip


async def test_who_may_talk_when(tmp_path: Path) -> None:
    async with door(tmp_path) as site:
        for name, (groups, early) in GROUPS.items():
            await say(site, groups)
            words = await noted(site)
            assert ("early: " in words) == bool(early), (name, words)
            assert early in words, (name, words)


async def say(site: Site, groups: list[tuple[bytes, int]]) -> None:
    """Group after group, the replies to each awaited; the last one has to be the message's 250."""
    endpoint = site.node.endpoints["mx"][0]
    address = VISITORS["good"].address
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, local_addr=(address, 0))
    reply = await reader.readline()
    for words, replies in groups:
        writer.write(words)
        for _ in range(replies):
            while (reply := await reader.readline())[3:4] == b"-":
                pass
    assert reply.startswith(b"250 2.0.0"), reply
    writer.close()


async def test_who_tries_names_is_put_off(tmp_path: Path) -> None:
    async with door(tmp_path, unknown_per_hour=20) as site:
        said = await knock(site, "prober")
        assert sum(line.startswith("550 5.1.1") for line in said) == 20
        answered(said, "451 4.7.1 too many unknown recipients")
        assert any(line.startswith("451 4.7.1") for line in await knock(site, "prober")), "over all its connections"
        assert any(line.startswith("250 2.0.0") for line in await knock(site, "good"))


async def test_too_many_connections_are_turned_away_in_place_of_the_banner(tmp_path: Path) -> None:
    async with door(tmp_path, connections_per_minute=3) as site:
        for _ in range(3):
            assert (await knock(site, "good"))[0].startswith("220 ")
        assert (await knock(site, "good")) == [
            "421 4.7.0 too many connections from your address, try again in a minute"
        ]
        row = await refusal(site, "connect")
        assert row.client == VISITORS["good"].address
        assert (await knock(site, "nameless"))[0].startswith("220 ")
        for _ in range(5):
            await site.receive(BOB)  # exempt


async def test_too_many_messages_are_put_off(tmp_path: Path) -> None:
    async with door(tmp_path, messages_per_minute=2) as site:
        for _ in range(2):
            assert any(line.startswith("250 2.0.0") for line in await knock(site, "good"))
        answered(await knock(site, "good", "postmaster@here.test"), "451 4.7.1 too many messages")


async def test_a_broken_dns_keeps_nobody_out(tmp_path: Path) -> None:
    async with door(tmp_path, rdns="refuse", dns_wait=0.2) as site:
        from postroad.lab.dns import Fault

        site.world.dns.fault("1.1.0.127.in-addr.arpa", Fault.SERVFAIL)
        site.world.dns.fault("5.1.0.127.in-addr.arpa", Fault.SILENCE)
        for kind in ("good", "homely"):
            assert any(line.startswith("250 2.0.0") for line in await knock(site, kind)), kind
        answered(await knock(site, "nameless"), "550 5.7.25 ")


class Later(SystemClock):
    """The clock of a server that has stood still for some minutes."""

    def now(self) -> datetime:
        return super().now() + timedelta(minutes=6)


async def test_strangers_come_again_after_a_restart_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = sections(greylist="all", greylist_learn=1)
    async with running_site(tmp_path, wanted) as site:
        answered(await knock(site, "good"), "450 4.7.1 greylisted: please try again in 300 seconds")
        row = await refusal(site)
        assert row.cause == "greylist: a stranger's first try"
        assert any(line.startswith("250 2.1.5") for line in await knock(site, "good", "postmaster@here.test"))
        await site.receive(BOB)  # exempt
    monkeypatch.setattr("postroad.app.services.SystemClock", Later)
    async with running_world() as world, node_in(world, tmp_path, wanted) as node:
        site = Site(node, world)
        assert any(line.startswith("250 2.0.0") for line in await knock(site, "good"))
        assert "greylist: it came again after 6 minutes" in await noted(site)
        assert any(line.startswith("250 2.0.0") for line in await knock(site, "liar")), "of the same network"
        assert "greylist: 127.0.1.0/24 has come again 1 times" in await noted(site)
