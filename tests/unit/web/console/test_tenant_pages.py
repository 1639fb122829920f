"""Domains, accounts and aliases: what the forms do, what they say beside the field, what is shown once."""

import html
import re

import pytest

from postroad.config.schema import Listen, Settings, Tls
from postroad.reports.dnscheck import CheckedRecord, Standing, WantedRecord
from postroad.web.console import domains
from postroad.web.console.accounts import quota_text, read_size, ways_in
from postroad.web.console.aliases import kind_of


def words(response):
    """What a reader sees, roughly."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.text)).split())


def made_once(response):
    """The secret that the page shows."""
    found = re.search(r'class="once".*?<code>([^<]+)</code>', response.text, re.DOTALL)
    return html.unescape(found[1]) if found else ""


def beside(response, field):
    """What stands under a field."""
    found = re.search(rf'id="f-{field}-more">.*?</p>', response.text, re.DOTALL)
    assert found, f"nothing is said beside {field}"
    return html.unescape(found[0])


def location(response):
    return response.headers["location"].removeprefix("/console/")


@pytest.fixture(autouse=True)
def checked(monkeypatch):
    """What DNS is said to have; no look-up leaves the test."""
    found: list[CheckedRecord] = []

    async def check_domain(resolver, domain, hostname, kind, back):
        return found

    monkeypatch.setattr(domains, "check_domain", check_domain)
    return found


def record(standing, kind="MX", found=(), change=""):
    wanted = WantedRecord("example.com", kind, "10 mx.example.net.", "other servers bring mail here")
    return CheckedRecord(wanted, standing, found, "example.com MX", change)


class TestDomains:
    async def test_without_any_the_page_says_what_they_are(self, alice):
        assert "No domains yet" in words(await alice.get("domains"))

    async def test_one_with_mailboxes(self, alice):
        answer = await alice.post("domains/new", {"name": "Example.COM", "kind": "local"})
        assert (answer.status_code, location(answer)) == (303, "domains/example.com")
        shown = words(await alice.get("domains/example.com"))
        assert "Added example.com. Now put its records into DNS." in shown
        assert "Nobody has a mailbox here yet." in shown

    async def test_bounces_get_a_domain_of_their_own(self, alice):
        await alice.post("domains/new", {"name": "example.com", "kind": "local"})
        assert "such as bounces.example.com , would be better" in words(await alice.get("domains/example.com"))
        await alice.post("domains/example.com", {"do": "return-path", "back": "bounces.example.com"})
        shown = words(await alice.get("domains/example.com"))
        assert "Now put its records into DNS." in shown
        assert "come back to bounces.example.com . Its records are among those above." in shown
        refused = await alice.post("domains/example.com", {"do": "return-path", "back": "no such name"})
        assert refused.status_code == 422
        for told in ("again", "as before"):
            await alice.post("domains/example.com", {"do": "return-path", "back": ""})
            assert told in words(await alice.get("domains/example.com"))

    async def test_one_that_is_passed_on_and_another_name(self, alice):
        await alice.post("domains/new", {"name": "b.example", "kind": "relay", "relay_to": "[2001:db8::1]:2525"})
        assert "is passed on to [2001:db8::1]:2525" in words(await alice.get("domains")).replace(
            "Passed on to", "is passed on to"
        )
        await alice.post("domains/new", {"name": "example.com"})
        await alice.post("domains/new", {"name": "c.example", "kind": "alias", "alias_of": "example.com"})
        assert "Another name of example.com" in words(await alice.get("domains"))

    async def test_a_refusal_stands_beside_the_field_and_loses_nothing(self, alice):
        await alice.services.administration.add_domain("example.com")
        for typed, field, said in (
            ({"name": "not a domain"}, "name", "is not a domain name"),
            ({"name": ""}, "name", "is not a domain name"),
            ({"name": "example.com"}, "name", "there already"),
            ({"name": "b.example", "kind": "relay"}, "relay_to", "Say which host"),
            ({"name": "b.example", "kind": "relay", "relay_to": "x:0"}, "relay_to", "no valid port"),
        ):
            answer = await alice.post("domains/new", typed)
            assert answer.status_code == 422
            assert said in beside(answer, field)
            assert all(value in html.unescape(answer.text) for value in typed.values())

    async def test_another_name_needs_a_domain(self, alice):
        answer = await alice.post("domains/new", {"name": "b.example", "kind": "alias"})
        assert answer.status_code == 422

    async def test_umlauts_are_shown(self, alice):
        await alice.post("domains/new", {"name": "münchen.example"})
        assert "münchen.example xn--mnchen-3ya.example" in words(await alice.get("domains?q=mün"))

    async def test_the_records_and_how_they_stand(self, alice, checked):
        await alice.services.administration.add_domain("example.com")
        checked += [
            record(Standing.FOUND),
            record(Standing.DIFFERENT, found=("10 old.example",), change="publish: x"),
            record(Standing.MISSING, change="publish: x"),
            record(Standing.UNKNOWN, change="publish: x"),
        ]
        shown = words(await alice.get("domains/example.com/records"))
        for said in ("Found MX", "In DNS now 10 old.example", "Put this record into DNS", "Nothing is known"):
            assert said in shown

    @pytest.mark.parametrize(
        ("standings", "said"),
        [
            ([Standing.FOUND], "All found"),
            ([Standing.FOUND, Standing.MISSING], "1 record to mend"),
            ([Standing.UNKNOWN, Standing.MISSING], "DNS did not answer"),
        ],
    )
    async def test_at_a_glance(self, alice, checked, standings, said):
        await alice.services.administration.add_domain("example.com")
        checked += [record(standing) for standing in standings]
        assert said in words(await alice.get("domains/example.com/glance"))

    async def test_verifying_forgets_what_was_remembered(self, alice, monkeypatch):
        await alice.services.administration.add_domain("example.com")
        forgotten = []
        monkeypatch.setattr(type(alice.services.resolver), "forget", lambda self: forgotten.append(1))
        answer = await alice.post("domains/example.com", {"do": "verify"}, HX_Request="true")
        assert answer.text.startswith('<div id="records">')
        assert forgotten == [1]
        assert location(await alice.post("domains/example.com", {"do": "verify"})) == "domains/example.com"

    async def test_removing(self, alice):
        await alice.services.administration.add_domain("example.com")
        await alice.services.administration.add_account("bob@example.com", "bobs password")
        assert "still has 1 account, whose mail would be lost" in words(await alice.get("domains/example.com"))
        refused = await alice.post("domains/example.com", {"do": "remove"})
        assert refused.status_code == 422
        await alice.services.administration.remove_account("bob@example.com")
        assert location(await alice.post("domains/example.com", {"do": "remove"})) == "domains"
        assert (await alice.get("domains/example.com")).status_code == 404

    async def test_what_nobody_asked_for_is_refused(self, alice):
        await alice.services.administration.add_domain("example.com")
        assert (await alice.post("domains/example.com", {"do": "burn"})).status_code == 400
        assert (await alice.get("domains/nowhere.example")).status_code == 404
        assert (await alice.get("domains/not%20a%20domain")).status_code == 404


class TestAccounts:
    @pytest.fixture
    async def domain(self, alice):
        await alice.services.administration.add_domain("example.com")

    async def test_first_a_domain(self, alice):
        assert "First a domain" in words(await alice.get("accounts"))
        assert "First a domain" in words(await alice.get("accounts/new"))

    async def test_a_made_password_is_shown_once(self, alice, domain):
        answer = await alice.post("accounts/new", {"local_part": "bob", "domain": "example.com", "quota": "2 GB"})
        page = await alice.get(location(answer))
        password = made_once(page)
        assert re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", password)
        assert "0 B of 2.0 GB" in words(page)
        assert made_once(await alice.get(location(answer))) == ""
        assert await alice.services.credentials.verify("bob@example.com", password)

    async def test_it_is_shown_to_nobody_else(self, alice, domain):
        answer = await alice.post("accounts/new", {"local_part": "bob", "domain": "example.com"})
        await alice.sign_in()  # another session
        assert made_once(await alice.get(location(answer))) == ""

    async def test_a_typed_password(self, alice, domain):
        typed = {"local_part": "bob@example.com", "domain": "example.com", "how": "typed", "password": " with blanks "}
        assert location(await alice.post("accounts/new", typed)) == "accounts/bob@example.com"
        assert await alice.services.credentials.verify("bob@example.com", " with blanks ")

    async def test_a_refusal_stands_beside_the_field(self, alice, domain):
        await alice.services.administration.add_account("taken@example.com", "some password")
        for typed, field, said in (
            ({"local_part": ""}, "local_part", "before the @"),
            ({"local_part": "a b"}, "local_part", "is not an address"),
            ({"local_part": "*"}, "local_part", "catch-all is an alias"),
            ({"local_part": "taken"}, "local_part", "taken@example.com"),
            ({"local_part": "bob@elsewhere.example"}, "local_part", "not a domain of this server"),
            ({"local_part": "bob", "quota": "much"}, "quota", "such as 500 MB"),
            ({"local_part": "bob", "how": "typed", "password": "sh0rt"}, "password", "at least 8"),
        ):
            answer = await alice.post("accounts/new", {"domain": "example.com", **typed})
            assert answer.status_code == 422
            assert said in beside(answer, field)
            assert "sh0rt" not in answer.text  # a password is not written back into the page

    async def test_a_quota_is_typed_as_it_is_shown(self, alice, domain):
        await alice.services.administration.add_account("bob@example.com", "bobs password")
        for typed, octets in (
            ("", 0),
            ("500", 500_000_000),
            ("500 MB", 500_000_000),
            ("1,5g", 1_500_000_000),
            ("2GiB", 2 << 30),
        ):
            await alice.post("accounts/bob@example.com", {"do": "quota", "quota": typed})
            assert (await alice.services.administration.account("bob@example.com")).quota_bytes == octets
            assert read_size(quota_text(octets)) == octets

    async def test_a_new_password(self, alice, domain):
        await alice.services.administration.add_account("bob@example.com", "bobs password")
        answer = await alice.post("accounts/bob@example.com", {"do": "password", "how": "typed", "password": "x"})
        assert answer.status_code == 422
        answer = await alice.post("accounts/bob@example.com", {"do": "password"})
        password = made_once(await alice.get(location(answer)))
        assert await alice.services.credentials.verify("bob@example.com", password)
        assert not await alice.services.credentials.verify("bob@example.com", "bobs password")

    async def test_removing(self, alice, domain):
        await alice.services.administration.add_account("root@example.com", "some password")
        await alice.services.administration.add_account("bob@example.com", "bobs password")
        await alice.services.administration.add_alias("info@example.com", ["bob@example.com"])
        page = words(await alice.get("accounts/bob@example.com"))
        assert "Mail to info@example.com goes to bob@example.com." in page
        assert (await alice.post("accounts/bob@example.com", {"do": "remove"})).status_code == 422
        await alice.services.administration.remove_alias("info@example.com")
        assert location(await alice.post("accounts/bob@example.com", {"do": "remove"})) == "accounts"
        assert (await alice.get("accounts/bob@example.com")).status_code == 404

    async def test_odd_local_parts_have_pages_too(self, alice, domain):
        answer = await alice.post("accounts/new", {"local_part": "a/b?c", "domain": "example.com"})
        assert "a/b?c@example.com" in words(await alice.get(location(answer)))

    async def test_the_list_is_searched(self, alice, domain):
        for name in ("bob", "carol"):
            await alice.services.administration.add_account(f"{name}@example.com", "some password")
        shown = words(await alice.get("accounts?q=CAR", HX_Request="true", HX_Target="account_list"))
        assert "carol@example.com" in shown
        assert "bob@example.com" not in shown


class TestWays:
    def test_are_those_of_the_listeners(self, tmp_path):
        listen = (Listen("imaps", "0.0.0.0:1993"), Listen("submission", "[::]:1587"), Listen("imap", "unix:/x"))
        tls = Tls(tmp_path, tmp_path)
        ways = ways_in(Settings("mx.example.com", tmp_path, listen=listen, tls=tls))
        assert [(way.what, way.port, way.security) for way in ways] == [
            ("Reading (IMAP)", 1993, "TLS"),
            ("Sending (SMTP)", 1587, "STARTTLS"),
        ]

    def test_without_a_certificate_nothing_is_encrypted(self, tmp_path):
        listen = (Listen("imaps", "0.0.0.0:1993"), Listen("imap", "0.0.0.0:1143"))
        ways = ways_in(Settings("mx.example.com", tmp_path, listen=listen))
        assert [(way.port, way.security) for way in ways] == [(1143, "none")]


class TestAliases:
    @pytest.fixture
    async def bob(self, alice):
        await alice.services.administration.add_domain("example.com")
        await alice.services.administration.add_account("bob@example.com", "bobs password")

    async def test_adding_changing_and_removing_one(self, alice, bob):
        typed = {"local_part": "info", "domain": "example.com", "targets": "bob@example.com\ncarol@far.test"}
        assert location(await alice.post("aliases/new", typed)) == "aliases"
        shown = words(await alice.get("aliases"))
        assert "Mail to info@example.com now goes to bob@example.com and carol@far.test." in shown
        assert "info@example.com bob@example.com, carol@far.test Forward" in shown
        assert "bob@example.com carol@far.test" in words(await alice.get("aliases/info@example.com"))
        await alice.post("aliases/info@example.com", {"do": "save", "targets": "bob@example.com"})
        assert "info@example.com bob@example.com Alias" in words(await alice.get("aliases"))
        await alice.post("aliases/info@example.com", {"do": "remove"})
        assert (await alice.get("aliases/info@example.com")).status_code == 404

    async def test_a_catch_all(self, alice, bob):
        await alice.post("aliases/new", {"kind": "catch-all", "domain": "example.com", "targets": "bob@example.com"})
        assert "Any other @example.com bob@example.com Catch-all" in words(await alice.get("aliases"))
        assert "Any other @example.com" in words(await alice.get("aliases/*@example.com"))

    async def test_a_refusal_loses_nothing(self, alice, bob):
        for typed, said in (
            ({"local_part": "", "targets": "bob@example.com"}, "before the @"),
            ({"local_part": "bob", "targets": "carol@far.test"}, "bob@example.com is a mailbox"),
            ({"local_part": "info", "targets": ""}, "at least one address"),
            ({"local_part": "info", "targets": "bob@example.com, nonsense"}, "“nonsense” is not an address"),
            ({"local_part": "postmaster", "targets": "bob@far.test"}, "is there already"),
        ):
            answer = await alice.post("aliases/new", {"domain": "example.com", **typed})
            assert answer.status_code == 422
            assert said in words(answer)
            assert typed["targets"] in html.unescape(answer.text)

    async def test_what_people_call_them(self, alice, bob):
        add = alice.services.administration.add_alias
        ours = {"example.com"}
        assert kind_of(await add("*@example.com", ["bob@example.com"]), ours) == "catch-all"
        assert kind_of(await add("a@example.com", ["bob@EXAMPLE.com"]), ours) == "alias"
        assert kind_of(await add("b@example.com", ["bob@example.com", "x@far.test"]), ours) == "forward"
