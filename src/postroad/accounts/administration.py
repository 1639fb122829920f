"""Managing tenants: each method is one change, committed, then told to whoever keeps copies (signal `config`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from postroad.accounts import accounts, aliases, domains
from postroad.accounts.credentials import Credentials
from postroad.accounts.names import read_address, read_domain
from postroad.ports.clock import Clock
from postroad.ports.ids import IdSource
from postroad.ports.signals import Signals
from postroad.ports.store import AccountRecord, AliasRecord, DomainRecord, Store, Tx

T = TypeVar("T")


class Administration:
    """What console, API and command line do with domains, accounts and aliases. Refusals are raised as `Refused`."""

    def __init__(self, store: Store, credentials: Credentials, clock: Clock, ids: IdSource, signals: Signals) -> None:
        self._store = store
        self._credentials = credentials
        self._clock = clock
        self._ids = ids
        self._signals = signals

    async def add_domain(self, name: str, *, relay_to: str = "", alias_of: str = "") -> DomainRecord:
        """A domain with mailboxes; or one passed on to `relay_to`; or another name of the domain `alias_of`."""
        now, ids = self._clock.now(), self._ids
        if relay_to:
            return await self._change(lambda tx: domains.add_relay(tx, name, relay_to, now=now, ids=ids))
        if alias_of:
            return await self._change(lambda tx: domains.add_alias(tx, name, alias_of, now=now, ids=ids))
        return await self._change(lambda tx: domains.add_local(tx, name, now=now, ids=ids))

    async def remove_domain(self, name: str) -> DomainRecord:
        return await self._change(lambda tx: domains.remove(tx, name))

    async def domains(self) -> list[DomainRecord]:
        return await self._store.read(lambda tx: tx.domains.list())

    async def domain(self, name: str) -> DomainRecord | None:
        return await self._store.read(lambda tx: tx.domains.get(read_domain(name)))

    async def add_account(self, address: str, password: str, *, quota_bytes: int = 0) -> AccountRecord:
        """An account with INBOX, Sent, Drafts, Trash, Junk and Archive."""
        read_address(address)  # a wrong one is told before a password is hashed
        secret = await self._credentials.make_secret(password)
        now, ids = self._clock.now(), self._ids
        return await self._change(
            lambda tx: accounts.add(tx, address, secret, quota_bytes=quota_bytes, now=now, ids=ids)
        )

    async def set_password(self, address: str, password: str) -> AccountRecord:
        secret = await self._credentials.make_secret(password)
        return await self._change(lambda tx: accounts.set_password(tx, address, secret))

    async def set_quota(self, address: str, quota_bytes: int) -> AccountRecord:
        return await self._change(lambda tx: accounts.set_quota(tx, address, quota_bytes))

    async def remove_account(self, address: str) -> AccountRecord:
        return await self._change(lambda tx: accounts.remove(tx, address))

    async def accounts(self, domain: str = "") -> list[AccountRecord]:
        return await self._store.read(lambda tx: tx.accounts.list(domain and read_domain(domain)))

    async def account(self, address: str) -> AccountRecord:
        """Raises Refused when there is none."""
        return await self._store.read(lambda tx: accounts.get(tx, address))

    async def add_alias(self, address: str, targets: Sequence[str]) -> AliasRecord:
        """Add an alias, or replace its targets; `*@domain` is the catch-all."""
        now = self._clock.now()
        return await self._change(lambda tx: aliases.add(tx, address, targets, now=now))

    async def remove_alias(self, address: str) -> None:
        await self._change(lambda tx: aliases.remove(tx, address))

    async def aliases(self, domain: str = "") -> list[AliasRecord]:
        return await self._store.read(lambda tx: tx.aliases.list(domain and read_domain(domain)))

    async def _change(self, function: Callable[[Tx], T]) -> T:
        result = await self._store.write(function)
        self._signals.publish("config")
        return result
