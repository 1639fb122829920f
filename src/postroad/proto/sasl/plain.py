"""PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login), to be offered under TLS alone."""

from __future__ import annotations

from postroad.proto.sasl.exchange import Challenge, Credentials, Failure, Step, read_field


class PlainServer:
    """`authzid NUL authcid NUL passwd`, in one message."""

    __slots__ = ()

    def step(self, response: bytes | None) -> Step:
        if response is None:
            return Challenge(b"")
        fields = response.split(b"\0")
        if len(fields) != 3:
            return Failure("PLAIN: not two NULs")
        authzid, name, password = (read_field(field) for field in fields)
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
        text = read_field(response)
        if not text:
            return Failure("LOGIN: a field is empty, too long or not UTF-8")
        if self._name is None:
            self._name = text
            return Challenge(b"Password:")
        return Credentials(self._name, text)
