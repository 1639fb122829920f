"""Addresses that get nothing more on a stream: put there by a bounce, a complaint or a person.

The usual stream suppresses nobody, and that is remembered for some seconds, so that sending need not ask each time.
"""

from __future__ import annotations

from collections.abc import Iterable

from postroad.accounts.audit import COMMAND_LINE, Action, Actor, Changes, Told
from postroad.accounts.names import read_address
from postroad.accounts.projects import ServerRef, find_stream
from postroad.mail.address import Address, AddressError
from postroad.ports.clock import Clock
from postroad.ports.ids import ServerId
from postroad.ports.sending import SuppressionOrigin, SuppressionReason, SuppressionRecord
from postroad.ports.store import Refused, Store, Tx

_EMPTY_SECONDS = 10.0  # how long a stream without suppressions is taken for one


class Suppressions:
    """The part of `Sending` that is about suppressed addresses."""

    def __init__(self, store: Store, clock: Clock, changes: Changes) -> None:
        self._store = store
        self._clock = clock
        self._changes = changes
        self._empty: dict[tuple[ServerId, str], float] = {}  # streams known to suppress nobody, and until when
        self._suppressed = 0  # grows with each suppression made here

    async def suppress(
        self,
        server: ServerRef,
        stream: str,
        address: str,
        reason: SuppressionReason = SuppressionReason.MANUAL,
        origin: SuppressionOrigin = SuppressionOrigin.CUSTOMER,
        *,
        by: Actor = COMMAND_LINE,
    ) -> SuppressionRecord:
        """Send nothing more to `address` on this stream. What is suppressed already stays as it was."""
        key, now = read_address(address).key, self._clock.now()

        def put(tx: Tx) -> SuppressionRecord:
            owner, found = find_stream(tx, server, stream)
            record = SuppressionRecord(owner.id, found.id, key, reason, origin, now)
            return record if tx.suppressions.put(record) else tx.suppressions.get(owner.id, found.id, key) or record

        made = await self._changes.make(by, Action.ADDRESS_SUPPRESSED, put, _told_of_suppression, signal=False)
        self._suppressed += 1
        self._empty.clear()
        return made

    async def unsuppress(
        self, server: ServerRef, stream: str, address: str, *, by: Actor = COMMAND_LINE
    ) -> SuppressionRecord:
        """Take an address back. Raises Refused when it is not suppressed, or is not ours to take back."""
        key = read_address(address).key

        def remove(tx: Tx) -> SuppressionRecord:
            owner, found = find_stream(tx, server, stream)
            record = tx.suppressions.get(owner.id, found.id, key)
            if record is None:
                raise Refused(f"{key} is not suppressed on {found.id}")
            if record.reason is SuppressionReason.SPAM_COMPLAINT:
                raise Refused(f"{key} complained of spam; only the recipient can take that back")
            tx.suppressions.remove(owner.id, found.id, key)
            return record

        return await self._changes.make(by, Action.ADDRESS_UNSUPPRESSED, remove, _told_of_suppression, signal=False)

    async def suppressions(
        self, server: ServerRef, stream: str, *, after: str = "", limit: int | None = None
    ) -> list[SuppressionRecord]:
        """By address, from the one behind `after`."""

        def read(tx: Tx) -> list[SuppressionRecord]:
            owner, found = find_stream(tx, server, stream)
            return tx.suppressions.list(owner.id, found.id, after=after, limit=limit)

        return await self._store.read(read)

    def changed(self) -> None:
        """Somebody was suppressed otherwise: by a bounce, in the transaction that tells of it."""
        self._suppressed += 1
        self._empty.clear()

    def suppresses_nobody(self, server: ServerId, stream: str) -> bool:
        """True when the stream is known to suppress nobody; never waits."""
        return self._empty.get((server, stream), 0.0) > self._clock.monotonic()

    async def suppressed(self, server: ServerId, stream: str, addresses: Iterable[str]) -> set[str]:
        """Those of `addresses`, as they were given, that get nothing on this stream."""
        if self.suppresses_nobody(server, stream):
            return set()
        keys = {address: _key(address) for address in addresses}
        before = self._suppressed

        def read(tx: Tx) -> tuple[bool, set[str]]:
            if not tx.suppressions.any(server, stream):
                return True, set()
            return False, {found.address for found in tx.suppressions.among(server, stream, sorted(set(keys.values())))}

        empty, found = await self._store.read(read)
        if empty and before == self._suppressed:
            self._empty[server, stream] = self._clock.monotonic() + _EMPTY_SECONDS
        return {address for address, key in keys.items() if key in found}


def _key(address: str) -> str:
    try:
        return Address.parse(address.strip()).key
    except AddressError:
        return address.strip().lower()


def _told_of_suppression(record: SuppressionRecord) -> Told:
    return Told(record.address, {"server": record.server, "stream": record.stream, "reason": record.reason.value})
