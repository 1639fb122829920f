"""Who may send as whom, by the rows of a real store."""

from __future__ import annotations

import pytest

from postroad.accounts import accounts, aliases, domains
from postroad.accounts.ownership import Grants, OwnAddresses, owns
from postroad.accounts.passwords import Secret
from postroad.adapters.signals.local import LocalSignals
from postroad.mail.address import Address
from postroad.ports.store import Refused, Store
from postroad.testing.clock import JumpingClock

ALICE, BOB = "alice@example.com", "bob@example.com"


class Ids:
    def __init__(self) -> None:
        self.last = 1 << 30

    def new(self) -> int:
        self.last += 1
        return self.last


@pytest.fixture
async def tenants(store: Store, clock: JumpingClock) -> Ids:
    ids, now = Ids(), clock.now()

    def write(tx):  # type: ignore[no-untyped-def]
        domains.add_local(tx, "example.com", now=now, ids=ids)
        domains.add_alias(tx, "example.org", "example.com", now=now, ids=ids)
        domains.add_relay(tx, "relay.test", "192.0.2.1", now=now, ids=ids)
        for address in (ALICE, BOB, "alice+private@example.com"):
            accounts.add(tx, address, Secret("", b""), now=now, ids=ids)
        for alias, targets in {
            "sales@example.com": [ALICE],
            "info@example.com": ["sales@example.com", "Alice@example.org"],
            "team@example.com": [ALICE, BOB],
            "away@example.com": [ALICE, "alice@far.test"],
            "round@example.com": ["round2@example.com"],
            "round2@example.com": ["round@example.com", ALICE],
            "empty@example.com": ["empty2@example.com"],
            "empty2@example.com": ["empty@example.com"],
            "*@example.com": [ALICE],
        }.items():
            aliases.add(tx, alias, targets, now=now)

    await store.write(write)
    return ids


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("Alice@Example.com", True),
        ("alice+lists@example.com", True),
        ("alice@example.org", True),
        ("sales@example.com", True),
        ("Sales+x@example.org", True),
        ("info@example.com", True),
        ("round@example.com", True),
        ("postmaster@example.com", True),  # hers as the administrator
        ("bob@example.com", False),
        ("alice+private@example.com", False),  # somebody else's mailbox
        ("team@example.com", False),  # not hers alone
        ("away@example.com", False),
        ("empty@example.com", False),
        ("anything@example.com", False),  # the catch-all alone leads to her
        ("alice@relay.test", False),
        ("alice@far.test", False),
    ],
)
async def test_the_rule(store: Store, tenants: Ids, address: str, own: bool) -> None:
    found = await store.read(lambda tx: owns(tx, accounts.get(tx, ALICE).id, Address.parse(address), "+"))
    assert found is own


async def test_grants_reach_further_and_end_with_the_account(store: Store, clock: JumpingClock, tenants: Ids) -> None:
    grants = Grants(store, clock, tenants, LocalSignals())
    assert await grants.allow(ALICE, "*@Example.com") == "*@example.com"
    assert await grants.allow(ALICE, "Alice@far.test") == "alice@far.test"
    with pytest.raises(Refused, match="already"):
        await grants.allow(ALICE, "*@example.com")
    with pytest.raises(Refused, match="not a domain"):
        await grants.allow(ALICE, "*@far.test")
    assert await grants.list(ALICE) == ["*@example.com", "alice@far.test"]

    async def may(address: str) -> bool:
        return await store.read(lambda tx: owns(tx, accounts.get(tx, ALICE).id, Address.parse(address), "+"))

    assert [await may(text) for text in ("x@example.com", "x@example.org", "alice@far.test")] == [True] * 3
    assert not await may("bob@far.test")
    await grants.withdraw(ALICE, "*@example.com")
    assert not await may("x@example.com")
    with pytest.raises(Refused, match="was not granted"):
        await grants.withdraw(ALICE, "*@example.com")
    actions = [row.action for row in await store.read(lambda tx: tx.audit.page(None, 10, ""))]
    assert actions == ["send-as withdrawn", "send-as allowed", "send-as allowed"]


async def test_what_is_known_holds_until_tenants_change(store: Store, clock: JumpingClock, tenants: Ids) -> None:
    signals = LocalSignals()
    own, grants = OwnAddresses(store, signals, "+"), Grants(store, clock, tenants, signals)
    alice = await store.read(lambda tx: accounts.get(tx, ALICE))
    assert own.owns(alice, Address.parse("ALICE@example.com")) is True
    asked = own.owns(alice, Address.parse("alice@far.test"))
    assert not isinstance(asked, bool)
    assert await asked is False
    assert own.owns(alice, Address.parse("alice@far.test")) is False
    await grants.allow(ALICE, "alice@far.test")
    asked = own.owns(alice, Address.parse("alice@far.test"))
    assert not isinstance(asked, bool)
    assert await asked is True
    assert own.owns(alice, Address.parse("alice@far.test")) is True


async def test_grants_end_with_the_account(store: Store, clock: JumpingClock, tenants: Ids) -> None:
    await Grants(store, clock, tenants, LocalSignals()).allow("alice+private@example.com", "x@far.test")
    record = await store.read(lambda tx: accounts.get(tx, "alice+private@example.com"))
    await store.write(lambda tx: accounts.remove(tx, record.address))
    assert await store.read(lambda tx: tx.senders.send_as(record.id)) == []
