"""A store of dictionaries, for unit tests of what judges and accepts mail: tenants, INBOXes and accepted units.

It keeps no promise about disks; whatever is about those is tested with the real stores.
"""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from postroad.ports.admins import AuditRecord
from postroad.ports.ids import AccountId, MailboxId, ServerId, Uid
from postroad.ports.senders import SenderCount, SenderHold, SenderKey
from postroad.ports.sending import ReturnPathRecord
from postroad.ports.store import (
    Acceptance,
    Accepted,
    AccountRecord,
    AliasRecord,
    DomainRecord,
    Event,
    Lane,
    MailboxRecord,
    Refusal,
    Refused,
)

T = TypeVar("T")


class MemoryDomains:
    def __init__(self) -> None:
        self.rows: dict[str, DomainRecord] = {}

    def get(self, name: str) -> DomainRecord | None:
        return self.rows.get(name)

    def list(self) -> list[DomainRecord]:
        return sorted(self.rows.values(), key=lambda record: record.name)

    def add(self, record: DomainRecord) -> None:
        if record.name in self.rows:
            raise Refused(f"the domain {record.name} is there already")
        self.rows[record.name] = record

    def remove(self, name: str) -> bool:
        return self.rows.pop(name, None) is not None


class MemoryAccounts:
    def __init__(self) -> None:
        self.rows: dict[AccountId, AccountRecord] = {}

    def get(self, account: AccountId) -> AccountRecord | None:
        return self.rows.get(account)

    def by_address(self, address: str) -> AccountRecord | None:
        return next((row for row in self.rows.values() if row.address == address), None)

    def list(self, domain: str = "") -> list[AccountRecord]:
        return [row for row in self.rows.values() if not domain or row.address.endswith(f"@{domain}")]

    def first_admin(self) -> AccountRecord | None:
        return next((row for row in self.rows.values() if row.is_admin), None)

    def add(self, record: AccountRecord) -> None:
        if self.by_address(record.address):
            raise Refused(f"the account {record.address} is there already")
        self.rows[record.id] = record

    def change(self, account: AccountId, **fields: Any) -> None:
        self.rows[account] = replace(self.rows[account], **fields)

    def set_password(self, account: AccountId, password_hash: str, scram: bytes) -> None:
        version = self.rows[account].credential_version + 1
        self.change(account, password_hash=password_hash, scram=scram, credential_version=version)

    def renew_secret(self, account: AccountId, version: int, password_hash: str, scram: bytes) -> None:
        if self.rows[account].credential_version == version:
            self.change(account, password_hash=password_hash, scram=scram)

    def set_quota(self, account: AccountId, quota_bytes: int) -> None:
        self.change(account, quota_bytes=quota_bytes)

    def remove(self, account: AccountId) -> None:
        del self.rows[account]


class MemoryAliases:
    def __init__(self) -> None:
        self.rows: dict[str, AliasRecord] = {}

    def get(self, address: str) -> AliasRecord | None:
        return self.rows.get(address)

    def list(self, domain: str = "") -> builtins.list[AliasRecord]:
        return [row for row in self.rows.values() if not domain or row.address.endswith(f"@{domain}")]

    def put(self, record: AliasRecord) -> None:
        self.rows[record.address] = record

    def remove(self, address: str) -> bool:
        return self.rows.pop(address, None) is not None


class MemoryMailboxes:
    def __init__(self) -> None:
        self.rows: dict[MailboxId, MailboxRecord] = {}

    def get(self, mailbox: MailboxId) -> MailboxRecord | None:
        return self.rows.get(mailbox)

    def by_name(self, account: AccountId, name: str) -> MailboxRecord | None:
        return next((row for row in self.rows.values() if row.account == account and row.name == name), None)

    def list(self, account: AccountId) -> list[MailboxRecord]:
        return [row for row in self.rows.values() if row.account == account]

    def create(self, record: MailboxRecord) -> None:
        self.rows[record.id] = record

    def next_uid_validity(self, account: AccountId) -> int:
        return 1 + max((row.uid_validity for row in self.list(account)), default=0)


class MemoryRows:
    """`events` or `refusals`: what was added, in order."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def add(self, rows: Sequence[Event] | Sequence[Refusal]) -> None:
        self.rows += rows


class MemoryAudit:
    def __init__(self) -> None:
        self.rows: list[AuditRecord] = []

    def put(self, record: AuditRecord) -> None:
        self.rows.append(record)


class MemoryMeta:
    def __init__(self) -> None:
        self.rows: dict[str, str] = {}

    def get(self, name: str) -> str | None:
        return self.rows.get(name)

    def put(self, name: str, value: str) -> None:
        self.rows[name] = value


class MemorySenders:
    def __init__(self) -> None:
        self.granted: dict[AccountId, builtins.list[str]] = {}
        self.held: dict[SenderKey, SenderHold] = {}
        self.counted: dict[SenderKey, SenderCount] = {}

    def may_send_as(self, account: AccountId, addresses: Sequence[str]) -> bool:
        return any(address in self.send_as(account) for address in addresses)

    def send_as(self, account: AccountId) -> builtins.list[str]:
        return self.granted.get(account, [])

    def grant(self, account: AccountId, address: str) -> bool:
        known = self.granted.setdefault(account, [])
        if address in known:
            return False
        known.append(address)
        return True

    def holds(self) -> builtins.list[SenderHold]:
        return builtins.list(self.held.values())

    def hold(self, record: SenderHold) -> bool:
        return self.held.setdefault(record.key, record) is record

    def release(self, key: SenderKey) -> bool:
        return self.held.pop(key, None) is not None

    def counts(self, node: str) -> builtins.list[SenderCount]:  # noqa: ARG002
        return builtins.list(self.counted.values())

    def put_counts(self, node: str, counts: Sequence[SenderCount]) -> None:  # noqa: ARG002
        self.counted |= {each.key: each for each in counts}


class MemoryReturnPaths:
    def __init__(self) -> None:
        self.rows: dict[tuple[str, int, str], ReturnPathRecord] = {}

    def list(self) -> builtins.list[ReturnPathRecord]:
        return sorted(self.rows.values(), key=lambda record: record.name)

    def put(self, record: ReturnPathRecord) -> None:
        self.rows[record.domain, record.server or 0, record.stream] = record

    def remove(self, *, domain: str = "", server: ServerId | None = None, stream: str = "") -> bool:
        return self.rows.pop((domain, server or 0, stream), None) is not None


class MemoryTx:
    """The repositories that acceptance asks."""

    def __init__(self) -> None:
        self.domains = MemoryDomains()
        self.accounts = MemoryAccounts()
        self.aliases = MemoryAliases()
        self.mailboxes = MemoryMailboxes()
        self.events = MemoryRows()
        self.refusals = MemoryRows()
        self.audit = MemoryAudit()
        self.senders = MemorySenders()
        self.meta = MemoryMeta()
        self.return_paths = MemoryReturnPaths()


class MemoryStore:
    """Runs transaction functions, and keeps what is accepted. `fault` is raised by whatever is asked next of it."""

    def __init__(self) -> None:
        self.tx = MemoryTx()
        self.accepted: list[Acceptance] = []
        self.fault: Exception | None = None
        self.room = 1 << 40
        self.reads = 0
        self.writes = 0
        self.gate: Awaitable[None] | None = None  # an accept waits for it

    def has_room(self, size: int) -> bool:
        return size <= self.room

    async def read(self, function: Callable[[Any], T]) -> T:
        self.reads += 1
        self._raise()
        return function(self.tx)

    async def write(self, function: Callable[[Any], T], *, lane: Lane = Lane.NORMAL) -> T:  # noqa: ARG002
        self.writes += 1
        self._raise()
        return function(self.tx)

    async def accept(self, acceptance: Acceptance) -> Accepted:
        if self.gate is not None:
            await self.gate
        self._raise()
        if acceptance.abandoned:
            return Accepted(dropped=True)
        self.accepted.append(acceptance)
        return Accepted(uids=tuple(Uid(n + 1) for n in range(len(acceptance.local))))

    def _raise(self) -> None:
        if self.fault is not None:
            raise self.fault
