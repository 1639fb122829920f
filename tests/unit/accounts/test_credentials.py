import asyncio
from itertools import count

import pytest

from postroad.accounts import credentials as module
from postroad.accounts import passwords
from postroad.accounts.administration import Administration
from postroad.accounts.credentials import Credentials
from postroad.adapters.random import SystemRandomness
from postroad.adapters.signals.local import LocalSignals
from postroad.ports.store import Refused, StoreUnavailable
from postroad.testing.clock import JumpingClock, settle
from postroad.testing.tenants import MemoryStore

ALICE = "alice@example.com"


class Ids:
    def __init__(self):
        self.numbers = count(1)

    def new(self):
        return next(self.numbers)


class CountingWorkers:
    """Runs at once, and tells how many ran at the same time."""

    def __init__(self):
        self.runs = 0
        self.now = 0
        self.most = 0

    async def run(self, function):
        self.runs += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        try:
            return function()
        finally:
            self.now -= 1


class World:
    def __init__(self):
        self.store = MemoryStore()
        self.workers = CountingWorkers()
        self.clock = JumpingClock()
        self.signals = LocalSignals()
        self.credentials = Credentials(
            self.store, self.workers, self.clock, SystemRandomness(), self.signals, at_once=2
        )  # fmt: skip
        self.admin = Administration(self.store, self.credentials, self.clock, Ids(), self.signals)


@pytest.fixture
async def world(monkeypatch):
    monkeypatch.setattr(passwords, "make_secret", lambda password, *_: passwords.Secret(f"hash of {password}", b""))
    monkeypatch.setattr(passwords, "is_current", lambda *_: True)
    monkeypatch.setattr(passwords, "matches", lambda hashed, password: hashed == f"hash of {password}")
    world = World()
    await world.admin.add_domain("example.com")
    await world.admin.add_account(ALICE, "secret")
    world.workers.runs = 0
    return world


async def test_a_login(world):
    account = await world.credentials.verify("Alice@Example.com", "secret")
    assert account.address == ALICE
    assert await world.credentials.verify(ALICE, "wrong") is None


@pytest.mark.parametrize("name", ["nobody@example.com", "nonsense", "", "alice"])
async def test_an_unknown_name_costs_a_hash_too(world, name):
    assert await world.credentials.verify(name, "secret") is None
    assert world.workers.runs == 1


async def test_a_successful_login_is_remembered_for_an_hour(world):
    assert world.credentials.cached(ALICE, "secret") is None
    await world.credentials.verify(ALICE, "secret")
    assert world.credentials.cached(ALICE, "secret").address == ALICE
    assert world.credentials.cached(ALICE, "other") is None
    await world.credentials.verify(ALICE, "secret")
    assert world.workers.runs == 1
    await world.clock.advance(3601)
    assert world.credentials.cached(ALICE, "secret") is None
    await world.credentials.verify(ALICE, "secret")
    assert world.workers.runs == 2


async def test_a_wrong_password_is_never_remembered(world):
    for _ in range(2):
        assert await world.credentials.verify(ALICE, "wrong") is None
    assert world.workers.runs == 2


async def test_another_change_asks_the_row_and_no_hash(world):
    await world.credentials.verify(ALICE, "secret")
    await world.admin.add_domain("other.test")
    assert world.credentials.cached(ALICE, "secret") is None
    assert (await world.credentials.verify(ALICE, "secret")).address == ALICE
    assert world.workers.runs == 1
    assert world.credentials.cached(ALICE, "secret") is not None


async def test_a_changed_password_ends_the_memory_of_the_old_one(world):
    await world.credentials.verify(ALICE, "secret")
    await world.admin.set_password(ALICE, "new")
    assert world.credentials.cached(ALICE, "secret") is None
    assert await world.credentials.verify(ALICE, "secret") is None
    assert (await world.credentials.verify(ALICE, "new")).credential_version == 1


async def test_a_disabled_or_removed_account_cannot_log_in(world):
    account = await world.credentials.verify(ALICE, "secret")
    world.store.tx.accounts.change(account.id, disabled=True)
    world.signals.publish("config")
    assert await world.credentials.verify(ALICE, "secret") is None
    world.store.tx.accounts.change(account.id, disabled=False)
    world.signals.publish("config")
    assert await world.credentials.verify(ALICE, "secret") is not None
    await world.admin.remove_account(ALICE)
    assert await world.credentials.verify(ALICE, "secret") is None


async def test_an_account_without_a_password_cannot_log_in(world):
    account = world.store.tx.accounts.by_address(ALICE)
    world.store.tx.accounts.change(account.id, password_hash="")
    assert await world.credentials.verify(ALICE, "") is None
    assert await world.credentials.verify(ALICE, "secret") is None


async def test_few_hashes_run_at_once(world):
    await asyncio.gather(*(world.credentials.verify(ALICE, f"guess {n}") for n in range(10)))
    assert world.workers.most == 2
    assert world.workers.runs == 10


async def test_the_same_login_on_many_connections_is_checked_once(world):
    found = await asyncio.gather(*(world.credentials.verify(ALICE, "secret") for _ in range(20)))
    assert {account.address for account in found} == {ALICE}
    assert world.workers.runs == 1


async def test_one_login_in_many_spellings_is_checked_once(world):
    names = (ALICE, '"alice"@example.com', '"\\alice"@EXAMPLE.COM', f" {ALICE} ")
    found = await asyncio.gather(*(world.credentials.verify(name, "secret") for name in names))
    assert {account.address for account in found} == {ALICE}
    assert world.workers.runs == 1
    assert all(world.credentials.cached(name, "secret") for name in names)


async def test_a_waiter_that_gives_up_does_not_spoil_it_for_the_others(world):
    first = asyncio.create_task(world.credentials.verify(ALICE, "secret"))
    second = asyncio.create_task(world.credentials.verify(ALICE, "secret"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).address == ALICE
    await settle()


async def test_too_many_waiting_logins_are_told_to_come_back(world, monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    results = await asyncio.gather(
        *(world.credentials.verify(ALICE, f"guess {n}") for n in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, StoreUnavailable) for result in results) == 2


async def test_the_memory_is_bounded(world, monkeypatch):
    monkeypatch.setattr(module, "MAX_REMEMBERED", 1)
    await world.admin.add_account("bob@example.com", "b")
    await world.credentials.verify(ALICE, "secret")
    await world.credentials.verify("bob@example.com", "b")
    assert world.credentials.cached(ALICE, "secret") is None
    assert world.credentials.cached("bob@example.com", "b") is not None


async def test_administration_refuses_in_words_and_lists(world):
    with pytest.raises(Refused, match="already"):
        await world.admin.add_account(ALICE, "x")
    await world.admin.add_domain("relay.test", relay_to="192.0.2.1:2525")
    await world.admin.add_domain("example.org", alias_of="example.com")
    await world.admin.add_alias("info@example.com", [ALICE])
    assert [domain.name for domain in await world.admin.domains()] == ["example.com", "example.org", "relay.test"]
    assert (await world.admin.domain("Relay.test")).relay_port == 2525
    assert [account.address for account in await world.admin.accounts("example.com")] == [ALICE]
    assert (await world.admin.account(ALICE)).is_admin
    assert "info@example.com" in [alias.address for alias in await world.admin.aliases()]
    await world.admin.set_quota(ALICE, 7)
    assert (await world.admin.account(ALICE)).quota_bytes == 7
    await world.admin.remove_alias("info@example.com")
    await world.admin.remove_domain("relay.test")


async def test_a_password_that_is_not_kept_as_ours_is_hashed_anew_behind_the_login(world, monkeypatch):
    monkeypatch.setattr(passwords, "is_current", lambda secret, _: secret.scram == b"keys")
    monkeypatch.setattr(passwords, "make_secret", lambda password, *_: passwords.Secret(f"hash of {password}", b"keys"))
    first = await world.credentials.verify(ALICE, "secret")
    await world.credentials.close()
    account = world.store.tx.accounts.by_address(ALICE)
    assert (account.scram, account.credential_version) == (b"keys", first.credential_version)
    world.workers.runs = 0
    await world.credentials.verify(ALICE, "secret")
    await world.credentials.close()
    assert world.workers.runs == 0


async def test_hashing_anew_never_brings_an_old_password_back(world, monkeypatch):
    monkeypatch.setattr(passwords, "is_current", lambda *_: False)
    await world.credentials.verify(ALICE, "secret")
    await world.admin.set_password(ALICE, "new")
    await world.credentials.close()
    assert world.store.tx.accounts.by_address(ALICE).password_hash == "hash of new"


async def test_salts_are_of_the_installation(world):
    salts = world.credentials.salts
    assert await salts.of(ALICE) == await salts.of(" Alice@Example.com")
    assert await salts.of(ALICE) != await salts.of("bob@example.com")
    again = type(salts)(world.store, SystemRandomness())
    assert await again.of(ALICE) == await salts.of(ALICE)
    assert len(await salts.of("\ud800")) == 16
