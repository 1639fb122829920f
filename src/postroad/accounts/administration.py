"""Managing tenants: each method is one change with its audit row, committed, then told to whoever keeps copies (signal
`config`).
"""

from __future__ import annotations

from collections.abc import Sequence

from postroad.accounts import accounts, aliases, domains
from postroad.accounts.audit import COMMAND_LINE, Action, Actor, Changes, Told
from postroad.accounts.credentials import Credentials
from postroad.accounts.names import read_address, read_domain
from postroad.accounts.passwords import Secret, import_secret
from postroad.accounts.returnpaths import ReturnPaths
from postroad.ports.clock import Clock
from postroad.ports.ids import IdSource
from postroad.ports.signals import Signals
from postroad.ports.store import AccountRecord, AliasRecord, DomainRecord, Store, Tx


class Administration:
    """What console, API and command line do with domains, accounts and aliases; `by` says who, for the audit log.
    Refusals are raised as `Refused`."""

    def __init__(self, store: Store, credentials: Credentials, clock: Clock, ids: IdSource, signals: Signals) -> None:
        self._store = store
        self._credentials = credentials
        self._clock = clock
        self._ids = ids
        self._changes = Changes(store, clock, ids, signals)
        self.return_paths = ReturnPaths(store, clock, self._changes)

    async def add_domain(
        self, name: str, *, relay_to: str = "", alias_of: str = "", by: Actor = COMMAND_LINE
    ) -> DomainRecord:
        """A domain with mailboxes; or one passed on to `relay_to`; or another name of the domain `alias_of`."""
        now, ids = self._clock.now(), self._ids

        def add(tx: Tx) -> DomainRecord:
            if relay_to:
                return domains.add_relay(tx, name, relay_to, now=now, ids=ids)
            if alias_of:
                return domains.add_alias(tx, name, alias_of, now=now, ids=ids)
            return domains.add_local(tx, name, now=now, ids=ids)

        return await self._changes.make(by, Action.DOMAIN_ADDED, add, _told_of_domain)

    async def remove_domain(self, name: str, *, by: Actor = COMMAND_LINE) -> DomainRecord:
        return await self._changes.make(by, Action.DOMAIN_REMOVED, lambda tx: domains.remove(tx, name), _told_of_domain)

    async def domains(self) -> list[DomainRecord]:
        return await self._store.read(lambda tx: tx.domains.list())

    async def domain(self, name: str) -> DomainRecord | None:
        return await self._store.read(lambda tx: tx.domains.get(read_domain(name)))

    async def add_account(
        self, address: str, password: str, *, quota_bytes: int = 0, is_hash: bool = False, by: Actor = COMMAND_LINE
    ) -> AccountRecord:
        """An account with INBOX, Sent, Drafts, Trash, Junk and Archive. With `is_hash` the password is a hash that
        another server made."""
        secret = await self._secret(address, password, is_hash=is_hash)
        now, ids = self._clock.now(), self._ids

        def add(tx: Tx) -> AccountRecord:
            return accounts.add(tx, address, secret, quota_bytes=quota_bytes, now=now, ids=ids)

        return await self._changes.make(by, Action.ACCOUNT_ADDED, add, _told_of_account)

    async def set_password(
        self, address: str, password: str, *, is_hash: bool = False, by: Actor = COMMAND_LINE
    ) -> AccountRecord:
        secret = await self._secret(address, password, is_hash=is_hash)
        return await self._changes.make(
            by, Action.ACCOUNT_PASSWORD, lambda tx: accounts.set_password(tx, address, secret), _told_of_account
        )

    async def _secret(self, address: str, password: str, *, is_hash: bool) -> Secret:
        """What is kept of it. A wrong address is told before a password is hashed."""
        key = read_address(address).key
        return import_secret(password) if is_hash else await self._credentials.make_secret(password, key)

    async def set_quota(self, address: str, quota_bytes: int, *, by: Actor = COMMAND_LINE) -> AccountRecord:
        return await self._changes.make(
            by,
            Action.ACCOUNT_QUOTA,
            lambda tx: accounts.set_quota(tx, address, quota_bytes),
            lambda record: Told(record.address, {"quota_bytes": quota_bytes}),
        )

    async def remove_account(self, address: str, *, by: Actor = COMMAND_LINE) -> AccountRecord:
        return await self._changes.make(
            by, Action.ACCOUNT_REMOVED, lambda tx: accounts.remove(tx, address), _told_of_account
        )

    async def accounts(self, domain: str = "") -> list[AccountRecord]:
        return await self._store.read(lambda tx: tx.accounts.list(domain and read_domain(domain)))

    async def account(self, address: str) -> AccountRecord:
        """Raises Refused when there is none."""
        return await self._store.read(lambda tx: accounts.get(tx, address))

    async def add_alias(self, address: str, targets: Sequence[str], *, by: Actor = COMMAND_LINE) -> AliasRecord:
        """Add an alias, or replace its targets; `*@domain` is the catch-all."""
        now = self._clock.now()
        return await self._changes.make(
            by,
            Action.ALIAS_SET,
            lambda tx: aliases.add(tx, address, targets, now=now),
            lambda record: Told(record.address, {"targets": list(record.targets)}),
        )

    async def remove_alias(self, address: str, *, by: Actor = COMMAND_LINE) -> None:
        key = read_address(address).key
        await self._changes.make(by, Action.ALIAS_REMOVED, lambda tx: aliases.remove(tx, address), lambda _: Told(key))

    async def aliases(self, domain: str = "") -> list[AliasRecord]:
        return await self._store.read(lambda tx: tx.aliases.list(domain and read_domain(domain)))


def _told_of_domain(record: DomainRecord) -> Told:
    leads = {"leads to": record.relay_host or record.target} if record.relay_host or record.target else {}
    return Told(record.name, {"kind": record.kind.value, **leads})


def _told_of_account(record: AccountRecord) -> Told:
    return Told(record.address)
