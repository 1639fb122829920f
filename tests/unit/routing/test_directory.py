import asyncio
import inspect
from datetime import UTC, datetime
from itertools import count

import pytest

from postroad.accounts import accounts, aliases, domains
from postroad.accounts.passwords import NO_SECRET
from postroad.adapters.signals.local import LocalSignals
from postroad.mail.address import parse_forward_path
from postroad.ports.store import AliasRecord, StoreUnavailable
from postroad.routing import aliases as expansion
from postroad.routing.aliases import Rules, expand
from postroad.routing.directory import METERED_SECONDS, Directory, RecentCache
from postroad.routing.routes import RouteSettings, TransportKind
from postroad.testing.clock import JumpingClock
from postroad.testing.tenants import MemoryStore

NOW = datetime(2025, 1, 1, tzinfo=UTC)
RULES = Rules("mx.example.com", "+", RouteSettings(mx_port=2526))


class Ids:
    def __init__(self):
        self.numbers = count(1)

    def new(self):
        return next(self.numbers)


IDS = Ids()


@pytest.fixture
def store():
    store = MemoryStore()
    tx = store.tx
    for name in ("example.com", "other.test"):
        domains.add_local(tx, name, now=NOW, ids=IDS)
    for address in ("alice@example.com", "bob@example.com", "carol@other.test"):
        accounts.add(tx, address, NO_SECRET, now=NOW, ids=IDS)
    domains.add_alias(tx, "example.org", "example.com", now=NOW, ids=IDS)
    domains.add_relay(tx, "relay.test", "192.0.2.7:2525", now=NOW, ids=IDS)
    return store


def alias(store, address, *targets):
    store.tx.aliases.put(AliasRecord(address, targets, NOW))


def resolve(store, text, rules=RULES):
    return expand(store.tx, parse_forward_path(text), rules)


def went(store, text, rules=RULES):
    return [(target.forward_path, target.dest, target.via) for target in resolve(store, text, rules).targets]


@pytest.mark.parametrize(
    "text",
    ["alice@example.com", "ALICE@Example.COM", "alice+lists@example.com", "alice+a+b@example.com",
     '"alice"@example.com', "alice@example.org", "Alice+x@EXAMPLE.org"],
)  # fmt: skip
def test_addresses_of_one_mailbox(store, text):
    found = resolve(store, text)
    assert found.is_ours
    assert [(target.forward_path, target.dest) for target in found.targets] == [("alice@example.com", "local")]
    account = store.tx.accounts.by_address("alice@example.com")
    assert found.targets[0].account == account.id
    assert found.targets[0].mailbox == store.tx.mailboxes.by_name(account.id, "INBOX").id


@pytest.mark.parametrize(
    "text", ["nobody@example.com", "nobody+alice@example.com", "+alice@example.com", "nobody@example.org"]
)
def test_unknown_users(store, text):
    found = resolve(store, text)
    assert found.is_ours
    assert found.targets == ()
    assert str(found.refusal).startswith("550 5.1.1")


def test_the_exact_address_goes_before_the_one_without_detail(store):
    accounts.add(store.tx, "alice+lists@example.com", NO_SECRET, now=NOW, ids=IDS)
    alias(store, "alice+news@example.com", "bob@example.com")
    assert went(store, "alice+lists@example.com")[0][0] == "alice+lists@example.com"
    assert went(store, "alice+news@example.com")[0][0] == "bob@example.com"
    assert went(store, "alice+else@example.com")[0][0] == "alice@example.com"


@pytest.mark.parametrize(("delimiter", "text"), [("-", "alice-x@example.com"), ("--", "alice--x@example.com")])
def test_another_delimiter(store, delimiter, text):
    assert went(store, text, Rules("h", delimiter))[0][0] == "alice@example.com"
    assert resolve(store, text, Rules("h", "")).refusal


def test_an_alias_with_detail_and_its_targets(store):
    alias(store, "team@example.com", "alice@example.com", "bob@example.com", "X@remote.test", "r@relay.test")
    assert went(store, "Team+now@example.com") == [
        ("alice@example.com", "local", "team@example.com"),
        ("bob@example.com", "local", "team@example.com"),
        ("X@remote.test", "mx:remote.test", "team@example.com"),
        ("r@relay.test", "host:[192.0.2.7]:2525", "team@example.com"),
    ]
    assert resolve(store, "team@example.com").is_ours


def test_aliases_of_aliases_end_and_merge(store):
    alias(store, "a@example.com", "b@example.com", "alice@example.com", "a@example.com")
    alias(store, "b@example.com", "a@example.com", "alice@example.org", "carol@other.test")
    assert [target for target, _, _ in went(store, "a@example.com")] == ["alice@example.com", "carol@other.test"]


def test_a_circle_without_a_mailbox_is_nobody(store):
    alias(store, "a@example.com", "b@example.com")
    alias(store, "b@example.com", "a@example.com")
    assert resolve(store, "a@example.com").refusal.reply_code == 550


def test_a_target_that_is_gone_does_not_stop_the_others(store):
    alias(store, "team@example.com", "gone@example.com", "bob@example.com")
    assert [target for target, _, _ in went(store, "team@example.com")] == ["bob@example.com"]


def test_the_catch_all_comes_last(store):
    alias(store, "*@example.com", "carol@other.test")
    assert went(store, "anyone@example.com") == [("carol@other.test", "local", "*@example.com")]
    assert went(store, "bob+x@example.com")[0][0] == "bob@example.com"
    assert went(store, "anyone@example.org")[0][0] == "carol@other.test"
    assert resolve(store, "anyone@other.test").refusal


@pytest.mark.parametrize("depth", [expansion.MAX_DEPTH, expansion.MAX_DEPTH + 1])
def test_the_depth_of_aliases(store, depth):
    for step in range(depth):
        alias(store, f"s{step}@example.com", f"s{step + 1}@example.com")
    alias(store, f"s{depth - 1}@example.com", "alice@example.com")
    found = resolve(store, "s0@example.com")
    assert bool(found.targets) is (depth == expansion.MAX_DEPTH)
    assert found.refusal is None or found.refusal.reply_code == 451


@pytest.mark.parametrize("width", [expansion.MAX_TARGETS, expansion.MAX_TARGETS + 1])
def test_the_width_of_aliases(store, width):
    alias(store, "all@example.com", *(f"u{n}@remote.test" for n in range(width)))
    found = resolve(store, "all@example.com")
    assert len(found.targets) == (width if width == expansion.MAX_TARGETS else 0)
    assert found.refusal is None or found.refusal.is_temporary


def test_an_alias_with_a_broken_target_is_ours_to_mend(store):
    alias(store, "bad@example.com", "no address")
    assert resolve(store, "bad@example.com").refusal.reply_code == 451


@pytest.mark.parametrize(("text", "ours"), [("x@remote.test", False), ("x@relay.test", True), ("x@[192.0.2.1]", False)])
def test_elsewhere(store, text, ours):
    found = resolve(store, text)
    assert found.is_ours is ours
    assert found.refusal is None
    assert not found.targets[0].is_local


def test_postmaster_without_a_domain(store):
    assert went(store, "Postmaster")[0][0] == "alice@example.com"
    assert went(store, "postmaster", Rules("other.test"))[0][0] == "alice@example.com"
    alias(store, "postmaster@other.test", "carol@other.test")
    assert went(store, "postmaster", Rules("other.test"))[0][0] == "carol@other.test"


def test_postmaster_of_a_domain_is_taken_even_without_its_alias(store):
    aliases.remove(store.tx, "postmaster@other.test")
    assert went(store, "postmaster@other.test")[0][0] == "alice@example.com"


def test_nobody_is_postmaster_of_an_empty_server():
    assert resolve(MemoryStore(), "postmaster").refusal.reply_code == 550
    store = MemoryStore()
    domains.add_local(store.tx, "example.com", now=NOW, ids=IDS)
    assert resolve(store, "postmaster").refusal.reply_code == 550


# --- the directory ---------------------------------------------------------------------------------------------------


@pytest.fixture
def signals():
    return LocalSignals()


@pytest.fixture
def clock():
    return JumpingClock()


@pytest.fixture
def directory(store, signals, clock):
    return Directory(store, signals, clock, RULES)


async def test_a_recipient_is_read_once(store, directory):
    path = parse_forward_path("alice@example.com")
    first = directory.resolve(path)
    assert inspect.isawaitable(first)
    resolution = await first
    assert directory.resolve(path) is resolution
    assert store.reads == 1


async def test_a_crowd_that_asks_at_once_is_answered_by_one_read(store, directory, signals):
    path = parse_forward_path("alice@example.com")
    crowd = [directory.resolve(path) for _ in range(100)]
    signals.publish("config")
    late = directory.resolve(path)  # must not be told what was read before the change
    found = await asyncio.gather(*crowd, late)
    assert {resolution.targets[0].forward_path for resolution in found} == {"alice@example.com"}
    assert store.reads == 2


async def test_a_failed_read_is_told_to_all_and_forgotten(store, directory):
    path = parse_forward_path("alice@example.com")
    store.fault = StoreUnavailable("away")
    told = await asyncio.gather(*(directory.resolve(path) for _ in range(3)), return_exceptions=True)
    assert told == [store.fault] * 3
    store.fault = None
    assert (await directory.resolve(path)).targets


async def test_unknown_users_are_remembered_too(store, directory):
    path = parse_forward_path("nobody@example.com")
    await directory.resolve(path)
    assert directory.resolve(path).refusal
    assert store.reads == 1


async def test_a_change_of_tenants_is_seen_at_once(store, directory, signals):
    path = parse_forward_path("dave@example.com")
    assert (await directory.resolve(path)).refusal
    accounts.add(store.tx, "dave@example.com", NO_SECRET, now=NOW, ids=IDS)
    signals.publish("config")
    assert (await directory.resolve(path)).targets


async def test_what_was_read_while_tenants_changed_is_not_kept(store, directory, signals):
    path = parse_forward_path("dave@example.com")
    task = asyncio.ensure_future(directory.resolve(path))
    original = store.read

    async def slow(function):
        result = await original(function)
        accounts.add(store.tx, "dave@example.com", NO_SECRET, now=NOW, ids=IDS)
        signals.publish("config")
        return result

    store.read = slow
    assert (await task).refusal
    store.read = original
    again = directory.resolve(path)
    assert inspect.isawaitable(again)
    assert (await again).refusal is None


async def test_a_quota_is_looked_up_anew(store, directory, clock):
    account = store.tx.accounts.by_address("bob@example.com")
    store.tx.accounts.set_quota(account.id, 100)
    path = parse_forward_path("bob@example.com")
    known = await directory.resolve(path)
    assert directory.resolve(path) is known
    await clock.advance(METERED_SECONDS + 1)
    known = await directory.resolve(path)
    store.tx.accounts.change(account.id, used_bytes=99)
    directory.delivered(known.targets)
    assert (await directory.resolve(path)).targets[0].used_bytes == 99


async def test_delivery_to_accounts_without_quota_keeps_the_cache(store, directory):
    path = parse_forward_path("alice@example.com")
    known = await directory.resolve(path)
    directory.delivered(known.targets)
    assert directory.resolve(path) is known


@pytest.mark.parametrize(("domain", "ours"), [("remote.test", False), ("relay.test", True)])
async def test_one_recipient_makes_its_foreign_domain_known(store, directory, domain, ours):
    await directory.resolve(parse_forward_path(f"first@{domain}"))
    for name in ("Second", "third"):
        found = directory.resolve(parse_forward_path(f"{name}@{domain}"))
        assert (found.is_ours, found.targets[0].forward_path) == (ours, f"{name}@{domain}")
    assert store.reads == 1


async def test_routes(store, directory, signals):
    found = await directory.route("remote.test")
    assert (found.kind, found.dest, found.port) == (TransportKind.MX, "mx:remote.test", 2526)
    assert directory.route("remote.test") == found
    assert (await directory.route("relay.test")).dest == "host:[192.0.2.7]:2525"
    domains.remove(store.tx, "relay.test")
    signals.publish("config")
    assert (await directory.route("relay.test")).dest == "mx:relay.test"


def test_the_cache_keeps_what_is_used_and_is_bounded():
    cache = RecentCache[int](4)
    for n in range(100):
        cache.put(str(n), n)
        assert cache.get("0") == 0
    assert len(cache) <= 4
    assert cache.get("50") is None
    cache.drop("0")
    assert cache.get("0") is None
    cache.clear()
    assert len(cache) == 0
