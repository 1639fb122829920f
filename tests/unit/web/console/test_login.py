"""Signing in by each way, and what strangers see when it fails."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from pyotp import TOTP

from postroad.accounts import passkeys
from postroad.accounts.audit import SYSTEM
from postroad.accounts.recovery import RecoveryCodes
from postroad.ports.admins import PasskeyRecord
from postroad.testing.console import ALICE, CLIENT, PASSWORD, Console
from postroad.testing.passkey import SoftPasskey
from postroad.web.console.login import WRONG
from postroad.web.console.session import next_path

ORIGIN = "http://mail.example.test"
HERE = passkeys.Place("mail.example.test", ORIGIN)


async def password(console: Console, word: str = PASSWORD, email: str = ALICE, **more: str):
    await console.get("login")
    return await console.post("login", {"email": email, "password": word, **more})


async def signed_in_by(console: Console) -> str:
    """How, or an empty text."""
    records = await console.services.admins.sessions(console.alice.id)
    return records[0].method if records else ""


async def with_app(console: Console) -> str:
    """Alice has an authenticator app; its secret."""
    secret = await console.services.admins.totp_begin(console.alice.id)
    await console.services.admins.totp_confirm(console.alice.id, 1)
    return secret


async def with_passkey(console: Console, **how: bool) -> SoftPasskey:
    device = SoftPasskey(ORIGIN, **how)
    answer = passkeys.read_answer(
        json.dumps(device.create(passkeys.creation_options(HERE, console.alice, (), b"c" * 32)))
    )
    now = console.services.clock.now()
    await console.services.admins.add_passkey(passkeys.created(HERE, console.alice, answer, name="key", now=now))
    return device


async def codes_of(console: Console) -> list[str]:
    services = console.services
    recovery = RecoveryCodes(
        services.store, clock=services.clock, ids=services.ids, signals=services.signals, random=services.random
    )
    return await recovery.renew(console.alice, by=SYSTEM)


class TestPassword:
    async def test_the_right_one_opens_the_overview(self, console: Console) -> None:
        answer = await password(console)
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/")
        assert (await console.get("")).status_code == 200
        assert await signed_in_by(console) == "password"

    async def test_it_leads_to_where_one_wanted(self, console: Console) -> None:
        answer = await password(console, next="/console/messages?q=x")
        assert answer.headers["location"] == "/console/messages?q=x"

    async def test_a_wrong_one_and_an_unknown_name_get_the_same_page(self, console: Console) -> None:
        wrong = await password(console, "not it")
        unknown = await password(console, "not it", "nobody@example.com")
        assert wrong.status_code == unknown.status_code == 401
        assert WRONG in wrong.text
        assert wrong.text.replace(ALICE, "") == unknown.text.replace("nobody@example.com", "")
        assert await signed_in_by(console) == ""

    async def test_guessing_is_slowed_and_says_for_how_long(self, console: Console) -> None:
        answers = [await password(console, f"guess {number}") for number in range(7)]
        last = answers[-1]
        assert last.status_code == 429
        assert int(last.headers["retry-after"]) >= 1
        assert "too many attempts" in last.text.lower()
        assert (await password(console)).status_code == 429, "the right one has to wait too"

    async def test_every_refusal_stands_in_the_audit_log(self, console: Console) -> None:
        await password(console, "not it")
        (row,) = await console.services.audit.page(text="sign-in refused")
        assert (row.target, row.client) == (ALICE, CLIENT)

    async def test_the_login_page_of_whoever_is_signed_in_leads_on(self, alice: Console) -> None:
        answer = await alice.get("login?next=/console/security")
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/security")

    async def test_an_address_typed_wrong_is_shown_again_and_escaped(self, console: Console) -> None:
        answer = await password(console, email='"><script>x')
        assert "<script>x" not in answer.text
        assert "&lt;script&gt;x" in answer.text


class TestCode:
    async def test_the_password_alone_is_not_enough(self, console: Console) -> None:
        await with_app(console)
        answer = await password(console)
        assert answer.headers["location"] == "/console/login/code"
        assert (await console.get("")).status_code == 303
        assert "authenticator app" in (await console.get("login/code")).text

    async def test_the_right_code_opens(self, console: Console) -> None:
        secret = await with_app(console)
        await password(console, next="/console/queue")
        answer = await console.post("login/code", {"code": TOTP(secret).now()})
        assert answer.headers["location"] == "/console/queue"
        assert await signed_in_by(console) == "password and code"

    async def test_a_code_counts_once(self, console: Console) -> None:
        secret = await with_app(console)
        now = console.services.clock.now()
        counter = int(now.timestamp()) // 30
        assert await console.services.admins.totp_used(console.alice.id, counter + 1)
        await password(console)
        answer = await console.post("login/code", {"code": TOTP(secret).at(now)})
        assert answer.status_code == 401

    async def test_a_wrong_code_gets_the_same_words(self, console: Console) -> None:
        await with_app(console)
        await password(console)
        answer = await console.post("login/code", {"code": "000000"})
        assert answer.status_code == 401
        assert WRONG in answer.text
        assert (await console.get("")).status_code == 303

    async def test_guessing_codes_is_slowed(self, console: Console) -> None:
        await with_app(console)
        await password(console)
        answers = [await console.post("login/code", {"code": "000000"}) for _ in range(6)]
        assert answers[-1].status_code == 429

    async def test_a_code_without_the_password_is_nothing(self, console: Console) -> None:
        secret = await with_app(console)
        await console.get("login")
        answer = await console.post("login/code", {"code": TOTP(secret).now()})
        assert answer.headers["location"] == "/console/login"

    async def test_the_step_belongs_to_one_browser(self, console: Console) -> None:
        secret = await with_app(console)
        await password(console)
        stolen = console.client.cookies["postroad-step"]
        console.client.cookies.clear()
        await console.get("login")
        console.client.cookies.set("postroad-step", stolen)
        answer = await console.post("login/code", {"code": TOTP(secret).now()})
        assert answer.headers["location"] == "/console/login"

    async def test_a_new_password_ends_the_step(self, console: Console) -> None:
        secret = await with_app(console)
        await password(console)
        await console.services.admins.set_password(console.alice.id, "another password")
        answer = await console.post("login/code", {"code": TOTP(secret).now()})
        assert answer.headers["location"] == "/console/login"

    async def test_a_recovery_code_stands_in_once(self, console: Console) -> None:
        await with_app(console)
        code, *_ = await codes_of(console)
        await password(console)
        answer = await console.post("login/code", {"code": code.upper().replace("-", " ")})
        assert answer.headers["location"] == "/console/"
        assert await signed_in_by(console) == "password and recovery code"
        console.client.cookies.clear()
        await password(console)
        assert (await console.post("login/code", {"code": code})).status_code == 401


class TestPasskey:
    async def test_it_is_all_that_signing_in_takes(self, console: Console) -> None:
        device = await with_passkey(console)
        await console.get("login")
        options = (await console.post_json("login/passkey/options", "")).text
        assert json.loads(options)["userVerification"] == "required"
        answer = await console.post_json("login/passkey?next=/console/queue", json.dumps(device.get(options)))
        assert answer.json() == {"next": "/console/queue"}
        assert (await console.get("")).status_code == 200
        assert await signed_in_by(console) == "passkey"
        (kept,) = await console.services.admins.passkeys(console.alice.id)
        assert (kept.sign_count, kept.last_used is not None) == (1, True)

    async def test_alone_it_must_know_its_owner(self, console: Console) -> None:
        device = await with_passkey(console, verifies=False)
        await console.get("login")
        options = (await console.post_json("login/passkey/options", "")).text
        answer = await console.post_json("login/passkey", json.dumps(device.get(options)))
        assert (answer.status_code, answer.json()) == (401, {"problem": WRONG})

    async def test_behind_a_password_presence_is_enough(self, console: Console) -> None:
        device = await with_passkey(console, verifies=False)
        assert (await password(console)).headers["location"] == "/console/login/code"
        options = (await console.post_json("login/passkey/options", "")).text
        assert len(json.loads(options)["allowCredentials"]) == 1
        answer = await console.post_json("login/passkey", json.dumps(device.get(options)))
        assert answer.json() == {"next": "/console/"}
        assert await signed_in_by(console) == "password and passkey"

    async def test_an_answer_counts_once(self, console: Console) -> None:
        device = await with_passkey(console)
        await console.get("login")
        kept = dict(console.client.cookies)
        options = (await console.post_json("login/passkey/options", "")).text
        first, second = device.get(options), device.get(options)
        assert (await console.post_json("login/passkey", json.dumps(first))).status_code == 200
        console.client.cookies.clear()
        console.client.cookies.update(kept)
        assert (await console.post_json("login/passkey", json.dumps(second))).status_code == 401

    async def test_a_challenge_belongs_to_one_browser(self, console: Console) -> None:
        device = await with_passkey(console)
        await console.get("login")
        options = (await console.post_json("login/passkey/options", "")).text
        console.client.cookies.clear()
        await console.get("login")
        assert (await console.post_json("login/passkey", json.dumps(device.get(options)))).status_code == 401

    async def test_another_sites_page_cannot_relay_it(self, console: Console) -> None:
        device = await with_passkey(console)
        device.origin = "http://mail.example.test.evil.example"
        await console.get("login")
        options = (await console.post_json("login/passkey/options", "")).text
        assert (await console.post_json("login/passkey", json.dumps(device.get(options)))).status_code == 401

    async def test_an_unknown_one_gets_the_same_words(self, console: Console) -> None:
        device = SoftPasskey(ORIGIN)
        await console.get("login")
        options = (await console.post_json("login/passkey/options", "")).text
        answer = await console.post_json("login/passkey", json.dumps(device.get(options)))
        assert (answer.status_code, answer.json()) == (401, {"problem": WRONG})

    async def test_another_administrators_does_not_finish_this_ones_step(self, console: Console) -> None:
        device = await with_passkey(console)
        bob = await console.services.admins.add("bob@example.com", PASSWORD)
        await console.services.admins.add_passkey(
            PasskeyRecord(b"bob's", bob.id, b"", 0, "bob's", console.services.clock.now())
        )
        await password(console, email="bob@example.com")
        options = (await console.post_json("login/passkey/options", "")).text
        assert (await console.post_json("login/passkey", json.dumps(device.get(options)))).status_code == 401

    async def test_nonsense_is_refused_quietly(self, console: Console) -> None:
        await console.get("login")
        for nonsense in ("", "{}", "[1]", '{"rawId": 7}', '{"rawId":"eA","response":{"clientDataJSON":"e30"}}'):
            assert (await console.post_json("login/passkey", nonsense)).status_code == 401


class TestLink:
    async def test_looking_uses_nothing_up_posting_signs_in_once(self, console: Console) -> None:
        secret = await console.services.admins.login_link(console.alice.id)
        for _ in range(2):
            page = await console.get(f"enter?{secret}")
            assert secret in page.text
        answer = await console.post("enter", {"secret": secret})
        assert answer.headers["location"] == "/console/"
        assert await signed_in_by(console) == "link"
        console.client.cookies.clear()
        await console.get("enter?x")
        again = await console.post("enter", {"secret": secret})
        assert again.status_code == 401
        assert "postroad admin link" in again.text

    async def test_where_there_is_a_second_factor_it_is_asked_for(self, console: Console) -> None:
        app = await with_app(console)
        secret = await console.services.admins.login_link(console.alice.id)
        await console.get("enter?x")
        answer = await console.post("enter", {"secret": secret})
        assert answer.headers["location"] == "/console/login/code"
        assert (await console.get("")).status_code == 303
        answer = await console.post("login/code", {"code": TOTP(app).now()})
        assert answer.headers["location"] == "/console/"
        assert await signed_in_by(console) == "link and code"

    async def test_a_passkey_is_a_second_factor_too(self, console: Console) -> None:
        device = await with_passkey(console, verifies=False)
        secret = await console.services.admins.login_link(console.alice.id)
        await console.get("enter?x")
        assert (await console.post("enter", {"secret": secret})).headers["location"] == "/console/login/code"
        options = (await console.post_json("login/passkey/options", "")).text
        await console.post_json("login/passkey", json.dumps(device.get(options)))
        assert await signed_in_by(console) == "link and passkey"

    async def test_an_old_one_is_refused_in_the_same_words(self, console: Console) -> None:
        old = await console.services.admins.login_link(console.alice.id, valid=timedelta(microseconds=1))
        await console.get("enter?x")
        texts = [(await console.post("enter", {"secret": secret})).text for secret in (old, "made up")]
        assert texts[0] == texts[1]

    async def test_guessing_links_is_slowed(self, console: Console) -> None:
        await console.get("enter?x")
        answers = [await console.post("enter", {"secret": "x"}) for _ in range(12)]
        assert answers[-1].status_code == 429

    async def test_it_works_for_whoever_is_signed_in(self, alice: Console) -> None:
        secret = await alice.services.admins.login_link(alice.alice.id)
        assert (await alice.post("enter", {"secret": secret})).status_code == 303


class TestOut:
    async def test_signing_out_ends_the_session_itself(self, alice: Console) -> None:
        secret = alice.client.cookies["postroad-session"]
        answer = await alice.post("sign-out")
        assert answer.headers["location"] == "/console/login"
        assert await alice.services.admins.session(secret) is None

    async def test_without_administrators_the_page_says_how_to_make_one(
        self, console: Console, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await console.services.store.write(lambda tx: tx.admins.remove(console.alice.id))
        answer = await console.get("login")
        assert "postroad admin add" in answer.text
        assert "Password" not in answer.text


class TestNext:
    @pytest.mark.parametrize(
        "text",
        [
            "https://evil.example/console/",
            "//evil.example/console/",
            "/\\evil.example",
            "/console/\\\\evil",
            "/consolex/",
            "/api/v1",
            "javascript:alert(1)",
            "//[",
            "http://[/console/",
            "/console/\r\nSet-Cookie: x=y",
            "",
        ],
    )
    def test_only_pages_of_the_console(self, text: str) -> None:
        assert next_path(text) == "/console/"

    def test_a_page_with_its_query(self) -> None:
        assert next_path("/console/messages?q=a%20b") == "/console/messages?q=a%20b"
