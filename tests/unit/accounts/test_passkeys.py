"""The ceremonies of passkeys: what is asked, and which answers are taken."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from postroad.accounts import passkeys
from postroad.accounts.passkeys import (
    Place,
    created,
    creation_options,
    owner_handle,
    read_answer,
    request_options,
    used,
)
from postroad.ports.admins import AdminRecord, PasskeyRecord
from postroad.ports.ids import AdminId
from postroad.ports.store import Refused
from postroad.testing.passkey import SoftPasskey

NOW = datetime(2026, 11, 23, tzinfo=UTC)
HERE = Place("mail.example.com", "https://mail.example.com")
ALICE = AdminRecord(AdminId(7), "alice@example.com", NOW, "Alice")
CHALLENGE = b"a challenge of thirty-two octets"


def made(device: SoftPasskey, name: str = "Laptop") -> PasskeyRecord:
    answer = read_answer(json.dumps(device.create(creation_options(HERE, ALICE, (), CHALLENGE))))
    assert answer.challenge == CHALLENGE
    return created(HERE, ALICE, answer, name=name, now=NOW)


def asked(device: SoftPasskey, *known: PasskeyRecord) -> passkeys.Answer:
    return read_answer(json.dumps(device.get(request_options(HERE, CHALLENGE, known))))


class TestMaking:
    def test_what_is_kept(self) -> None:
        device = SoftPasskey(HERE.origin)
        record = made(device, "  My   laptop \n")
        assert (record.credential, record.admin, record.name) == (device.credential, ALICE.id, "My laptop")
        assert record.transports == ("internal", "hybrid")

    def test_what_is_asked_tells_nothing_of_the_administrator_but_what_they_see(self) -> None:
        asked = json.loads(creation_options(HERE, ALICE, (), CHALLENGE))
        assert asked["rp"] == {"id": "mail.example.com", "name": "Postroad"}
        assert asked["user"]["name"] == "alice@example.com"
        assert asked["attestation"] == "none"

    def test_a_known_authenticator_is_not_offered_again(self) -> None:
        known = made(SoftPasskey(HERE.origin))
        asked = json.loads(creation_options(HERE, ALICE, [known], CHALLENGE))
        assert len(asked["excludeCredentials"]) == 1

    def test_another_origin_is_refused(self) -> None:
        with pytest.raises(Refused):
            made(SoftPasskey("https://mail.example.com.evil.example"))

    def test_another_host_is_refused(self) -> None:
        device = SoftPasskey("https://mail.example.com")
        elsewhere = Place("other.example.com", "https://mail.example.com")
        answer = read_answer(json.dumps(device.create(creation_options(HERE, ALICE, (), CHALLENGE))))
        with pytest.raises(Refused):
            created(elsewhere, ALICE, answer, name="x", now=NOW)


class TestUsing:
    def test_the_count_goes_up(self) -> None:
        device = SoftPasskey(HERE.origin)
        record = made(device)
        answer = asked(device)
        assert answer.owner == owner_handle(ALICE)
        assert used(HERE, record, answer, alone=True) == 1

    def test_a_copy_that_lags_behind_is_refused(self) -> None:
        device = SoftPasskey(HERE.origin)
        record = replace(made(device), sign_count=9)
        with pytest.raises(Refused):
            used(HERE, record, asked(device), alone=True)

    def test_alone_the_owner_must_be_verified(self) -> None:
        device = SoftPasskey(HERE.origin, verifies=False)
        record = made(device)
        with pytest.raises(Refused):
            used(HERE, record, asked(device), alone=True)
        assert used(HERE, record, asked(device, record), alone=False) == 2

    def test_a_signature_of_another_key_is_refused(self) -> None:
        record = made(SoftPasskey(HERE.origin))
        with pytest.raises(Refused):
            used(HERE, record, asked(SoftPasskey(HERE.origin)), alone=False)

    def test_every_octet_is_signed(self) -> None:
        device = SoftPasskey(HERE.origin)
        record, fields = made(device), device.get(request_options(HERE, CHALLENGE))
        for name in ("clientDataJSON", "authenticatorData", "signature"):
            text = fields["response"][name]
            middle = len(text) // 2
            changed = text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :]
            with pytest.raises(Refused):
                answer = read_answer(json.dumps(fields | {"response": fields["response"] | {name: changed}}))
                used(HERE, record, answer, alone=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"rawId": 1}',
        '{"rawId":"eA","response":[]}',
        '{"rawId":"eA","response":{}}',
        "{" * 9999,
        "[" * 9999,
        '{"a":' * 9999,
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        read_answer(text)


@pytest.mark.parametrize(
    ("host", "origin", "possible"),
    [
        ("mail.example.com", "https://mail.example.com", True),
        ("mail.example.com", "http://mail.example.com", False),
        ("localhost", "http://localhost:8025", True),
        ("127.0.0.1", "http://127.0.0.1:8025", False),
        ("192.0.2.7", "https://192.0.2.7", False),
        ("::1", "https://[::1]", False),
    ],
)
def test_where_browsers_allow_passkeys(host: str, origin: str, possible: bool) -> None:
    assert Place(host, origin).can_have_passkeys == possible
