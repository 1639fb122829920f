"""SCRAM-SHA-256 and SCRAM-SHA-1, with and without channel binding: the server's side (RFC 5802, RFC 7677, RFC 9266).

The password never travels, and what is kept of it proves a client without giving it away. The exchange asks for the
keys of a name (`KeysWanted`) and is given them by `provide`; a name that nobody has is given invented ones, so that it
costs and says the same as a wrong password.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from postroad.proto.sasl.exchange import NO_BINDING, Binding, Challenge, Failure, KeysWanted, Proven, Step
from postroad.proto.sasl.names import unescaped

MAX_MESSAGE = 2048  # octets: a name, a nonce and a certificate's digest fit many times
PLUS: Final = "-PLUS"
_HASHES: Final = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}
_FIRST: Final = re.compile(r"(n|y|p=([A-Za-z0-9.-]+)),(?:a=([^,]+))?,(n=([^,]+),r=([!-+\--~]+)(?:,.*)?)", re.DOTALL)
_FINAL: Final = re.compile(r"(c=([^,]+),r=([!-+\--~]+)(?:,[^,]+)*),p=([^,]+)")


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """RFC 5802 §3: what a server keeps for one hash function."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return f"ScramKeys(iterations={self.iterations})"


def make_keys(mechanism: str, prepared: bytes, salt: bytes, iterations: int) -> ScramKeys:
    """The keys for a password (RFC 5802 §3); slow on purpose."""
    function = hash_of(mechanism)
    salted = hashlib.pbkdf2_hmac(function, prepared, salt, iterations)
    stored = hashlib.new(function, hmac.digest(salted, b"Client Key", function)).digest()
    return ScramKeys(iterations, salt, stored, hmac.digest(salted, b"Server Key", function))


def invented_keys(secret: bytes, mechanism: str, name: str, salt: bytes, iterations: int) -> ScramKeys:
    """Keys for a name that nobody has: no password fits them."""
    nobody = hmac.digest(secret, b"nobody\0" + name.encode("utf-8", "surrogatepass"), hash_of(mechanism))
    return ScramKeys(iterations, salt, nobody, nobody)


def hash_of(mechanism: str) -> str:
    """The hash function of a mechanism, as hashlib names it."""
    return _HASHES[mechanism.removesuffix(PLUS)]


class ScramServer:
    """One exchange: `step(first)` -> KeysWanted, `provide(keys)` -> Challenge, `step(final)` -> Challenge with our own
    proof, `step(b"")` -> Proven."""

    __slots__ = ("_binding", "_expected", "_first", "_function", "_keys", "_name", "_nonce", "_plus", "_proven")

    def __init__(self, mechanism: str, nonce: str, binding: Binding = NO_BINDING) -> None:
        """`nonce` is ours: 18 unguessable octets or more as printable characters without a comma."""
        self._function = hash_of(mechanism)
        self._plus = mechanism.endswith(PLUS)
        self._nonce = nonce
        self._binding = binding
        self._first = ""  # client-first-message-bare, then with our own first message behind it
        self._expected = b""  # what `c=` has to say
        self._keys: Sequence[ScramKeys] = ()
        self._name = ""
        self._proven: Proven | None = None

    def step(self, response: bytes | None) -> Step:
        if response is None:
            return Challenge(b"")
        if self._proven is not None:
            return Failure("SCRAM: something came behind the proof") if response else self._proven
        if len(response) > MAX_MESSAGE:
            return Failure("SCRAM: a message is too long")
        try:
            text = response.decode("utf-8")
        except UnicodeDecodeError:
            return Failure("SCRAM: a message is not UTF-8")
        return self._finish(text) if self._keys else self._begin(text)

    def provide(self, keys: Sequence[ScramKeys]) -> Step:
        """The keys of the name that was asked for, an account's or invented ones. Several (an account's password, its
        app passwords) share salt and iterations, since these are told before it is known which one the client has."""
        self._keys = [one for one in keys if (one.salt, one.iterations) == (keys[0].salt, keys[0].iterations)]
        salt = b2a_base64(keys[0].salt, newline=False).decode()
        ours = f"r={self._nonce},s={salt},i={keys[0].iterations}"
        self._first += f",{ours}"
        return Challenge(ours.encode())

    def _begin(self, text: str) -> Step:
        found = _FIRST.fullmatch(text)
        if found is None or "\0" in text:
            return Failure("SCRAM: the first message cannot be read")
        flag, kind, authzid, self._first, escaped, nonce = found.groups()
        name = unescaped(escaped)
        if name is None or (authzid is not None and unescaped(authzid) != name):
            return Failure("SCRAM: a name is written wrongly, or asks to act as another")
        if (fault := self._bind(flag, kind)) is not None:
            return fault
        self._expected = text[: found.start(4)].encode() + self._expected  # the gs2-header, then the binding's data
        self._name, self._nonce = name, nonce + self._nonce
        return KeysWanted(name)

    def _bind(self, flag: str, kind: str | None) -> Failure | None:
        """RFC 5802 §6: what the flag means for this mechanism."""
        if self._plus:
            if kind is None:
                return Failure("SCRAM: -PLUS was chosen without binding")
            data = self._binding.data.get(kind)
            if data is None:
                return Failure(f"SCRAM: {kind!r} is not a binding that this connection has")
            self._expected = data
        elif kind is not None:
            return Failure("SCRAM: a binding without -PLUS")
        elif flag == "y" and self._binding.offered:
            return Failure("SCRAM: the client was told that we cannot bind: somebody is in between")
        return None

    def _finish(self, text: str) -> Step:
        found = _FINAL.fullmatch(text)
        if found is None:
            return Failure("SCRAM: the final message cannot be read")
        without_proof, binding, nonce, proof = found.groups()
        if _decoded(binding) != self._expected or nonce != self._nonce:
            return Failure("SCRAM: the channel or the nonce is another one")
        return self._judge(f"{self._first},{without_proof}".encode(), _decoded(proof) or b"")

    def _judge(self, message: bytes, proof: bytes) -> Step:
        """Every key is tried, so that time does not tell which one it was."""
        fitting = [number for number, keys in enumerate(self._keys) if self._fits(keys, message, proof)]
        if not fitting:
            return Failure("SCRAM: wrong password")
        self._proven = Proven(self._name, fitting[0])
        ours = hmac.digest(self._keys[fitting[0]].server_key, message, self._function)
        return Challenge(b"v=" + b2a_base64(ours, newline=False))

    def _fits(self, keys: ScramKeys, message: bytes, proof: bytes) -> bool:
        signature = hmac.digest(keys.stored_key, message, self._function)
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=False))
        same = hmac.compare_digest(hashlib.new(self._function, client_key).digest(), keys.stored_key)
        return same and len(proof) == len(signature)


def _decoded(text: str) -> bytes | None:
    """Only as an encoder writes it (RFC 4648 §3.5), so that one proof has one spelling."""
    try:
        octets = a2b_base64(text, strict_mode=True)
    except (Base64Error, ValueError):
        return None
    return octets if b2a_base64(octets, newline=False) == text.encode() else None
