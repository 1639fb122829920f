"""Whether lists in DNS are sane: each is tested at the start and now and then, and is asked about clients only while
its last test was good (RFC 5782 §5).

Lists die. Their domains are parked and then answer for every name, or their keepers have them list the whole world to
be rid of those who still ask. Mail must not be refused for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from postroad.observe import log
from postroad.ports.clock import Clock
from postroad.ports.dns import DnsAnswer, DnsOutcome, Resolver

RETRY_SECONDS = 300.0  # between tests of a list that is off

# RFC 5782 §5: 127.0.0.2 is always listed and 127.0.0.1 never; ::FFFF:7F00:2 and ::FFFF:7F00:1 where IPv6 is listed
LISTED, NOT_LISTED = "2.0.0.127", "1.0.0.127"
_MAPPED = ".0.0.0.0.0.f.7.f.f.f.f" + ".0" * 20
LISTED_6, NOT_LISTED_6 = f"2{_MAPPED}", f"1{_MAPPED}"

_log = log.get("front-door")


class Zone:
    """One list. Off until its first good test."""

    def __init__(self, name: str) -> None:
        self.name = name.lower()
        self.is_on = False
        self.has_ipv6 = False
        self.why_off = "not tested yet"
        self.changed: Callable[[], None] = _nothing  # called when it is switched: what was found through it is void

    def switch_off(self, why: str) -> None:
        if self.is_on or self.why_off != why:
            _log.error("a list is switched off", zone=self.name, cause=why)
        was_on, self.is_on, self.why_off = self.is_on, False, why
        if was_on:
            self.changed()

    def switch_on(self, *, has_ipv6: bool) -> None:
        if not self.is_on:
            _log.info("a list is in use", zone=self.name, ipv6=has_ipv6)
        was_on, self.is_on, self.has_ipv6, self.why_off = self.is_on, True, has_ipv6, ""
        if not was_on:
            self.changed()

    async def test(self, resolver: Resolver) -> str:
        """Ask the test points, and switch accordingly. What is wrong, or ""; a DNS failure changes nothing."""
        found = await probe(self.name, resolver)
        if found.failed:
            _log.warning("a list could not be tested", zone=self.name, cause=found.failed)
        elif found.wrong:
            self.switch_off(found.wrong)
        else:
            self.switch_on(has_ipv6=found.has_ipv6)
        return found.failed or found.wrong


class Probed:
    """What a list's test points say."""

    __slots__ = ("failed", "has_ipv6", "wrong")

    def __init__(self, *, wrong: str = "", failed: str = "", has_ipv6: bool = False) -> None:
        self.wrong = wrong
        self.failed = failed
        self.has_ipv6 = has_ipv6


async def probe(zone: str, resolver: Resolver) -> Probed:
    """Ask a list for its test points."""
    listed, not_listed = [await resolver.addresses(f"{point}.{zone}", 4) for point in (LISTED, NOT_LISTED)]
    for answer in (listed, not_listed):
        if answer.outcome is DnsOutcome.FAILED:
            return Probed(failed=answer.detail or "DNS does not answer")
        if bad := next(filter(refuses_service, answer.records), ""):
            return Probed(wrong=f"it answers {bad}: it does not serve our resolver")
    if not_listed.records:
        return Probed(wrong=f"it lists 127.0.0.1 ({not_listed.records[0]}), and so perhaps everybody")
    if not _in_loopback(listed):
        return Probed(wrong="it does not list its test point 127.0.0.2: it is empty, or no longer there")
    listed_6, not_listed_6 = [await resolver.addresses(f"{point}.{zone}", 4) for point in (LISTED_6, NOT_LISTED_6)]
    return Probed(has_ipv6=_in_loopback(listed_6) and not not_listed_6.records)


def refuses_service(code: str) -> bool:
    """Answers in 127.255.255.0/24 are no entries, but words to whoever asks: a public resolver, too many queries."""
    return code.startswith("127.255.255.")


def _in_loopback(answer: DnsAnswer) -> bool:
    """RFC 5782 §2.1: entries are in 127.0.0.0/8; a parked domain's address is elsewhere."""
    return bool(answer.records) and all(record.startswith("127.") for record in answer.records)


class ZoneWatch:
    """Tests the lists of a process as long as it runs."""

    def __init__(self, zones: Sequence[Zone], resolver: Resolver, clock: Clock, *, every: float) -> None:
        self._zones = zones
        self._resolver = resolver
        self._clock = clock
        self._every = every

    async def run(self) -> None:
        """Ends when it is cancelled."""
        while True:
            for zone in self._zones:
                await zone.test(self._resolver)
            all_good = all(zone.is_on for zone in self._zones)
            await self._clock.sleep(self._every if all_good else min(RETRY_SECONDS, self._every))


def _nothing() -> None: ...
