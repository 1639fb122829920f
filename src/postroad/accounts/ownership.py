"""Which addresses an account may send as: its own with any detail, aliases that lead to it alone, the same in other
names of their domains; and what it was granted, a catch-all among them.

`owns` is the rule, a transaction function; `OwnAddresses` remembers what it said until tenants change (signal
`config`).
"""

from __future__ import annotations

from collections.abc import Awaitable

from postroad.accounts import accounts, aliases, domains
from postroad.accounts.aliases import CATCH_ALL
from postroad.accounts.audit import COMMAND_LINE, Action, Actor, Changes, Told
from postroad.accounts.names import local_domain, read_address
from postroad.mail.address import Address, AddressError
from postroad.ports.clock import Clock
from postroad.ports.ids import AccountId, IdSource
from postroad.ports.signals import Signals
from postroad.ports.store import AccountRecord, DomainKind, Refused, Store, Tx

MAX_REMEMBERED = 10_000  # answers; what is asked, strangers cannot choose
MAX_STEPS = 50  # aliases looked at for one answer


def owns(tx: Tx, account: AccountId, address: Address, delimiter: str) -> bool:
    """Whether the account may send as `address`, by the rows as they are."""
    asked = address.key
    address, domain = domains.follow(tx, address)
    names = dict.fromkeys((asked, address.key, f"{CATCH_ALL}@{address.domain.ascii}"))
    if tx.senders.may_send_as(account, tuple(names)):
        return True
    if domain is None or domain.kind is not DomainKind.LOCAL:
        return False
    return _leads_to(tx, address, delimiter) == {account}


def _leads_to(tx: Tx, address: Address, delimiter: str) -> set[AccountId | None]:
    """Whose mailboxes an address reaches; None stands for whatever is not a mailbox here. Catch-alls do not count: what
    nobody has is nobody's."""
    found: set[AccountId | None] = set()
    waiting, seen = [address], {address.key}
    while waiting:
        entry = aliases.find(tx, waiting.pop().key, delimiter)
        if entry is None:
            return {None}
        if isinstance(entry, AccountRecord):
            found.add(entry.id)
            continue
        for text in entry.targets:
            target = _target(tx, text)
            if target is None or len(seen) >= MAX_STEPS:
                return {None}
            if target.key not in seen:
                seen.add(target.key)
                waiting.append(target)
    return found


def _target(tx: Tx, text: str) -> Address | None:
    """Where an alias leads on to, if that is here."""
    try:
        address, domain = domains.follow(tx, Address.parse(text))
    except AddressError:
        return None
    return address if domain is not None and domain.kind is DomainKind.LOCAL else None


class OwnAddresses:
    """The rule, remembered. One for a process."""

    def __init__(self, store: Store, signals: Signals, delimiter: str) -> None:
        self._store = store
        self._delimiter = delimiter
        self._known: dict[tuple[AccountId, str], bool] = {}
        self.generation = 0  # grows whenever tenants change
        signals.listen("config", self._tenants_changed)

    def owns(self, account: AccountRecord, address: Address) -> bool | Awaitable[bool]:
        """At once for what was asked before, and for the account's very own; raises StoreUnavailable when awaited."""
        key = address.key
        if key == account.address:
            return True
        known = self._known.get((account.id, key))
        return self._read(account.id, address, key) if known is None else known

    async def _read(self, account: AccountId, address: Address, key: str) -> bool:
        generation = self.generation
        answer = await self._store.read(lambda tx: owns(tx, account, address, self._delimiter))
        if generation == self.generation:
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            self._known[account, key] = answer
        return answer

    def _tenants_changed(self) -> None:
        self.generation += 1
        self._known.clear()


class Grants:
    """What administrators allow beyond the rule. One for a process."""

    def __init__(self, store: Store, clock: Clock, ids: IdSource, signals: Signals) -> None:
        self._store = store
        self._changes = Changes(store, clock, ids, signals)

    async def list(self, account: str) -> list[str]:
        """Raises Refused when there is no such account."""
        return await self._store.read(lambda tx: tx.senders.send_as(accounts.get(tx, account).id))

    async def allow(self, account: str, address: str, *, by: Actor = COMMAND_LINE) -> str:
        """`address` may be elsewhere, or `*@domain` of a domain with mailboxes here. Its canonical form."""
        wanted = read_address(address)

        def grant(tx: Tx) -> AccountRecord:
            record = accounts.get(tx, account)
            if wanted.local_part == CATCH_ALL:
                local_domain(tx, wanted)
            if not tx.senders.grant(record.id, wanted.key):
                raise Refused(f"{record.address} may send as {wanted.key} already")
            return record

        await self._changes.make(by, Action.SEND_AS_ALLOWED, grant, lambda who: Told(who.address, {"as": wanted.key}))
        return wanted.key

    async def withdraw(self, account: str, address: str, *, by: Actor = COMMAND_LINE) -> str:
        wanted = read_address(address)

        def withdraw(tx: Tx) -> AccountRecord:
            record = accounts.get(tx, account)
            if not tx.senders.withdraw(record.id, wanted.key):
                raise Refused(f"{record.address} was not granted {wanted.key}")
            return record

        await self._changes.make(
            by, Action.SEND_AS_WITHDRAWN, withdraw, lambda who: Told(who.address, {"as": wanted.key})
        )
        return wanted.key
