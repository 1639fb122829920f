"""Administrators, passkeys, links, sessions, what failed logins cost, the audit log."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from postroad.ports.admins import AdminRecord, AuditRecord, FailedLogins, PasskeyRecord, SessionRecord
from postroad.ports.ids import AdminId, AuditId, SessionId
from postroad.ports.store import Refused

ALICE, BOB = AdminId(1), AdminId(2)


async def add_alice(store, mail, number=ALICE, email="alice@example.com"):
    record = AdminRecord(number, email, mail.now, "Alice", "hash")
    await store.write(lambda tx: tx.admins.add(record))
    return record


async def test_an_administrator_changes(store, mail):
    alice = await add_alice(store, mail)
    with pytest.raises(Refused, match="alice@example"):
        await add_alice(store, mail, BOB)
    bob = await add_alice(store, mail, BOB, "bob@example.com")
    assert await store.read(lambda tx: tx.admins.list()) == [alice, bob]
    assert await store.read(lambda tx: tx.admins.by_email("nobody\0@example.com")) is None

    def change(tx):
        tx.admins.set_password(ALICE, "other")
        tx.admins.set_totp(ALICE, secret="S", pending="P")
        tx.admins.logged_in(ALICE, mail.now)
        return tx.admins.totp_used(ALICE, 7), tx.admins.totp_used(ALICE, 7), tx.admins.totp_used(ALICE, 6)

    assert await store.write(change) == (True, False, False)
    changed = replace(
        alice, password_hash="other", credential_version=1, totp_secret="S", totp_pending="P", totp_counter=7,
        last_login=mail.now,
    )  # fmt: skip
    assert await store.read(lambda tx: tx.admins.get(ALICE)) == changed
    assert "other" not in repr(changed)


async def test_a_code_is_taken_once_however_many_bring_it(store, mail):
    await add_alice(store, mail)
    taken = await asyncio.gather(*(store.write(lambda tx: tx.admins.totp_used(ALICE, 9)) for _ in range(8)))
    assert taken.count(True) == 1


async def test_passkeys_come_and_go(store, mail):
    await add_alice(store, mail)
    first = PasskeyRecord(b"\x00one", ALICE, b"public", 3, "Laptop", mail.now, ("usb", "nfc"))
    second = PasskeyRecord(b"two", ALICE, b"public", 0, "Phone", mail.now + timedelta(seconds=1))
    await store.write(lambda tx: [tx.admins.add_passkey(record) for record in (second, first)])
    with pytest.raises(Refused):
        await store.write(lambda tx: tx.admins.add_passkey(replace(first, admin=BOB)))
    assert await store.read(lambda tx: tx.admins.passkeys(ALICE)) == [first, second]
    await store.write(lambda tx: tx.admins.passkey_used(b"\x00one", 4, mail.now))
    used = replace(first, sign_count=4, last_used=mail.now)
    assert await store.read(lambda tx: tx.admins.passkey(b"\x00one")) == used
    assert not await store.write(lambda tx: tx.admins.remove_passkey(BOB, b"two"))
    assert await store.write(lambda tx: tx.admins.remove_passkey(ALICE, b"two"))
    assert await store.read(lambda tx: tx.admins.passkey(b"two")) is None


async def test_a_link_works_once_and_in_its_time(store, mail):
    await add_alice(store, mail)
    soon = mail.now + timedelta(minutes=5)
    await store.write(lambda tx: [tx.admins.add_link(digest, ALICE, soon) for digest in (b"a" * 32, b"b" * 32)])
    assert await store.write(lambda tx: tx.admins.take_link(b"x" * 32, mail.now)) is None
    assert await store.write(lambda tx: tx.admins.take_link(b"a" * 32, mail.now)) == ALICE
    assert await store.write(lambda tx: tx.admins.take_link(b"a" * 32, mail.now)) is None
    assert await store.write(lambda tx: tx.admins.take_link(b"b" * 32, soon)) is None
    assert await store.write(lambda tx: tx.admins.take_link(b"b" * 32, mail.now)) is None  # used up by the late one


def session(mail, number, admin=ALICE, seen=0):
    at = mail.now + timedelta(seconds=seen)
    return SessionRecord(SessionId(number), admin, mail.now, at, "password", "192.0.2.1", "Browser/1")


async def test_sessions_are_found_seen_and_ended(store, mail):
    rows = [session(mail, 1), session(mail, 2, seen=5), session(mail, 3, BOB)]
    await store.write(lambda tx: [tx.sessions.add(row, bytes([row.id]) * 32) for row in rows])
    assert await store.read(lambda tx: tx.sessions.by_digest(b"\x02" * 32)) == rows[1]
    assert await store.read(lambda tx: tx.sessions.by_digest(b"\x09" * 32)) is None
    assert await store.read(lambda tx: tx.sessions.list(ALICE)) == [rows[1], rows[0]]
    later = mail.now + timedelta(minutes=1)
    await store.write(lambda tx: tx.sessions.seen([(SessionId(1), later)]))
    assert await store.read(lambda tx: tx.sessions.get(SessionId(1))) == replace(rows[0], seen=later)
    assert await store.write(lambda tx: tx.sessions.end_all(ALICE, keep=SessionId(2))) == 1
    assert await store.write(lambda tx: tx.sessions.end(SessionId(2)))
    assert not await store.write(lambda tx: tx.sessions.end(SessionId(2)))
    assert await store.read(lambda tx: tx.sessions.list(BOB)) == [rows[2]]


async def test_an_administrator_takes_sessions_passkeys_and_links_along(store, mail):
    await add_alice(store, mail)

    def fill(tx):
        tx.sessions.add(session(mail, 1), b"s" * 32)
        tx.admins.add_passkey(PasskeyRecord(b"p", ALICE, b"public", 0, "Laptop", mail.now))
        tx.admins.add_link(b"l" * 32, ALICE, mail.now + timedelta(hours=1))

    await store.write(fill)
    await store.write(lambda tx: tx.admins.remove(ALICE))
    assert await store.read(lambda tx: tx.admins.get(ALICE)) is None
    assert await store.read(lambda tx: tx.sessions.get(SessionId(1))) is None
    assert await store.read(lambda tx: tx.admins.passkey(b"p")) is None
    assert await store.write(lambda tx: tx.admins.take_link(b"l" * 32, mail.now)) is None


async def test_failed_logins_are_counted_and_cleared(store, mail):
    rows = [FailedLogins(f"name {n}", n, mail.now, mail.now + timedelta(seconds=n)) for n in (1, 2)]
    await store.write(lambda tx: tx.throttle.put(rows))
    await store.write(lambda tx: tx.throttle.put([replace(rows[0], failures=9)]))
    found = await store.write(lambda tx: tx.throttle.get(["name 1", "name 2", "name 3"]))
    assert found == {"name 1": replace(rows[0], failures=9), "name 2": rows[1]}
    await store.write(lambda tx: tx.throttle.hold(["name 2", "new"], mail.now))
    held = await store.read(lambda tx: tx.throttle.get(["name 2", "new"]))
    assert held == {"name 2": rows[1], "new": FailedLogins("new", 0, mail.now, mail.now)}
    await store.write(lambda tx: tx.throttle.clear(["name 1", "name \0"]))
    assert list(await store.write(lambda tx: tx.throttle.get(["name 1", "name 2"]))) == ["name 2"]


def audit(mail, number, actor="alice@example.com", **fields):
    return AuditRecord(
        AuditId(number), mail.now, "admin", actor, "192.0.2.1", "server added", f"shop {number}", fields or {"a": 1}
    )


async def test_the_audit_log_is_paged_searched_and_written_on(store, mail):
    rows = [audit(mail, number) for number in range(1, 6)]
    await store.write(lambda tx: [tx.audit.put(row) for row in rows])
    assert await store.read(lambda tx: tx.audit.page(limit=2)) == [rows[4], rows[3]]
    assert await store.read(lambda tx: tx.audit.page(AuditId(4), 2)) == [rows[2], rows[1]]
    await store.write(lambda tx: tx.audit.put(replace(rows[0], detail={"why": "Grüße"}, actor="somebody else")))
    (changed,) = await store.read(lambda tx: tx.audit.page(text="GRÜSSE".replace("SS", "ß")))
    assert (changed.detail, changed.actor) == ({"why": "Grüße"}, "alice@example.com")  # who and what stay
    assert len(await store.read(lambda tx: tx.audit.page(text="Shop 3"))) == 1
    assert await store.read(lambda tx: tx.audit.page(text="50%")) == []


async def test_what_logins_leave_behind_is_swept(store, mail):
    old, now = mail.now - timedelta(days=40), mail.now

    def fill(tx):
        tx.sessions.add(replace(session(mail, 1), seen=old), b"1" * 32)
        tx.sessions.add(session(mail, 2), b"2" * 32)
        tx.admins.add_link(b"o" * 32, ALICE, old)
        tx.admins.add_link(b"n" * 32, ALICE, now + timedelta(hours=1))
        tx.throttle.put([FailedLogins("old", 1, old, old), FailedLogins("new", 1, now, now)])
        tx.audit.put(replace(audit(mail, 1), at=old))
        tx.audit.put(audit(mail, 2))

    await store.write(fill)
    week, month = now - timedelta(days=7), now - timedelta(days=30)

    def sweep(tx):
        return tx.retention.logins(sessions_before=week, failures_before=month, now=now), tx.retention.audit(month)

    assert await store.write(sweep) == (3, 1)
    assert await store.write(sweep) == (0, 0)
    assert [row.id for row in await store.read(lambda tx: tx.audit.page())] == [2]
    assert await store.write(lambda tx: tx.admins.take_link(b"n" * 32, now)) == ALICE
