"""OAUTHBEARER (RFC 7628) and XOAUTH2, its forerunner: a token that an OpenID provider gave out, in one message.

The token is looked into elsewhere. When it is refused, the client is told why in JSON and has to answer once more
before it hears of its failure (RFC 7628 §3.2.3).
"""

from __future__ import annotations

import re
from typing import Final

from postroad.proto.sasl.exchange import Bearer, Challenge, Failure, Step, read_field
from postroad.proto.sasl.names import unescaped

MAX_MESSAGE = 9216  # octets: what an AUTH line of SMTP can hold in base64 (RFC 4954 §4.3)
_SEPARATOR: Final = "\x01"
_HEADER: Final = re.compile(r"(?:n|y|p=[A-Za-z0-9.-]+),(?:a=([^,]*))?,")  # gs2-header (RFC 5801 §4)
_PAIR: Final = re.compile(r"([A-Za-z]+)=([\t\n\r -~]*)")  # RFC 7628 §3.1
_TOKEN: Final = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*) *", re.IGNORECASE)  # RFC 6750 §2.1


class OAuthBearerServer:
    """`step(first)` -> Bearer; if the token is wrong, `refuse(why)` -> Challenge, and `step(anything)` -> Failure."""

    __slots__ = ("_refused",)

    def __init__(self) -> None:
        self._refused = False

    def step(self, response: bytes | None) -> Step:
        if self._refused:
            return Failure("the token was refused")
        if response is None:
            return Challenge(b"")
        text = response.decode("utf-8", "replace") if len(response) <= MAX_MESSAGE else ""
        return self._read(text)

    def refuse(self, why: bytes) -> Step:
        """The token is not good; `why` is the JSON of RFC 7628 §3.2.2."""
        self._refused = True
        return Challenge(why)

    def _read(self, text: str) -> Step:
        header, *pairs = text.split(_SEPARATOR)
        found = _HEADER.fullmatch(header)
        if found is None or pairs[-2:] != ["", ""]:
            return Failure("OAUTHBEARER: the message cannot be read")
        name = unescaped(found[1]) if found[1] else ""
        if header.startswith("p=") or name is None:  # RFC 7628 §3.1: no binding is defined for it
            return Failure("OAUTHBEARER: a binding, or a name written wrongly")
        return _bearer(name, pairs[:-2])


class XOAuth2Server(OAuthBearerServer):
    """`user=NAME^Aauth=Bearer TOKEN^A^A`: the form that came before the standard and that many programs speak."""

    __slots__ = ()

    def _read(self, text: str) -> Step:
        user, *pairs = text.split(_SEPARATOR)
        if not user.startswith("user=") or pairs[-2:] != ["", ""]:
            return Failure("XOAUTH2: the message cannot be read")
        name = read_field(user.removeprefix("user=").encode())
        return Failure("XOAUTH2: the name is too long") if name is None else _bearer(name, pairs[:-2])


def _bearer(name: str, pairs: list[str]) -> Step:
    """The token among the pairs; others (host, port) are allowed and say nothing that we do not know."""
    read = [_PAIR.fullmatch(pair) for pair in pairs]
    values = [found[2] for found in read if found is not None and found[1].lower() == "auth"]
    token = _TOKEN.fullmatch(values[0]) if len(values) == 1 and None not in read else None
    if token is None:
        return Failure("OAUTHBEARER: there is no bearer token in the message")
    return Bearer(name, token[1])
