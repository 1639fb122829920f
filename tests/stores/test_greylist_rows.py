"""Who was asked to come again, as rows: two nodes may have seen the same stranger."""

from datetime import timedelta

from msgspec.structs import replace

from postroad.ports.greylist import GreyRecord
from postroad.testing.clock import START

KEY = ("192.0.2.0/24", "far.test", "bob@here.test")


def record(minutes=0, passes=0, key=KEY, days=2):
    at = START + timedelta(minutes=minutes)
    return GreyRecord(*key, at, at, passes, at + timedelta(days=days))


async def put(store, *records):
    await store.write(lambda tx: tx.greylist.put(records))


async def get(store, *keys):
    return await store.read(lambda tx: tx.greylist.get(keys or [KEY]))


async def test_a_row_is_found_by_all_of_its_key(store):
    await put(store, record(), record(key=("192.0.2.0/24", "", ""), passes=3))
    assert await get(store) == [record()]
    assert await get(store, ("192.0.2.0/24", "", "")) == [record(key=("192.0.2.0/24", "", ""), passes=3)]
    assert await get(store, ("192.0.2.0/24", "far.test", "alice@here.test")) == []
    assert len(await get(store, KEY, ("192.0.2.0/24", "", ""))) == 2


async def test_what_two_nodes_saw_becomes_one(store):
    await put(store, record(minutes=10, passes=1))
    await put(store, record(minutes=5))
    (found,) = await get(store)
    assert found == replace(record(minutes=10, passes=1), first=START + timedelta(minutes=5))
    await put(store, record(minutes=20, passes=4, days=36))
    (found,) = await get(store)
    assert (found.first, found.last, found.passes) == (
        START + timedelta(minutes=5), START + timedelta(minutes=20), 4,
    )  # fmt: skip


async def test_what_has_expired_is_replaced(store):
    await put(store, record(passes=9))
    later = record(minutes=3 * 1440)
    await put(store, later)
    assert await get(store) == [later]


async def test_many_at_once(store):
    many = [record(key=(f"10.0.{n}.0/24", "far.test", "bob@here.test")) for n in range(500)]
    await put(store, *many)
    assert len(await get(store, *(each.key for each in many))) == 500


async def test_text_of_strangers_is_kept_as_far_as_it_can_be(store):
    key = ("2001:db8::/64", "b\xfccher.test", "b\0b\ud800@here.test")
    await put(store, record(key=key))
    (found,) = await get(store, key)
    assert found.sender == "b\xfccher.test"


async def test_retention(store):
    await put(store, *(record(key=(f"10.0.{n}.0/24", "far.test", "b@here.test"), days=n) for n in range(1, 11)))
    forget = START + timedelta(days=5)
    assert await store.write(lambda tx: tx.greylist.forget(forget, 3)) == 3
    assert await store.write(lambda tx: tx.greylist.forget(forget, 3)) == 2
    assert await store.write(lambda tx: tx.greylist.forget(forget, 3)) == 0
