"""Holds, counts and what is held, on both engines; and the filters that release it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from postroad.accounts.audit import COMMAND_LINE
from postroad.accounts.counts import SenderCounts
from postroad.accounts.freezes import EVERYBODY, Freezes
from postroad.adapters.signals.local import LocalSignals
from postroad.ports.ids import AccountId, TokenId
from postroad.ports.senders import SenderCount, SenderHold, SenderKey, SenderKind
from postroad.ports.store import Acceptance, DeliveryState, QueueFilter, Refused, Store
from postroad.queue.actions import Actions
from postroad.queue.senders import Senders
from postroad.testing.clock import JumpingClock
from postroad.testing.sending import CountingIds
from postroad.testing.stores import Mail

ALICE = SenderKey(SenderKind.ACCOUNT, 7)
STREAM = SenderKey(SenderKind.STREAM, 2, "outbound")


async def test_holds_are_kept_once(store: Store, clock: JumpingClock) -> None:
    first = SenderHold(ALICE, "alice@example.com", clock.now(), "carol", "why")
    second = SenderHold(STREAM, "shop/outbound", clock.now() + timedelta(seconds=1), "carol", "")
    assert await store.write(lambda tx: [tx.senders.hold(first), tx.senders.hold(second), tx.senders.hold(first)]) == [
        True, True, False,
    ]  # fmt: skip
    assert await store.read(lambda tx: tx.senders.holds()) == [first, second]
    assert await store.write(lambda tx: [tx.senders.release(ALICE), tx.senders.release(ALICE)]) == [True, False]


async def test_counts_are_of_a_node(store: Store, clock: JumpingClock) -> None:
    rows = [SenderCount(ALICE, clock.now(), b"a"), SenderCount(SenderKey(SenderKind.TOKEN, 7), clock.now(), b"t")]
    await store.write(lambda tx: tx.senders.put_counts("one", rows))
    newer = SenderCount(ALICE, clock.now() + timedelta(days=1), b"b")
    await store.write(lambda tx: tx.senders.put_counts("one", [newer]))
    assert sorted(each.counts for each in await store.read(lambda tx: tx.senders.counts("one"))) == [b"b", b"t"]
    assert await store.read(lambda tx: tx.senders.counts("two")) == []
    before = clock.now() + timedelta(hours=1)
    assert await store.write(lambda tx: tx.senders.forget_counts(before)) == 1
    assert await store.read(lambda tx: tx.senders.counts("one")) == [newer]


def of_account(mail: Mail, account: int) -> Acceptance:
    """A message of that account, to one remote recipient that nobody works on."""
    unit = mail.remote(owned=False)
    unit.message = replace(unit.message, account=AccountId(account), token=TokenId(9))
    return unit


async def test_freezing_holds_what_waits_and_releasing_lets_it_go(
    store: Store, clock: JumpingClock, mail: Mail
) -> None:
    ids = CountingIds(1 << 41)
    signals = LocalSignals()
    freezes = Freezes(store, clock, ids, signals)
    actions = Actions(store, clock=clock, ids=ids, signals=signals)
    senders = Senders(store, freezes, SenderCounts(store, clock, "n"), actions)
    for account in (7, 8):
        await store.accept(of_account(mail, account))
    by_hand = of_account(mail, 7)
    await store.accept(by_hand)
    await actions.hold(QueueFilter(message=by_hand.message.id), COMMAND_LINE)

    state = await senders._freeze(ALICE, "alice@example.com", "frozen by carol", COMMAND_LINE)
    assert state.held == 1
    (found,) = await senders.states()
    assert (found.key, found.held, found.why) == (ALICE, 1, "frozen by carol")
    again = Freezes(store, clock, ids, signals)
    await again.load()
    assert again.why(by_hand.message) == "account alice@example.com: frozen by carol"
    with pytest.raises(Refused, match="held already"):
        await freezes.freeze(ALICE, "alice@example.com", "", by=COMMAND_LINE)

    assert await senders.release_key(ALICE, "alice@example.com", by=COMMAND_LINE) == 1
    held = await store.read(lambda tx: tx.deliveries.queue(QueueFilter(state=DeliveryState.HELD)))
    assert [entry.delivery.held_for for entry in held] == ["by hand"], "what people held, people release"
    with pytest.raises(Refused, match="nothing is held"):
        await senders.release_key(ALICE, "alice@example.com", by=COMMAND_LINE)

    await senders.freeze(SenderKind.ALL, "")
    assert freezes.reason(None, None, None, "") == "all: frozen by the command line"
    assert await senders.release(SenderKind.ALL, "") == 2
    assert not freezes.any
    assert EVERYBODY not in {hold.key for hold in freezes.holds()}
