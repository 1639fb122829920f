"""Which way a delivery takes today: by hand, by a `[[route]]` of the settings, else by its domain alone.

A route names several ways; the one behind is taken where the one before could not be reached or put the mail off. What
a delivery's row says of its last try (next hop and reply) is all that this needs to know: nothing is kept here.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import urlsplit

from msgspec import structs

from postroad.config.schema import RouteRule
from postroad.mail.terms import Terms, TlsWish
from postroad.ports.store import Delivery, Message
from postroad.routing.routes import (
    Transport,
    TransportKind,
    host_dest,
    read_smarthost,
    to_host,
    unwished,
    wished,
)

LMTP_PORT = 24
BY_HAND = "to:"  # what a next hop begins with that somebody chose for this delivery

ByDomain = Callable[..., Transport | Awaitable[Transport]]
"""routing.directory.Directory.route: `(domain, direct=False)`; `direct` passes the smarthost by."""


@dataclass(frozen=True, slots=True)
class Router:
    """One for a process. `waiting` tells how many messages wait for a next hop."""

    by_domain: ByDomain
    rules: tuple[RouteRule, ...] = ()
    smarthost: str = ""
    waiting: Callable[[str], int] = lambda dest: 0  # noqa: ARG005

    def route(self, message: Message, delivery: Delivery, at: str = "") -> Transport | Awaitable[Transport]:
        """The next hop now. `at` is the one that it waits for: it stays there as long as that is one of its ways."""
        terms = message.terms
        if terms is None or terms.tls is TlsWish.UNSAID:
            return self._route(message, delivery, at)
        routed = self._route(message, structs.replace(delivery, dest=unwished(delivery.dest)), unwished(at))
        return wished(routed, terms) if isinstance(routed, Transport) else _wished(routed, terms)

    def _route(self, message: Message, delivery: Delivery, at: str) -> Transport | Awaitable[Transport]:
        if delivery.dest.startswith(BY_HAND):
            return self._by_hand(delivery)
        rule = self._rule(message, delivery) if self.rules else None
        if rule is None:
            return self.by_domain(domain_of(delivery.forward_path))
        return self._by_rule(rule, delivery, at)

    def other_way(self, message: Message, delivery: Delivery, dest: str) -> bool:
        """Whether something else can be tried at once for what has just failed at `dest`: that is one of its rule's
        ways, and not the last. Anything else (chosen by hand, or where a relay domain's mail lives) is waited for as
        always, or it would be tried without a pause for ever."""
        if not self.rules or (rule := self._rule(message, delivery)) is None or len(rule.via) < 2:
            return False
        suffix = f"#{rule.pool}" if rule.pool else ""
        direct = f"mx:{domain_of(delivery.forward_path)}"
        *before, last = ((direct if way == "mx" else self._named(way).dest) + suffix for way in rule.via)
        failed = unwished(dest)
        return failed != last and failed in before

    def _rule(self, message: Message, delivery: Delivery) -> RouteRule | None:
        domain = domain_of(delivery.forward_path)
        return next((rule for rule in self.rules if _fits(rule, message, domain)), None)

    def _by_hand(self, delivery: Delivery) -> Transport | Awaitable[Transport]:
        way = delivery.dest.removeprefix(BY_HAND)
        if way.startswith("mx:"):
            return self._direct(way.removeprefix("mx:"), delivery.dest)
        return replace(self._named(way), dest=delivery.dest)

    async def _direct(self, domain: str, dest: str) -> Transport:
        routed = self.by_domain(domain, direct=True)
        return replace(routed if isinstance(routed, Transport) else await routed, dest=dest)

    async def _by_rule(self, rule: RouteRule, delivery: Delivery, at: str) -> Transport:
        domain = domain_of(delivery.forward_path)
        ways = [_pooled(await self._way(way, domain), rule.pool) for way in rule.via]
        failed = _index(ways, delivery.dest) if _was_put_off(delivery) else None
        first = 0 if failed is None else (failed + 1) % len(ways)
        here = _index(ways, at)
        if here is not None and here != failed:
            return ways[here]
        if first == 0 and rule.overflow and len(ways) > 1 and self.waiting(ways[0].dest) >= rule.overflow:
            return ways[1]
        return ways[first]

    async def _way(self, way: str, domain: str) -> Transport:
        if way != "mx":
            return self._named(way)
        routed = self.by_domain(domain, direct=True)
        return routed if isinstance(routed, Transport) else await routed

    def _named(self, way: str) -> Transport:
        if way == "smarthost" and self.smarthost:
            return read_smarthost(self.smarthost)
        return read_way(way)


async def _wished(routed: Awaitable[Transport], terms: Terms) -> Transport:
    return wished(await routed, terms)


@lru_cache(maxsize=256)
def read_way(way: str) -> Transport:
    """`smtp://user:password@host:port`, `smtps://...`, `lmtp://host:port`, `lmtp:/path`, or `host:port` alone. Raises
    ValueError with words for people."""
    if way.startswith(("smtp://", "smtps://")):
        return read_smarthost(way)
    if way.startswith("lmtp://"):
        parts = urlsplit(way)
        port = parts.port or LMTP_PORT
        dest = "lmtp:" + host_dest(parts.hostname or "", port).removeprefix("host:")
        return Transport(TransportKind.HOST, dest, parts.hostname or "", port, lmtp=True)
    if way.startswith("lmtp:/"):
        return Transport(TransportKind.HOST, way, way.removeprefix("lmtp:"), 0, lmtp=True)
    found = _HOST_AND_PORT.fullmatch(way)
    if found is None:
        raise ValueError(
            f"`{way}` is no way to send; write mx, smarthost, a host such as relay.example:25, or lmtp:/path"
        )
    return to_host(found[1].strip("[]"), int(found[2] or 25))


_HOST_AND_PORT = re.compile(r"(?:host:)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(\d{1,5}))?")


def by_hand(way: str, forward_path: str) -> str:
    """The next hop of a delivery for which somebody chose `way`; empty is back to the usual one. Raises ValueError."""
    if way == "usual":
        return f"mx:{domain_of(forward_path)}"
    if way == "mx":
        return f"{BY_HAND}mx:{domain_of(forward_path)}"
    if way == "smarthost":
        return f"{BY_HAND}smarthost"
    transport = read_way(way)
    if transport.password:
        raise ValueError("a password does not go into the queue; name it in [[route]] or as the smarthost instead")
    return f"{BY_HAND}{way}"


@lru_cache(maxsize=4096)
def _pooled(transport: Transport, pool: str) -> Transport:
    return replace(transport, dest=f"{transport.dest}#{pool}", pool=pool) if pool else transport


def _index(ways: Sequence[Transport], dest: str) -> int | None:
    return next((at for at, way in enumerate(ways) if way.dest == dest), None)


def _was_put_off(delivery: Delivery) -> bool:
    return delivery.last_status is not None and delivery.last_status.is_temporary


def _fits(rule: RouteRule, message: Message, domain: str) -> bool:
    if rule.stream and message.stream != rule.stream:
        return False
    if rule.sender and not _is_from(rule.sender.lower(), message.reverse_path.lower()):
        return False
    pattern = rule.domain.lower()
    if pattern.startswith("*."):
        return domain.endswith(pattern[1:])
    return pattern in ("", "*", domain)


def _is_from(sender: str, reverse_path: str) -> bool:
    return reverse_path.endswith(sender) if sender.startswith("@") else reverse_path == sender


def domain_of(forward_path: str) -> str:
    return forward_path.rpartition("@")[2]
