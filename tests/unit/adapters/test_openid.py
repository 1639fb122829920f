"""The issuer's keys: fetched once, kept, fetched anew when one is missing, and never at a stranger's bidding."""

import asyncio
import json

import pytest

from postroad.adapters import openid
from postroad.adapters.openid import MAX_AGE, MAX_KEYS, MIN_PAUSE, RETRY_PAUSE, OpenIdKeys, fetch_document, is_safe
from postroad.ports.store import StoreUnavailable
from postroad.testing.clock import JumpingClock
from postroad.testing.issuer import Issuer

ISSUER = "https://login.example.com"


class Web:
    """What `fetch` finds; counts."""

    def __init__(self):
        self.documents = {
            f"{ISSUER}/.well-known/openid-configuration": {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"},
            f"{ISSUER}/keys": {"keys": [{"kty": "EC", "kid": "one"}]},
        }
        self.fetched = 0

    def fetch(self, url):
        self.fetched += 1
        document = self.documents.get(url)
        if document is None:
            raise OSError(f"nothing at {url}")
        return document if isinstance(document, bytes) else json.dumps(document).encode()

    def publish(self, *kids):
        self.documents[f"{ISSUER}/keys"] = {"keys": [{"kty": "EC", "kid": kid} for kid in kids]}


@pytest.fixture
def web():
    return Web()


@pytest.fixture
def clock():
    return JumpingClock()


@pytest.fixture
async def keys(web, clock):
    made = OpenIdKeys(ISSUER, clock, web.fetch)
    yield made
    await made.close()


def kids(found):
    return [key["kid"] for key in found]


async def test_they_are_fetched_once_for_all_who_wait(keys, web):
    assert [kids(found) for found in await asyncio.gather(*(keys.keys() for _ in range(5)))] == [["one"]] * 5
    assert web.fetched == 2


async def test_they_are_kept_for_an_hour_and_old_ones_serve_meanwhile(keys, web, clock):
    await keys.keys()
    web.publish("two")
    await clock.advance(MAX_AGE)
    assert kids(await keys.keys()) == ["one"]
    await clock.advance(1)
    assert kids(await keys.keys()) == ["one"]
    await keys.close()
    assert kids(await keys.keys()) == ["two"]
    assert web.fetched == 4


async def test_one_that_is_missing_is_looked_for_once_a_minute(keys, web, clock):
    await keys.keys()
    web.publish("one", "two")
    assert kids(await keys.keys(newer=True)) == ["one"]  # they have only just been fetched
    await clock.advance(MIN_PAUSE + 1)
    assert kids(await keys.keys(newer=True)) == ["one", "two"]
    for _ in range(10):
        await keys.keys(newer=True)
    assert web.fetched == 4


async def test_an_issuer_that_is_down_costs_one_try_in_a_while(keys, web, clock):
    good = web.documents.pop(f"{ISSUER}/keys")
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match=r"nothing at https://login\.example\.com/keys"):
            await keys.keys()
    assert web.fetched == 2
    web.documents[f"{ISSUER}/keys"] = good
    await clock.advance(RETRY_PAUSE + 1)
    assert kids(await keys.keys()) == ["one"]


async def test_old_keys_outlive_an_issuer_that_goes_down(keys, web, clock):
    await keys.keys()
    web.documents.clear()
    await clock.advance(2 * MAX_AGE)
    assert kids(await keys.keys(newer=True)) == ["one"]


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example", "jwks_uri": f"{ISSUER}/keys"},
        {"jwks_uri": f"{ISSUER}/keys"},
        {"issuer": ISSUER},
        {"issuer": ISSUER, "jwks_uri": 7},
        b"not json",
        b"[]",
    ],
)
async def test_documents_that_are_not_believed(keys, web, document):
    web.documents[f"{ISSUER}/.well-known/openid-configuration"] = document
    with pytest.raises(StoreUnavailable):
        await keys.keys()


@pytest.mark.parametrize("found", [{}, {"keys": {}}, {"keys": [{"kid": "x"}] * (MAX_KEYS + 1)}, {"keys": []}])
async def test_lists_of_keys_that_are_none(keys, web, found):
    web.documents[f"{ISSUER}/keys"] = found
    with pytest.raises(StoreUnavailable):
        await keys.keys()


async def test_the_most_keys_and_what_is_no_key(keys, web):
    web.documents[f"{ISSUER}/keys"] = {"keys": [{"kid": "x"}] * (MAX_KEYS - 1) + ["rubbish"]}
    assert len(await keys.keys()) == MAX_KEYS - 1


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://login.example.com/x", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://[::1]/x", True),
        ("http://login.example.com/x", False),
        ("http://127.0.0.1.evil.example/x", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("", False),
        ("ftp://127.0.0.1/x", False),
    ],
)
def test_addresses_that_are_asked(url, safe):
    assert is_safe(url) == safe
    if not safe:
        with pytest.raises(ValueError, match="https"):
            fetch_document(url)


async def test_over_http_on_this_machine(clock, monkeypatch):
    issuer = Issuer("")
    async with issuer.serving():
        keys = OpenIdKeys(issuer.url, clock)
        assert {key["kty"] for key in await keys.keys()} == {"RSA", "EC", "OKP"}
        assert issuer.fetched == ["/.well-known/openid-configuration", "/keys"]
        issuer.broken = True
        with pytest.raises(StoreUnavailable, match="503"):
            await OpenIdKeys(issuer.url, clock).keys()
        issuer.broken = False
        monkeypatch.setattr(openid, "MAX_DOCUMENT", 200)
        with pytest.raises(StoreUnavailable, match="larger than 200"):
            await OpenIdKeys(issuer.url, clock).keys()
