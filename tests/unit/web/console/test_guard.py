"""No page without a session, no change from another site's page or without the token."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from starlette.routing import Mount, Route

from postroad.testing.console import Console, token_of
from postroad.web.console import app
from postroad.web.console.guard import OPEN, csrf_token
from postroad.web.console.headers import HEADERS, POLICY


def routes() -> list[tuple[str, str]]:
    """(method, path) of every page, with something for each parameter."""
    found = []
    for route in app._routes():
        assert isinstance(route, Route)
        assert not isinstance(route, Mount)
        path = "/".join("x" if part.startswith("{") else part for part in route.path.strip("/").split("/"))
        found += [(method, path) for method in route.methods or () if method != "HEAD"]
    return found


def is_open(path: str) -> bool:
    return path.split("/", maxsplit=1)[0] in OPEN


class TestSession:
    async def test_every_page_sends_a_stranger_to_the_login_page(self, console: Console) -> None:
        for method, path in routes():
            if not is_open(path):
                answer = await console.client.request(method, f"/console/{path}")
                assert answer.status_code == 303, (method, path)
                assert answer.headers["location"].startswith("/console/login"), (method, path)

    async def test_an_unknown_address_tells_a_stranger_nothing(self, console: Console) -> None:
        assert (await console.get("nowhere")).status_code == 303

    async def test_no_spelling_leads_around_it(self, console: Console) -> None:
        for path in ("login/../messages", "static/../messages", "/messages", "loginx", "Login"):
            answer = await console.get(path)
            assert answer.status_code in (303, 404), path
            assert "Messages" not in answer.text

    async def test_no_host_leads_around_it(self, console: Console) -> None:
        for host in ("x/console/login?", "x/console/static/?", "x/console/login#", "login/console/static/"):
            answer = await console.get("messages", Host=host)
            assert answer.status_code == 303, host

    async def test_where_one_wanted_to_go_is_kept(self, console: Console) -> None:
        answer = await console.get("messages?q=state%3Abounced")
        assert answer.headers["location"] == "/console/login?next=%2Fconsole%2Fmessages%3Fq%3Dstate%253Abounced"

    async def test_scripts_are_told_in_their_own_way(self, console: Console) -> None:
        answer = await console.get("overview/events", Sec_Fetch_Mode="cors")
        assert answer.status_code == 401
        answer = await console.get("overview/dns", HX_Request="true")
        assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/console/login")

    async def test_a_session_opens_the_page(self, alice: Console) -> None:
        answer = await alice.get("")
        assert answer.status_code == 200
        assert "Alice Weaver" in answer.text

    async def test_an_ended_session_closes_it_again(self, alice: Console) -> None:
        (record,) = await alice.services.admins.sessions(alice.alice.id)
        await alice.services.admins.end_session(record.id)
        assert (await alice.get("")).status_code == 303

    async def test_a_made_up_cookie_opens_nothing(self, console: Console) -> None:
        console.client.cookies.set("postroad-session", "x" * 40)
        assert (await console.get("")).status_code == 303

    async def test_over_https_only_the_prefixed_cookie_counts(self, console: Console) -> None:
        secret = await console.services.admins.begin_session(console.alice.id)
        for name, status in (("postroad-session", 303), ("__Host-postroad-session", 200)):
            answer = await console.client.get(
                "https://mail.example.test/console/security", headers={"cookie": f"{name}={secret}"}
            )
            assert answer.status_code == status


class TestToken:
    async def test_every_change_wants_the_token(self, alice: Console) -> None:
        for method, path in routes():
            if method != "GET" and not is_open(path):
                answer = await alice.client.request(method, f"/console/{path}", data={"csrf_token": "0" * 64})
                assert answer.status_code == 403, (method, path)

    async def test_the_token_of_the_page_is_taken_from_form_and_header(self, alice: Console) -> None:
        token = token_of(await alice.get("security"))
        path = "/console/security/sessions/end-others"
        assert (await alice.client.post(path, data={"csrf_token": token})).status_code == 303
        assert (await alice.client.post(path, headers={"x-csrf-token": token})).status_code == 303

    async def test_the_token_of_another_session_is_not(self, alice: Console) -> None:
        other = csrf_token(await alice.services.admins.begin_session(alice.alice.id))
        answer = await alice.client.post("/console/sign-out", data={"csrf_token": other})
        assert answer.status_code == 403

    async def test_the_login_form_wants_one_too(self, console: Console) -> None:
        await console.get("login")
        answer = await console.client.post("/console/login", data={"email": "x", "password": "y"})
        assert answer.status_code == 403
        assert "reload" in answer.text

    async def test_without_any_cookie_no_token_fits(self, console: Console) -> None:
        answer = await console.client.post("/console/login", data={"csrf_token": ""})
        assert answer.status_code == 403

    async def test_a_form_that_never_ends_is_cut(self, alice: Console) -> None:
        answer = await alice.post("sign-out", {"more": "x" * ((1 << 20) + 1)})
        assert answer.status_code == 413

    async def test_a_stranger_s_form_is_cut_sooner(self, console: Console) -> None:
        await console.get("login")
        assert (await console.post("login", {"more": "x" * 120_000})).status_code == 401
        assert (await console.post("login", {"more": "x" * 140_000})).status_code == 413

    async def test_a_form_with_more_fields_than_any_of_ours(self, console: Console) -> None:
        await console.get("login")
        assert (await console.post("login", {f"f{n}": "" for n in range(2001)})).status_code == 403

    async def test_a_session_that_ends_while_the_form_comes_changes_nothing(self, alice: Console) -> None:
        (record,) = await alice.services.admins.sessions(alice.alice.id)
        form = f"email=mallory%40example.com&how=link&csrf_token={alice.token()}".encode()

        async def slowly() -> AsyncIterator[bytes]:
            yield form[:10]
            await alice.services.admins.end_session(record.id)
            yield form[10:]

        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = await alice.client.post("/console/admins/new", content=slowly(), headers=headers)
        assert answer.headers["location"] == "/console/login"
        assert len(await alice.services.admins.list()) == 1

    async def test_a_multipart_form_needs_the_header(self, alice: Console) -> None:
        files = {"csrf_token": (None, alice.token())}
        assert (await alice.client.post("/console/sign-out", files=files)).status_code == 403


class TestOrigin:
    async def test_another_sites_page_changes_nothing_even_with_the_token(self, alice: Console) -> None:
        strangers = (
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
            {"Sec_Fetch_Site": "none"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://["},
            {"Origin": "mail.example.test"},
        )
        for headers in strangers:
            assert (await alice.post("sign-out", **headers)).status_code == 403, headers
        assert (await alice.get("")).status_code == 200

    async def test_our_own_pages_do(self, alice: Console) -> None:
        for headers in ({"Sec_Fetch_Site": "same-origin"}, {"Origin": "http://mail.example.test"}, {}):
            assert (await alice.post("security/sessions/end-others", **headers)).status_code == 303, headers


class TestHeaders:
    async def test_every_kind_of_answer_carries_them(self, alice: Console) -> None:
        answers = [await alice.get(path) for path in ("", "nowhere", "login", "overview/dns", "static/none.css")]
        answers.append(await alice.post("sign-out", Sec_Fetch_Site="cross-site"))
        for answer in answers:
            for name in HEADERS:
                assert name in answer.headers, (answer.url, name)
            assert answer.headers["content-security-policy"] == POLICY

    async def test_so_does_a_failure(self, alice: Console, monkeypatch: pytest.MonkeyPatch) -> None:
        async def fail(*_: object) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(type(alice.services.live), "now", fail)
        answer = await alice.get("")
        assert answer.status_code == 500
        assert answer.headers["content-security-policy"] == POLICY
        assert "a bug" not in answer.text
        assert "our fault" in answer.text

    def test_nothing_inline_and_nothing_from_elsewhere(self) -> None:
        assert "unsafe" not in POLICY
        assert "http" not in POLICY
        assert POLICY.startswith("default-src 'none'")

    async def test_pages_are_not_kept(self, alice: Console) -> None:
        assert (await alice.get("")).headers["cache-control"] == "no-store"

    async def test_cookies_are_closed_to_scripts_and_other_sites(self, console: Console) -> None:
        cookie = (await console.get("login")).headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert "secure" not in cookie
        over_tls = await console.client.get("https://mail.example.test/console/login")
        assert over_tls.headers["set-cookie"].startswith("__Host-postroad-visit=")
        assert "secure" in over_tls.headers["set-cookie"].lower()
