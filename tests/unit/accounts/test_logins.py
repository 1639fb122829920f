"""Guessing is slow: by name, by address, across a restart; and its owner is not locked out."""

import asyncio

import pytest

from postroad.accounts.logins import BY_ADDRESS, BY_NAME, FORGET, Throttle, TooManyLogins

EMAIL, PASSWORD = "alice@example.com", "correct horse"
STRANGER, HOME = "198.51.100.7", "192.0.2.1"


@pytest.fixture
async def alice(tenancy):
    tenancy.alice = await tenancy.admins.add(EMAIL, PASSWORD)
    return tenancy


async def wait_after(tenancy, client, name, attempts):
    """Seconds to wait after so many attempts, each made as soon as it may be."""
    for _ in range(attempts):
        while True:
            try:
                await tenancy.throttle.admit(client, name)
                break
            except TooManyLogins as error:
                await tenancy.clock.advance(error.seconds)
    try:
        await tenancy.throttle.admit(client, name)
    except TooManyLogins as error:
        return error.seconds
    return 0


async def test_the_wait_grows_with_each_failure_up_to_a_limit(alice):
    assert await wait_after(alice, "", EMAIL, BY_NAME.free) == 0
    assert await wait_after(alice, "", EMAIL, 0) == 2
    assert await wait_after(alice, "", EMAIL, 1) == 4
    assert await wait_after(alice, "", EMAIL, 1) == 8
    assert await wait_after(alice, "", EMAIL, 40) == BY_NAME.most


async def test_one_address_cannot_go_through_names(alice):
    waits = [await wait_after(alice, STRANGER, f"{number}@example.com", 0) for number in range(BY_ADDRESS.free)]
    assert waits == [0] * BY_ADDRESS.free
    assert await wait_after(alice, STRANGER, "x@example.com", 1) > 0
    assert await wait_after(alice, "198.51.100.8", "y@example.com", 0) == 0


async def test_one_network_of_ipv6_is_one_address(alice):
    for number in range(BY_ADDRESS.free + 1):
        await alice.throttle.admit(f"2001:db8::{number:x}", f"{number}@example.com")
    with pytest.raises(TooManyLogins):
        await alice.throttle.admit("2001:db8::ffff", "x@example.com")
    await alice.throttle.admit("2001:db8:0:1::1", "x@example.com")
    for number in range(BY_ADDRESS.free):
        await alice.throttle.admit("::ffff:192.0.2.9", f"{number}@example.org")
    assert await wait_after(alice, "192.0.2.9", "x@example.org", 1) > 0  # the same in both writings


async def test_attempts_at_once_count_one_by_one(alice):
    results = await asyncio.gather(*(alice.throttle.admit(STRANGER, EMAIL) for _ in range(50)), return_exceptions=True)
    assert sum(result is None for result in results) == BY_NAME.free + 1


async def test_a_whole_sign_in_takes_the_count_back(alice):
    for _ in range(BY_NAME.free):
        assert await alice.admins.log_in(EMAIL, "wrong", HOME) is None
    assert await alice.admins.log_in(EMAIL, PASSWORD, HOME)
    await alice.admins.begin_session(alice.alice.id, HOME)
    for _ in range(BY_NAME.free):
        assert await alice.admins.log_in(EMAIL, "wrong", HOME) is None


async def test_a_password_alone_does_not_where_a_code_is_to_follow(alice):
    """Else whoever has the password could try codes without end."""
    for _ in range(BY_NAME.free + 1):
        assert await alice.admins.log_in(EMAIL, PASSWORD, STRANGER)
    with pytest.raises(TooManyLogins):
        await alice.throttle.admit(STRANGER, EMAIL)


async def test_strangers_do_not_lock_the_owner_out(alice):
    await alice.admins.begin_session(alice.alice.id, HOME)
    for number in range(30):
        await wait_after(alice, f"198.51.100.{number}", EMAIL, 1)
    with pytest.raises(TooManyLogins):
        await alice.admins.log_in(EMAIL, PASSWORD, "203.0.113.1")
    assert await alice.admins.log_in(EMAIL, PASSWORD, HOME)
    await alice.clock.advance(31 * 86400)
    for _ in range(BY_NAME.free + 1):
        await alice.throttle.admit("", EMAIL)
    with pytest.raises(TooManyLogins):
        await alice.admins.log_in(EMAIL, PASSWORD, HOME)  # a month later the address is nobody's own


async def test_a_restart_changes_nothing_and_a_quiet_day_does(alice):
    wait = await wait_after(alice, "", EMAIL, BY_NAME.free + 5)
    again = Throttle(alice.store, alice.clock)
    with pytest.raises(TooManyLogins) as refused:
        await again.admit("", EMAIL)
    assert refused.value.seconds == wait
    await alice.clock.advance(FORGET.total_seconds() + wait)
    assert await wait_after(alice, "", EMAIL, BY_NAME.free) == 0


async def test_names_are_compared_as_people_type_them(alice):
    for name in (" Alice@Example.com", "ALICE@example.com", EMAIL, EMAIL + "\t", EMAIL, EMAIL):
        await alice.throttle.admit("", name)
    with pytest.raises(TooManyLogins, match="2 seconds"):
        await alice.throttle.admit("", EMAIL)


async def test_another_spelling_of_the_name_has_no_tries_of_its_own(alice):
    spellings = ('"alice"@example.com', '"\\alice"@EXAMPLE.com', "alice@ｅxample.com", "alice@example。com", EMAIL)
    for spelling in spellings:
        assert await alice.admins.log_in(spelling, "wrong") is None
    for spelling in spellings:
        assert await alice.admins.verify(spelling, PASSWORD)  # each of them would open
    assert await wait_after(alice, "", EMAIL, 1) == 2


@pytest.mark.parametrize("name", ["\0", "\ud800", "x" * 100_000, "a\nb"])
async def test_any_name_can_be_counted(alice, name):
    await alice.throttle.admit("not an address\0", name)
    await alice.throttle.succeeded("unix", name)


async def test_bad_sign_ins_are_written_down_with_the_name_that_was_typed(alice):
    assert await alice.admins.log_in("mallory@example.com", "wrong", STRANGER) is None
    row = (await alice.audit.page())[0]
    assert (row.action, row.target, row.client) == ("sign-in refused", "mallory@example.com", STRANGER)
    assert "wrong name or password" in row.detail["why"]


async def test_a_secret_in_the_field_of_the_name_is_not_written_down(alice):
    secret = "pr_" + "x" * 36 + "last"
    assert await alice.admins.log_in(secret, "wrong", STRANGER) is None
    row = (await alice.audit.page())[0]
    assert row.target == "…last, 43 characters"
    assert secret not in str(row)


def test_waits_are_told_in_words():
    assert str(TooManyLogins(1)).endswith("in 1 second")
    assert str(TooManyLogins(300)).endswith("in 5 minutes")
