"""Aliases, forwards and catch-alls as rows: transaction functions. What they mean for mail is `routing.aliases`.

Whoever calls them publishes the signal `config` afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from postroad.accounts.names import ROLE_NAMES, local_domain, read_address
from postroad.ports.store import AccountRecord, AliasRecord, DomainKind, Refused, Tx

CATCH_ALL = "*"  # the local part that stands for every address without one of its own
MAX_TARGETS = 500  # of one alias; a larger circle is a mailing list
POSTMASTER = "postmaster"


def find(tx: Tx, key: str, delimiter: str) -> AccountRecord | AliasRecord | None:
    """Who has this address (a canonical key in a domain of ours): the mailbox of that very name, then its alias; the
    same again without the detail. The catch-all is not asked."""
    found = _exact(tx, key)
    local_part, _, domain = key.rpartition("@")
    if found is None and delimiter and delimiter in local_part[1:]:
        found = _exact(tx, f"{local_part[0]}{local_part[1:].partition(delimiter)[0]}@{domain}")
    if found is None and local_part == POSTMASTER:
        found = tx.accounts.first_admin()  # RFC 5321 §4.5.1: always taken, whoever removed the alias
    return found


def _exact(tx: Tx, key: str) -> AccountRecord | AliasRecord | None:
    return tx.accounts.by_address(key) or tx.aliases.get(key)


def add(tx: Tx, address: str, targets: Sequence[str], *, now: datetime) -> AliasRecord:
    """Add an alias, or replace its targets. `*@domain` is the catch-all; a target elsewhere makes it a forward."""
    alias = read_address(address)
    local_domain(tx, alias)
    if tx.accounts.by_address(alias.key) is not None:
        raise Refused(f"{alias.key} is a mailbox; an alias needs an address of its own")
    kept = _read_targets(targets)
    if kept == (alias.key,):
        raise Refused(f"{alias.key} would point to itself")
    record = AliasRecord(alias.key, kept, now)
    tx.aliases.put(record)
    return record


def _read_targets(targets: Sequence[str]) -> tuple[str, ...]:
    """Targets in canonical form where that is ours to say: the case of a remote local part is kept."""
    if not targets:
        raise Refused("an alias needs at least one target")
    if len(targets) > MAX_TARGETS:
        raise Refused(f"an alias has at most {MAX_TARGETS} targets")
    addresses = [read_address(target) for target in targets]
    wild = next((str(address) for address in addresses if address.local_part == CATCH_ALL), None)
    if wild:
        raise Refused(f"{wild} is a catch-all; a target is one address")
    return tuple(dict.fromkeys(str(address) for address in addresses))


def remove(tx: Tx, address: str) -> None:
    key = read_address(address).key
    if not tx.aliases.remove(key):
        raise Refused(f"there is no alias {key}")


def pointing_to(tx: Tx, address: str) -> list[AliasRecord]:
    """Aliases that have `address` (a canonical key) among their targets."""
    return [alias for alias in tx.aliases.list() if address in map(_key, alias.targets)]


def _key(target: str) -> str:
    return read_address(target).key


def add_role_aliases(tx: Tx, domain: str, administrator: str, *, now: datetime) -> None:
    """postmaster@ and abuse@ of `domain`, where nobody has them yet."""
    for name in ROLE_NAMES:
        address = f"{name}@{domain}"
        if address != administrator and not _taken(tx, address):
            tx.aliases.put(AliasRecord(address, (administrator,), now))


def add_missing_role_aliases(tx: Tx, administrator: str, *, now: datetime) -> None:
    """The same for every domain with mailboxes: what waited for the first administrator."""
    for domain in tx.domains.list():
        if domain.kind is DomainKind.LOCAL:
            add_role_aliases(tx, domain.name, administrator, now=now)


def _taken(tx: Tx, address: str) -> bool:
    return tx.aliases.get(address) is not None or tx.accounts.by_address(address) is not None
