"""The client's side of SASL, as a library would have it: what the tests of logins prove themselves with."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode


class ScramClient:
    """SCRAM of any kind. `header` is the gs2-header, `data` what it binds to, `name` as it stands on the wire."""

    def __init__(
        self,
        password: bytes,
        *,
        name: bytes = b"user",
        header: bytes = b"n,,",
        data: bytes = b"",
        function: str = "sha256",
        nonce: bytes = b"client-nonce",
    ) -> None:
        self._password = password
        self._header = header
        self._data = data
        self._function = function
        self._bare = b"n=" + name + b",r=" + nonce
        self._server_key = self._message = b""
        self.first = header + self._bare

    def final(self, challenge: bytes) -> bytes:
        """The message with the proof."""
        function = self._function
        fields = dict(field.split(b"=", 1) for field in challenge.split(b","))
        salted = hashlib.pbkdf2_hmac(function, self._password, b64decode(fields[b"s"]), int(fields[b"i"]))
        key = hmac.digest(salted, b"Client Key", function)
        without = b"c=" + b64encode(self._header + self._data) + b",r=" + fields[b"r"]
        self._message = b",".join((self._bare, challenge, without))
        self._server_key = hmac.digest(salted, b"Server Key", function)
        signature = hmac.digest(hashlib.new(function, key).digest(), self._message, function)
        return without + b",p=" + b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True)))

    def begin(self) -> bytes:
        """As `testing.logins` goes through an exchange."""
        return self.first

    def respond(self, challenge: bytes) -> bytes:
        if challenge.startswith(b"v="):
            assert self.trusts(challenge), "the server does not know the password"
            return b""
        return self.final(challenge)

    def trusts(self, challenge: bytes) -> bool:
        """Whether the server has shown that it knows the password too (RFC 5802 §5)."""
        ours = hmac.digest(self._server_key, self._message, self._function)
        return challenge == b"v=" + b64encode(ours)


def bearer_message(token: str, name: str = "") -> bytes:
    """OAUTHBEARER (RFC 7628 §3.1)."""
    return f"n,{f'a={name}' if name else ''},\x01auth=Bearer {token}\x01\x01".encode()
