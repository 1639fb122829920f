"""The queue at work: requests in memory by destination, handed to connections fairly, outcomes sent to `results`.

What was just accepted comes in by `take` (ports.handoff), deferred rows by `push` (claims). No task per message: the
connections ask for requests (lanes are their feeds), and one pass of the ring serves all that came in together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from postroad.delivery.agent import AttemptOutcome, AttemptRequest, Carrier, OpenFailure
from postroad.delivery.mailbox import MailboxAgent
from postroad.delivery.pool import Pool
from postroad.mail.status import status
from postroad.observe import log
from postroad.ports.attempts import StartLog
from postroad.ports.blobs import BlobPlace
from postroad.ports.clock import Clock
from postroad.ports.ids import DeliveryId, IdSource
from postroad.ports.random import Random
from postroad.ports.senders import Holding
from postroad.ports.store import Delivery, Message, Wish
from postroad.queue.bodies import Bodies
from postroad.queue.lanes import Lane, Route, current_transport
from postroad.queue.pacing import Pace
from postroad.queue.results import Results
from postroad.routing.routes import LOCAL_DEST

MAX_READY = 50_000  # deliveries in memory
MAX_CACHED = 64 * 1024 * 1024  # octets of bodies in memory
READ_AHEAD = 4  # bodies of one destination that are read before their turn
TURN = 20  # requests of one destination while others wait for a connection
TICK = 1.0  # seconds
HOLD_AT_ONCE = 100  # deliveries of one frozen sender, held in one transaction

BUG = status(451, "4.3.0", "a fault of this server; it will be tried again")
UNREADABLE = status(451, "4.3.0", "the message cannot be read from the disk now")
BROKEN = status(451, "4.4.2", "connections to this server keep breaking off")

_log = log.get("queue")


@dataclass(frozen=True, slots=True)
class Caps:
    """How much at once."""

    connections_per_destination: int
    max_recipients: int
    connections: int = 1000


class Runner:
    """Implements ports.handoff.Handoff and queue.lanes.Decider. One for a process."""

    def __init__(
        self,
        bodies: Bodies,
        pool: Pool,
        route: Route,
        start_log: StartLog,
        *,
        clock: Clock,
        ids: IdSource,
        random: Random,
        caps: Caps,
        mailboxes: MailboxAgent | None = None,
    ) -> None:
        self._mailboxes = mailboxes  # for what waited here for a mailbox here
        self._bodies = bodies
        self._pool = pool
        self._route = route
        self._start_log = start_log
        self._clock = clock
        self._ids = ids
        self._random = random
        self._caps = caps
        self.results: Results  # set by `write_to`
        self._lanes: dict[str, Lane] = {}
        self._ring: deque[Lane] = deque()  # lanes that may have something to do
        self._known: dict[DeliveryId, AttemptRequest] = {}  # ready, under way, or being recorded
        self.freezes: Holding | None = None  # whose mail is not sent at present
        self._connections = 0
        self._cached = 0
        self._pumping = False
        self._paused = False  # by a lost lease
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._quiet: asyncio.Future[None] | None = None

    def write_to(self, results: Results) -> None:
        """Results and runner need each other; this closes the circle."""
        self.results = results

    # -- coming in ---------------------------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many more deliveries may be held in memory."""
        return 0 if self._stopping or self._paused else max(0, MAX_READY - len(self._known))

    def knows(self, delivery: DeliveryId) -> bool:
        return delivery in self._known

    def take(self, message: Message, deliveries: Sequence[Delivery], content: bytes | None) -> None:
        if self._stopping or len(self._known) + len(deliveries) > MAX_READY:
            self._give_back(deliveries)
            return
        if content is not None and self._cached + len(content) > MAX_CACHED:
            content = None  # read again when its turn comes
        if len(deliveries) == 1:
            self._add(deliveries[0].dest, message, list(deliveries), content)
        else:
            for dest in dict.fromkeys(delivery.dest for delivery in deliveries):
                self._add(dest, message, [d for d in deliveries if d.dest == dest], content)

    def push(self, dest: str, message: Message, deliveries: Sequence[Delivery], place: BlobPlace | None) -> None:
        """Claimed rows of one message, with the next hop that they have today."""
        self._add(dest, message, list(deliveries), None, place)

    def _add(
        self,
        dest: str,
        message: Message,
        deliveries: list[Delivery],
        content: bytes | None,
        place: BlobPlace | None = None,
    ) -> None:
        if self.freezes is not None and self.freezes.any and (why := self.freezes.why(message)):
            self._hold(deliveries, why)
            return
        if dest == LOCAL_DEST:
            self._add_here(AttemptRequest(dest, message, deliveries, content, place=place))
            return
        lane = self._lane(dest)
        most = self._caps.max_recipients
        for start in range(0, len(deliveries), most):
            part = deliveries if len(deliveries) <= most else deliveries[start : start + most]
            request = AttemptRequest(dest, message, part, content, place=place)
            for delivery in part:
                self._known[delivery.id] = request
            self._cache(request)
            lane.add(request)
        self._want(lane)

    def _add_here(self, request: AttemptRequest) -> None:
        for delivery in request.deliveries:
            self._known[delivery.id] = request
        self._spawn(self._deliver_here(request))

    async def _deliver_here(self, request: AttemptRequest) -> None:
        message, deliveries = request.message, request.deliveries
        try:
            assert self._mailboxes is not None, "rows for mailboxes want an agent for them"
            outcome = await self._mailboxes.deliver(message, deliveries, request.content, request.place)
        except Exception as error:
            _log.exception("a mailbox could not be written", error, message=message.id)
            outcome = [(delivery, BUG.because(repr(error))) for delivery in deliveries]
        self.results.record(message, outcome, None, request.dest)

    def _lane(self, dest: str) -> Lane:
        lane = self._lanes.get(dest)
        if lane is None:
            lane = self._lanes[dest] = Lane(dest, self, Pace(self._caps.connections_per_destination))
        return lane

    # -- the ring ----------------------------------------------------------------------------------------------

    def _want(self, lane: Lane) -> None:
        """Look at this lane in the next pass; one pass serves all that came in together."""
        if not lane.in_ring:
            lane.in_ring = True
            self._ring.append(lane)
        if not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        for _ in range(len(self._ring)):
            lane = self._ring.popleft()
            lane.in_ring = False
            lane.turn = 0
            self._serve(lane)

    @property
    def _halted(self) -> bool:
        return self._stopping or self._paused or self.results.is_stuck

    def _serve(self, lane: Lane, *, patient: bool = True) -> None:
        """Give the lane's requests to connections that stand idle, and open more where that is not enough."""
        if self._halted or not lane.ready:
            return
        if lane.pace.rests(self._clock.monotonic()):
            self._suspend(lane)
            return
        for _ in range(len(lane.idle_carriers)):
            if not lane.ready or (patient and lane.pace.soon(len(lane.ready), lane.busy)):
                return
            lane.idle_carriers.pop().work()
        if patient and lane.pace.soon(len(lane.ready), lane.busy):
            return
        wanted = (len(lane.ready) + 1) // 2 if patient else lane.connections + 1
        for _ in range(min(wanted, lane.pace.window) - lane.connections):
            if self._connections >= self._caps.connections:
                self._later(lane)
                return
            lane.opening += 1
            self._connections += 1
            self._spawn(self._open(lane))

    def _later(self, lane: Lane) -> None:
        """No connection is free: the lane waits in the ring for one."""
        if not lane.in_ring:
            lane.in_ring = True
            self._ring.append(lane)

    def tick(self) -> None:
        """Once a second: a destination whose connections are all busy gets one more, forgotten lanes go."""
        now = self._clock.monotonic()
        for lane in list(self._lanes.values()):
            if lane.ready:
                self._serve(lane, patient=False)
            elif lane.is_empty and not lane.pace.rests(now):
                del self._lanes[lane.dest]

    # -- Decider: what lanes ask -------------------------------------------------------------------------------

    def next_of(self, lane: Lane) -> AttemptRequest | None:
        if self._halted or (self._ring and lane.turn >= TURN and self._is_crowded):
            return None
        ready = lane.ready
        while ready:
            request = ready[0]
            if not request.deliveries:  # all taken away by hand
                self._uncache(ready.popleft())
                continue
            if request.content is None and request.stream is None:
                self._read_ahead(lane)
                return None
            ready.popleft()
            lane.turn += 1
            begin = self._start_log.begin
            request.tickets = [begin(delivery.id) for delivery in request.deliveries]
            return request
        return None

    def dot_out(self, request: AttemptRequest) -> None:
        for ticket in request.tickets:
            self._start_log.dot_out(ticket)

    def attempted(self, lane: Lane, outcome: AttemptOutcome) -> None:
        request = outcome.request
        if outcome.again:
            self._again(lane, request, outcome.again)
        if outcome.statuses:
            self.results.record(request.message, outcome.statuses, outcome.attempt, lane.dest, outcome.offered)
        if not outcome.broken:
            lane.pace.carried(outcome.took)
        elif lane.pace.lost() and not self._stopping:
            verdict = outcome.statuses[0][1]
            lane.pace.failed(
                OpenFailure(BROKEN.because(verdict.cause), outcome.attempt.host),
                self._clock.monotonic(),
                self._random.fraction(),
            )
            self._want(lane)

    def came_back(self, lane: Lane, request: AttemptRequest) -> None:
        self._end_tickets(request)
        if self._stopping:
            self._give_back(request.deliveries)
            return
        request.put_back += 1
        lane.ready.appendleft(request)
        self._want(lane)

    def has_idle(self, lane: Lane, carrier: Carrier) -> None:
        if self._stopping or (self._ring and self._is_crowded):
            carrier.finish()
        elif lane.ready:
            self._want(lane)

    def has_room(self, lane: Lane) -> None:
        self._connections -= 1
        if lane.ready:
            self._want(lane)
        elif self._ring and not self._pumping:
            self._want(self._ring[0])
        if self._stopping:
            self._settle()

    @property
    def _is_crowded(self) -> bool:
        return self._connections >= self._caps.connections

    def _again(self, lane: Lane, request: AttemptRequest, deliveries: Sequence[Delivery]) -> None:
        """Recipients beyond what the server takes in one transaction go in another one, now (RFC 5321 §4.5.3.1.10)."""
        again = AttemptRequest(
            request.dest, request.message, list(deliveries), request.content, request.stream, request.place
        )
        self._cache(again)
        for delivery in deliveries:
            self._end_ticket(request, delivery.id)
            self._known[delivery.id] = again
        lane.ready.appendleft(again)

    # -- connections -------------------------------------------------------------------------------------------

    async def _open(self, lane: Lane) -> None:
        began = self._clock.now()
        try:
            transport = await current_transport(lane, self._route, self._add, self._uncache)
            failure = await self._pool.open(transport, lane) if transport is not None else None
            unneeded = transport is None
        except Exception as error:
            _log.exception("opening a connection failed", error, dest=lane.dest)
            failure, unneeded = OpenFailure(BUG.because(repr(error))), False
        if failure is None and not unneeded:
            return
        lane.opening -= 1
        self._connections -= 1
        if failure is not None:
            self._not_opened(lane, failure, began)
        if self._stopping:
            self._settle()

    def _not_opened(self, lane: Lane, failure: OpenFailure, began: datetime) -> None:
        if self._stopping:
            return
        if lane.carriers and failure.status.is_temporary:
            lane.pace.full(len(lane.carriers))  # it takes no more connections of us; those there are go on
            return
        if failure.status.is_temporary:
            lane.pace.failed(failure, self._clock.monotonic(), self._random.fraction())
        _log.info("destination failed", dest=lane.dest, reply=str(failure.status), cause=failure.status.cause)
        self._suspend(lane, failure, began)

    def _suspend(self, lane: Lane, failure: OpenFailure | None = None, began: datetime | None = None) -> None:
        """Settle what waits here by the failure that is known, without dialling for each."""
        failure = failure or lane.pace.why
        assert failure is not None
        waiting = [request for request in lane.ready if request.deliveries]
        lane.ready.clear()
        self.results.unreached(waiting, failure, began)

    # -- bodies ------------------------------------------------------------------------------------------------

    def _cache(self, request: AttemptRequest) -> None:
        if request.content is not None and not request.cached:
            request.cached = len(request.content)
            self._cached += request.cached

    def _uncache(self, request: AttemptRequest) -> None:
        self._cached -= request.cached
        request.cached = 0

    def _read_ahead(self, lane: Lane) -> None:
        """Begin to read the next few bodies that are not in memory."""
        wanted = [
            request
            for request in islice(lane.ready, READ_AHEAD)
            if request.content is None and request.stream is None and not request.loading
        ]
        for request in wanted:
            request.loading = True
        if wanted:
            self._spawn(self._read(lane, wanted))

    async def _read(self, lane: Lane, requests: list[AttemptRequest]) -> None:
        try:
            await self._bodies.load(requests)
        except Exception as error:
            _log.exception("messages cannot be read", error, dest=lane.dest)
            self._unreadable(lane, requests)
        finally:
            for request in requests:
                request.loading = False
                self._cache(request)
        self._want(lane)

    def _unreadable(self, lane: Lane, requests: list[AttemptRequest]) -> None:
        for request in requests:
            if request.content is None and request.stream is None and request in lane.ready:
                lane.ready.remove(request)
                self.results.record(request.message, [(d, UNREADABLE) for d in request.deliveries], None, lane.dest)

    # -- going out ---------------------------------------------------------------------------------------------

    def finished(self, deliveries: Iterable[DeliveryId]) -> None:
        """Their outcome is committed: called by `results`."""
        for delivery in deliveries:
            request = self._known.pop(delivery, None)
            if request is None:
                continue
            self._end_ticket(request, delivery)
            if request.cached and (len(request.deliveries) == 1 or self._all_finished(request)):
                self._uncache(request)
        if self._stopping:
            self._settle()

    def _all_finished(self, request: AttemptRequest) -> bool:
        return not any(delivery.id in self._known for delivery in request.deliveries)

    def _end_ticket(self, request: AttemptRequest, delivery: DeliveryId) -> None:
        for ticket, attempted in zip(request.tickets, request.deliveries, strict=False):
            if attempted.id == delivery:
                self._start_log.end(ticket)
                return

    def _end_tickets(self, request: AttemptRequest) -> None:
        for ticket in request.tickets:
            self._start_log.end(ticket)
        request.tickets = ()

    def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        for start in range(0, len(deliveries), 200):
            self.results.give_back(deliveries[start : start + 200])

    # -- by hand -----------------------------------------------------------------------------------------------

    def wish(self, delivery: DeliveryId, wish: Wish) -> None:
        """Somebody asked: at once for what waits, after the attempt for what is under way."""
        request = self._known.get(delivery)
        if request is None:
            return
        lane = self._lane(request.dest)
        if request.tickets or request not in lane.ready:
            self.results.wishes[delivery] = wish
        elif wish is Wish.RETRY:
            lane.pace.wake()
            self._want(lane)
        else:
            found = next(d for d in request.deliveries if d.id == delivery)
            request.deliveries = [d for d in request.deliveries if d.id != delivery]
            self.results.apply(request.message, found, wish)

    def hold_frozen(self) -> None:
        """Let go of whatever is of a sender that is frozen by now; what is under way is held unless it gets there."""
        if self.freezes is None or not self.freezes.any:
            return
        let_go: dict[str, list[Delivery]] = {}
        for lane in self._lanes.values():
            for request in lane.ready:
                if why := self.freezes.why(request.message):
                    let_go.setdefault(why, []).extend(request.deliveries)
                    request.deliveries = []
            while lane.ready and not lane.ready[0].deliveries and not lane.ready[0].loading:
                self._uncache(lane.ready.popleft())
        for why, deliveries in let_go.items():
            self._spawn(self._hold_by_turns(deliveries, why))

    async def _hold_by_turns(self, deliveries: list[Delivery], why: str) -> None:
        """Nobody sends them any more; writing that down must not keep others from the loop."""
        for start in range(0, len(deliveries), HOLD_AT_ONCE):
            self._hold(deliveries[start : start + HOLD_AT_ONCE], why)
            await asyncio.sleep(0)

    def _hold(self, deliveries: Sequence[Delivery], why: str) -> None:
        for start in range(0, len(deliveries), HOLD_AT_ONCE):
            self.results.hold_all(deliveries[start : start + HOLD_AT_ONCE], why)

    def wake(self, dest: str) -> None:
        """Try this destination now, whatever happened."""
        if (lane := self._lanes.get(dest)) is not None:
            lane.pace.wake()
            self._want(lane)

    # -- life --------------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Begin nothing more: the lease could not be renewed."""
        self._paused = True

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            for lane in self._lanes.values():
                self._want(lane)

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await self._clock.sleep(TICK)
            self.tick()

    async def stop(self, grace: float) -> None:
        """Take nothing more, give back what was not begun; what is under way may finish within `grace` seconds."""
        self._stopping = True
        for lane in self._lanes.values():
            waiting = [delivery for request in lane.ready for delivery in request.deliveries]
            lane.ready.clear()
            self._give_back(waiting)
        for lane in list(self._lanes.values()):
            for carrier in list(lane.carriers):
                carrier.finish()
        await self._until_quiet(grace)
        for task in list(self._tasks):
            task.cancel()
        for lane in list(self._lanes.values()):
            for carrier in list(lane.carriers):
                carrier.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # aborted connections report what was under way

    async def _until_quiet(self, grace: float) -> None:
        if not self._connections:
            return
        self._quiet = asyncio.get_running_loop().create_future()
        late = asyncio.ensure_future(self._clock.sleep(grace))
        await asyncio.wait((self._quiet, late), return_when=asyncio.FIRST_COMPLETED)
        late.cancel()

    def _settle(self) -> None:
        if self._quiet is not None and not self._connections and not self._quiet.done():
            self._quiet.set_result(None)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
