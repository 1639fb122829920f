"""Guessing mailbox passwords is slow: by account and by address, and nobody is locked out by others."""

import asyncio

import pytest

from postroad.accounts.bans import Subject
from postroad.accounts.crowd import ENOUGH, Crowd, is_private
from postroad.accounts.guesses import BY_ACCOUNT, BY_ADDRESS, Guesses, GuessLimits
from postroad.accounts.logins import FORGET, KNOWN, Curve, TooManyLogins
from postroad.accounts.turns import Turns
from postroad.observe import log
from postroad.ports.store import Refused, StoreUnavailable
from postroad.testing.clock import settle

ALICE = "alice@example.com"
HOME, STRANGER, PROXY = "192.0.2.1", "198.51.100.7", "10.0.0.1"


@pytest.fixture
def guesses(tenancy):
    return Guesses(tenancy.store, tenancy.clock, tenancy.ids)


async def attempt(guesses, client, name=ALICE, *, right=False, fingerprint=b""):
    """Seconds that it had to wait instead; None when it was looked at."""
    try:
        async with guesses.attempt(client, name, fingerprint) as one:
            one.right = right
    except TooManyLogins as error:
        return error.seconds
    return None


async def fail(guesses, clock, client, name=ALICE, times=1):
    """So many failures, each as soon as it may be."""
    for _ in range(times):
        while (wait := await attempt(guesses, client, name)) is not None:
            await clock.advance(wait)


async def test_waits_grow_for_one_account_whatever_the_address(tenancy, guesses):
    for number in range(BY_ACCOUNT.free + 1):
        assert await attempt(guesses, f"198.51.100.{number}") is None
    assert await attempt(guesses, "203.0.113.1") == 2
    await tenancy.clock.advance(2)
    assert await attempt(guesses, "203.0.113.1") is None
    assert await attempt(guesses, "203.0.113.2") == 4
    assert await attempt(guesses, "203.0.113.2", "bob@example.com") is None


async def test_another_spelling_of_a_name_has_no_tries_of_its_own(tenancy, guesses):
    spellings = ['"alice"@example.com', '"\\alice"@EXAMPLE.com', " Alice@example.com ", "alice@\uff45xample.com",
                 '"\\a\\l\\i\\c\\e"@example.com', ALICE]  # fmt: skip
    assert len(spellings) == BY_ACCOUNT.free + 1
    for number, name in enumerate(spellings):
        assert await attempt(guesses, f"198.51.100.{number}", name) is None
    for number, name in enumerate(spellings):
        assert await attempt(guesses, f"203.0.113.{number}", name) == 2
    (ban,) = [ban for ban in await guesses.bans() if ban.subject is Subject.ACCOUNT]
    assert ban.who == ALICE


async def test_waits_grow_for_one_address_whatever_the_account(tenancy, guesses):
    for number in range(BY_ADDRESS.free + 1):
        assert await attempt(guesses, STRANGER, f"{number}@example.com") is None
    assert await attempt(guesses, STRANGER, "bob@example.com") == 2
    assert await attempt(guesses, "198.51.100.8", "bob@example.com") is None


async def test_an_address_that_goes_on_is_banned_for_a_day(tenancy):
    limits = GuessLimits(Curve(1000, 1.0), Curve(3, 1.0, ban_after=6, ban=86400.0))
    guesses = Guesses(tenancy.store, tenancy.clock, tenancy.ids, limits)
    await fail(guesses, tenancy.clock, STRANGER, times=5)
    assert await attempt(guesses, STRANGER) == 1
    await tenancy.clock.advance(1)
    assert await attempt(guesses, STRANGER) is None
    assert await attempt(guesses, STRANGER) == 86400


async def test_strangers_do_not_lock_the_owner_out(tenancy, guesses):
    assert await attempt(guesses, HOME, right=True) is None
    await fail(guesses, tenancy.clock, STRANGER, times=20)
    assert await attempt(guesses, HOME, right=True) is None
    assert await attempt(guesses, "203.0.113.9", right=True) > 0  # from elsewhere the owner waits like others
    await tenancy.clock.advance(KNOWN.total_seconds())
    await fail(guesses, tenancy.clock, STRANGER, times=BY_ACCOUNT.free + 1)
    assert await attempt(guesses, HOME, right=True) > 0  # a month later the address is nobody's own


async def test_a_known_pair_has_a_count_of_its_own(tenancy, guesses):
    await attempt(guesses, HOME, right=True)
    await attempt(guesses, HOME, "bob@example.com", right=True)
    for _ in range(BY_ACCOUNT.free + 1):
        assert await attempt(guesses, HOME) is None
    assert await attempt(guesses, HOME) == 2
    assert await attempt(guesses, HOME, "bob@example.com", right=True) is None  # the office is not locked out
    assert await attempt(guesses, STRANGER, right=True) is None
    await tenancy.clock.advance(2)
    assert await attempt(guesses, HOME, right=True) is None
    for _ in range(BY_ACCOUNT.free):  # its count began anew
        assert await attempt(guesses, HOME) is None


async def test_the_same_wrong_password_again_is_no_new_guess(tenancy, guesses):
    for number in range(30):
        assert await attempt(guesses, f"203.0.113.{number + 9}", fingerprint=b"stale") is None
    assert await attempt(guesses, "203.0.113.1", right=True) is None
    for _ in range(BY_ADDRESS.free):  # but each costs us work, so the address pays for it
        await attempt(guesses, STRANGER, fingerprint=b"stale")
    assert await attempt(guesses, STRANGER) is None
    assert await attempt(guesses, STRANGER) > 0


async def test_attempts_at_once_count_one_by_one(tenancy, guesses):
    looked_at = 0

    async def guess():
        nonlocal looked_at
        async with guesses.attempt(STRANGER, ALICE) as one:
            looked_at += 1
            await asyncio.sleep(0)
            one.right = False

    results = await asyncio.gather(*(guess() for _ in range(100)), return_exceptions=True)
    assert all(result is None or isinstance(result, TooManyLogins) for result in results)
    assert looked_at <= 2 * BY_ACCOUNT.free
    assert len(guesses.turns) == 0


async def test_right_logins_at_once_all_pass(guesses):
    results = await asyncio.gather(*(attempt(guesses, HOME, f"{n}@example.com", right=True) for n in range(60)))
    assert set(results) == {None}


async def test_a_restart_changes_nothing_and_a_quiet_day_does(tenancy, guesses):
    await fail(guesses, tenancy.clock, STRANGER, times=BY_ACCOUNT.free + 4)
    again = Guesses(tenancy.store, tenancy.clock, tenancy.ids)
    wait = await attempt(again, STRANGER)
    assert wait == await attempt(guesses, STRANGER) == 16
    await tenancy.clock.advance(FORGET.total_seconds() + wait)
    for _ in range(BY_ACCOUNT.free):
        assert await attempt(again, STRANGER) is None


async def test_right_logins_write_once_a_day(tenancy, guesses):
    writes = []
    write = tenancy.store.write

    async def counting(function, **options):
        writes.append(function)
        return await write(function, **options)

    tenancy.store.write = counting
    for _ in range(50):
        await attempt(guesses, HOME, right=True)
    assert len(writes) == 1
    await tenancy.clock.advance(86401)
    await attempt(guesses, HOME, right=True)
    assert len(writes) == 2


async def test_a_friend_costs_no_look_until_somebody_fails_there(tenancy, guesses):
    read, reads = tenancy.store.read, []

    async def counting(function):
        reads.append(function)
        return await read(function)

    tenancy.store.read = counting
    await attempt(guesses, HOME, right=True)
    assert len(reads) == 1
    await attempt(guesses, HOME, right=True)
    assert len(reads) == 1
    await attempt(guesses, HOME)  # wrong: counted for the pair
    await attempt(guesses, HOME, right=True)
    assert len(reads) == 3
    await tenancy.clock.advance(86401 + 3600)
    await attempt(guesses, HOME, right=True)
    assert len(reads) == 4


async def test_an_address_that_failed_is_not_clean_for_a_day(tenancy, guesses):
    assert guesses.is_clean(STRANGER)
    await attempt(guesses, STRANGER)
    assert not guesses.is_clean(STRANGER)
    assert guesses.is_clean(HOME)
    await tenancy.clock.advance(86401)
    assert guesses.is_clean(STRANGER)


async def test_exempt_clients_wait_for_the_account_alone(tenancy):
    guesses = Guesses(tenancy.store, tenancy.clock, tenancy.ids, exempt=["198.51.100.0/24"])
    for number in range(40):
        assert await attempt(guesses, STRANGER, f"{number}@example.com") is None
    await fail(guesses, tenancy.clock, STRANGER, times=BY_ACCOUNT.free + 1)
    assert await attempt(guesses, STRANGER) > 0


async def test_a_unix_socket_has_no_address(tenancy, guesses):
    for _ in range(BY_ACCOUNT.free + 1):
        assert await attempt(guesses, "") is None
    assert await attempt(guesses, "") > 0
    assert [ban.subject for ban in await guesses.bans()] == [Subject.ACCOUNT]


@pytest.mark.parametrize("name", ["\0", "\ud800", "x" * 100_000, "a\nb", ""])
async def test_any_name_can_be_counted(guesses, name):
    assert await attempt(guesses, "not an address\0", name) is None
    assert await attempt(guesses, STRANGER, name, right=True) is None


async def test_a_token_in_the_place_of_the_name_is_not_kept(tenancy, guesses):
    token = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
    await fail(guesses, tenancy.clock, STRANGER, token, times=7)
    rows = await tenancy.store.read(lambda tx: tx.throttle.failing())
    assert token not in str(rows)


async def test_nothing_is_counted_for_an_attempt_that_came_to_nothing(tenancy, guesses):
    with pytest.raises(StoreUnavailable):
        async with guesses.attempt(STRANGER, ALICE):
            raise StoreUnavailable("not now")
    assert await guesses.bans() == []
    assert await tenancy.store.read(lambda tx: tx.throttle.failing()) == []
    assert len(guesses.turns) == 0


async def test_a_count_that_cannot_be_written_spoils_no_answer(tenancy, guesses, monkeypatch):
    async def broken(function, **options):
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(tenancy.store, "write", broken)
    assert await attempt(guesses, STRANGER) is None
    assert await attempt(guesses, HOME, right=True) is None


# --- bans -------------------------------------------------------------------------------------------------------------


async def test_bans_are_listed_and_released(tenancy, guesses):
    await fail(guesses, tenancy.clock, STRANGER, times=12)
    (longest, other) = await guesses.bans()
    assert {longest.subject, other.subject} == {Subject.ADDRESS, Subject.ACCOUNT}
    assert {longest.who, other.who} == {STRANGER, ALICE}
    assert await guesses.release(ALICE.upper()) == 1
    assert await guesses.release(STRANGER) == 1
    assert await guesses.bans() == []
    assert await attempt(guesses, STRANGER) is None
    assert (await tenancy.told())[-1] == ("the command line", "ban released", STRANGER)
    with pytest.raises(Refused, match="nothing is counted against 203"):
        await guesses.release("203.0.113.5")


async def test_releasing_all_takes_pairs_too(tenancy, guesses):
    await attempt(guesses, HOME, right=True)
    await fail(guesses, tenancy.clock, HOME, times=BY_ACCOUNT.free + 1)
    (pair,) = await guesses.bans()
    assert (pair.subject, pair.address, pair.account) == (Subject.PAIR, HOME, ALICE)
    assert await guesses.release("") == 1
    with pytest.raises(Refused, match="anybody"):
        await guesses.release("")
    assert await attempt(guesses, HOME, right=True) is None


async def test_networks_of_ipv6_are_released_by_any_address_of_theirs(tenancy, guesses):
    for number in range(BY_ADDRESS.free + 1):
        await attempt(guesses, f"2001:db8::{number:x}", f"{number}@example.com")
    (ban,) = await guesses.bans()
    assert ban.who == "2001:db8::/64"
    assert await guesses.release("2001:db8::77") == 1


# --- a proxy that hides everybody -------------------------------------------------------------------------------------


@pytest.fixture
def lines(monkeypatch):
    said = []
    monkeypatch.setattr(log.Logger, "error", lambda self, text, **fields: said.append((text, fields)))
    return said


async def test_a_proxy_that_hides_everybody_is_told_loudly_and_not_banned(tenancy, guesses, lines):
    for number in range(40):
        await attempt(guesses, PROXY, f"{number}@example.com", right=number % 3 == 0)
        await tenancy.clock.advance(1000)
    for number in range(40):
        assert await attempt(guesses, PROXY, f"x{number}@example.com") is None
    assert lines
    assert len(lines) <= 24  # an hour lies between two of them
    assert "PROXY protocol" in lines[0][0]
    assert lines[0][1]["address"] == PROXY
    again = Guesses(tenancy.store, tenancy.clock, tenancy.ids)
    for number in range(40):
        assert await attempt(again, PROXY, f"y{number}@example.com") is None  # remembered over a restart
    await fail(guesses, tenancy.clock, PROXY, times=BY_ACCOUNT.free + 1)
    assert await attempt(guesses, PROXY) > 0  # accounts are guarded all the same


async def test_a_public_address_is_no_proxy_of_ours(tenancy, guesses, lines):
    for number in range(BY_ADDRESS.free + 1):
        await attempt(guesses, STRANGER, f"{number}@example.com")
    assert await attempt(guesses, STRANGER, "x@example.com") > 0
    assert not lines


async def test_one_machine_of_the_house_among_others_is_slowed(tenancy, guesses, lines):
    for number in range(ENOUGH):
        await attempt(guesses, f"10.0.1.{number}", f"{number}@example.com", right=True)
    for number in range(BY_ADDRESS.free + 1):
        await attempt(guesses, PROXY, f"{number}@example.com")
    assert await attempt(guesses, PROXY, "x@example.com") > 0
    assert not lines


def test_the_edges_of_a_crowd(tenancy):
    def crowd(*logins):
        made = Crowd(tenancy.clock)
        for network, name, right in logins:
            made.note(network, name, right=right)
        return made.hides_behind(PROXY)

    def failing(count, names=5):
        return [(PROXY, f"{n % names}", n >= 5) for n in range(count)]

    assert crowd(*failing(20))
    assert not crowd(*failing(19))
    assert not crowd(*failing(20, names=4))
    assert not crowd(*[(PROXY, f"{n}", n >= 4) for n in range(20)])
    assert crowd(*failing(18), (HOME, "a", True), (HOME, "b", True))
    assert not crowd(*failing(17), *[(HOME, f"{n}", True) for n in range(3)])


@pytest.mark.parametrize("network", ["10.1.2.3", "192.168.0.1", "127.0.0.1", "fd00::/64", "fe80::/64", "100.64.0.1"])
def test_private_addresses(network):
    assert is_private(network)


@pytest.mark.parametrize("network", ["11.0.0.1", "192.0.2.1", "2001:db8::/64", "", "nonsense", "172.32.0.1"])
def test_public_addresses(network):
    assert not is_private(network)


async def test_turns_are_few_and_forgotten():
    turns, order = Turns(), []

    async def work(number):
        await turns.take("x", 2)
        order.append(number)
        await asyncio.sleep(0)
        turns.give("x")

    await asyncio.gather(*(work(number) for number in range(6)))
    assert order == [0, 1, 2, 3, 4, 5]
    await turns.take("x", 1)
    waiting = asyncio.ensure_future(turns.take("x", 1))
    await settle()
    assert not waiting.done()
    waiting.cancel()
    await settle()
    turns.give("x")
    assert len(turns) == 0
