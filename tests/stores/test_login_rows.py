"""App passwords, renewed hashes, and the list of what failed logins cost."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from postroad.ports.admins import FailedLogins
from postroad.ports.apppasswords import AppPasswordRecord, Scope
from postroad.ports.ids import AccountId, AppPasswordId
from postroad.ports.store import AccountRecord

ALICE, BOB = AccountId(11), AccountId(12)


@pytest.fixture
async def people(store, mail):
    records = [AccountRecord(number, f"{name}@example.com", mail.now) for number, name in ((ALICE, "a"), (BOB, "b"))]
    await store.write(lambda tx: [tx.accounts.add(record) for record in records])


async def test_app_passwords_come_and_go(store, mail, people):
    phone = AppPasswordRecord(AppPasswordId(1), ALICE, "phone", (Scope.READ, Scope.SEND), mail.now, None, b"keys")
    printer = AppPasswordRecord(AppPasswordId(2), ALICE, "printer", (Scope.SEND,), mail.now + timedelta(seconds=1))
    other = AppPasswordRecord(AppPasswordId(3), BOB, "phone", (Scope.READ,), mail.now)
    for record, digest in ((printer, b"2"), (phone, b"1"), (other, b"3")):
        await store.write(lambda tx, record=record, digest=digest: tx.app_passwords.add(record, digest))
    assert await store.read(lambda tx: tx.app_passwords.list(ALICE)) == [phone, printer]
    assert await store.read(lambda tx: tx.app_passwords.by_digest(b"2")) == printer
    assert await store.read(lambda tx: tx.app_passwords.by_digest(b"x")) is None
    await store.write(lambda tx: tx.app_passwords.used([(AppPasswordId(2), mail.now)]))
    used = replace(printer, last_used=mail.now)
    assert await store.read(lambda tx: tx.app_passwords.by_digest(b"2")) == used
    assert await store.write(lambda tx: tx.app_passwords.remove(AppPasswordId(1)))
    assert not await store.write(lambda tx: tx.app_passwords.remove(AppPasswordId(1)))
    await store.write(lambda tx: tx.accounts.remove(ALICE))
    assert await store.read(lambda tx: tx.app_passwords.list(ALICE)) == []
    assert await store.read(lambda tx: tx.app_passwords.list(BOB)) == [other]


async def test_a_hash_is_renewed_while_the_password_is_the_same(store, people):
    await store.write(lambda tx: tx.accounts.set_password(ALICE, "imported", b""))
    await store.write(lambda tx: tx.accounts.renew_secret(ALICE, 1, "ours", b"keys"))
    renewed = await store.read(lambda tx: tx.accounts.get(ALICE))
    assert (renewed.password_hash, renewed.scram, renewed.credential_version) == ("ours", b"keys", 1)
    await store.write(lambda tx: tx.accounts.renew_secret(ALICE, 0, "late", b""))
    assert await store.read(lambda tx: tx.accounts.get(ALICE)) == renewed


async def test_what_fails_is_listed_longest_wait_first(store, mail):
    def failed(subject, failures, wait):
        return FailedLogins(subject, failures, mail.now, mail.now + timedelta(seconds=wait))

    rows = [failed("name a", 3, 0), failed("address b", 20, 900), failed("known b a", 0, 0), failed("name c", 9, 16)]
    await store.write(lambda tx: tx.throttle.put(rows))
    assert await store.read(lambda tx: tx.throttle.failing()) == [rows[1], rows[3], rows[0]]
    assert await store.read(lambda tx: tx.throttle.failing(limit=1)) == [rows[1]]


async def test_addresses_that_hide_many_are_listed_apart(store, mail):
    rows = [FailedLogins(subject, 0, mail.now, mail.now) for subject in ("shared 10.0.0.1", "address 10.0.0.1")]
    await store.write(lambda tx: tx.throttle.put(rows))
    assert await store.read(lambda tx: tx.throttle.shared()) == rows[:1]
    assert await store.read(lambda tx: tx.throttle.failing()) == []
