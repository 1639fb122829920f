"""Who may ask what: every row of the table refuses whoever has not its scope."""

from __future__ import annotations

from collections.abc import AsyncIterator

from postroad.accounts.tokens import SCOPES
from postroad.testing.api import PLANS, Api, filled, scopes_but
from postroad.web.console.guard import csrf_token

WORDS = {
    "message": "1m2n3p4q5r6st",
    "action": "retry",
    "domain": "example.com",
    "account": "alice@example.com",
    "alias": "info@example.com",
    "server": "1",
    "stream": "outbound",
    "token": "1m2n3p4q5r6st",
}


def test_every_scope_opens_something_and_every_row_has_one() -> None:
    assert {one.route.scope for one in PLANS} == set(SCOPES)
    for one in PLANS:
        kind = "read" if one.route.method == "GET" or one.route.name == "verify_domain" else "write"
        assert one.route.scope.endswith(kind), one.route


async def test_every_row_refuses_whoever_has_not_its_scope(api: Api) -> None:
    right = {scope: await api.key(scope) for scope in SCOPES}
    wrong = {scope: await api.key(*scopes_but(scope, list(SCOPES))) for scope in SCOPES}
    stranger = Api(api.web, "pr_" + "x" * 40)
    for one in PLANS:
        method, path = one.route.method, filled(one, WORDS)
        for nobody in (api.nobody(), stranger):
            answer = await nobody.ask(method, path)
            assert answer.status_code == 401, one.route
            assert answer.headers["www-authenticate"].startswith("Bearer")
        answer = await wrong[one.route.scope].ask(method, path)
        assert answer.status_code == 403, one.route
        assert answer.json()["scope"] == one.route.scope
        assert (await right[one.route.scope].ask(method, path)).status_code not in (401, 403), one.route


async def test_a_servers_token_opens_nothing_here(api: Api) -> None:
    server = await api.services.sending.add_server("Shop")
    made = await api.services.sending.add_token(server.id)
    assert "sends mail" in await Api(api.web, made.secret).refused("GET", "/domains", 401)


async def test_a_revoked_key_opens_nothing_more(api: Api) -> None:
    key = await api.key("tenants:read")
    assert await key.get("/domains") == {"items": [], "next": None}
    (made,) = [token for token in (await api.get("/tokens"))["items"] if token["name"] == "another"]
    await api.send("DELETE", f"/tokens/{made['id']}", status=204)
    assert "revoked" in await key.refused("GET", "/domains", 401)
    assert "already" in await api.refused("DELETE", f"/tokens/{made['id']}", 409)


async def test_a_key_that_is_revoked_while_the_body_comes_changes_nothing(api: Api) -> None:
    made = await api.services.sending.add_key("stolen", ["tenants:write"])

    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"name":'
        await api.services.sending.revoke(made.record.id)
        yield b'"example.com"}'

    headers = {"authorization": f"Bearer {made.secret}", "content-type": "application/json"}
    answer = await api.nobody().ask("POST", "/domains", content=slowly(), headers=headers)
    assert answer.status_code == 401
    assert await api.services.administration.domains() == []


async def test_other_credentials_are_none(api: Api) -> None:
    for header in ("Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "pr_123", "Bearer \xff"):
        answer = await api.nobody().ask("GET", "/domains", headers={"authorization": header.encode("latin-1")})
        assert answer.status_code == 401, header


async def test_a_key_gives_no_more_than_it_has(api: Api) -> None:
    key = await api.key("tenants:write", "queue:read")
    made = await key.send("POST", "/keys", {"name": "less", "scopes": ["queue:read"]}, status=201)
    assert made["token"]["scopes"] == ["queue:read"]
    for scopes in (["*"], ["queue:read", "messages:read"]):
        assert "cannot give" in await key.refused("POST", "/keys", 403, {"name": "more", "scopes": scopes})


class TestSession:
    """An administrator's browser, signed in to the console."""

    async def signed_in(self, api: Api) -> tuple[Api, str]:
        admin = await api.services.admins.add("carol@example.com", "a long password")
        secret = await api.services.admins.begin_session(admin.id, "192.0.2.1", "tests")
        browser = api.nobody()
        api.web.client.cookies.set("postroad-session", secret)
        return browser, secret

    async def test_it_reads(self, api: Api) -> None:
        browser, _ = await self.signed_in(api)
        assert await browser.get("/domains") == {"items": [], "next": None}

    async def test_it_changes_with_the_token_of_our_pages_alone(self, api: Api) -> None:
        browser, secret = await self.signed_in(api)
        body, right = {"name": "example.com"}, {"x-csrf-token": csrf_token(secret)}
        for headers in (
            {},
            {"x-csrf-token": "wrong"},
            right | {"origin": "https://evil.test"},
            right | {"sec-fetch-site": "cross-site"},
        ):
            assert (await browser.ask("POST", "/domains", json=body, headers=headers)).status_code == 403
        assert (await browser.ask("POST", "/domains", json=body, headers=right)).status_code == 201
        (row, *_) = (await browser.get("/audit"))["items"]
        assert (row["kind"], row["actor"], row["action"]) == ("admin", "carol@example.com", "domain added")

    async def test_it_ends(self, api: Api) -> None:
        browser, secret = await self.signed_in(api)
        session = await api.services.admins.session(secret)
        assert session
        await api.services.admins.end_session(session.id)
        assert "Nobody" in await browser.refused("GET", "/domains", 401)
