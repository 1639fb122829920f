"""The next hop for a domain: MX hosts, a relay host, or the smarthost. Pure; `directory` keeps the rows it needs."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from postroad.mail.address import Domain
from postroad.mail.terms import Terms, TlsWish
from postroad.ports.store import DomainKind, DomainRecord

LOCAL_DEST = "local"
FEEDBACK_DEST = "feedback"  # read here: bounces and the like that came to a return address
WISHES = {TlsWish.REQUIRE: "!requiretls", TlsWish.WAIVE: "!tls-optional"}  # behind a next hop's key
HERE = frozenset((LOCAL_DEST, FEEDBACK_DEST))  # next hops that are no hosts


class TransportKind(Enum):
    """How the hosts of a next hop are found."""

    MX = "mx"  # by DNS: MX records, else the domain's own addresses (RFC 5321 §5.1)
    HOST = "host"  # one named host or address


@dataclass(frozen=True, slots=True)
class Transport:
    """One next hop. `dest` is what the queue groups by: `mx:remote.test`, `host:relay.example:25`."""

    kind: TransportKind
    dest: str
    host: str  # MX: the domain; HOST: a host name or IP address
    port: int
    username: str = ""
    password: str = field(default="", repr=False)
    implicit_tls: bool = False
    require_tls: bool = False  # a password is never sent in the clear
    lmtp: bool = False  # RFC 2033
    pool: str = ""  # of source addresses; empty: the usual one
    tls: TlsWish = TlsWish.UNSAID  # of the messages that go there


@dataclass(frozen=True, slots=True)
class RouteSettings:
    """What of the configuration decides about next hops."""

    mx_port: int = 25
    smarthost: str = field(default="", repr=False)  # smtp://user:password@host:port, or smtps://


def transport(domain: str, record: DomainRecord | None, settings: RouteSettings, *, direct: bool = False) -> Transport:
    """The next hop for mail to `domain` (A-labels, or an address literal). `record` is our row of it, if any.

    A relay domain's own host goes before the smarthost: it says where that domain lives. `direct` passes the smarthost
    by.
    """
    if record is not None and record.kind is DomainKind.RELAY:
        return to_host(record.relay_host, record.relay_port)
    if settings.smarthost and not direct:
        return read_smarthost(settings.smarthost)
    if domain.startswith("["):  # RFC 5321 §5.1: an address literal is its own host
        return to_host(Domain(domain).literal_address or "", settings.mx_port)
    return _to_domain(domain, settings.mx_port)


@lru_cache(maxsize=1024)
def _to_domain(domain: str, port: int) -> Transport:
    return Transport(TransportKind.MX, f"mx:{domain}", domain, port)


@lru_cache(maxsize=256)
def to_host(host: str, port: int) -> Transport:
    return Transport(TransportKind.HOST, host_dest(host, port), host, port)


def wished(route: Transport, terms: Terms | None) -> Transport:
    """The next hop for a message that asks for TLS, or for none to be asked for (RFC 8689): one of its own, so that its
    connections are held to that. Most messages ask for nothing."""
    if terms is None or terms.tls is TlsWish.UNSAID:
        return route
    return _wished(route, terms.tls)


def wished_dest(dest: str, terms: Terms | None) -> str:
    """The same for a next hop's key alone."""
    if terms is None or terms.tls is TlsWish.UNSAID or dest in HERE:
        return dest
    return dest + WISHES[terms.tls]


def unwished(dest: str) -> str:
    """A next hop's key without what was asked for."""
    return told_apart(dest)[0]


def told_apart(dest: str) -> tuple[str, str]:
    """A next hop's key without what was asked for, and that in words."""
    for wish, mark in WISHES.items():
        if dest.endswith(mark):
            return dest.removesuffix(mark), _WISHED[wish]
    return dest, ""


_WISHED = {TlsWish.REQUIRE: ", by proven TLS alone", TlsWish.WAIVE: ", with TLS or without"}


@lru_cache(maxsize=256)
def _wished(route: Transport, wish: TlsWish) -> Transport:
    return replace(route, dest=route.dest + WISHES[wish], tls=wish)


def host_dest(host: str, port: int) -> str:
    """`host:[192.0.2.7]:2525` or `host:relay.example:25`."""
    try:
        return f"host:[{ipaddress.ip_address(host)}]:{port}"
    except ValueError:
        return f"host:{host.lower()}:{port}"


@lru_cache(maxsize=4)
def read_smarthost(url: str) -> Transport:
    """`smtp://user:password@host:port` (STARTTLS, demanded where there is a password) or `smtps://` (TLS at once).

    Raises ValueError with words for the configuration's check.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("a smarthost is written smtp://host:port or smtp://user:password@host:port")
    implicit = parts.scheme == "smtps"
    port = parts.port or (465 if implicit else 587 if parts.username else 25)
    return Transport(
        TransportKind.HOST,
        host_dest(parts.hostname, port),
        parts.hostname,
        port,
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        implicit_tls=implicit,
        require_tls=implicit or bool(parts.username),
    )
