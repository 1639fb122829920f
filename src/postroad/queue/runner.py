"""The queue at work: requests in memory by destination, handed to connections fairly, outcomes sent to `results`.

What was just accepted comes in by `take` (ports.handoff), deferred rows by `push` (claims). No task per message: the
connections ask for requests (lanes are their feeds), and one pass of the ring serves all that came in together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from postroad.delivery.agent import AttemptOutcome, AttemptRequest, Carrier, OpenFailure
from postroad.delivery.pool import Pool
from postroad.delivery.providers import Providers
from postroad.delivery.sources import Sources
from postroad.delivery.target import USUAL_MANNER, Manner
from postroad.mail.status import Status, status
from postroad.observe import log
from postroad.ports.attempts import StartLog
from postroad.ports.blobs import BlobPlace
from postroad.ports.clock import Clock
from postroad.ports.ids import DeliveryId, IdSource
from postroad.ports.random import Random
from postroad.ports.senders import Holding
from postroad.ports.store import Delivery, Message, StoreUnavailable, Wish
from postroad.queue.dials import Dials, Trust
from postroad.queue.groups import Group, Groups
from postroad.queue.heard import Heard, hear, hint_of
from postroad.queue.lanes import Lane, Route, current_transport
from postroad.queue.pacing import Rest
from postroad.queue.results import Results
from postroad.queue.shelf import Loader, Shelf
from postroad.routing.routes import HERE, LOCAL_DEST, Transport

MAX_READY = 50_000  # deliveries in memory
RESERVED = 10_000  # of them for what is just accepted: what was deferred is taken up only below
SHARE = 64  # deliveries of one destination, beyond its part of one half of all
FULL_FOR = 10.0  # seconds until more of a destination is taken up that has its share in memory
TURN = 20  # requests of one destination while others wait for a connection
TICK = 1.0  # seconds
REMEMBERED = 900.0  # seconds after its rest, for which it is remembered that a destination failed
HOLD_AT_ONCE = 100  # deliveries of one frozen sender, held in one transaction
SETTLE_AT_ONCE = 200  # messages that are put off in one turn of the loop
STUBBORN = 3  # pauses in a row, after which what waits in memory goes by its schedule

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


class Reader(Protocol):
    """Takes what is for somebody here: delivery.mailbox.MailboxAgent, delivery.feedback.Feedback."""

    async def deliver(
        self, message: Message, deliveries: Sequence[Delivery], content: bytes | None, place: BlobPlace | None, /
    ) -> list[tuple[Delivery, Status]]: ...


class Runner:
    """Implements ports.handoff.Handoff and queue.lanes.Decider. One for a process."""

    def __init__(
        self,
        bodies: Loader,
        pool: Pool,
        route: Route,
        start_log: StartLog,
        *,
        clock: Clock,
        ids: IdSource,
        random: Random,
        caps: Caps,
        mailboxes: Reader | None = None,
        providers: Providers | None = None,
        sources: Sources | None = None,
    ) -> None:
        self._mailboxes = mailboxes  # for what waited here for a mailbox here
        self._pool = pool
        self._route = route
        self.reroutes = False  # the next hop of what is accepted may be another one than its domain's
        self._start_log = start_log
        self._clock = clock
        self._ids = ids
        self._random = random
        self._caps = caps
        self._sources = sources or Sources()
        self.results: Results  # set by `write_to`
        self.groups = Groups(providers or Providers(()), caps.connections_per_destination)
        self._lanes: dict[str, Lane] = {}
        self._ring: deque[Lane] = deque()  # lanes that may have something to do
        self._known: dict[DeliveryId, AttemptRequest] = {}  # ready, under way, or being recorded
        self._avoided: dict[str, float] = {}  # destinations that rest, and until when (monotonic)
        self.freezes: Holding | None = None  # whose mail is not sent at present
        self.feedback: Reader | None = None  # of what comes back to us
        self._dials = Dials(caps.connections)
        self._shelf = Shelf(bodies, self._spawn, self._want, self._unreadable)
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
        """How many more deliveries that were deferred may be held in memory."""
        return 0 if self._stopping or self._paused else max(0, MAX_READY - RESERVED - len(self._known))

    def knows(self, delivery: DeliveryId) -> bool:
        return delivery in self._known

    def waiting(self, dest: str) -> int:
        """Messages that wait in memory for a destination."""
        lane = self._lanes.get(dest)
        return 0 if lane is None else len(lane.ready)

    def avoided(self) -> Mapping[str, float]:
        """Destinations of which no more is to be taken up now, and for how many seconds: those that rest, and those
        that have their share in memory."""
        now = self._clock.monotonic()
        for dest in [dest for dest, until in self._avoided.items() if until <= now]:
            del self._avoided[dest]
        found = {dest: until - now for dest, until in self._avoided.items()}
        if len(self._known) > MAX_READY // 4:
            share = self._share
            found |= {lane.dest: FULL_FOR for lane in self._lanes.values() if len(lane.ready) >= share}
        return found

    @property
    def _share(self) -> int:
        return SHARE + MAX_READY // 2 // max(1, len(self._lanes))

    def take(self, message: Message, deliveries: Sequence[Delivery], content: bytes | None) -> None:
        if self._stopping or len(self._known) + len(deliveries) > MAX_READY:
            self._give_back(deliveries)
            return
        if content is not None and not self._shelf.has_room_for(content):
            content = None  # read again when its turn comes
        if self.reroutes:
            self._spawn(self._take_routed(message, deliveries, content))
        elif len(deliveries) == 1:
            self._add(deliveries[0].dest, message, list(deliveries), content)
        else:
            for dest in dict.fromkeys(delivery.dest for delivery in deliveries):
                self._add(dest, message, [d for d in deliveries if d.dest == dest], content)

    async def _take_routed(self, message: Message, deliveries: Sequence[Delivery], content: bytes | None) -> None:
        """By rules that look at more than the domain."""
        groups: dict[str, list[Delivery]] = {}
        for delivery in deliveries:
            try:
                dest = await self.dest_or_none(message, delivery)
            except StoreUnavailable:
                self._give_back([delivery])
                continue
            if dest is not None:
                groups.setdefault(dest, []).append(delivery)
        for dest, some in groups.items():
            self._add(dest, message, some, content)

    async def dest_of(self, message: Message, delivery: Delivery) -> str:
        """The next hop of today; what is for a mailbox here stays here."""
        if delivery.dest in HERE:
            return delivery.dest
        routed = self._route(message, delivery, "")
        return (routed if isinstance(routed, Transport) else await routed).dest

    async def dest_or_none(self, message: Message, delivery: Delivery) -> str | None:
        """The same; None where none could be found, for whatever fault of ours: then it is put off. Raises
        StoreUnavailable."""
        try:
            return await self.dest_of(message, delivery)
        except StoreUnavailable:
            raise
        except Exception as error:
            _log.exception("no next hop was found", error, delivery=delivery.id)
            self.results.record(message, [(delivery, BUG.because(repr(error)))], None, "")
        return None

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
        if dest in HERE:
            self._add_here(AttemptRequest(dest, message, deliveries, content, place=place))
            return
        lane = self._lane(dest)
        if len(self._known) > MAX_READY // 2 and len(lane.ready) >= self._share:
            self._give_back(deliveries, dest)  # the other half is for those that have less than their share
            return
        most = self._caps.max_recipients
        for start in range(0, len(deliveries), most):
            part = deliveries if len(deliveries) <= most else deliveries[start : start + most]
            request = AttemptRequest(dest, message, part, content, place=place)
            for delivery in part:
                self._known[delivery.id] = request
            self._shelf.put(request)
            lane.ready.append(request)
        self._want(lane)

    def _add_here(self, request: AttemptRequest) -> None:
        for delivery in request.deliveries:
            self._known[delivery.id] = request
        self._spawn(self._deliver_here(request))

    async def _deliver_here(self, request: AttemptRequest) -> None:
        message, deliveries = request.message, request.deliveries
        try:
            agent = self._mailboxes if request.dest == LOCAL_DEST else self.feedback
            assert agent is not None, "what stays here wants an agent for it"
            outcome = await agent.deliver(message, deliveries, request.content, request.place)
        except Exception as error:
            _log.exception("a mailbox could not be written", error, message=message.id)
            outcome = [(delivery, BUG.because(repr(error))) for delivery in deliveries]
        self.results.record(message, outcome, None, request.dest)

    def _lane(self, dest: str) -> Lane:
        lane = self._lanes.get(dest)
        if lane is None:
            lane = self._lanes[dest] = Lane(dest, self)
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
        ready = lane.ready
        if self._halted or not ready:
            return
        now = self._clock.monotonic()
        if lane.rest.lasts(now):
            self._suspend(lane)
            return
        group = lane.group
        if group is None:
            if not lane.connections:
                self._dial(lane)  # finds out whose it is
            return
        pace = group.pace
        if pace.gated and pace.wait(now):
            self._queue_at_gate(group, lane)
            return
        if lane.source is not None and (wait := lane.source.wait(now)):
            self._wake_later(lane, wait)
            return
        for _ in range(len(lane.idle_carriers)):
            if not ready or (patient and pace.soon(len(ready), lane.busy)):
                return
            lane.idle_carriers.pop().work()
        if not ready or (patient and pace.soon(len(ready), lane.busy)):
            return
        wanted = (len(ready) + 1) // 2 if patient else lane.connections + 1
        self._widen(lane, group, wanted)

    def _wake_later(self, lane: Lane, wait: float) -> None:
        """Its source has sent enough for now."""
        if not lane.waking:
            lane.waking = True
            self._spawn(self._wake_after(lane, wait))

    async def _wake_after(self, lane: Lane, wait: float) -> None:
        await self._clock.sleep(wait)
        lane.waking = False
        self._want(lane)

    def _widen(self, lane: Lane, group: Group, wanted: int) -> None:
        """More connections, as far as the group has room; else one that stands idle elsewhere in it, or a turn."""
        now = self._clock.monotonic()
        for _ in range(min(wanted, group.pace.window) - lane.connections):
            if lane.source is not None and lane.source.is_full:
                return
            if group.has_room(now):
                if not self._dial(lane):
                    return
            elif not lane.connections and (other := group.idle_lane(beside=lane)) is not None:
                self._dial(lane, (other, other.idle_carriers.pop()))
                return
            else:
                break
        if not lane.connections:
            group.wants(lane)

    def tick(self) -> None:
        """Once a second: a destination whose connections are all busy gets one more, forgotten lanes go."""
        now = self._clock.monotonic()
        for lane in list(self._lanes.values()):
            if lane.ready:
                self._serve(lane, patient=False)
            elif lane.is_empty and not lane.rest.lasts(now - REMEMBERED):
                del self._lanes[lane.dest]

    def _queue_at_gate(self, group: Group, lane: Lane) -> None:
        """Its group has a rate, or a pause: it comes when its time and its turn have come."""
        group.wants(lane)
        if not group.gate:
            group.gate = True
            self._spawn(self._keep_gate(group))

    async def _keep_gate(self, group: Group) -> None:
        try:
            while group.waiting and not self._halted:
                if wait := group.pace.wait(self._clock.monotonic()):
                    await self._clock.sleep(wait)
                if not self._let_one_through(group):
                    return
        finally:
            group.gate = False

    def _let_one_through(self, group: Group) -> bool:
        """False when nobody could use it."""
        for _ in range(len(group.waiting)):
            lane = group.next_in_line()
            if lane is None:
                return False
            lane.turn = 0
            self._serve(lane)
            if group.pace.wait(self._clock.monotonic()):
                return True
        return False

    # -- Decider: what lanes ask -------------------------------------------------------------------------------

    def next_of(self, lane: Lane) -> AttemptRequest | None:
        if self._halted or (lane.turn >= TURN and self._others_wait(lane)):
            return None
        ready = lane.ready
        while ready:
            request = ready[0]
            if not request.deliveries:  # all taken away by hand
                self._shelf.drop(ready.popleft())
                continue
            if request.content is None and request.stream is None:
                self._shelf.read_ahead(lane)
                return None
            pace = lane.group.pace if lane.group is not None else None
            if pace is not None and pace.gated and not pace.take(self._clock.monotonic()):
                return None
            if lane.source is not None and lane.source.interval and not lane.source.take(self._clock.monotonic()):
                return None
            ready.popleft()
            lane.turn += 1
            begin = self._start_log.begin
            request.tickets = [begin(delivery.id) for delivery in request.deliveries]
            return request
        return None

    def _others_wait(self, lane: Lane) -> bool:
        """Somebody of its group waits for a turn, or somebody at all for a connection."""
        if lane.group is not None and lane.group.waiting:
            return True
        return self._dials.crowded and (self._dials.awaited or len(self._ring) > 0)

    def dot_out(self, request: AttemptRequest) -> None:
        for ticket in request.tickets:
            self._start_log.dot_out(ticket)

    def attempted(self, lane: Lane, outcome: AttemptOutcome) -> None:
        request, statuses = outcome.request, outcome.statuses
        if outcome.again:
            self._again(lane, request, outcome.again)
        if statuses:
            self._learn(lane, outcome)
            self.results.record(request.message, statuses, outcome.attempt, lane.dest, outcome.offered)

    def _learn(self, lane: Lane, outcome: AttemptOutcome) -> None:
        """What this attempt tells of the destination."""
        group = lane.group
        assert group is not None, "whoever carries has been grouped"
        pace, now = group.pace, self._clock.monotonic()
        if outcome.broken:
            if pace.lost() and not self._stopping:
                pace.failed()
                why = OpenFailure(BROKEN.because(outcome.statuses[0][1].cause), outcome.attempt.host)
                lane.rest.failed(why, now, self._random.fraction())
                self._want(lane)
            return
        if lane.rest.failures:
            self._answers(lane)
        delivery, verdict = outcome.statuses[0]
        if verdict.is_success:
            pace.carried(outcome.took, now)
            if delivery.tries > 1:
                self._came_in(group, outcome)
        else:
            self._refused(group, outcome, now)

    def _answers(self, lane: Lane) -> None:
        lane.rest.over()
        self._avoided.pop(lane.dest, None)
        if lane.group is not None:
            lane.group.rests = {hosts: rest for hosts, rest in lane.group.rests.items() if rest.why is not None}

    def _came_in(self, group: Group, outcome: AttemptOutcome) -> None:
        """A later try: if a greylist kept it out, that is open by now."""
        delivery = outcome.statuses[0][0]
        if delivery.last_status is not None and hear(delivery.last_status) is Heard.GREYLISTED:
            group.grey.passed((self._clock.now() - outcome.request.message.began).total_seconds())

    def _refused(self, group: Group, outcome: AttemptOutcome, now: float) -> None:
        pace = group.pace
        pace.answer_bad(outcome.took)
        for _, verdict in outcome.statuses:
            if verdict.is_success:
                pace.carried(outcome.took, now)
                return
        verdict = outcome.statuses[0][1]
        if not verdict.is_temporary:
            return
        heard = hear(verdict)
        if heard is Heard.THROTTLED:
            self._throttled(group, verdict, now)
        elif heard is Heard.GREYLISTED:
            group.grey.refused((self._clock.now() - outcome.request.message.began).total_seconds())

    def _throttled(self, group: Group, verdict: Status, now: float) -> None:
        if group.pace.refused(now, hint_of(verdict)):
            _log.info(
                "slower", group=group.key, reply=verdict.diagnostic or str(verdict),
                per_minute=round(group.pace.rate * 60, 1), pause=round(group.pace.wait(now)),
            )  # fmt: skip
            if group.pace.in_a_row >= STUBBORN:
                self._set_aside(group, OpenFailure(verdict))

    def _set_aside(self, group: Group, failure: OpenFailure) -> None:
        """It has taken nothing for several pauses. What waits for it here goes by its schedule, so that senders hear
        that it is late, and it is given up in time; the pace alone could keep it for months."""
        for lane in self._lanes.values():
            if lane.group is group and lane.ready:
                self._avoided[lane.dest] = group.pace.paused_until
                self._suspend(lane, failure)

    def came_back(self, lane: Lane, request: AttemptRequest) -> None:
        self._end_tickets(request)
        if self._stopping:
            self._give_back(request.deliveries)
            return
        request.put_back += 1
        lane.ready.appendleft(request)
        self._want(lane)

    def has_opened(self, lane: Lane) -> None:
        group = lane.group
        assert group is not None, "its hosts were looked up before"
        group.opening -= 1
        group.carrying.add(lane)
        group.pace.answered(group.standing)

    def has_idle(self, lane: Lane, carrier: Carrier) -> None:
        if self._stopping or (self._dials.crowded and self._dials.awaited):
            carrier.finish()
            return
        if lane.group is not None and lane.group.waiting:
            self._next_of_group(lane.group)
        if lane.ready:
            self._want(lane)

    def _next_of_group(self, group: Group) -> None:
        if not group.gate and (lane := group.next_in_line()) is not None:
            self._want(lane)

    def has_room(self, lane: Lane) -> None:
        self._dials.closed()
        if lane.source is not None:
            lane.source.connections -= 1
        if (group := lane.group) is not None:
            group.connections -= 1
            if not lane.carriers:
                group.carrying.discard(lane)
            self._next_of_group(group)
        if lane.ready:
            self._want(lane)
        self._next_dial()
        if self._stopping:
            self._settle()

    def _next_dial(self) -> None:
        if self._dials.awaited and (lane := self._dials.next_in_line()) is not None:
            self._want(lane)

    def _again(self, lane: Lane, request: AttemptRequest, deliveries: Sequence[Delivery]) -> None:
        """Recipients beyond what the server takes in one transaction go in another one, now (RFC 5321 §4.5.3.1.10)."""
        again = AttemptRequest(
            request.dest, request.message, list(deliveries), request.content, request.stream, request.place
        )
        self._shelf.put(again)
        for delivery in deliveries:
            self._end_ticket(request, delivery.id)
            self._known[delivery.id] = again
        lane.ready.appendleft(again)

    # -- connections -------------------------------------------------------------------------------------------

    def _trust(self, lane: Lane) -> Trust:
        if lane.rest.failures:
            return Trust.FAILING
        if lane.group is not None and lane.group.pace.known:
            return Trust.ANSWERING
        first = lane.ready[0]
        said = first.deliveries[0].last_status if first.deliveries else None
        return Trust.FAILING if said is not None and hear(said) is Heard.NETWORK else Trust.UNKNOWN

    def _dial(self, lane: Lane, idle: tuple[Lane, Carrier] | None = None) -> bool:
        """Begin to open a connection. `idle` is one of another lane of the group, which may do instead."""
        trust = self._trust(lane)
        if not self._dials.may_open(trust):
            self._dials.wait(lane, trust)
            if idle is not None:
                idle[0].idle_carriers.append(idle[1])
            return False
        lane.opening += 1
        self._dials.opening(trust)
        if lane.source is not None:
            lane.source.connections += 1
        if lane.group is not None:
            lane.group.connections += 1
            lane.group.opening += 1
        self._spawn(self._open(lane, trust, idle))
        return True

    async def _open(self, lane: Lane, trust: Trust, idle: tuple[Lane, Carrier] | None) -> None:
        began = self._clock.now()
        failure: OpenFailure | None = None
        opened = False
        try:
            transport = await current_transport(lane, self._route, self._add, self._shelf.drop)
            if transport is not None:
                hosts = await self._pool.hosts(transport)
                if isinstance(hosts, OpenFailure):
                    failure = hosts
                elif self._joins(lane, transport, tuple(hosts)):
                    if idle is not None and not idle[1].serves(hosts):
                        idle[1].finish()
                    failure = await self._pool.open(transport, lane, hosts, self._manner(lane))
                    opened = failure is None
        except Exception as error:
            _log.exception("opening a connection failed", error, dest=lane.dest)
            failure = OpenFailure(BUG.because(repr(error)))
        self._dials.opened(trust)
        if idle is not None:
            self._put_back(*idle)
        if not opened:
            self._came_to_nothing(lane, failure, began)

    def _joins(self, lane: Lane, transport: Transport, hosts: tuple[str, ...]) -> bool:
        """The lane's group, known from now on. False: it has to wait there."""
        now = self._clock.monotonic()
        if lane.group is None:
            lane.group = group = self.groups.of(transport, hosts)
            group.connections += 1
            group.opening += 1
            lane.rest = group.rest_of(hosts, lane.rest)
            lane.source = self._sources.of(transport.pool, group.key)
            if lane.source is not None:
                lane.source.connections += 1
            if lane.rest.lasts(now):
                self._suspend(lane)
                return False
            if group.connections > group.pace.window or (group.pace.gated and group.pace.paused_until > now):
                self._queue_at_gate(group, lane) if group.pace.gated else group.wants(lane)
                return False
        return True

    @staticmethod
    def _manner(lane: Lane) -> Manner:
        assert lane.group is not None
        provider = lane.group.provider
        if lane.source is None and not provider.messages_per_connection and not provider.recipients:
            return USUAL_MANNER
        return Manner(lane.source, provider.messages_per_connection, provider.recipients)

    def _put_back(self, lane: Lane, carrier: Carrier) -> None:
        """Unless it carries for somebody else by now, it is idle where it was."""
        if carrier in lane.carriers and carrier not in lane.idle_carriers and not self._stopping:
            lane.idle_carriers.append(carrier)
            if lane.ready:
                self._want(lane)

    def _came_to_nothing(self, lane: Lane, failure: OpenFailure | None, began: datetime) -> None:
        lane.opening -= 1
        self._dials.closed()
        if lane.source is not None:
            lane.source.connections -= 1
        if lane.group is not None:
            lane.group.connections -= 1
            lane.group.opening -= 1
        if failure is not None and not self._stopping:
            self._not_opened(lane, failure, began)
        if lane.group is not None and lane.group.waiting:
            self._next_of_group(lane.group)
        self._next_dial()
        if self._stopping:
            self._settle()

    def _not_opened(self, lane: Lane, failure: OpenFailure, began: datetime) -> None:
        now, group, verdict = self._clock.monotonic(), lane.group, failure.status
        _log.info("destination failed", dest=lane.dest, reply=str(verdict), cause=verdict.cause)
        if verdict.is_permanent:
            self._suspend(lane, failure, began)
            return
        standing = group.standing if group is not None else 0
        if group is not None and hear(verdict) is Heard.THROTTLED:
            if standing:
                group.pace.full(standing, now)  # it takes no more connections of us; those there are go on
            else:
                self._defer_first(lane, failure, began)
                self._throttled(group, verdict, now)
            return
        if group is not None and lane.carriers:
            group.pace.full(standing, now)
            return
        if failure.alone:
            self._rest_alone(lane)
        elif group is not None and not standing:
            group.pace.failed()
        lane.rest.failed(failure, now, self._random.fraction())
        self._suspend(lane, failure, began)

    def _rest_alone(self, lane: Lane) -> None:
        """It fails by what it demands of its hosts: others that have the same ones need not rest with it."""
        if lane.group is not None and any(rest is lane.rest for rest in lane.group.rests.values()):
            lane.rest = Rest()

    def _defer_first(self, lane: Lane, failure: OpenFailure, began: datetime) -> None:
        """One has been tried; the others wait until the pause is over."""
        if lane.ready:
            first = lane.ready.popleft()
            self.results.unreached([first], failure, began)
            self._want(lane)

    def _suspend(self, lane: Lane, failure: OpenFailure | None = None, began: datetime | None = None) -> None:
        """Settle what waits here by the failure that is known, without dialling for each."""
        failure = failure or lane.rest.why
        assert failure is not None
        if lane.rest.why is not None:
            self._avoided[lane.dest] = lane.rest.until
        waiting = [request for request in lane.ready if request.deliveries]
        lane.ready.clear()
        self.results.unreached(waiting[:SETTLE_AT_ONCE], failure, began)
        if len(waiting) > SETTLE_AT_ONCE:
            self._spawn(self._settle_by_turns(waiting, failure, began if failure.status.is_permanent else None))

    async def _settle_by_turns(
        self, waiting: Sequence[AttemptRequest], failure: OpenFailure, began: datetime | None
    ) -> None:
        """All but the first; thousands at once would keep everybody else from the loop."""
        for start in range(SETTLE_AT_ONCE, len(waiting), SETTLE_AT_ONCE):
            await asyncio.sleep(0)
            self.results.unreached(waiting[start : start + SETTLE_AT_ONCE], failure, began)

    def _unreadable(self, lane: Lane, requests: Sequence[AttemptRequest], error: Exception) -> None:
        _log.exception("messages cannot be read", error, dest=lane.dest)
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
                self._shelf.drop(request)
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

    def _give_back(self, deliveries: Sequence[Delivery], dest: str = "") -> None:
        for start in range(0, len(deliveries), 200):
            self.results.give_back(deliveries[start : start + 200], dest)

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
            self._wake(lane)
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
                self._shelf.drop(lane.ready.popleft())
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
            self._wake(lane)

    def wake_all(self) -> None:
        """Somebody wants some of it tried now: nothing rests any more."""
        self._avoided.clear()
        for lane in self._lanes.values():
            lane.rest.wake()

    def _wake(self, lane: Lane) -> None:
        lane.rest.wake()
        self._avoided.pop(lane.dest, None)
        if lane.group is not None:
            lane.group.pace.wake()
        if lane.ready:
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
        if not self._dials.connections:
            return
        self._quiet = asyncio.get_running_loop().create_future()
        late = asyncio.ensure_future(self._clock.sleep(grace))
        await asyncio.wait((self._quiet, late), return_when=asyncio.FIRST_COMPLETED)
        late.cancel()

    def _settle(self) -> None:
        if self._quiet is not None and not self._dials.connections and not self._quiet.done():
            self._quiet.set_result(None)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
