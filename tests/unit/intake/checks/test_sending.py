"""What of a message may go: limits by account and token, frozen senders, who is spared."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from postroad.accounts.audit import COMMAND_LINE
from postroad.accounts.counts import SenderCounts
from postroad.accounts.freezes import EVERYBODY, Freezes
from postroad.accounts.tokens import Access
from postroad.adapters.signals.local import LocalSignals
from postroad.config.schema import Submission
from postroad.intake.checks.sending import Sending
from postroad.intake.transaction import MailTransaction
from postroad.mail.address import parse_forward_path, parse_reverse_path
from postroad.mail.envelope import Origin
from postroad.ports.ids import AccountId, MailboxId, ServerId, TokenId
from postroad.ports.senders import SenderKey, SenderKind
from postroad.ports.sending import ServerRecord, TokenKind, TokenRecord
from postroad.ports.store import AccountRecord, StoreUnavailable
from postroad.routing.aliases import Target
from postroad.testing.clock import START, JumpingClock
from postroad.testing.sending import CountingIds, make_message
from postroad.testing.tenants import MemoryStore

ALICE = AccountRecord(AccountId(1), "alice@example.com", START)
SHOP = ServerRecord(ServerId(3), "Shop", START)


def access(created: Any = START) -> Access:
    return Access(TokenRecord(TokenId(9), TokenKind.SERVER, "till", "abcd", created, SHOP.id), SHOP)


class World:
    def __init__(self, **settings: Any) -> None:
        self.store, self.clock = MemoryStore(), JumpingClock()
        self.freezes = Freezes(self.store, self.clock, CountingIds(), LocalSignals())
        self.counts = SenderCounts(self.store, self.clock, "node")
        self.step = Sending(self.counts, self.freezes, Submission(**settings), ("10.0.0.0/8",), self.clock)
        self.told: list[tuple[SenderKey, str, bool]] = []
        self.step.tell = lambda key, why, freeze: self.told.append((key, why, freeze))

    def send(
        self, remote: int, *, client: str = "192.0.2.9", here: int = 0, program: Access | None = None
    ) -> list[str]:
        """Why the recipients are held, those that are."""
        account = None if program else ALICE
        mail = MailTransaction(Origin("submission", "c", client), parse_reverse_path("a@example.com"), account=account)
        if program:
            mail.access, mail.server, mail.stream = program, SHOP.id, "outbound"
        for number in range(remote):
            path = f"r{number}@far.test"
            mail.add(parse_forward_path(path), (Target(path, "mx:far.test"),))
        for number in range(here):
            path = f"h{number}@example.com"
            mail.add(parse_forward_path(path), (Target(path, "local", AccountId(5), MailboxId(5)),))
        self.step.judge(mail)
        return [planned.held for planned in mail.planned.values() if planned.held]


def test_an_account_has_its_hour_and_the_rest_is_held() -> None:
    world = World()
    assert world.send(60) == []
    assert world.send(60) == ["account alice@example.com: more than 100 recipients an hour"] * 20
    assert len(world.send(5)) == 5
    key = SenderKey(SenderKind.ACCOUNT, 1)
    assert world.told == [(key, "more than 100 recipients an hour", False)]  # once a day


@pytest.mark.parametrize(("client", "held"), [("10.1.2.3", 0), ("192.0.2.1", 20)])
def test_exempt_clients_are_not_counted(client: str, held: int) -> None:
    assert len(World().send(120, client=client)) == held


def test_what_stays_here_is_not_counted() -> None:
    world = World()
    assert world.send(0, here=300) == []
    assert world.send(100) == []
    assert world.send(0, here=10) == []


@pytest.mark.parametrize(
    ("age", "settings", "held"),
    [
        (0, {}, 200),
        (20, {}, 0),
        (20, {"token_recipients_per_day": 500}, 700),
        (0, {"token_recipients_per_day": 500}, 700),
        (0, {"new_token_recipients_per_day": 0}, 0),
    ],
)
def test_a_new_token_has_less(age: int, settings: dict[str, int], held: int) -> None:
    world = World(**settings)
    found = world.send(1200, program=access(world.clock.now() - timedelta(days=age)))
    assert len(found) == held
    assert all(why.startswith("token Shop/till (…abcd): more than ") for why in found)


async def test_a_frozen_sender_is_held_whole_and_others_are_not() -> None:
    world = World()
    await world.freezes.freeze(SenderKey(SenderKind.STREAM, 3, "outbound"), "Shop/outbound", "x", by=COMMAND_LINE)
    assert world.send(2, here=1, program=access()) == ["stream Shop/outbound: x"] * 3
    assert world.send(2) == []
    await world.freezes.freeze(EVERYBODY, "", "y", by=COMMAND_LINE)
    assert world.send(1, client="10.0.0.1") == ["all: y"]
    assert world.told == []


def test_failures_freeze() -> None:
    world = World(jump_bounces=2)
    message = make_message()
    world.step.failed(message)
    assert world.told == []
    world.step.failed(message)
    assert world.told == [(SenderKey(SenderKind.ACCOUNT, 1), "2 recipients failed for good within an hour, of 2", True)]
    world.step.failed(make_message(account=None))  # a stranger's
    assert len(world.told) == 1


async def test_counts_are_kept_and_a_store_that_is_away_loses_none() -> None:
    world = World()
    world.send(60)
    world.store.fault = StoreUnavailable("shim")
    with pytest.raises(StoreUnavailable):
        await world.counts.flush()
    world.store.fault = None
    await world.counts.flush()
    again = World()
    again.store = world.store
    again.counts._store = world.store
    await again.counts.load()
    await again.counts.load()
    assert len(again.send(60)) == 20
