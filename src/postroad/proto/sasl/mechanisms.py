"""The table of mechanisms: what each needs of a connection, and how an exchange begins. Strongest first, as announced.

SMTP, IMAP and POP3 announce what `offered` says and begin with `begin`, so that they cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from postroad.proto.sasl.exchange import NO_BINDING, Binding, ServerExchange
from postroad.proto.sasl.external import ExternalServer
from postroad.proto.sasl.oauthbearer import OAuthBearerServer, XOAuth2Server
from postroad.proto.sasl.plain import LoginServer, PlainServer
from postroad.proto.sasl.scram import ScramServer

NONCE_OCTETS = 18  # unguessable ones, 24 characters


@dataclass(frozen=True, slots=True)
class Channel:
    """What a connection has, besides TLS, without which nothing is offered."""

    binds: bool = False  # data to bind to
    certified: bool = False  # a client certificate that was checked


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One row. `setting` is the word that turns it on."""

    name: str
    setting: str
    make: Callable[[str, str, Binding], ServerExchange]
    binds: bool = False
    certified: bool = False


def _plain(make: Callable[[], ServerExchange]) -> Callable[[str, str, Binding], ServerExchange]:
    return lambda _name, _nonce, _binding: make()


MECHANISMS: Final = {
    row.name: row
    for row in (
        Mechanism("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", ScramServer, binds=True),
        Mechanism("SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", ScramServer, binds=True),
        Mechanism("SCRAM-SHA-256", "SCRAM-SHA-256", ScramServer),
        Mechanism("SCRAM-SHA-1", "SCRAM-SHA-1", ScramServer),
        Mechanism("EXTERNAL", "EXTERNAL", _plain(ExternalServer), certified=True),
        Mechanism("OAUTHBEARER", "OAUTHBEARER", _plain(OAuthBearerServer)),
        Mechanism("XOAUTH2", "XOAUTH2", _plain(XOAuth2Server)),
        Mechanism("PLAIN", "PLAIN", _plain(PlainServer)),
        Mechanism("LOGIN", "LOGIN", _plain(LoginServer)),
    )
}


def offered(wanted: Collection[str], channel: Channel) -> tuple[str, ...]:
    """What can be had on a connection, of what the settings want."""
    return tuple(
        row.name
        for row in MECHANISMS.values()
        if row.setting in wanted and channel.binds >= row.binds and channel.certified >= row.certified
    )


def begin(mechanism: str, nonce: str = "", binding: Binding = NO_BINDING) -> ServerExchange:
    """A new exchange; `nonce` and `binding` are for SCRAM."""
    return MECHANISMS[mechanism].make(mechanism, nonce, binding)
