"""Which rows this node works on: its own after a start, deferred ones that come due, those of dead nodes.

Also what keeps it the owner (its lease), and the slow second look that no hand-over is forgotten. Rows are the truth;
signals only make it look sooner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from postroad.delivery.transaction import LOST
from postroad.observe import log
from postroad.ports.attempts import StartLog
from postroad.ports.blobs import BlobPlace
from postroad.ports.clock import Clock
from postroad.ports.handoff import Ownership
from postroad.ports.ids import BlobId, DeliveryId
from postroad.ports.signals import Signals
from postroad.ports.store import Delivery, QueueEntry, Store, StoreUnavailable, Tx, Wish
from postroad.ports.store import Lane as StoreLane
from postroad.queue.actions import RETRY
from postroad.queue.results import Results
from postroad.queue.runner import Runner
from postroad.queue.steady import SEEN, SteadyClock

PAGE = 200  # rows of one claim: a unit of bulk work stays below 20 ms
POLL = 5.0  # seconds; a signal makes it sooner
CLAIM_LEASE = timedelta(hours=1)  # when a claimed row falls due for others, should its owner die
NODE_LEASE = timedelta(seconds=60)
RENEW = 20.0
MARGIN = 10.0  # a node that could not renew stops sending so long before its lease ends
SWEEP = 30.0  # between two looks at our own unfinished rows
NOTED = 300.0  # seconds between two notes of the time
POISON_AT = 3  # deaths in a row with the same delivery's attempt open
SUSPECT_WAIT = 10.0  # seconds that a delivery waits whose attempt was open at two deaths in a row

POISON = "poison: the server died three times in a row while it was being sent"

_log = log.get("queue")


class Claims:
    """One for a process. `lost` is called when another process has taken this node's name."""

    def __init__(
        self,
        store: Store,
        runner: Runner,
        results: Results,
        start_log: StartLog,
        *,
        clock: Clock,
        signals: Signals,
        node: str,
        lost: Callable[[], None],
    ) -> None:
        """`clock` is the steady one, where there is one (queue.steady): leases and due times go by it."""
        self._store = store
        self._runner = runner
        self._results = results
        self._start_log = start_log
        self._clock = clock
        self._signals = signals
        self._node = node
        self._lost = lost
        self.ownership: Ownership  # set by `join`
        self._renewed = 0.0  # monotonic
        self._noted = -NOTED  # when the time was last written down
        self._taking_back = True  # rows of our own earlier epochs may be left
        self._taken_to: DeliveryId | None = None  # up to this one they are taken back
        self._recovered: set[DeliveryId] = set()
        self._unknown: set[DeliveryId] = set()  # rows of ours that the last sweep did not find in memory
        self._applied: set[tuple[DeliveryId, Wish]] = set()
        self._wake = asyncio.Event()
        self._late: asyncio.Task[None] | None = None

    async def join(self) -> Ownership:
        """Enter the list of nodes; whatever is accepted from now on may be born ours."""
        if isinstance(self._clock, SteadyClock):
            seen = await self._store.read(lambda tx: tx.meta.get(SEEN))
            self._clock.begin(datetime.fromisoformat(seen) if seen else None)
        now = self._clock.now()
        node, epoch = await self._store.write(lambda tx: tx.nodes.join(self._node, now=now, lease=NODE_LEASE))
        self._renewed = self._clock.monotonic()
        self.ownership = Ownership(node, epoch)
        return self.ownership

    async def recover(self) -> None:
        """Once, before the first attempt: mark what was being sent when the last process died."""
        doubtful = [attempt.delivery for attempt in self._start_log.crashed() if attempt.dot_out]
        for start in range(0, len(doubtful), PAGE):
            page = doubtful[start : start + PAGE]
            await self._store.write(lambda tx, page=page: tx.deliveries.open_before_crash(page))  # type: ignore[misc]
        if doubtful:
            _log.warning("messages possibly sent twice: the last process died while sending them", count=len(doubtful))

    async def run(self) -> None:
        """Until cancelled."""
        forgets = [
            self._signals.listen("queue", self._wake.set),
            self._signals.listen(RETRY, self._runner.wake_all),
        ]
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._poll())
                group.create_task(self._renew())
                group.create_task(self._sweep())
        finally:
            for forget in forgets:
                forget()
            if self._late is not None:
                self._late.cancel()

    # -- claiming ----------------------------------------------------------------------------------------------

    async def _poll(self) -> None:
        while True:
            self._wake.clear()
            wait = POLL
            try:
                await self._apply_wishes()
                while await self.claim():
                    pass
                wait = await self._until_next_due()
            except StoreUnavailable as error:
                _log.warning("claims wait for the store", error=str(error))
            await self._nap(wait)

    async def claim(self) -> bool:
        """Take one page; True when there may be more."""
        limit = min(PAGE, self._runner.room)
        if limit <= 0 or self._results.is_stuck:
            return False
        now = self._clock.now()
        if self._taking_back:
            entries, places = await self._store.write(lambda tx: self._take_back(tx, now, limit))
        else:
            avoid = {dest: now + timedelta(seconds=left) for dest, left in self._runner.avoided().items()}
            entries, places = await self._store.write(lambda tx: self._claim_due(tx, now, limit, avoid))
        if self._taking_back and entries:
            self._taken_to = entries[-1].delivery.id
        if self._taking_back and not entries:
            if self._taken_to is not None:  # once more from the first: what somebody had locked was passed over
                self._taken_to = None
                return True
            self._taking_back = False
            self._settle_suspects()
            return True
        if self._taking_back:
            entries = self._without_suspects(entries, places)
        await self._push(entries, places)
        return len(entries) > 0

    def _take_back(self, tx: Tx, now: datetime, limit: int) -> tuple[list[QueueEntry], dict[BlobId, BlobPlace]]:
        owner = self.ownership
        entries = tx.deliveries.take_back(
            owner.node, owner.epoch, now=now, limit=limit, lease=CLAIM_LEASE, after=self._taken_to
        )
        return entries, _places(tx, entries)

    def _claim_due(
        self, tx: Tx, now: datetime, limit: int, avoid: Mapping[str, datetime]
    ) -> tuple[list[QueueEntry], dict[BlobId, BlobPlace]]:
        owner = self.ownership
        entries = tx.deliveries.claim_due(owner.node, owner.epoch, now=now, limit=limit, lease=CLAIM_LEASE, avoid=avoid)
        return entries, _places(tx, entries)

    async def _push(self, entries: Iterable[QueueEntry], places: dict[BlobId, BlobPlace]) -> None:
        """Into memory, with the next hop that each recipient has today; one request per message and next hop.

        A recipient whose last transaction broke off goes alone, so that it cannot spoil it for the others again.
        """
        groups: dict[tuple[int, str, int], list[QueueEntry]] = {}
        for entry in entries:
            delivery = entry.delivery
            if delivery.wish is Wish.BOUNCE and not self._runner.knows(delivery.id):
                self._results.apply(entry.message, delivery, delivery.wish)
            elif not self._runner.knows(delivery.id):
                dest = await self._runner.dest_or_none(entry.message, delivery)
                alone = delivery.id if _broke_off(delivery) else 0
                if dest is not None:
                    groups.setdefault((entry.message.id, dest, alone), []).append(entry)
        for (_, dest, _), group in groups.items():
            message = group[0].message
            self._runner.push(dest, message, [entry.delivery for entry in group], places.get(message.blob))

    async def _until_next_due(self) -> float:
        now = self._clock.now()
        due = await self._store.read(lambda tx: tx.deliveries.next_due(after=now))
        return POLL if due is None else min(POLL, max(0.05, (due - now).total_seconds()))

    async def _nap(self, seconds: float) -> None:
        """Sleep, or less when there is a signal."""
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        waking = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((sleeping, waking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()

    # -- after a crash -----------------------------------------------------------------------------------------

    def _without_suspects(self, entries: list[QueueEntry], places: dict[BlobId, BlobPlace]) -> list[QueueEntry]:
        """Hold what has killed us three times; let what did so twice wait a little, so that quick restarts in a row
        do not count against what merely was under way."""
        crashes = {attempt.delivery: attempt.crashes for attempt in self._start_log.crashed()}
        kept: list[QueueEntry] = []
        late: list[QueueEntry] = []
        for entry in entries:
            count = crashes.get(entry.delivery.id, 0)
            self._recovered.add(entry.delivery.id)
            if count >= POISON_AT:
                self._results.hold(entry.delivery, POISON)
                self._start_log.settle([entry.delivery.id])
            else:
                (late if count == POISON_AT - 1 else kept).append(entry)
        if late:
            self._late = asyncio.ensure_future(self._push_late(late, places))
        return kept

    async def _push_late(self, entries: list[QueueEntry], places: dict[BlobId, BlobPlace]) -> None:
        await self._clock.sleep(SUSPECT_WAIT)
        await self._push(entries, places)

    def _settle_suspects(self) -> None:
        """Open attempts whose rows are finished or no longer ours."""
        self._start_log.settle([a.delivery for a in self._start_log.crashed() if a.delivery not in self._recovered])
        self._recovered.clear()

    # -- staying the owner -------------------------------------------------------------------------------------

    async def _renew(self) -> None:
        while True:
            await self._clock.sleep(RENEW)
            await self.renew()

    async def renew(self) -> None:
        """Prolong the lease; stop sending in time when that fails (storage-and-scale: fencing)."""
        owner, now = self.ownership, self._clock.now()
        try:
            renewed = await self._store.write(
                lambda tx: tx.nodes.renew(owner.node, owner.epoch, now=now, lease=NODE_LEASE)
            )
            if renewed:
                await self._store.write(lambda tx: tx.deliveries.release_dead(now=now, limit=500), lane=StoreLane.LOW)
        except StoreUnavailable as error:
            _log.warning("the lease could not be renewed", error=str(error))
            if self._clock.monotonic() - self._renewed > NODE_LEASE.total_seconds() - MARGIN - RENEW:
                self._runner.pause()
            return
        if not renewed:
            _log.error("another process has taken this node's name", node=self._node)
            self._runner.pause()
            self._lost()
            return
        self._renewed = self._clock.monotonic()
        self._runner.resume()
        await self._note_time(now)

    async def _note_time(self, now: datetime) -> None:
        """On the disk, what time it is believed to be: a start with another clock is found out by it."""
        if self._renewed - self._noted < NOTED or not isinstance(self._clock, SteadyClock):
            return
        try:
            await self._store.write(lambda tx: tx.meta.put(SEEN, now.isoformat()), lane=StoreLane.LOW)
        except StoreUnavailable as error:
            _log.warning("the time could not be noted", error=str(error))
        else:
            self._noted = self._renewed

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(SWEEP)
            try:
                await self.sweep()
            except StoreUnavailable as error:
                _log.warning("the second look waits for the store", error=str(error))

    async def sweep(self) -> None:
        """Rows of ours that are not in memory, twice in a row: a hand-over was forgotten."""
        owner = self.ownership
        unknown: set[DeliveryId] = set()
        after: DeliveryId | None = None
        while page := await self._store.read(
            lambda tx, after=after: tx.deliveries.owned(owner.node, owner.epoch, after=after, limit=500)  # type: ignore[misc]
        ):
            after = page[-1].delivery.id
            missing = [entry for entry in page if not self._runner.knows(entry.delivery.id)]
            forgotten = [entry for entry in missing if entry.delivery.id in self._unknown]
            unknown |= {entry.delivery.id for entry in missing}
            if forgotten and self._runner.room:
                _log.warning("deliveries had been forgotten", count=len(forgotten))
                await self._push(forgotten, {})
        self._unknown = unknown

    # -- wishes ------------------------------------------------------------------------------------------------

    async def _apply_wishes(self) -> None:
        """What people asked of rows that we own."""
        owner = self.ownership
        wishes = set(await self._store.read(lambda tx: tx.deliveries.wishes(owner.node, owner.epoch)))
        for delivery, wish in wishes - self._applied:
            self._runner.wish(delivery, wish)
        self._applied = wishes


def _broke_off(delivery: Delivery) -> bool:
    return delivery.last_status is not None and delivery.last_status.enhanced == LOST


def _places(tx: Tx, entries: list[QueueEntry]) -> dict[BlobId, BlobPlace]:
    return tx.messages.places([entry.message.blob for entry in entries]) if entries else {}
