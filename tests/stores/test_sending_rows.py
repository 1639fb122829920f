"""Servers, streams, tokens, suppressions, answers kept; and what a message says of them."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from postroad.ports.ids import ServerId, TokenId
from postroad.ports.sending import (
    IdempotencyRecord,
    ServerRecord,
    StreamKind,
    StreamRecord,
    SuppressionOrigin,
    SuppressionReason,
    SuppressionRecord,
    TokenKind,
    TokenRecord,
)
from postroad.ports.store import Refused


async def add_server(store, mail, name="Shop", **fields):
    def add(tx):
        record = ServerRecord(tx.servers.next_id(), name, mail.now, **fields)
        tx.servers.add(record)
        return record

    return await store.write(add)


async def test_a_server_is_kept_renamed_and_removed_and_its_number_never_comes_back(store, mail):
    shop = await add_server(store, mail, color="blue", sandbox=True)
    assert shop.id == 1
    assert await store.read(lambda tx: tx.servers.get(shop.id)) == shop
    assert await store.read(lambda tx: tx.servers.by_name("SHOP")) == shop
    with pytest.raises(Refused, match="Shop"):
        await add_server(store, mail, "shop")
    other = await add_server(store, mail, "Apples")
    assert [record.name for record in await store.read(lambda tx: tx.servers.list())] == ["Apples", "Shop"]
    with pytest.raises(Refused):
        await store.write(lambda tx: tx.servers.change(replace(other, name="sHoP")))
    changed = replace(other, name="APPLES", color="red", sandbox=True)
    await store.write(lambda tx: tx.servers.change(changed))
    assert await store.read(lambda tx: tx.servers.get(other.id)) == changed
    await store.write(lambda tx: tx.servers.remove(other.id))
    assert await store.read(lambda tx: tx.servers.get(other.id)) is None
    assert (await add_server(store, mail, "Apples")).id > other.id


async def test_a_server_takes_what_is_its_own_with_it(store, mail):
    shop, club = await add_server(store, mail), await add_server(store, mail, "Club")

    def fill(tx):
        for server in (shop, club):
            tx.streams.add(StreamRecord(server.id, "outbound", "O", StreamKind.TRANSACTIONAL, mail.now, mail.now))
            token = TokenRecord(TokenId(server.id), TokenKind.SERVER, "t", "abcd", mail.now, server.id)
            tx.tokens.add(token, bytes([server.id]) * 32)
            tx.suppressions.put(suppression(mail, server.id))
            tx.idempotency.put(answer(mail, server.id), mail.now)

    await store.write(fill)
    await store.write(lambda tx: tx.servers.remove(shop.id))

    def left(tx):
        return [
            (
                len(tx.streams.list(server.id)), len(tx.tokens.list(server.id)),
                tx.suppressions.any(server.id, "outbound"), tx.idempotency.get(server.id, "k", mail.now) is not None,
            )
            for server in (shop, club)
        ]  # fmt: skip

    assert await store.read(left) == [(0, 0, False, False), (1, 1, True, True)]


async def test_streams_are_listed_in_the_order_of_their_making(store, mail, clock):
    shop = await add_server(store, mail)
    first = StreamRecord(shop.id, "zeta", "Z", StreamKind.TRANSACTIONAL, mail.now, mail.now)
    second = replace(first, id="alpha", kind=StreamKind.BROADCASTS, created=mail.now + timedelta(seconds=1))
    await store.write(lambda tx: [tx.streams.add(record) for record in (first, second)])
    assert await store.read(lambda tx: tx.streams.list(shop.id)) == [first, second]
    gone = replace(first, name="Old", description="d", updated=mail.now, archived=mail.now)
    await store.write(lambda tx: tx.streams.change(gone))
    assert await store.read(lambda tx: tx.streams.list(shop.id)) == [second]
    assert await store.read(lambda tx: tx.streams.list(shop.id, archived=True)) == [gone, second]
    assert await store.read(lambda tx: tx.streams.get(shop.id, "zeta")) == gone
    assert await store.read(lambda tx: tx.streams.get(ServerId(99), "zeta")) is None
    assert await store.read(lambda tx: tx.streams.get(shop.id, "a\0b")) is None


async def test_a_token_is_found_by_its_digest_used_and_revoked(store, mail):
    shop = await add_server(store, mail)
    token = TokenRecord(TokenId(5), TokenKind.SERVER, "shop", "abcd", mail.now, shop.id)
    key = TokenRecord(TokenId(6), TokenKind.KEY, "dash", "wxyz", mail.now, None, ("queue:read", "*"))

    def add(tx):
        tx.tokens.add(token, b"t" * 32)
        tx.tokens.add(key, b"k" * 32)

    await store.write(add)
    assert await store.read(lambda tx: tx.tokens.by_digest(b"t" * 32)) == token
    assert await store.read(lambda tx: tx.tokens.by_digest(b"x" * 32)) is None
    assert await store.read(lambda tx: tx.tokens.get(TokenId(6))) == key
    assert await store.read(lambda tx: tx.tokens.list(shop.id)) == [token]
    later = mail.now + timedelta(minutes=1)
    await store.write(lambda tx: tx.tokens.used([(TokenId(6), later), (TokenId(5), later)]))
    assert await store.write(lambda tx: tx.tokens.revoke(TokenId(6), later))
    assert not await store.write(lambda tx: tx.tokens.revoke(TokenId(6), mail.now))
    assert await store.read(lambda tx: tx.tokens.list()) == [replace(token, last_used=later)]
    gone = replace(key, last_used=later, revoked=later)
    assert await store.read(lambda tx: tx.tokens.list(revoked=True)) == [replace(token, last_used=later), gone]
    with pytest.raises(Refused):  # no two tokens have one secret
        await store.write(lambda tx: tx.tokens.add(replace(token, id=TokenId(7)), b"t" * 32))


def suppression(mail, server, address="bob@remote.test", stream="outbound", reason=SuppressionReason.MANUAL):
    return SuppressionRecord(ServerId(server), stream, address, reason, SuppressionOrigin.CUSTOMER, mail.now)


async def test_suppressions_are_of_one_stream_and_stay_as_they_came(store, mail):
    bob = suppression(mail, 1, reason=SuppressionReason.HARD_BOUNCE)
    assert await store.write(lambda tx: tx.suppressions.put(bob))
    assert not await store.write(lambda tx: tx.suppressions.put(suppression(mail, 1)))
    await store.write(lambda tx: [tx.suppressions.put(suppression(mail, 1, f"{n:04}@x.test")) for n in range(700)])
    asked = [f"{n:04}@x.test" for n in range(600, 1300)] + [bob.address]
    found = await store.read(lambda tx: tx.suppressions.among(ServerId(1), "outbound", asked))
    assert len(found) == 101
    assert bob in found
    assert await store.read(lambda tx: tx.suppressions.among(ServerId(1), "broadcast", [bob.address])) == []
    assert await store.read(lambda tx: tx.suppressions.among(ServerId(1), "outbound", [])) == []
    page = await store.read(lambda tx: tx.suppressions.list(ServerId(1), "outbound", after="0698@x.test", limit=2))
    assert [record.address for record in page] == ["0699@x.test", "bob@remote.test"]
    assert len(await store.read(lambda tx: tx.suppressions.list(ServerId(1), "outbound"))) == 701
    assert await store.write(lambda tx: tx.suppressions.remove(ServerId(1), "outbound", bob.address))
    assert not await store.write(lambda tx: tx.suppressions.remove(ServerId(1), "outbound", bob.address))
    assert await store.read(lambda tx: tx.suppressions.get(ServerId(1), "outbound", bob.address)) is None
    assert await store.read(lambda tx: tx.suppressions.any(ServerId(1), "outbound"))
    assert not await store.read(lambda tx: tx.suppressions.any(ServerId(2), "outbound"))


def answer(mail, server=1, key="k", text=b"{}", hours=24):
    return IdempotencyRecord(ServerId(server), key, b"d" * 32, 200, text, mail.now + timedelta(hours=hours))


async def test_an_answer_is_kept_for_a_day_under_server_and_key(store, mail):
    assert await store.write(lambda tx: tx.idempotency.put(answer(mail), mail.now))
    assert not await store.write(lambda tx: tx.idempotency.put(answer(mail, text=b"other"), mail.now))
    assert await store.read(lambda tx: tx.idempotency.get(ServerId(1), "k", mail.now)) == answer(mail)
    assert await store.read(lambda tx: tx.idempotency.get(ServerId(2), "k", mail.now)) is None
    later = mail.now + timedelta(hours=24)
    assert await store.read(lambda tx: tx.idempotency.get(ServerId(1), "k", later)) is None
    newer = replace(answer(mail, hours=48), answer=b"newer")
    assert await store.write(lambda tx: tx.idempotency.put(newer, later))
    assert await store.write(lambda tx: tx.retention.idempotency(later)) == 0
    assert await store.write(lambda tx: tx.retention.idempotency(later + timedelta(days=1))) == 1


async def test_an_answer_is_kept_with_its_message_or_neither_is(store, mail):
    first, second, other = mail.remote(), mail.remote(), mail.remote()
    first.idempotency = second.idempotency = answer(mail)
    await store.accept(first)
    with pytest.raises(Refused, match="idempotency key"):
        await store.accept(second)
    await store.accept(other)
    assert await store.read(lambda tx: tx.messages.get(second.message.id)) is None
    assert await store.read(lambda tx: tx.messages.get(first.message.id)) == first.message
    assert (await store.read(lambda tx: tx.ledger.totals())).findings == ()


async def test_a_message_says_what_it_was_sent_for(store, mail):
    unit = mail.remote()
    unit.message = replace(
        unit.message, server=ServerId(3), stream="letters", tag="Grüße\0", metadata={"a": "ü\0", "b": ""}
    )
    await store.accept(unit)
    found = await store.read(lambda tx: tx.messages.get(unit.message.id))
    assert (found.server, found.stream, found.tag) == (3, "letters", "Grüße\ufffd")
    assert found.metadata["b"] == ""
    (entry,) = await store.read(lambda tx: tx.deliveries.queue(tx_filter(unit)))
    assert entry.message == found


def tx_filter(unit):
    from postroad.ports.store import QueueFilter

    return QueueFilter(message=unit.message.id)
