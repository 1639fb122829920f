"""Policies of others, and how TLS sessions went, as rows."""

from datetime import timedelta

from msgspec.structs import replace

from postroad.ports.tls import StsRecord, TlsResult, TlsResultKey
from postroad.testing.clock import START

TODAY = START.date()
POLICY = StsRecord("far.test", "a1", "version: STSv1\nmode: none\nmax_age: 1\n", START, START + timedelta(days=7))
KEY = TlsResultKey(
    TODAY, "far.test", "sts", "version: STSv1\nmode: enforce", "", "mx.far.test", "192.0.2.1", "192.0.2.9"
)


async def test_a_policy_is_replaced_and_dropped(store):
    await store.write(lambda tx: tx.tls.put_policy(POLICY))
    newer = replace(POLICY, id="a2", text="version: STSv1\n", expires=START + timedelta(days=9))
    await store.write(lambda tx: tx.tls.put_policy(newer))
    assert await store.read(lambda tx: tx.tls.policy("far.test")) == newer
    assert await store.read(lambda tx: tx.tls.policy("near.test")) is None
    await store.write(lambda tx: tx.tls.drop_policy("far.test"))
    assert await store.read(lambda tx: tx.tls.policy("far.test")) is None


async def test_policies_come_in_pages(store):
    for name in ("c.test", "a.test", "b.test"):
        await store.write(lambda tx, name=name: tx.tls.put_policy(replace(POLICY, domain=name)))
    first = await store.read(lambda tx: tx.tls.policies(limit=2))
    assert [record.domain for record in first] == ["a.test", "b.test"]
    assert [record.domain for record in await store.read(lambda tx: tx.tls.policies("b.test"))] == ["c.test"]


async def read(store, **wanted):
    wanted = {"first": TODAY, "last": TODAY} | wanted
    return await store.read(lambda tx: tx.tls.results(**wanted))


async def test_sessions_that_went_alike_are_added_up(store):
    failed = replace(KEY, result="certificate-expired", reason="good until\n2026 \0 ü")
    for _ in range(2):
        await store.write(lambda tx: tx.tls.count([TlsResult(KEY, 3), TlsResult(failed, 1)]))
    found = {result.key.result: result.sessions for _, result in await read(store)}
    assert found == {"": 6, "certificate-expired": 2}


async def test_results_by_day_and_domain_in_pages(store):
    days = [TODAY + timedelta(days=number) for number in range(3)]
    keys = [replace(KEY, day=day, domain=domain) for day in days for domain in ("a.test", "b.test")]
    await store.write(lambda tx: tx.tls.count([TlsResult(key, 1) for key in keys]))
    assert len(await read(store, last=days[1])) == 4
    assert [result.key.day for _, result in await read(store, last=days[2], domain="b.test")] == days
    pages, place = [], ("", "")
    while page := await read(store, last=days[2], after=place, limit=2):
        place = page[-1][0]
        pages += [result.key for _, result in page]
    assert len(set(pages)) == len(pages) == 6


async def test_old_results_are_forgotten_in_slices(store):
    keys = [replace(KEY, day=TODAY - timedelta(days=number)) for number in range(5)]
    await store.write(lambda tx: tx.tls.count([TlsResult(key, 1) for key in keys]))
    assert await store.write(lambda tx: tx.tls.forget_results(TODAY, limit=3)) == 3
    assert await store.write(lambda tx: tx.tls.forget_results(TODAY)) == 1
    assert [result.key.day for _, result in await read(store, first=keys[-1].day)] == [TODAY]
