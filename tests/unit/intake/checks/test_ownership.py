"""What From and Sender say, and what becomes of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from postroad.accounts.ownership import OwnAddresses
from postroad.adapters.signals.local import LocalSignals
from postroad.intake.checks.ownership import Ownership, read_authors
from postroad.intake.fields import missing_fields
from postroad.mail.address import Address
from postroad.mail.header import Header
from postroad.mail.status import Status
from postroad.ports.ids import AccountId
from postroad.ports.store import AccountRecord, AliasRecord, DomainKind, DomainRecord, StoreUnavailable
from postroad.testing.tenants import MemoryStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALICE = AccountRecord(AccountId(1), "alice@example.com", NOW)
BOB = AccountRecord(AccountId(2), "bob@example.com", NOW)


class Step:
    def __init__(self, send_as: str = "own") -> None:
        self.store = MemoryStore()
        tx = self.store.tx
        tx.domains.add(DomainRecord(1, "example.com", DomainKind.LOCAL, NOW))
        for account in (ALICE, BOB):
            tx.accounts.add(account)
        tx.aliases.put(AliasRecord("sales@example.com", (ALICE.address,), NOW))
        own = OwnAddresses(self.store, LocalSignals(), "+")
        self.step = Ownership(own, lambda domain: domain == "example.com", send_as)

    async def sender(self, address: str) -> Status | None:
        answer = self.step.sender(ALICE, Address.parse(address) if address else None)
        return answer if answer is None or isinstance(answer, Status) else await answer

    async def author(self, *fields: str) -> Status | None:
        block = header(*fields)
        answer = self.step.author(ALICE, block, block.all(b"from"))
        return answer if answer is None or isinstance(answer, Status) else await answer


def header(*fields: str) -> Header:
    return Header("".join(f"{field}\r\n" for field in fields).encode() + b"\r\n")


@pytest.mark.parametrize(
    "fields",
    [
        ["From: Alice <alice@example.com>"],
        ["From: Alice+x@EXAMPLE.com"],
        ["From: sales@example.com", "Sender: alice@example.com"],
        ["From: bob@example.com, alice@example.com", "Sender: sales@example.com"],  # RFC 5322 §3.6.2
        ["From: Us: alice@example.com;"],
        ["From: alice@example.com", "From: sales@example.com"],
        ["From: =?utf-8?q?bob=40example=2Ecom?= <alice@example.com>"],
    ],
)
async def test_what_is_ones_own(fields: list[str]) -> None:
    assert await Step().author(*fields) is None


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (["From: bob@example.com"], "From: alice@example.com may not send as bob@example.com"),
        (["From: alice@far.test"], "may not send as alice@far.test"),
        (["From: alice@example.com", "Sender: bob@example.com"], "Sender: alice@example.com may not send as bob"),
        (["From: alice@example.com", "From: bob@example.com"], "may not send as bob@example.com"),
        (["From: alice@example.com", "Sender: alice@example.com", "Sender: x@far.test"], "may not send as x@far.test"),
        (["From: bob@example.com, x@far.test", "Sender: alice@example.com"], "may not send as x@far.test"),
        (["From: alice@example.com, bob@example.com"], "add a Sender field"),
        (["From: bob@example.com <alice@example.com>, bob@example.com"], "add a Sender field"),
        (["Subject: x"], "no From field"),
        (["From: nobody"], "From field has an address that cannot be read"),
        (["From: alice@example.com", "Sender: a@b..c"], "Sender field has an address that cannot be read"),
        (["From: " + "a@x.test," * 51], "more authors"),
        (["From: bøb@example.com"], "may not send as that address"),
    ],
)
async def test_what_is_not(fields: list[str], told: str) -> None:
    refused = await Step().author(*fields)
    assert refused is not None
    assert str(refused).startswith("550 5.7.1 ")
    assert told in refused.text
    assert refused.text.isascii()


async def test_mail_from_is_asked_the_same_and_may_be_null() -> None:
    step = Step()
    assert await step.sender("") is None
    assert await step.sender("Alice+bounces@example.com") is None
    refused = await step.sender("bob@example.com")
    assert refused is not None
    assert refused.text.startswith(
        "MAIL FROM: alice@example.com may not send as bob@example.com; choose one of your own"
    )


async def test_settings_that_ask_less() -> None:
    domains, any_ = Step("domains"), Step("any")
    assert await domains.sender("printer@example.com") is None
    assert await domains.author("From: bob@example.com") is None
    assert await domains.author("From: bob@far.test") is not None
    assert await any_.sender("x@far.test") is None
    assert await any_.author("Subject: x") is None


async def test_a_store_that_is_away_is_a_word_for_later() -> None:
    step = Step()
    step.store.fault = StoreUnavailable("shim")
    for answer in (await step.sender("x@example.com"), await step.author("From: x@example.com")):
        assert str(answer).startswith("451 4.3.0")
    assert await step.sender("alice@example.com") is None  # nothing has to be read for this one


def test_a_sender_is_added_where_several_write() -> None:
    def added(*fields: str, sender: str = "alice@example.com") -> bool:
        block = header(*fields)
        made = missing_fields(block, id="x", hostname="h.test", now=NOW, sender=sender, authors=block.all(b"from"))
        return b"Sender: <alice@example.com>\r\n" in made

    assert added("From: alice@example.com, bob@example.com")
    assert not added("From: alice@example.com, bob@example.com", sender="")
    assert not added("From: alice@example.com, bob@example.com", "Sender: bob@example.com")
    assert not added('From: "Last, First" <alice@example.com>')
    assert not added("From: Us: alice@example.com,;")


def test_everybody_counts() -> None:
    found = read_authors(header("From: A <a@x.test>, b@y.test", "Sender: c@z.test"))
    assert sorted(map(str, found.people)) == ["a@x.test", "b@y.test", "c@z.test"]
