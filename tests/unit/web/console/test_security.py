"""The security page: each way in is kept by whoever owns it, and the password is asked for again."""

from __future__ import annotations

import base64
import json
import re

from pyotp import TOTP

from postroad.ports.ids import id_text
from postroad.testing.console import ALICE, PASSWORD, Console
from postroad.testing.passkey import SoftPasskey

ORIGIN = "http://mail.example.test"
NEW = "a new password"
CODE = re.compile(r"<code>(\w{4}-\w{4}-\w{4})</code>")


async def change(console: Console, present: str = PASSWORD, new: str = NEW, again: str = NEW):
    return await console.post("security/password", {"password": present, "new": new, "again": again})


async def add_passkey(console: Console, device: SoftPasskey, password: str = PASSWORD):
    options = await console.post_json("security/passkeys/options", json.dumps({"password": password}))
    if options.status_code != 200:
        return options
    body = {"name": "Laptop", "answer": device.create(options.text)}
    return await console.post_json("security/passkeys", json.dumps(body))


async def set_up_app(console: Console) -> str:
    """The page with the recovery codes."""
    await console.post("security/app")
    record = await console.services.admins.get(console.alice.id)
    assert record
    code = TOTP(record.totp_pending).at(console.services.clock.now())
    answer = await console.post("security/app/confirm", {"password": PASSWORD, "code": code})
    assert answer.status_code == 200, answer.text
    return answer.text


class TestPassword:
    async def test_a_new_one_ends_every_other_session(self, alice: Console) -> None:
        other = await alice.services.admins.begin_session(alice.alice.id)
        answer = await change(alice)
        assert answer.headers["location"] == "/console/security"
        assert await alice.services.admins.session(other) is None
        assert (await alice.get("security")).status_code == 200
        assert await alice.services.admins.verify(ALICE, NEW)

    async def test_what_is_wrong_stands_at_its_field(self, alice: Console) -> None:
        for wrong, words in (
            ({"present": "not it"}, "not your present password"),
            ({"again": "something else"}, "not the same as above"),
            ({"new": "short", "again": "short"}, "at least 8 characters"),
        ):
            answer = await change(alice, **wrong)
            assert answer.status_code == 422
            assert words in answer.text
        assert await alice.services.admins.verify(ALICE, PASSWORD)

    async def test_guessing_it_here_is_slowed_as_well(self, alice: Console) -> None:
        for number in range(11):  # from a known address only its own count matters
            await change(alice, present=f"guess {number}")
        answer = await change(alice)
        assert "too many attempts" in answer.text.lower()

    async def test_who_has_none_sets_one_without(self, console: Console) -> None:
        bob = await console.services.admins.add("bob@example.com")
        console.alice = bob
        await console.sign_in()
        assert (await console.post("security/password", {"new": NEW, "again": NEW})).status_code == 303


class TestApp:
    async def test_it_is_asked_for_once_a_first_code_was_right(self, alice: Console) -> None:
        text = await set_up_app(alice)
        assert len(CODE.findall(text)) == 10
        record = await alice.services.admins.get(alice.alice.id)
        assert record
        assert record.has_totp

    async def test_the_picture_is_there_only_while_it_is_set_up(self, alice: Console) -> None:
        assert (await alice.get("security/app.svg")).status_code == 404
        await alice.post("security/app")
        answer = await alice.get("security/app.svg")
        assert answer.headers["content-type"] == "image/svg+xml"
        assert answer.headers["cache-control"] == "no-store"

    async def test_a_wrong_code_changes_nothing(self, alice: Console) -> None:
        await alice.post("security/app")
        answer = await alice.post("security/app/confirm", {"password": PASSWORD, "code": "000000"})
        assert answer.status_code == 422
        assert "This code is not right" in answer.text

    async def test_without_the_password_it_is_neither_added_nor_removed(self, alice: Console) -> None:
        await alice.post("security/app")
        assert (await alice.post("security/app/confirm", {"password": "no", "code": "1"})).status_code == 422
        await set_up_app(alice)
        await alice.post("security/app/remove", {"password": "no"})
        record = await alice.services.admins.get(alice.alice.id)
        assert record
        assert record.has_totp

    async def test_removing_it_drops_the_codes_that_stood_in_for_it(self, alice: Console) -> None:
        await set_up_app(alice)
        await alice.post("security/app/remove", {"password": PASSWORD})
        left = await alice.services.store.read(lambda tx: tx.admins.recovery_left(alice.alice.id))
        assert left == 0

    async def test_new_codes_make_the_old_ones_worthless(self, alice: Console) -> None:
        first = CODE.findall(await set_up_app(alice))
        again = await alice.post("security/codes", {"password": PASSWORD})
        second = CODE.findall(again.text)
        assert second
        assert not set(first) & set(second)


class TestPasskeys:
    async def test_adding_naming_and_removing(self, alice: Console) -> None:
        assert (await add_passkey(alice, SoftPasskey(ORIGIN))).json() == {"next": "/console/security"}
        page = (await alice.get("security")).text
        assert "Laptop" in page
        assert "The passkey is added." in page
        credential = re.search(r'name="credential" value="([^"]+)"', page)
        assert credential
        await alice.post("security/passkeys/remove", {"credential": credential[1], "password": PASSWORD})
        assert not await alice.services.admins.passkeys(alice.alice.id)

    async def test_without_the_password_none_is_added(self, alice: Console) -> None:
        answer = await add_passkey(alice, SoftPasskey(ORIGIN), password="no")
        assert answer.status_code == 422

    async def test_a_challenge_of_another_session_is_refused(self, alice: Console) -> None:
        options = await alice.post_json("security/passkeys/options", json.dumps({"password": PASSWORD}))
        await alice.sign_in()
        body = json.dumps({"name": "x", "answer": SoftPasskey(ORIGIN).create(options.text)})
        assert (await alice.post_json("security/passkeys", body)).status_code == 422

    async def test_nonsense_is_refused_in_words(self, alice: Console) -> None:
        for path in ("security/passkeys", "security/passkeys/options"):
            answer = await alice.post_json(path, '{"name": 1')
            assert answer.status_code == 422
            assert answer.json()["problem"]

    async def test_nobody_removes_anothers(self, alice: Console) -> None:
        await add_passkey(alice, SoftPasskey(ORIGIN))
        bob = await alice.services.admins.add("bob@example.com", PASSWORD)
        (key,) = await alice.services.admins.passkeys(alice.alice.id)
        mine, alice.alice = alice.alice, bob
        await alice.sign_in()
        credential = base64.urlsafe_b64encode(key.credential).decode()
        await alice.post("security/passkeys/remove", {"credential": credential, "password": PASSWORD})
        assert len(await alice.services.admins.passkeys(mine.id)) == 1


class TestSessions:
    async def test_one_is_ended_from_afar(self, alice: Console) -> None:
        other = await alice.services.admins.begin_session(alice.alice.id, "198.51.100.9", "Safari/605 iPhone")
        record = await alice.services.admins.session(other)
        assert record
        assert "Safari on iPhone" in (await alice.get("security")).text
        await alice.post("security/sessions/end", {"session": id_text(record.id)})
        assert await alice.services.admins.session(other) is None
        assert (await alice.get("security")).status_code == 200

    async def test_all_others_are_ended(self, alice: Console) -> None:
        for _ in range(2):
            await alice.services.admins.begin_session(alice.alice.id)
        await alice.post("security/sessions/end-others")
        assert len(await alice.services.admins.sessions(alice.alice.id)) == 1
        assert "2 other sessions have ended." in (await alice.get("security")).text

    async def test_nobody_ends_anothers(self, alice: Console) -> None:
        bob = await alice.services.admins.add("bob@example.com", PASSWORD)
        secret = await alice.services.admins.begin_session(bob.id)
        record = await alice.services.admins.session(secret)
        assert record
        await alice.post("security/sessions/end", {"session": id_text(record.id)})
        assert await alice.services.admins.session(secret)
