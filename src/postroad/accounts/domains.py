"""Domains of this installation: transaction functions. Whoever calls them publishes the signal `config` afterwards."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from datetime import datetime

from postroad.accounts import aliases
from postroad.accounts.names import read_domain
from postroad.mail.address import Address, Domain
from postroad.ports.ids import DomainId, IdSource
from postroad.ports.store import DomainKind, DomainRecord, Refused, Tx

MAX_DOMAIN_ALIASES = 4  # names of names of a domain


def follow(tx: Tx, address: Address) -> tuple[Address, DomainRecord | None]:
    """The address in the domain that its own stands for, and that domain's row; None: not ours."""
    record = tx.domains.get(address.domain.ascii)
    for _ in range(MAX_DOMAIN_ALIASES):
        if record is None or record.kind is not DomainKind.ALIAS:
            break
        address = replace(address, domain=Domain(record.target))
        record = tx.domains.get(record.target)
    return address, record


def add_local(tx: Tx, name: str, *, now: datetime, ids: IdSource) -> DomainRecord:
    """A domain with mailboxes; postmaster@ and abuse@ go to the administrator, or wait for the first one."""
    record = DomainRecord(DomainId(ids.new()), read_domain(name), DomainKind.LOCAL, now)
    tx.domains.add(record)
    administrator = tx.accounts.first_admin()
    if administrator is not None:
        aliases.add_role_aliases(tx, record.name, administrator.address, now=now)
    return record


def add_relay(tx: Tx, name: str, relay_to: str, *, now: datetime, ids: IdSource) -> DomainRecord:
    """A domain whose mail is taken at MX and passed on to `relay_to`, which is HOST or HOST:PORT."""
    host, port = read_relay(relay_to)
    record = DomainRecord(DomainId(ids.new()), read_domain(name), DomainKind.RELAY, now, host, port)
    tx.domains.add(record)
    return record


def add_alias(tx: Tx, name: str, target: str, *, now: datetime, ids: IdSource) -> DomainRecord:
    """Another name of the domain `target`: every address in it is the same address there."""
    target_name = read_domain(target)
    other = tx.domains.get(target_name)
    if other is None or other.kind is not DomainKind.LOCAL:
        raise Refused(f"{target_name} is not a domain with mailboxes here; add it first")
    record = DomainRecord(DomainId(ids.new()), read_domain(name), DomainKind.ALIAS, now, target=target_name)
    tx.domains.add(record)
    return record


def remove(tx: Tx, name: str) -> DomainRecord:
    """Remove a domain with its aliases. Refused while it has accounts, or another domain stands for it."""
    record = tx.domains.get(read_domain(name))
    if record is None:
        raise Refused(f"{name} is not a domain of this server")
    accounts = tx.accounts.list(record.name)
    if accounts:
        some = ", ".join(account.address for account in accounts[:3]) + (", ..." if len(accounts) > 3 else "")
        raise Refused(f"{record.name} still has {len(accounts)} account(s), whose mail would be lost: {some}")
    named = [domain.name for domain in tx.domains.list() if domain.target == record.name]
    if named:
        raise Refused(f"{', '.join(named)} stand(s) for {record.name}; remove that first")
    for alias in tx.aliases.list(record.name):
        tx.aliases.remove(alias.address)
    tx.domains.remove(record.name)
    tx.return_paths.remove(domain=record.name)
    return record


def read_relay(text: str) -> tuple[str, int]:
    """HOST, HOST:PORT, or an address, [IPv6]:PORT included. Raises Refused."""
    host, port = _split_port(text.strip())
    try:
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        return read_domain(host), port


def _split_port(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    if not port:
        return host, 25
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise Refused(f"“{text}” has no valid port: a number from 1 to 65535 follows the colon")
    return host, int(port)
