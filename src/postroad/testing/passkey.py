"""An authenticator in software: makes a passkey and signs with it, as browser and device do together (WebAuthn 2)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

_PRESENT, _VERIFIED, _WITH_KEY = 0x01, 0x04, 0x40  # flags of authenticator data, §6.1


class SoftPasskey:
    """One credential. `verifies`: it makes sure that it is the owner; `origin` is where the browser thinks it is."""

    def __init__(self, origin: str, *, verifies: bool = True, credential: bytes = b"a credential of a test") -> None:
        self.origin = origin
        self.credential = credential
        self.verifies = verifies
        self.count = 0
        self.owner = b""
        self._key = generate_private_key(SECP256R1())

    def create(self, options: str) -> dict[str, Any]:
        """What `navigator.credentials.create` gives back."""
        wanted = json.loads(options)
        self.owner = base64url_to_bytes(wanted["user"]["id"])
        data = self._data(wanted["rp"]["id"], self._attested())
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(
            {
                "clientDataJSON": self._client_data("webauthn.create", wanted["challenge"]),
                "attestationObject": attestation,
            },
            transports=["internal", "hybrid"],
        )

    def get(self, options: str) -> dict[str, Any]:
        """What `navigator.credentials.get` gives back."""
        wanted = json.loads(options)
        self.count += 1
        data, client = self._data(wanted["rpId"], b""), self._client_data("webauthn.get", wanted["challenge"])
        signature = self._key.sign(data + hashlib.sha256(client).digest(), ECDSA(SHA256()))
        return self._answer(
            {"clientDataJSON": client, "authenticatorData": data, "signature": signature, "userHandle": self.owner}
        )

    def _data(self, host: str, attested: bytes) -> bytes:
        flags = _PRESENT | (_VERIFIED if self.verifies else 0) | (_WITH_KEY if attested else 0)
        return hashlib.sha256(host.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big") + attested

    def _attested(self) -> bytes:
        numbers = self._key.public_key().public_numbers()
        public = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        return bytes(16) + len(self.credential).to_bytes(2, "big") + self.credential + cbor2.dumps(public)

    def _client_data(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _answer(self, fields: dict[str, bytes], **more: Any) -> dict[str, Any]:
        name = bytes_to_base64url(self.credential)
        response = {key: bytes_to_base64url(value) for key, value in fields.items()} | more
        return {"id": name, "rawId": name, "type": "public-key", "response": response}
