"""Passkeys (WebAuthn Level 2): what a browser is asked, and whether its answer is right. Nothing of HTTP, no rows.

A challenge comes from the caller, who also sees to it that it is used in time and by whoever it was made for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from postroad.ports.admins import AdminRecord, PasskeyRecord
from postroad.ports.store import Refused

if TYPE_CHECKING:
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

T = TypeVar("T")

NAME = "Postroad"
MAX_ANSWER = 64 * 1024  # characters of a browser's answer
MAX_NAME = 60
_MAX_TRANSPORTS = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where the console is open: a passkey works at the host that it was made for, and nowhere else."""

    host: str  # without the port; the relying party's id
    origin: str  # https://mail.example.com

    @property
    def can_have_passkeys(self) -> bool:
        """Browsers want a name (an address will not do), and https or this machine."""
        is_name = any(character.isalpha() for character in self.host) and ":" not in self.host
        here = self.host == "localhost" or self.host.endswith(".localhost")
        return is_name and (self.origin.startswith("https://") or here)


@dataclass(frozen=True, slots=True)
class Answer:
    """A browser's answer, as far as it must be read before it can be judged."""

    credential: bytes
    challenge: bytes
    owner: bytes | None  # the user handle, where the passkey itself says whose it is
    fields: dict[str, Any]


def read_answer(text: str) -> Answer:
    """Raises Refused."""
    from webauthn.helpers import base64url_to_bytes

    try:
        if len(text) > MAX_ANSWER:
            raise ValueError("too long")
        fields = json.loads(text)
        response = fields["response"]
        client_data = json.loads(base64url_to_bytes(response["clientDataJSON"]))
        handle = response.get("userHandle")
        return Answer(
            base64url_to_bytes(fields["rawId"]),
            base64url_to_bytes(client_data["challenge"]),
            base64url_to_bytes(handle) if handle else None,
            fields,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused("the browser's answer cannot be read; try again") from error


# --- making one -------------------------------------------------------------------------------------------------------


def creation_options(place: Place, admin: AdminRecord, known: Sequence[PasskeyRecord], challenge: bytes) -> str:
    """What `navigator.credentials.create` is given, as JSON. Authenticators that are `known` are not offered again."""
    from webauthn import generate_registration_options, options_to_json
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    return options_to_json(
        generate_registration_options(
            rp_id=place.host,
            rp_name=NAME,
            user_id=owner_handle(admin),
            user_name=admin.email,
            user_display_name=admin.name or admin.email,
            challenge=challenge,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.PREFERRED,
                user_verification=UserVerificationRequirement.PREFERRED,
            ),
            exclude_credentials=_descriptors(known),
        )
    )


def created(place: Place, admin: AdminRecord, answer: Answer, *, name: str, now: datetime) -> PasskeyRecord:
    """The new passkey. `answer.challenge` must be one that we gave. Raises Refused."""
    from webauthn import verify_registration_response

    made = _checked(
        lambda: verify_registration_response(
            credential=answer.fields,
            expected_challenge=answer.challenge,
            expected_rp_id=place.host,
            expected_origin=place.origin,
        )
    )
    label = " ".join(name.split())[:MAX_NAME] or "Passkey"
    return PasskeyRecord(
        made.credential_id, admin.id, made.credential_public_key, made.sign_count, label, now, _transports(answer)
    )


# --- using one --------------------------------------------------------------------------------------------------------


def request_options(place: Place, challenge: bytes, known: Sequence[PasskeyRecord] = ()) -> str:
    """What `navigator.credentials.get` is given. Without `known` the browser offers what it has, and must itself make
    sure that it is the owner (a finger, a face, a PIN): then the passkey is all that signing in takes."""
    from webauthn import generate_authentication_options, options_to_json
    from webauthn.helpers.structs import UserVerificationRequirement

    alone = UserVerificationRequirement.PREFERRED if known else UserVerificationRequirement.REQUIRED
    return options_to_json(
        generate_authentication_options(
            rp_id=place.host, challenge=challenge, allow_credentials=_descriptors(known), user_verification=alone
        )
    )


def used(place: Place, record: PasskeyRecord, answer: Answer, *, alone: bool) -> int:
    """The passkey's new count of signatures. `alone`: without a password beside it. Raises Refused."""
    from webauthn import verify_authentication_response

    verified = _checked(
        lambda: verify_authentication_response(
            credential=answer.fields,
            expected_challenge=answer.challenge,
            expected_rp_id=place.host,
            expected_origin=place.origin,
            credential_public_key=record.public_key,
            credential_current_sign_count=record.sign_count,
            require_user_verification=alone,
        )
    )
    return verified.new_sign_count


def owner_handle(admin: AdminRecord) -> bytes:
    """What a passkey keeps of whose it is: nothing that tells a stranger anything (WebAuthn §14.6.1)."""
    return int(admin.id).to_bytes(8, "big")


def _checked(verify: Callable[[], T]) -> T:
    """Whatever a stranger's answer makes the library raise, the answer was not right."""
    try:
        return verify()
    except Exception as error:
        raise Refused("the passkey could not be checked; try again") from error


def _descriptors(known: Sequence[PasskeyRecord]) -> list[PublicKeyCredentialDescriptor]:
    from webauthn.helpers.structs import AuthenticatorTransport, PublicKeyCredentialDescriptor

    names = {transport.value: transport for transport in AuthenticatorTransport}
    return [
        PublicKeyCredentialDescriptor(
            id=record.credential,
            transports=[names[name] for name in record.transports if name in names] or None,
        )
        for record in known
    ]


def _transports(answer: Answer) -> tuple[str, ...]:
    listed = answer.fields["response"].get("transports")
    names = listed if isinstance(listed, list) else []
    return tuple(name for name in names if isinstance(name, str) and name.isascii() and len(name) < 20)[
        :_MAX_TRANSPORTS
    ]
