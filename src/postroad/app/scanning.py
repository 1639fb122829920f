"""The scanners of a node: made from the settings, watched, and asked by `postroad check` whether they are there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from postroad.adapters.clock import SystemClock
from postroad.adapters.http import AioHttpClient
from postroad.adapters.net.dial import NetDialer
from postroad.adapters.net.hub import Hub
from postroad.adapters.net.milterdial import MilterSockets
from postroad.app.services import Services
from postroad.config.schema import Scanner as Settings
from postroad.events.recorder import Recorder
from postroad.intake.milters import MilterScanner
from postroad.intake.rspamd import RspamdScanner
from postroad.intake.scanners import Circuit, Scanner, ScannerFailed, Scanning, Slots
from postroad.mail.compose import compose
from postroad.observe import log
from postroad.ports.clock import Clock
from postroad.ports.http import HttpClient, HttpFailed
from postroad.ports.ids import id_text
from postroad.ports.store import Lane, StoreUnavailable
from postroad.proto.milterwire import Action
from postroad.queue.alarm import POSTMASTER, Submit

QUIET = 3600.0  # seconds, at least, between two words about one scanner to the administrator

_log = log.get("scanners")
_DOWN = """\
The scanner {name} ({url}) does not answer: {reason}.

{what}

It is tried again every {rest:g} seconds. See what is the matter with it, and then:

    postroad check
"""
_DEFERRED = "Mail that it should see is put off (451), and comes again: nothing is lost, but nothing comes in."
_ACCEPTED = "Mail that it should see is taken without it: what it would have found is not found."
_BACK = "The scanner {name} ({url}) answers again.\n"
_CAN = {
    Action.ADD_HEADERS: "adds fields",
    Action.CHANGE_HEADERS: "changes fields",
    Action.CHANGE_BODY: "changes bodies",
    Action.QUARANTINE: "quarantines",
}


def make_scanning(services: Services, hub: Hub) -> Scanning:
    """All scanners of this process; their connections are of `hub`."""
    settings, slots = services.settings, Slots(services.settings.limits.max_scans)
    made = [
        make_scanner(each, hub, services.http, slots, services.clock, hostname=settings.hostname)
        for each in settings.scanner
    ]
    return Scanning(made, services.clock)


def make_scanner(
    settings: Settings, hub: Hub, http: HttpClient, slots: Slots, clock: Clock, *, hostname: str
) -> MilterScanner | RspamdScanner:
    kind, _, where = settings.url.partition(":")
    circuit = Circuit(clock, settings.rest)
    if kind == "rspamd":
        return RspamdScanner(settings, http, slots, circuit, hostname)
    return MilterScanner(settings, MilterSockets(NetDialer(hub), where), slots, circuit, hostname)


async def probe(scanner: Scanner) -> str:
    """What a scanner is, in words, if it answers. Raises ScannerFailed."""
    if isinstance(scanner, RspamdScanner):
        url = scanner.settings.url.removeprefix("rspamd:").rstrip("/") + "/ping"
        try:
            answer = await scanner.http.request("GET", url, timeout=scanner.settings.connect_timeout)
        except HttpFailed as error:
            raise ScannerFailed(str(error)) from error
        if answer.status != 200:
            raise ScannerFailed(f"it answered {answer.status}")
        return "answers"
    assert isinstance(scanner, MilterScanner)
    link = await scanner.open()
    offer = link.machine.offer
    link.close()
    assert offer is not None
    can = ", ".join(words for action, words in _CAN.items() if offer.actions & action)
    return f"answers (version {offer.version}{', ' + can if can else ''})"


async def probe_all(wanted: Sequence[Settings], hostname: str) -> AsyncIterator[tuple[Settings, str, bool]]:
    """Each scanner, what it says or what is wrong with it, and whether that is good; for a command."""
    hub, http, clock = Hub(), AioHttpClient(), SystemClock()
    try:
        for settings in wanted:
            try:
                yield settings, await probe(make_scanner(settings, hub, http, Slots(1), clock, hostname=hostname)), True
            except ScannerFailed as failure:
                yield settings, str(failure), False
    finally:
        await hub.stop(1.0)
        await http.close()


class ScannerAlarm:
    """Tells the administrator of a scanner that is down, and that it is back. One for a process."""

    def __init__(self, services: Services, submit: Submit) -> None:
        self._services = services
        self._submit = submit
        self._told: dict[str, float] = {}  # by name: when the administrator heard of it last
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, settings: Settings, reason: str) -> None:
        """`reason` is empty where it works again."""
        now, last = self._services.clock.monotonic(), self._told.get(settings.name)
        if reason:
            if last is not None and now - last < QUIET:
                return
            self._told[settings.name] = now
        elif last is None:
            return
        task = asyncio.get_running_loop().create_task(self._tell(settings, reason))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, settings: Settings, reason: str) -> None:
        services = self._services
        action = "scanner down" if reason else "scanner works again"
        event = Recorder(services.ids).admin(
            services.clock.now(), action=action, by="postroad", what=[settings.name, reason or settings.url]
        )
        try:
            await services.store.write(lambda tx: tx.events.add([event]), lane=Lane.LOW)
        except StoreUnavailable as error:
            _log.warning("an event was not written", error=str(error))
        told = await self._submit("", [POSTMASTER], self._message(settings, reason))
        if not told.is_success:
            _log.warning("the administrator was not told", scanner=settings.name, reply=str(told), cause=told.cause)

    def _message(self, settings: Settings, reason: str) -> bytes:
        what = _DEFERRED if settings.on_failure == "defer" else _ACCEPTED
        text = (_DOWN if reason else _BACK).format(
            name=settings.name, url=settings.url, reason=reason, what=what, rest=settings.rest
        )
        services, hostname = self._services, self._services.settings.hostname
        return compose(
            header_from=f"Postroad <{POSTMASTER}@{hostname}>",
            to=[f"{POSTMASTER}@{hostname}"],
            subject=f"The scanner {settings.name} {'does not answer' if reason else 'answers again'}",
            date=services.clock.now(),
            message_id=f"<{id_text(services.ids.new())}.alarm@{hostname}>",
            text=text,
            fields=[("Auto-Submitted", "auto-generated")],  # RFC 3834 §5
        )

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
