"""The composition root: a node from its settings. Nothing else knows which adapter stands behind which port."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from postroad.adapters.dns import CachingResolver
from postroad.adapters.ids import made_at
from postroad.adapters.net.dial import NetDialer
from postroad.adapters.net.hub import Hub
from postroad.adapters.net.listen import Doorman, Listener, listen
from postroad.adapters.net.own import own_addresses
from postroad.adapters.search.opening import open_index
from postroad.adapters.startlog import MappedStartLog
from postroad.app.certificates import NodeTls, pairs, seconds_left
from postroad.app.control import ControlServer
from postroad.app.follower import Follower
from postroad.app.fronts import Fronts
from postroad.app.janitor import Janitor
from postroad.app.outbound import OutboundTls, own_places
from postroad.app.roles import IMPLICIT_TLS, METRICS, WEB, listeners, roles
from postroad.app.scanning import ScannerAlarm, make_scanning
from postroad.app.services import Services, node_name
from postroad.config.networks import Networks
from postroad.config.schema import Listen, Settings
from postroad.config.values import split_address
from postroad.delivery.feedback import Feedback
from postroad.intake.assembly import assemble
from postroad.intake.checks.sending import Sending
from postroad.intake.checks.zones import ZoneWatch
from postroad.intake.door_assembly import assemble_door
from postroad.intake.programs import Programs
from postroad.observe import log
from postroad.observe.metrics import Gauge
from postroad.ports.net import Endpoint
from postroad.ports.store import StoreUnavailable
from postroad.queue.alarm import Alarm
from postroad.queue.sender import Outside, Sender, Ways
from postroad.routing.aliases import Rules
from postroad.routing.directory import Directory
from postroad.routing.returns import ReturnAddresses
from postroad.routing.routes import RouteSettings
from postroad.sessions.idle import IdlePoll

if TYPE_CHECKING:
    from postroad.app.web import WebFronts

_HTTP = WEB | {METRICS.service}
GRACE = 10.0  # seconds that conversations get to end

_log = log.get("node")


class CannotListen(Exception):  # noqa: N818
    """An address cannot be listened on; says what to do about it."""


class Node:
    """One running node: `start`, then `stop`. `endpoints` says where each service really listens."""

    def __init__(self, services: Services, group: asyncio.TaskGroup, lost: Callable[[], None]) -> None:
        """Background work goes into `group`; `lost` is called when another process has taken this node's name."""
        settings = services.settings
        self.settings = settings
        self.services = services
        self.endpoints: dict[str, list[Endpoint]] = {}
        self.is_lost = False
        self._group = group
        self._lost = lost
        self._roles = roles(settings)
        self._tasks: list[asyncio.Task[None]] = []
        self._listeners: list[Listener] = []
        self._web: WebFronts | None = None
        self._closing = False
        self._ready = False
        self._inside = Hub(
            write_timeout=settings.limits.write_timeout, handshake_timeout=settings.limits.handshake_timeout
        )
        self._outside = Hub()
        self._beside = Hub()  # to scanners
        self.scanning = make_scanning(services, self._beside)
        self._tls = NodeTls.of(settings)
        limits = settings.limits
        self._doorman = Doorman(
            total=limits.max_connections, per_client=limits.max_connections_per_client, exempt=limits.exempt
        )
        self.directory = Directory(services.store, services.signals, services.clock, _rules(settings))
        self.returns = self.directory.returns = ReturnAddresses(
            services.store,
            services.signals,
            services.clock,
            random=services.random,
            settings=settings.returns,
            hostname=settings.hostname,
        )
        self._sending = self._limit_senders()
        self.intake = services.intake = assemble(
            services.store,
            services.blobs,
            workers=services.workers,
            clock=services.clock,
            ids=services.ids,
            signals=services.signals,
            directory=self.directory,
            limits=limits,
            delivery=settings.delivery,
            hostname=settings.hostname,
            programs=Programs(services.tokens, services.sending),
            submission=settings.submission,
            sending=self._sending,
            scanning=self.scanning,
            steady=services.steady.of,
        )
        self.resolver = CachingResolver(
            settings.dns.nameservers,
            timeout=settings.dns.timeout,
            trust_ad=settings.dns.trust_ad,
            max_entries=settings.dns.cache,
        )
        self.door = assemble_door(
            settings.front_door,
            settings.dns_list,
            limits,
            hostname=settings.hostname,
            addresses=_own_addresses(settings),
            store=services.store,
            clock=services.clock,
            resolver=self.resolver,
        )
        self.index = open_index(services.store, settings.data_dir, settings.retention)
        self._poll = IdlePoll(services.clock)
        self._alarm = ScannerAlarm(services, self.intake.submit_local)
        self.scanning.alarm = self._alarm.tell
        self._fronts = Fronts(
            services, self.intake, self.door, self._poll, self.scanning, has_certificate=self._tls is not None
        )
        self._control = ControlServer(services, settings.data_dir)
        self._start_log: MappedStartLog | None = None
        self._sender: Sender | None = None
        self._outbound_tls: OutboundTls | None = None
        self._feedback: Feedback | None = None
        if "sender" in self._roles:
            self._start_log = MappedStartLog(settings.data_dir / "attempts.open")
            self._sender = self._make_sender(self._start_log)

    def _limit_senders(self) -> Sending:
        """What holds back whoever sends too much, and tells of it."""
        services, settings = self.services, self.settings
        sending = Sending(
            services.counts, services.freezes, settings.submission, settings.limits.exempt, services.clock
        )
        sending.tell = services.senders.tell
        return sending

    def _make_sender(self, start_log: MappedStartLog) -> Sender:
        services = self.services
        self._outbound_tls = OutboundTls(self.settings, services.store, self.resolver, services.steady)
        outside = Outside(
            services.store,
            services.blobs,
            NetDialer(self._outside, roots=self.settings.tls.trusted),
            self.resolver,
            start_log,
            services.clock,
            services.ids,
            services.random,
            services.signals,
            services.workers,
        )
        return Sender(
            outside,
            self.settings.delivery,
            hostname=self.settings.hostname,
            node=node_name(self.settings),
            route=self.directory.route,
            submit=self.intake.submit_local,
            lost=self._lose,
            freezes=services.freezes,
            policies=self._outbound_tls.policies,
            tls_results=self._outbound_tls.results,
            is_own=own_places(self.settings),
            ways=self._ways(),
            steady=services.steady,
            returns=self.returns,
            feedback=self._make_feedback(),
            suppressed=services.sending.changed,
        )

    def _make_feedback(self) -> Feedback:
        services = self.services
        self._feedback = Feedback(
            services.store,
            services.blobs,
            self.returns,
            clock=services.clock,
            ids=services.ids,
            index=self.index,
            workers=services.workers,
            suppressed=services.sending.changed,
        )
        self.intake.look_at_returns(self._feedback.look)
        return self._feedback

    def _ways(self) -> Ways:
        settings = self.settings
        usual = () if settings.delivery.source_address else tuple(own_addresses())
        return Ways(settings.route, settings.provider, settings.retry, settings.pool, usual)

    def _lose(self) -> None:
        """Another process runs under our name: what it owns is no longer ours to send."""
        _log.error("another process has taken this node's name; stopping", node=node_name(self.settings))
        self.is_lost = True
        self._lost()

    async def start(self) -> None:
        """Sending first, then the listeners, so that what is accepted finds who takes it on. Raises CannotListen."""
        services = self.services
        await services.counts.load()
        await self.returns.load()
        self._run(services.counts.run(), "sender-counts")
        self._run(services.freezes.run(), "sender-holds")
        alarm = Alarm(self.intake.submit_local, services.store, services.clock, services.ids, self.settings.hostname)
        services.senders.alarm = alarm.tell
        services.steady.rang = lambda jump: self._run(alarm.ring(jump), "clock-alarm")
        if self._sender:
            self._sender.results.failed = self._sending.failed
            ownership = await self._sender.join()
            self.intake.hand_to(self._sender.runner, ownership)
            self.intake.report_to(self._sender.bounces)
            self._run(self._sender.run(), "sender")
        if self._outbound_tls:
            self._run(self._outbound_tls.run(), "outbound-tls")
        if "mx" in self._roles and self.door.zones:
            every = self.settings.front_door.list_test_every
            self._run(ZoneWatch(self.door.zones, self.resolver, self.services.clock, every=every).run(), "zone-watch")
        if "imap" in self._roles:
            self._run(self._poll.run(), "idle-poll")
        if "janitor" in self._roles:
            janitor = Janitor(services.store, services.steady, self.settings.retention)
            self._run(janitor.run(), "janitor")
            follower = Follower(services.store, services.clock, self.index, self.settings.retention)
            self._run(follower.run(), "follower")
        try:
            await self._control.start()
        except OSError as error:
            raise CannotListen(f"cannot make the control socket in {self.settings.data_dir}: {_why(error)}") from error
        for wanted in listeners(self.settings):
            await self._listen(wanted)
        self._ready = True

    def _run(self, work: object, name: str) -> None:
        assert asyncio.iscoroutine(work)
        self._tasks.append(self._group.create_task(work, name=name))

    async def _listen(self, wanted: Listen) -> None:
        endpoint = _endpoint(wanted.address)
        try:
            actual = await (self._serve_http if wanted.service in _HTTP else self._serve)(wanted, endpoint)
        except OSError as error:
            why = f"{_why(error)}; {_step(error)}"
            raise CannotListen(f"cannot listen for {wanted.service} on {endpoint}: {why}") from error
        self.endpoints.setdefault(wanted.service, []).append(actual)

    async def _serve_http(self, wanted: Listen, endpoint: Endpoint) -> Endpoint:
        if self._web is None:
            from postroad.app.web import WebFronts

            self._web = WebFronts(self, self._doorman)
        return await self._web.listen(wanted.service, endpoint)

    async def _serve(self, wanted: Listen, endpoint: Endpoint) -> Endpoint:
        listener = await listen(
            self._inside,
            endpoint,
            self._fronts.factory(wanted.service),
            tls=self._tls.of_service(wanted.service) if self._tls else None,
            implicit=wanted.service in IMPLICIT_TLS,
            doorman=self._doorman,
            service=wanted.service,
            proxies=Networks((*self.settings.limits.proxies, *wanted.proxies)),
            proxy_timeout=self.settings.limits.proxy_timeout,
        )
        self._listeners.append(listener)
        return listener.endpoint

    async def stop(self, grace: float = GRACE) -> None:
        """Take no more work, end conversations politely, finish or give back what is in flight, write it down."""
        self._ready, self._closing = False, True
        for listener in self._listeners:
            listener.close()
        await self._control.close()
        if self._web:
            await self._web.close(grace)
        await self._inside.stop(grace)
        if self._sender:
            await self._sender.stop(grace)
        if self._feedback:
            await self._feedback.close()
        await self.returns.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks) if self._tasks else None
        await self._outside.stop(grace)
        if self._outbound_tls:
            await self._outbound_tls.close()
        await self._alarm.close()
        await self._beside.stop(1.0)
        await self.door.close()
        await self.intake.close()
        await self.resolver.close()
        await self.index.close()
        if self._start_log:
            self._start_log.close()

    def reload(self, settings: Settings) -> None:
        """SIGHUP: the certificate for new connections, the log's level. Raises OSError, leaving what was."""
        if self._tls:
            self._tls.reload(settings.tls)
        if self._web:
            self._web.reload(settings)
        log.set_level(settings.log.level)

    async def not_ready(self) -> str:
        """Why the node is not ready, or an empty text."""
        if not self._ready:
            return "stopping" if self._closing else "starting"
        try:
            await self.services.store.read(lambda tx: tx.meta.get("ready"))
        except StoreUnavailable as error:
            return f"the store cannot be read: {error}"
        return "" if self.services.store.has_room(0) else "the disk is nearly full: limits.min_free is not there"

    async def gauges(self) -> list[Gauge]:
        """Figures of now, for /metrics."""
        store = self.services.store
        depth, oldest = await store.read(lambda tx: tx.deliveries.depth())
        age = (self.services.clock.now() - made_at(oldest)).total_seconds() if oldest else 0.0
        folder = os.statvfs(self.settings.data_dir)
        figures = store.figures()
        return [
            Gauge("queue_depth", "Recipients queued or held", depth),
            Gauge("queue_oldest_seconds", "Age of the oldest of them", age),
            Gauge("connections_open", "Connections taken that stand now", self._doorman.count),
            Gauge("outgoing_connections_open", "Connections to remote hosts", len(self._outside.live)),
            Gauge("clock_off_seconds", "How far the wall clock is from what is believed", self._clock_off),
            Gauge("store_backlog", "Units that wait for the writer", figures.get("backlog", 0)),
            Gauge("store_wal_bytes", "Size of the write-ahead log", figures.get("wal_bytes", 0)),
            Gauge("disk_free_bytes", "Free space at data_dir", folder.f_bavail * folder.f_frsize),
            Gauge("disk_size_bytes", "Size of the disk at data_dir", folder.f_blocks * folder.f_frsize),
            *self._certificate_gauge(),
            *self._list_gauges(),
            *self._scanner_gauges(),
            Gauge("log_dropped_lines", "Log lines that nobody read in time", log.dropped()),
        ]

    @property
    def _clock_off(self) -> float:
        self.services.steady.now()
        jump = self.services.steady.jump
        return 0.0 if jump is None else jump.off.total_seconds()

    def _list_gauges(self) -> Iterator[Gauge]:
        """Of the lists that the front door asks, where there is one."""
        text = "Whether a list of clients in DNS is sane and in use"
        for zone in self.door.zones if "mx" in self._roles else ():
            yield Gauge("dns_list_on", text, zone.is_on, {"zone": zone.name})

    def _scanner_gauges(self) -> Iterator[Gauge]:
        """Of the programs that look at mail, where there is one."""
        if self.scanning.scanners:
            yield Gauge("scanner_conversations", "Conversations with milters that stand now", len(self._beside.live))
        text = "Whether a scanner is asked: 0 while it is left alone because it does not answer"
        for scanner in self.scanning.scanners:
            yield Gauge("scanner_up", text, not scanner.circuit.reason, {"scanner": scanner.settings.name})

    def _certificate_gauge(self) -> list[Gauge]:
        now = self.services.clock.now()
        left = [seconds_left(certificate, now) for certificate, _ in pairs(self.settings.tls)]
        return [Gauge("certificate_seconds_left", "Until the first certificate runs out", min(left))] if left else []

    def all_endpoints(self) -> list[tuple[str, Endpoint]]:
        """(service, endpoint) of every listener."""
        pairs = ([(service, endpoint) for endpoint in some] for service, some in self.endpoints.items())
        return list(chain.from_iterable(pairs))


def _rules(settings: Settings) -> Rules:
    routes = RouteSettings(settings.delivery.port, settings.delivery.smarthost)
    return Rules(settings.hostname, settings.addresses.delimiter, routes)


def _own_addresses(settings: Settings) -> list[str]:
    """Where we listen, where the settings name it: no client can be there."""
    hosts = [split_address(one.address)[0] for one in settings.listen if not one.address.startswith("unix:")]
    return [host for host in hosts if host not in ("0.0.0.0", "::")]  # noqa: S104 - looked for, not bound


def _endpoint(address: str) -> Endpoint:
    if address.startswith("unix:"):
        return Endpoint(address.removeprefix("unix:"), 0)
    return Endpoint(*split_address(address))


def _why(error: OSError) -> str:
    """The system's own words; asyncio wraps them in more."""
    number = error.errno or 0
    return os.strerror(number) if number > 0 else str(error)  # look-ups of names have negative ones


def _step(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "ports below 1024 need root or CAP_NET_BIND_SERVICE; see docs/guides/service.md"
    return "another program has it; stop that one, or set another address in [[listen]]"
