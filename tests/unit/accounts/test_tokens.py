"""Who a token is: by memory, by the rows, and no longer once it is revoked."""

import pytest

from postroad.accounts import tokens as module
from postroad.accounts.tokens import allows, digest_of


@pytest.fixture
async def shop(tenancy):
    tenancy.shop = await tenancy.sending.add_server("Shop")
    tenancy.secret = (await tenancy.sending.add_token("Shop")).secret
    return tenancy


async def test_the_memory_answers_once_the_rows_have(shop):
    assert shop.tokens.cached(shop.secret) is None
    record = await shop.tokens.verify(shop.secret)
    assert record.server == shop.shop.id
    assert shop.tokens.cached(shop.secret) == record
    access = shop.tokens.known(shop.secret.upper())  # a UUID means the same in capitals
    assert access.server == shop.shop
    assert sorted(access.streams) == ["broadcast", "inbound", "outbound"]
    assert await shop.tokens.server_of(record) == shop.shop


@pytest.mark.parametrize(
    "secret", ["", "nonsense", "x" * 10_000, "pr_x", "\ud800", "00000000-0000-0000-0000-000000000000"]
)
async def test_a_wrong_secret_opens_nothing(shop, secret):
    assert await shop.tokens.verify(secret) is None
    assert shop.tokens.cached(secret) is None


async def test_a_key_is_told_apart_by_case_and_reaches_as_far_as_its_scopes(shop):
    key = await shop.sending.add_key("dash", ["queue:read"])
    assert await shop.tokens.verify(key.secret)
    assert await shop.tokens.verify(key.secret.swapcase().replace("PR_", "pr_")) is None
    assert (await shop.tokens.open(key.secret)).server is None
    assert allows(key.record, "queue:read")
    assert not allows(key.record, "queue:write")
    assert allows((await shop.sending.add_key("all", ["*"])).record, "queue:write")
    assert not allows((await shop.tokens.verify(shop.secret)), "queue:read")


async def test_a_revoked_token_opens_nothing_from_then_on(shop):
    access = await shop.tokens.open(shop.secret)
    assert shop.tokens.is_current(access)
    await shop.sending.revoke(access.token.id)
    assert not shop.tokens.is_current(access)
    assert shop.tokens.cached(shop.secret) is None
    assert await shop.tokens.verify(shop.secret) is None
    assert await shop.tokens.current(access) is None


async def test_a_removed_server_ends_its_tokens(shop):
    access = await shop.tokens.open(shop.secret)
    await shop.sending.remove_server("Shop")
    assert await shop.tokens.verify(shop.secret) is None
    assert await shop.tokens.current(access) is None


async def test_a_new_stream_is_seen_by_whoever_holds_on(shop):
    access = await shop.tokens.open(shop.secret)
    await shop.sending.add_stream("Shop", "letters")
    assert "letters" in (await shop.tokens.current(access)).streams
    assert "letters" in (await shop.tokens.open(shop.secret)).streams


async def test_the_rows_are_asked_again_after_a_minute(shop):
    """Another node may have revoked it: no signal tells us."""
    access = await shop.tokens.open(shop.secret)
    await shop.store.write(lambda tx: tx.tokens.revoke(access.token.id, shop.clock.now()))
    assert shop.tokens.cached(shop.secret)
    await shop.clock.advance(module.REMEMBERED_SECONDS + 1)
    assert await shop.tokens.verify(shop.secret) is None


async def test_the_last_use_is_written_behind_and_once_a_minute(shop):
    record = await shop.tokens.verify(shop.secret)
    first = shop.clock.now()
    await shop.tokens.close()
    for _ in range(10):
        await shop.clock.advance(3)
        assert await shop.tokens.verify(shop.secret)
    await shop.tokens.close()
    (kept,) = await shop.sending.tokens("Shop")
    assert kept.last_used == first
    await shop.clock.advance(60)
    await shop.tokens.verify(shop.secret)
    await shop.tokens.close()
    assert (await shop.sending.tokens("Shop"))[0].last_used == shop.clock.now()
    assert record.last_used is None


async def test_the_memory_is_bounded(shop, monkeypatch):
    monkeypatch.setattr(module, "MAX_REMEMBERED", 2)
    secrets = [(await shop.sending.add_token("Shop")).secret for _ in range(3)]
    for secret in secrets:
        await shop.tokens.verify(secret)
    assert sum(shop.tokens.cached(secret) is not None for secret in secrets) <= 2


def test_digests():
    assert digest_of("ABC") == digest_of("abc") != digest_of("pr_ABC")
    assert digest_of("pr_ABC") != digest_of("pr_abc")
    assert len(digest_of("x")) == 32
