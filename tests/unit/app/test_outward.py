"""What `postroad check` tells of the way out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from postroad.app import outward
from postroad.config.schema import DeliverySettings, PoolSettings, Settings
from postroad.ports.dns import DnsAnswer, DnsOutcome, MxRecord

GOOD, BAD = "8.8.4.4", "8.8.8.8"


class Zone:
    """One MX host at 127.0.0.1, two addresses of ours, and an SPF record."""

    async def mx(self, name):
        found = (MxRecord(10, "mx.big.test"),) if name == "big.test" else ()
        return DnsAnswer(DnsOutcome.FOUND if found else DnsOutcome.NXDOMAIN, mx=found)

    async def addresses(self, name, family=0):
        found = {"mx.big.test": "127.0.0.1", "mail.example.com": GOOD}.get(name)
        return DnsAnswer(DnsOutcome.FOUND, (found,)) if found else DnsAnswer(DnsOutcome.NXDOMAIN)

    async def ptr(self, address):
        return DnsAnswer(DnsOutcome.FOUND, ("mail.example.com",)) if address == GOOD else DnsAnswer(DnsOutcome.NXDOMAIN)

    async def txt(self, name):
        return DnsAnswer(DnsOutcome.FOUND, ("v=spf1 a -all",)) if name == "mail.example.com" else DnsAnswer(
            DnsOutcome.NXDOMAIN
        )  # fmt: skip


async def look(port, *, pool=(), **delivery):
    settings = Settings(
        hostname="mail.example.com",
        data_dir=Path("/nowhere"),
        delivery=DeliverySettings(**{"port": port, "check_at": ("big.test",), "source_address": GOOD} | delivery),
        pool=pool,
    )
    return [finding async for finding in outward.look_outward(settings, Zone())]


@pytest.fixture
async def port():
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_all_is_well(port):
    assert [good for good, *_ in await look(port)] == [True, True, True]


async def test_a_closed_port_offers_the_smarthost(port, monkeypatch):
    async def closed(address, number):
        return False

    monkeypatch.setattr(outward, "_reaches", closed)
    good, area, text, change = (await look(port))[0]
    assert (good, area) == (False, "outward")
    assert "closed" in text
    assert "[delivery] smarthost" in change


@pytest.mark.parametrize("delivery", [{"smarthost": "smtp://relay.test"}, {"check_at": ()}])
async def test_nobody_is_dialled_where_that_is_not_wanted(port, delivery):
    assert "outward" not in {area for _, area, *_ in await look(port, **delivery)}


async def test_nothing_is_claimed_when_the_domains_are_unknown(port):
    assert (await look(port, check_at=("gone.test",)))[0][0] is None


async def test_an_address_without_a_name_is_a_problem_and_says_what_to_do(port):
    pool = (PoolSettings("bulk", (BAD,), helo="bulk.example.com"),)
    findings = await look(port, pool=pool)
    (wrong,) = [finding for finding in findings if finding[0] is False]
    assert BAD in wrong[2]
    assert f"PTR record of {BAD} to bulk.example.com" in wrong[3]
    assert any("bulk.example.com" in text and "SPF" in text for good, _, text, _ in findings if good is None)
