"""App passwords: made once, kept as digests, honoured by scope."""

import re

import pytest

from postroad.accounts import apppasswords
from postroad.accounts.apppasswords import AppPasswords, digest_of, read_scopes
from postroad.ports.apppasswords import Scope
from postroad.ports.ids import id_text
from postroad.ports.store import Refused

ALICE, BOB = "alice@example.com", "bob@example.com"


@pytest.fixture
async def world(tenancy):
    await tenancy.administration.add_domain("example.com")
    for address in (ALICE, BOB):
        await tenancy.administration.add_account(address, "secret")
    return tenancy


def test_what_is_typed_may_have_dashes_blanks_and_capitals():
    one = digest_of("abcde-fghij-kmnpq-rstuv")
    assert one == digest_of("abcdefghijkmnpqrstuv") == digest_of("ABCDE FGHIJ KMNPQ RSTUV")
    assert one != digest_of("abcde-fghij-kmnpq-rstuw")


async def test_one_is_made_and_shown_once(world):
    made = await world.app_passwords.add(ALICE, " My  phone ")
    assert re.fullmatch(r"([a-km-z2-9]{5}-){3}[a-km-z2-9]{5}", made.secret)
    assert made.record.name == "My phone"
    assert made.record.scopes == (Scope.SEND, Scope.READ)
    assert made.secret not in repr(made)
    rows = await world.store.read(lambda tx: tx.throttle._connection.rows("SELECT * FROM app_password"))
    assert made.secret not in str(rows)
    assert made.secret.replace("-", "") not in str(rows)
    assert (await world.told())[-1] == ("the command line", "app password added", ALICE)
    assert [one.name for one in await world.app_passwords.list(ALICE)] == ["My phone"]
    assert await world.app_passwords.list(BOB) == []


async def test_what_it_opens(world):
    passwords = world.app_passwords
    made = await passwords.add(ALICE, "phone", ["read"])
    assert passwords.known(ALICE, made.secret) is None
    opened = await passwords.open(ALICE.upper(), made.secret.replace("-", "").upper())
    assert (opened.account.address, opened.record.scopes) == (ALICE, (Scope.READ,))
    assert await passwords.open(BOB, made.secret) is None
    assert await passwords.open("nonsense", made.secret) is None
    assert await passwords.open(ALICE, "secret") is None
    assert await passwords.open(ALICE, "abcde-fghij-kmnpq-rstuv") is None


async def test_it_is_remembered_for_a_minute_and_until_tenants_change(world, monkeypatch):
    passwords = world.app_passwords
    made = await passwords.add(ALICE, "phone")
    await passwords.open(ALICE, made.secret)
    assert passwords.known(ALICE, made.secret).account.address == ALICE
    assert passwords.known(BOB, made.secret) is None
    await world.clock.advance(61)
    assert passwords.known(ALICE, made.secret) is None
    await passwords.open(ALICE, made.secret)
    await world.administration.add_domain("other.test")
    assert passwords.known(ALICE, made.secret) is None
    monkeypatch.setattr(apppasswords, "_MAX_REMEMBERED", 1)
    other = await passwords.add(BOB, "phone")
    await passwords.open(ALICE, made.secret)
    await passwords.open(BOB, other.secret)
    assert passwords.known(ALICE, made.secret) is None
    assert passwords.known(BOB, other.secret) is not None


async def test_the_time_of_last_use_is_kept_to_the_minute(world):
    passwords = world.app_passwords
    made = await passwords.add(ALICE, "phone")
    assert made.record.last_used is None
    await passwords.open(ALICE, made.secret)
    await passwords.close()
    (first,) = await passwords.list(ALICE)
    assert first.last_used == world.clock.now()
    await world.clock.advance(59)
    await passwords.open(ALICE, made.secret)
    await passwords.close()
    assert await passwords.list(ALICE) == [first]
    await world.clock.advance(2)
    await passwords.open(ALICE, made.secret)
    await passwords.close()
    assert (await passwords.list(ALICE))[0].last_used == world.clock.now()


async def test_one_is_revoked_by_name_or_id(world):
    passwords = world.app_passwords
    phone, tablet = [await passwords.add(ALICE, name) for name in ("phone", "tablet")]
    await passwords.open(ALICE, phone.secret)
    assert (await passwords.revoke(ALICE, "phone")).id == phone.record.id
    assert passwords.known(ALICE, phone.secret) is None
    assert await passwords.open(ALICE, phone.secret) is None
    with pytest.raises(Refused, match="no app password “tablet”"):
        await passwords.revoke(BOB, "tablet")
    await passwords.revoke(ALICE, id_text(tablet.record.id))
    assert await passwords.list(ALICE) == []
    assert (await world.told())[-1][1] == "app password revoked"


async def test_a_disabled_account_has_none(world):
    made = await world.app_passwords.add(ALICE, "phone")
    await world.store.write(lambda tx: tx.accounts._connection.run("UPDATE account SET disabled = 1"))
    assert await world.app_passwords.open(ALICE, made.secret) is None


async def test_what_is_refused(world, monkeypatch):
    passwords = world.app_passwords
    monkeypatch.setattr(apppasswords, "MAX_OF_ACCOUNT", 2)
    await passwords.add(ALICE, "one")
    with pytest.raises(Refused, match="another name"):
        await passwords.add(ALICE, "one")
    with pytest.raises(Refused, match="needs a name"):
        await passwords.add(ALICE, "  ")
    with pytest.raises(Refused, match="no account"):
        await passwords.add("carol@example.com", "x")
    await passwords.add(ALICE, "two")
    with pytest.raises(Refused, match="revoke one"):
        await passwords.add(ALICE, "three")
    await passwords.add(BOB, "one")


def test_scopes():
    assert read_scopes(["read", "send", "read"]) == (Scope.SEND, Scope.READ)
    with pytest.raises(Refused, match="send, read"):
        read_scopes(["write"])
    with pytest.raises(Refused, match="needs a scope"):
        read_scopes([])


async def test_its_keys_have_the_salt_of_the_account(world):
    from postroad.accounts.passwords import read_scram

    made = await world.app_passwords.add(ALICE, "phone")
    keys = read_scram(made.record.scram)["SCRAM-SHA-256"]
    assert keys.salt == await world.credentials.salts.of(ALICE)
    again = AppPasswords(
        world.store, world.credentials, clock=world.clock, ids=world.ids, signals=world.signals,
        random=world.random,
    )  # fmt: skip
    assert read_scram((await again.add(ALICE, "tablet")).record.scram)["SCRAM-SHA-256"].salt == keys.salt
