"""Administrators: passwords, codes, passkeys, links, sessions; and the audit row of each change."""

from datetime import timedelta

import pytest

from postroad.accounts.admins import MAX_PASSKEYS
from postroad.accounts.audit import Actor
from postroad.accounts.sessions import IDLE, LASTS
from postroad.ports.admins import PasskeyRecord
from postroad.ports.store import Refused

PASSWORD = "correct horse"
EMAIL = "alice@example.com"
ME = Actor("admin", EMAIL, "192.0.2.1")


@pytest.fixture
async def alice(tenancy):
    tenancy.alice = await tenancy.admins.add("Alice@Example.com", PASSWORD, " Alice  A ", by=ME)
    tenancy.workers.runs = 0
    return tenancy


async def test_an_administrator_is_added_found_and_removed(alice):
    assert (alice.alice.email, alice.alice.name) == (EMAIL, "Alice A")
    assert alice.alice.password_hash == f"hash of {PASSWORD}"
    assert await alice.admins.get(alice.alice.id) == alice.alice == await alice.admins.find("ALICE@example.com")
    with pytest.raises(Refused, match="already"):
        await alice.admins.add(EMAIL, PASSWORD)
    with pytest.raises(Refused, match="at least 8"):
        await alice.admins.add("bob@example.com", "short")
    with pytest.raises(Refused, match="last administrator"):
        await alice.admins.remove(alice.alice.id)
    bob = await alice.admins.add("bob@example.com")
    assert [record.email for record in await alice.admins.list()] == [EMAIL, "bob@example.com"]
    await alice.admins.remove(bob.id)
    assert await alice.admins.get(bob.id) is None
    with pytest.raises(Refused, match="no administrator"):
        await alice.admins.find("bob@example.com")
    with pytest.raises(Refused, match="no such"):
        await alice.admins.set_password(bob.id, PASSWORD)
    assert [(action, target) for _, action, target in await alice.told()] == [
        ("administrator added", EMAIL), ("administrator added", "bob@example.com"),
        ("administrator removed", "bob@example.com"),
    ]  # fmt: skip


class TestPasswords:
    async def test_a_right_one_is_hashed_once_and_a_wrong_one_each_time(self, alice):
        assert (await alice.admins.verify("ALICE@example.com ", PASSWORD)).id == alice.alice.id
        assert await alice.admins.verify(EMAIL, PASSWORD)
        assert alice.workers.runs == 1
        for _ in range(2):
            assert await alice.admins.verify(EMAIL, "wrong") is None
        assert alice.workers.runs == 3

    @pytest.mark.parametrize("name", ["", "nonsense", "nobody@example.com", "\ud800@example.com"])
    async def test_an_unknown_name_costs_as_much_as_a_wrong_password(self, alice, name):
        assert await alice.admins.verify(name, PASSWORD) is None
        assert alice.workers.runs == 1

    async def test_who_has_none_cannot_use_one(self, alice):
        await alice.admins.add("bob@example.com")
        for password in ("", "hash of ", PASSWORD):
            assert await alice.admins.verify("bob@example.com", password) is None

    async def test_a_change_ends_the_memory_of_the_old_one_and_every_other_session(self, alice):
        await alice.admins.verify(EMAIL, PASSWORD)
        here = await alice.admins.begin_session(alice.alice.id)
        there = await alice.admins.begin_session(alice.alice.id)
        mine = await alice.admins.session(here)
        assert await alice.admins.session(there)
        await alice.admins.set_password(alice.alice.id, "battery staple", keep=mine.id, by=ME)
        assert await alice.admins.verify(EMAIL, PASSWORD) is None
        assert await alice.admins.verify(EMAIL, "battery staple")
        assert await alice.admins.session(here)
        assert await alice.admins.session(there) is None

    async def test_a_memory_lasts_an_hour(self, alice):
        await alice.admins.verify(EMAIL, PASSWORD)
        await alice.clock.advance(3601)
        await alice.admins.verify(EMAIL, PASSWORD)
        assert alice.workers.runs == 2


class TestCodes:
    async def test_a_secret_counts_once_it_is_confirmed(self, alice):
        secret = await alice.admins.totp_begin(alice.alice.id, by=ME)
        assert len(secret) == 32
        assert not (await alice.admins.find(EMAIL)).has_totp
        other = await alice.admins.totp_begin(alice.alice.id)
        assert other != secret
        changed = await alice.admins.totp_confirm(alice.alice.id, 100, by=ME)
        assert changed.totp_secret == other
        assert changed.totp_pending == ""
        with pytest.raises(Refused, match="begin again"):
            await alice.admins.totp_confirm(alice.alice.id, 101)
        assert not (await alice.admins.totp_remove(alice.alice.id, by=ME)).has_totp
        assert secret not in str(await alice.audit.page())

    async def test_no_code_is_taken_twice(self, alice):
        await alice.admins.totp_begin(alice.alice.id)
        await alice.admins.totp_confirm(alice.alice.id, 100)
        used = [await alice.admins.totp_used(alice.alice.id, counter) for counter in (100, 99, 101, 101)]
        assert used == [False, False, True, False]


async def test_a_lost_phone_is_no_end(alice):
    await alice.admins.totp_begin(alice.alice.id)
    await alice.admins.totp_confirm(alice.alice.id, 100)
    await alice.admins.add_passkey(PasskeyRecord(b"c", alice.alice.id, b"", 0, "Phone", alice.clock.now()))
    await alice.store.write(lambda tx: tx.admins.set_recovery(alice.alice.id, [b"r" * 32]))
    assert not (await alice.admins.reset_second_step(alice.alice.id)).has_totp
    assert await alice.admins.passkeys(alice.alice.id) == []
    assert await alice.store.read(lambda tx: tx.admins.recovery_left(alice.alice.id)) == 0
    assert await alice.admins.verify(EMAIL, PASSWORD)


class TestPasskeys:
    def passkey(self, alice, credential=b"c", name="Laptop"):
        return PasskeyRecord(credential, alice.alice.id, b"public", 0, name, alice.clock.now())

    async def test_they_come_and_go(self, alice):
        await alice.admins.add_passkey(self.passkey(alice), by=ME)
        with pytest.raises(Refused, match="registered already"):
            await alice.admins.add_passkey(self.passkey(alice))
        await alice.admins.passkey_used(b"c", 7)
        (kept,) = await alice.admins.passkeys(alice.alice.id)
        assert (kept.sign_count, kept.last_used) == (7, alice.clock.now())
        assert await alice.admins.passkey(b"c") == kept
        with pytest.raises(Refused, match="no such passkey"):
            await alice.admins.remove_passkey(alice.alice.id, b"x")
        await alice.admins.remove_passkey(alice.alice.id, b"c", by=ME)
        assert await alice.admins.passkeys(alice.alice.id) == []
        assert [action for _, action, _ in await alice.told()][1:] == ["passkey added", "passkey removed"]

    async def test_there_are_only_so_many(self, alice):
        for number in range(MAX_PASSKEYS):
            await alice.admins.add_passkey(self.passkey(alice, bytes([number]), str(number)))
        with pytest.raises(Refused, match="remove one first"):
            await alice.admins.add_passkey(self.passkey(alice))


class TestLinks:
    async def test_a_link_signs_in_once(self, alice):
        secret = await alice.admins.login_link(alice.alice.id, by=ME)
        assert (await alice.admins.redeem(secret, "192.0.2.1")).id == alice.alice.id
        assert await alice.admins.redeem(secret, "192.0.2.1") is None
        assert [action for _, action, _ in await alice.told()][1:] == ["sign-in link made", "sign-in refused"]
        assert secret not in str(await alice.audit.page())

    async def test_it_runs_out(self, alice):
        secret = await alice.admins.login_link(alice.alice.id, valid=timedelta(minutes=1))
        await alice.clock.advance(61)
        assert await alice.admins.redeem(secret) is None
        for valid in (timedelta(0), timedelta(days=8)):
            with pytest.raises(Refused, match="at most 7 days"):
                await alice.admins.login_link(alice.alice.id, valid=valid)


class TestSessions:
    async def test_a_cookie_finds_its_session_and_its_secret_is_not_kept(self, alice, tmp_path):
        secret = await alice.admins.begin_session(
            alice.alice.id, "192.0.2.1", "Browser/1 " + "x" * 999, method="passkey"
        )
        found = await alice.admins.session(secret)
        assert (found.admin, found.client, found.method) == (alice.alice.id, "192.0.2.1", "passkey")
        assert len(found.user_agent) == 300
        assert (await alice.admins.find(EMAIL)).last_login == alice.clock.now()
        for wrong in ("", "x", secret + "x", secret.swapcase(), "x" * 5000):
            assert await alice.admins.session(wrong) is None
        row = (await alice.audit.page())[0]
        assert (row.kind, row.actor, row.client, row.action, row.detail) == (
            "admin", EMAIL, "192.0.2.1", "signed in", {"method": "passkey"},
        )  # fmt: skip
        await alice.admins.close()
        assert not any(secret.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    async def test_use_makes_it_last_a_week_longer_but_never_thirty_days(self, alice):
        secret = await alice.admins.begin_session(alice.alice.id)
        for _ in range(4):
            await alice.clock.advance(IDLE.total_seconds() - 60)
            assert await alice.admins.session(secret)
            await alice.admins.close()
        await alice.clock.advance((LASTS - 4 * IDLE).total_seconds())
        assert await alice.admins.session(secret)
        await alice.admins.close()
        await alice.clock.advance(300)
        assert await alice.admins.session(secret) is None
        assert await alice.admins.sessions(alice.alice.id) == []

    async def test_without_use_it_ends_within_a_week(self, alice):
        secret = await alice.admins.begin_session(alice.alice.id)
        assert await alice.admins.session(secret)
        await alice.clock.advance(IDLE.total_seconds() + 1)
        assert await alice.admins.session(secret) is None

    async def test_they_are_listed_and_ended(self, alice):
        secrets = [await alice.admins.begin_session(alice.alice.id, f"192.0.2.{n}") for n in range(3)]
        sessions = [await alice.admins.session(secret) for secret in secrets]
        assert {session.id for session in await alice.admins.sessions(alice.alice.id)} == {s.id for s in sessions}
        await alice.admins.end_session(sessions[0].id, by=ME)
        await alice.admins.end_session(sessions[0].id, by=ME)  # nothing happens
        assert await alice.admins.session(secrets[0]) is None
        assert await alice.admins.end_sessions(alice.alice.id, sessions[1].id, by=ME) == 1
        assert await alice.admins.session(secrets[1])
        assert await alice.admins.session(secrets[2]) is None
        assert [action for _, action, _ in await alice.told()][-2:] == ["session ended", "other sessions ended"]

    async def test_a_session_of_somebody_who_is_gone_is_gone(self, alice):
        bob = await alice.admins.add("bob@example.com", PASSWORD)
        secret = await alice.admins.begin_session(bob.id)
        assert await alice.admins.session(secret)
        await alice.admins.remove(bob.id)
        assert await alice.admins.session(secret) is None
        with pytest.raises(Refused):
            await alice.admins.begin_session(bob.id)

    async def test_what_another_node_ended_counts_within_half_a_minute(self, alice):
        secret = await alice.admins.begin_session(alice.alice.id)
        session = await alice.admins.session(secret)
        await alice.store.write(lambda tx: tx.sessions.end(session.id))
        await alice.clock.advance(31)
        assert await alice.admins.session(secret) is None
