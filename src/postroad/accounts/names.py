"""Names that people type when they manage domains, accounts and aliases: read here, refused in kind words."""

from __future__ import annotations

from postroad.mail.address import Address, AddressError, Domain
from postroad.ports.store import DomainKind, DomainRecord, Refused, Tx

ROLE_NAMES = ("postmaster", "abuse")  # RFC 5321 §4.5.1 and RFC 2142 §4: every domain answers to these

_SHORTEST_SECRET = 20  # characters of a token


def read_domain(text: str) -> str:
    """The A-label form of a domain name. Raises Refused."""
    try:
        domain = Domain.parse(text.strip().rstrip("."))
    except AddressError as error:
        raise Refused(f"“{text}” is not a domain name: {error}") from error
    if domain.is_literal:
        raise Refused(f"“{text}” is an address literal; a domain name is needed here")
    return domain.ascii


def read_address(text: str) -> Address:
    """An address such as anna@example.com. Raises Refused."""
    try:
        return Address.parse(text.strip())
    except AddressError as error:
        raise Refused(f"“{text}” is not an address: {error}") from error


def local_domain(tx: Tx, address: Address) -> DomainRecord:
    """The domain of `address`, which has to be one of ours with mailboxes. Raises Refused."""
    name = address.domain.ascii
    record = tx.domains.get(name)
    if record is None:
        raise Refused(f"{name} is not a domain of this server; add it first: postroad domain add {name}")
    if record.kind is DomainKind.ALIAS:
        raise Refused(f"{name} is another name of {record.target}; use {address.local_part}@{record.target}")
    if record.kind is DomainKind.RELAY:
        raise Refused(f"{name} is passed on to {record.relay_host}; it has no mailboxes here")
    return record


def one_spelling(name: str) -> str:
    """A login's name as tries are counted by and logins remembered: `"alice"@example.com` is nobody else than
    `alice@example.com`, and has no tries of its own."""
    try:
        return Address.parse(name.strip()).key
    except AddressError:
        return name  # of nobody


def shown_name(name: str) -> str:
    """A login's name as logs may have it: no address, and as long as a secret, it may be one in the wrong field."""
    return name if "@" in name or len(name) < _SHORTEST_SECRET else f"…{name[-4:]}, {len(name)} characters"
