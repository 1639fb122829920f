"""App passwords on the page of an account: made, shown once, revoked."""

import re

import pytest
from tests.unit.web.console.test_tenant_pages import beside, location, made_once, words

from postroad.ports.apppasswords import Scope
from postroad.ports.ids import id_text

BOB, PAGE = "bob@example.com", "accounts/bob@example.com"


@pytest.fixture
async def bob(alice):
    await alice.services.administration.add_domain("example.com")
    await alice.services.administration.add_account(BOB, "bobs password")
    return alice


async def test_one_is_made_and_shown_once(bob):
    assert "Every program uses the account's password" in words(await bob.get(PAGE))
    answer = await bob.post(PAGE, {"do": "app", "app_name": "phone", "scope": "both"})
    page = await bob.get(location(answer))
    secret = made_once(page)
    assert re.fullmatch(r"([a-km-z2-9]{5}-){3}[a-km-z2-9]{5}", secret)
    assert "The app password for phone" in words(page)
    assert "reads and sends, never used" in words(page)
    assert made_once(await bob.get(location(answer))) == ""
    opened = await bob.services.app_passwords.open(BOB, secret)
    assert opened.record.scopes == (Scope.SEND, Scope.READ)


@pytest.mark.parametrize(("scope", "does"), [("read", "reads, never used"), ("send", "sends, never used")])
async def test_its_scope_is_chosen(bob, scope, does):
    await bob.post(PAGE, {"do": "app", "app_name": "printer", "scope": scope})
    assert does in words(await bob.get(PAGE))


async def test_a_refusal_stands_beside_the_field(bob):
    await bob.services.app_passwords.add(BOB, "phone")
    for name, said in (("", "needs a name"), ("phone", "another name")):
        answer = await bob.post(PAGE, {"do": "app", "app_name": name})
        assert answer.status_code == 422
        assert said in beside(answer, "app_name")
    assert (await bob.post(PAGE, {"do": "app", "app_name": "x", "scope": "everything"})).status_code == 422
    assert (await bob.post("accounts/carol@example.com", {"do": "app", "app_name": "x"})).status_code == 404


async def test_one_is_revoked(bob):
    made = await bob.services.app_passwords.add(BOB, "phone")
    number = id_text(made.record.id)
    assert number in (await bob.get(PAGE)).text
    for text in ("Revoked phone", "revoked already"):
        answer = await bob.post(PAGE, {"do": "revoke", "app": number})
        assert location(answer) == PAGE
        assert text in words(await bob.get(PAGE))
    assert await bob.services.app_passwords.list(BOB) == []
    await bob.post(PAGE, {"do": "revoke", "app": "nonsense"})
    assert "There is no such app password" in words(await bob.get(PAGE))
    rows = [row.action for row in await bob.services.audit.page(limit=5)]
    assert "app password revoked" in rows
