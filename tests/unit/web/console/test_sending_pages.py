"""Servers, streams and tokens, API keys, administrators and the audit log."""

import html
import json
import re
import shlex

import pytest

from postroad.ports.admins import AuditRecord
from postroad.ports.ids import AuditId, id_text
from postroad.testing.console import PASSWORD
from postroad.web.console.audit import entry_of
from postroad.web.console.samples import samples


def words(response):
    """What a reader sees, roughly."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.text)).split())


def made_once(response):
    """The secret that the page shows."""
    found = re.search(r'class="once".*?<code>([^<]+)</code>', response.text, re.DOTALL)
    return html.unescape(found[1]) if found else ""


def location(response):
    return response.headers["location"].removeprefix("/console/")


class TestServers:
    async def test_a_new_one_comes_with_a_token_that_is_shown_once(self, alice):
        answer = await alice.post("servers/new", {"name": "shop", "color": "blue"})
        page = await alice.get(location(answer))
        token = made_once(page)
        assert (await alice.services.tokens.verify(token)).name == "shop token"
        assert f"X-Postmark-Server-Token: {token}" in words(page)
        assert token not in (await alice.get(location(answer))).text
        assert "shop Tokens 1 Streams 3 Last used" in words(await alice.get("servers"))

    async def test_refusals(self, alice):
        await alice.services.sending.add_server("shop")
        for name, said in (("", "A server needs a name"), ("Shop", "already")):
            answer = await alice.post("servers/new", {"name": name, "sandbox": "1"})
            assert answer.status_code == 422
            assert said in words(answer)
            assert "checked" in answer.text

    async def test_renaming_and_removing(self, alice):
        made = await alice.services.sending.add_server("shop")
        where = f"servers/{made.id}"
        assert (await alice.post(where, {"do": "change", "name": ""})).status_code == 303
        await alice.post(where, {"do": "change", "name": "web shop", "color": "green"})
        assert "web shop" in words(await alice.get("servers"))
        await alice.services.sending.add_server("other")
        answer = await alice.post(where, {"do": "change", "name": "other"})
        assert answer.status_code == 422
        assert 'aria-invalid="true"' in answer.text
        await alice.post(where, {"do": "remove"})
        assert (await alice.get(where)).status_code == 404

    async def test_streams(self, alice):
        made = await alice.services.sending.add_server("shop")
        where = f"servers/{made.id}"
        typed = {"do": "add-stream", "stream_id": "news", "stream_name": "News", "kind": "broadcasts"}
        assert location(await alice.post(where, typed)) == where
        answer = await alice.post(where, {"do": "add-stream", "stream_id": "BAD", "description": "kept"})
        assert answer.status_code == 422
        assert 'value="kept"' in answer.text
        await alice.post(where, {"do": "archive", "stream": "news"})
        assert "1 archived News" in words(await alice.get(where))
        await alice.post(where, {"do": "unarchive", "stream": "news"})
        assert "archived" not in words(await alice.get(where)).replace("can be archived", "")
        assert (await alice.post(where, {"do": "archive", "stream": "outbound"})).status_code == 422
        assert (await alice.post(where, {"do": "add-stream", "stream_id": "x", "kind": "odd"})).status_code == 400

    async def test_tokens_are_made_and_revoked(self, alice):
        made = await alice.services.sending.add_server("shop")
        where = f"servers/{made.id}"
        answer = await alice.post(where, {"do": "add-token", "token_name": "cron"})
        token = made_once(await alice.get(location(answer)))
        record = await alice.services.tokens.verify(token)
        other = await alice.services.sending.add_server("other")
        foreign = {"do": "revoke", "token": id_text(record.id)}
        assert (await alice.post(f"servers/{other.id}", foreign)).status_code == 404
        assert (await alice.post("keys", foreign)).status_code == 404
        assert location(await alice.post(where, foreign)) == where
        assert await alice.services.tokens.verify(token) is None


class TestSamples:
    def test_every_one_has_the_address_and_the_token(self):
        for sample in samples("https://mail.example.com", "TOKEN", "me@example.com"):
            assert "mail.example.com" in sample.text
            assert "TOKEN" in sample.text
            assert "me@example.com" in sample.text

    def test_the_one_for_curl_is_a_command_with_valid_json(self):
        (curl,) = (sample for sample in samples("http://h:8025", "T", "me@example.com") if sample.key == "curl")
        parts = shlex.split(curl.text)
        assert parts[:2] == ["curl", "http://h:8025/email"]
        assert json.loads(parts[-1])["From"] == "me@example.com"

    def test_the_one_for_python_is_python(self):
        (python,) = (sample for sample in samples("http://h:8025", "T", "a@b.c") if sample.key == "python")
        compile(python.text, "sample", "exec")

    @pytest.mark.parametrize(("base", "https"), [("http://h:1", "useHttps: false"), ("https://h", "useHttps: true")])
    def test_the_one_for_node_says_whether_it_is_https(self, base, https):
        assert any(https in sample.text for sample in samples(base, "T", "a@b.c"))


class TestKeys:
    async def test_one_is_made_shown_once_and_revoked(self, alice):
        answer = await alice.post("keys/new", {"name": "report", "scope": ["messages:read", "queue:read"]})
        page = await alice.get(location(answer))
        record = await alice.services.tokens.verify(made_once(page))
        assert record.scopes == ("messages:read", "queue:read")
        assert made_once(await alice.get(location(answer))) == ""
        await alice.post("keys", {"do": "revoke", "token": id_text(record.id)})
        assert "No keys yet" in words(await alice.get("keys"))

    async def test_refusals(self, alice):
        for typed, said in (({"name": "", "scope": "*"}, "A key needs a name"), ({"name": "x"}, "Choose at least one")):
            answer = await alice.post("keys/new", typed)
            assert answer.status_code == 422
            assert said in words(answer)


class TestAdmins:
    async def test_an_invited_one_enters_by_the_link(self, alice):
        answer = await alice.post("admins/new", {"email": "bob@example.com", "name": "Bob", "yours": PASSWORD})
        link = made_once(await alice.get(location(answer)))
        assert link.startswith("http://")
        secret = link.partition("/console/enter?")[2]
        assert (await alice.services.admins.redeem(secret, "192.0.2.1")).email == "bob@example.com"

    async def test_one_with_a_password(self, alice):
        typed = {"email": "bob@example.com", "how": "password", "password": "bobs password", "yours": PASSWORD}
        assert location(await alice.post("admins/new", typed)) == "admins"
        assert await alice.services.admins.verify("bob@example.com", "bobs password")

    async def test_refusals(self, alice):
        for typed, field in (
            ({"email": "nonsense"}, "email"),
            ({"email": "alice@example.com"}, "email"),
            ({"email": "bob@example.com", "how": "password", "password": "short"}, "password"),
            ({"email": "bob@example.com", "yours": ""}, "yours"),
            ({"email": "bob@example.com", "yours": "not mine"}, "yours"),
        ):
            answer = await alice.post("admins/new", {"yours": PASSWORD, **typed})
            assert answer.status_code == 422
            assert re.search(rf'id="f-{field}"[^>]*aria-invalid="true"', answer.text), typed

    async def test_a_link_for_one_who_is_locked_out_and_the_end(self, alice):
        bob = await alice.services.admins.add("bob@example.com", "bobs password")
        ask = {"do": "link", "admin": id_text(bob.id)}
        assert location(await alice.post("admins", {**ask, "yours": "not mine"})) == "admins"
        assert "not your present password" in words(await alice.get("admins"))
        answer = await alice.post("admins", {**ask, "yours": PASSWORD})
        assert "/console/enter?" in made_once(await alice.get(location(answer)))
        assert location(await alice.post("admins", {"do": "remove", "admin": id_text(bob.id)})) == "admins"
        assert "bob@example.com" not in words(await alice.get("admins")).replace("Removed bob@example.com", "")
        assert (await alice.post("admins", {**ask, "yours": PASSWORD})).status_code == 404

    async def test_nobody_removes_themselves(self, alice):
        await alice.services.admins.add("bob@example.com", "bobs password")
        answer = await alice.post("admins", {"do": "remove", "admin": id_text(alice.alice.id)})
        assert answer.status_code == 422
        assert "You cannot remove yourself" in words(answer)


class TestAudit:
    async def test_changes_and_sign_ins_are_sentences(self, alice):
        await alice.post("domains/new", {"name": "example.com"})
        await alice.services.admins.refused("root", "203.0.113.9", "wrong name or password")
        shown = words(await alice.get("audit"))
        assert "alice@example.com added the domain example.com" in shown
        assert "alice@example.com signed in by password" in shown
        assert "root could not sign in wrong name or password" in shown
        assert "administrator, 203.0.113.9" in shown

    async def test_it_is_searched_and_paged(self, alice, monkeypatch):
        monkeypatch.setattr("postroad.web.console.audit.PAGE", 2)
        for name in ("a.example", "b.example", "c.example"):
            await alice.services.administration.add_domain(name)
        first = await alice.get("audit?q=domain+added")
        assert "c.example" in words(first)
        assert "a.example" not in words(first)
        link = html.unescape(re.search(r'href="/console/(audit\?q=[^"]*after=\w+)"', first.text)[1])
        assert "a.example" in words(await alice.get(link))
        assert "Nothing fits" in words(await alice.get("audit?q=zzz"))

    async def test_no_secret_stands_in_it(self, alice):
        answer = await alice.post("servers/new", {"name": "shop"})
        token = made_once(await alice.get(location(answer)))
        assert token not in (await alice.get("audit")).text

    def test_what_it_does_not_know_is_shown_as_it_is(self, alice):
        record = AuditRecord(
            AuditId(1), alice.alice.created, "robot", "r2", "", "beeped", "twice", {"loud_ness": [1, 2]}
        )
        entry = entry_of(record)
        assert (entry.before, entry.target, entry.more) == ("beeped", "twice", "loud ness: 1, 2")
