"""PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login), to be offered under TLS alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from postroad.proto.sasl.exchange import Challenge, Credentials, Failure, ServerExchange, Step

MAX_FIELD = 1024  # octets of a name or password: more is no person's, and hashing it would be our work


class PlainServer:
    """`authzid NUL authcid NUL passwd`, in one message."""

    __slots__ = ()

    def step(self, response: bytes | None) -> Step:
        if response is None:
            return Challenge(b"")
        fields = response.split(b"\0")
        if len(fields) != 3:
            return Failure("PLAIN: not two NULs")
        authzid, name, password = (_text(field) for field in fields)
        if authzid is None or not name or not password:
            return Failure("PLAIN: a field is empty, too long or not UTF-8")
        if authzid and authzid.lower() != name.lower():
            return Failure(f"PLAIN: {name!r} asked to act as {authzid!r}")
        return Credentials(name, password)


class LoginServer:
    """Asks for the name, then for the password; clients know the two prompts by heart."""

    __slots__ = ("_name",)

    def __init__(self) -> None:
        self._name: str | None = None

    def step(self, response: bytes | None) -> Step:
        if response is None:
            return Challenge(b"Username:")
        text = _text(response)
        if not text:
            return Failure("LOGIN: a field is empty, too long or not UTF-8")
        if self._name is None:
            self._name = text
            return Challenge(b"Password:")
        return Credentials(self._name, text)


SERVER_MECHANISMS: Final[dict[str, Callable[[], ServerExchange]]] = {"PLAIN": PlainServer, "LOGIN": LoginServer}


def _text(field: bytes) -> str | None:
    """The field decoded; None when it is not UTF-8, holds a NUL or is too long."""
    if len(field) > MAX_FIELD or b"\0" in field:
        return None
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError:
        return None
