"""The page of senders that are held back."""

from __future__ import annotations

import html
import re
from contextlib import suppress

import httpx
import pytest

from postroad.accounts.logins import TooManyLogins
from postroad.ports.senders import SenderKind
from postroad.testing.console import Console


def words(response: httpx.Response) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.text)).split())


@pytest.fixture
async def carol(alice: Console) -> Console:
    """There is somebody who sends."""
    await alice.services.administration.add_domain("example.com")
    await alice.services.administration.add_account("carol@example.com", "secret")
    return alice


async def test_nobody_is_held_back_as_a_rule(carol: Console) -> None:
    page = await carol.get("senders")
    assert "Nobody is held back" in words(page)
    assert "Wrong passwords" not in words(page)


async def test_freezing_and_releasing_are_one_click_each(carol: Console) -> None:
    answer = await carol.post("senders", {"do": "freeze", "kind": "account", "name": "Carol@example.com"})
    assert answer.status_code == 303
    page = words(await carol.get("senders"))
    assert "carol@example.com account frozen by alice@example.com frozen 0" in page
    (state,) = await carol.services.senders.states()
    fields = {"kind": "account", "subject": str(state.key.subject), "stream": ""}
    assert (await carol.post("senders", {"do": "release", **fields})).status_code == 303
    assert await carol.services.senders.states() == []
    assert (await carol.post("senders", {"do": "release", **fields})).status_code == 404
    rows = await carol.services.audit.page()
    assert [row.action for row in rows[:2]] == ["sender released", "sender frozen"]


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("account", "", "Type which account it is"),
        ("account", "nobody@example.com", "nobody@example.com"),
        ("token", "zzzz", "There is no token zzzz"),
        ("stream", "outbound", "such as shop/outbound"),
    ],
)
async def test_refusals_stand_beside_the_field(carol: Console, kind: str, name: str, told: str) -> None:
    answer = await carol.post("senders", {"do": "freeze", "kind": kind, "name": name})
    assert answer.status_code == 422
    assert told in words(answer)
    assert 'aria-invalid="true"' in answer.text


async def test_everything_tokens_and_streams(carol: Console) -> None:
    await carol.services.sending.add_server("shop")
    token = (await carol.services.sending.add_token("shop", "till")).record
    for kind, name in (("all", "ignored"), ("token", token.hint), ("stream", "shop/outbound")):
        assert (await carol.post("senders", {"do": "freeze", "kind": kind, "name": name})).status_code == 303
    page = words(await carol.get("senders"))
    for shown in ("Everything", f"shop/till (…{token.hint})", "shop/outbound"):
        assert shown in page
    await carol.services.senders.release(SenderKind.ALL, "")
    assert (await carol.post("senders", {"do": "freeze", "kind": "planet"})).status_code == 400


async def test_who_typed_wrong_passwords_may_try_again(carol: Console) -> None:
    guesses = carol.services.guesses
    for n in range(30):
        with suppress(TooManyLogins):
            async with guesses.attempt("192.0.2.77", "carol@example.com", f"{n}".encode()) as attempt:
                attempt.right = False
    page = words(await carol.get("senders"))
    assert "Wrong passwords" in page
    assert "carol@example.com" in page
    await carol.post("senders", {"do": "unban", "who": "carol@example.com"})
    assert [ban.who for ban in await guesses.bans() if ban.account == "carol@example.com"] == []
