"""Acceptances that belong together: one transaction on either engine, whatever the bounds of a group and whoever waits
beside them; each with its own result when it cannot be."""

import asyncio
from itertools import chain

import pytest
from msgspec.structs import replace

from postroad.adapters.sql import units
from postroad.adapters.sql.transaction import Transactions
from postroad.ports.ids import MailboxId
from postroad.ports.store import Accepted, Refused


@pytest.fixture
def transactions(monkeypatch):
    """The messages of each committed transaction that had any."""
    found = []
    run = Transactions.run

    def recording(self, group):
        done = run(self, group)
        messages = [unit.acceptance.message.id for unit in group if isinstance(unit, units.AcceptUnit)]
        if messages:
            found.append(messages)
        return done

    monkeypatch.setattr(Transactions, "run", recording)
    return found


def ids_of(batch):
    return [acceptance.message.id for acceptance in batch]


async def test_a_batch_is_one_transaction(store, mail, transactions):
    batch = [mail.remote() for _ in range(600)]  # more than a group takes
    assert await asyncio.gather(*store.accept_all(batch)) == [Accepted()] * 600
    assert transactions == [ids_of(batch)]
    assert (await store.read(lambda tx: tx.ledger.totals())).messages == 600


async def test_bounds_of_octets_do_not_split_it(store, mail, transactions, monkeypatch):
    monkeypatch.setattr(units, "MAX_OCTETS", 1000)
    batch = [mail.remote(content=b"Subject: x\r\n\r\n" + b"x" * 400) for _ in range(20)]
    await asyncio.gather(*store.accept_all(batch))
    assert transactions == [ids_of(batch)]


async def test_others_beside_it(store, mail, transactions, monkeypatch):
    """Single messages and two batches in one turn: no batch is torn, and everything arrives."""
    monkeypatch.setattr(units, "MAX_UNITS", 10)
    single = [mail.remote() for _ in range(7)]
    first, second, more = ([mail.remote() for _ in range(number)] for number in (8, 9, 3))
    waiting = [store.accept(acceptance) for acceptance in single]
    waiting += store.accept_all(first) + store.accept_all(second)
    waiting += [store.accept(acceptance) for acceptance in more]
    assert await asyncio.gather(*waiting) == [Accepted()] * 27
    assert sorted(chain.from_iterable(transactions)) == sorted(ids_of([*single, *first, *second, *more]))
    for batch in (first, second):
        assert sum(set(ids_of(batch)) <= set(group) for group in transactions) == 1


async def test_what_goes_with_it_is_in_the_same_transaction(store, mail):
    batch = [mail.remote(), mail.remote()]

    def then(tx):
        assert all(tx.messages.get(message) for message in ids_of(batch))
        tx.meta.put("answer", "kept")

    await asyncio.gather(*store.accept_all(batch, then))
    assert await store.read(lambda tx: tx.meta.get("answer")) == "kept"


async def test_what_goes_with_it_hurts_nobody_when_it_fails(store, mail, caplog):
    def then(tx):
        raise Refused("not today")

    assert await asyncio.gather(*store.accept_all([mail.remote()], then)) == [Accepted()]
    await store.write(lambda tx: None)
    assert "what goes with a batch was not written: not today" in caplog.text


async def test_the_guilty_one_is_refused_alone(store, mail):
    inbox = await store.write(mail.inbox)
    lost = mail.local(inbox)
    lost.local = [replace(lost.local[0], mailbox=MailboxId(9))]
    batch = [mail.remote(), lost, mail.local(inbox)]
    first, second, third = await asyncio.gather(*store.accept_all(batch), return_exceptions=True)
    assert (first, third.uids) == (Accepted(), (1,))
    assert isinstance(second, Refused)
    assert not (await store.read(lambda tx: tx.ledger.totals())).findings


async def test_nothing_is_not_waited_for(store):
    assert store.accept_all([]) == []
