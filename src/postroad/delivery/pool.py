"""Connections for a next hop: one that stands idle at the same address, else a new one, host by host.

Which hosts there are is `mx`; what is said on a connection is `smtp`; how many there may be is the queue's affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from weakref import WeakSet

from postroad.delivery.agent import Feed, OpenFailure
from postroad.delivery.mx import LOOP, Hosts, MailHosts, Reached
from postroad.delivery.policy import NOTHING_PUBLISHED, Barred, Plan, Policies
from postroad.delivery.smtp import Conversation
from postroad.delivery.target import USUAL_MANNER, Craft, Manner, Target
from postroad.delivery.tlsresults import TlsResults
from postroad.mail.status import EnhancedCode, Status, status
from postroad.ports.net import Dialer, Endpoint
from postroad.routing.routes import Transport

MAX_DIALS = 12  # addresses that one attempt to open a connection tries
MAX_KNOWN = 2000  # addresses that are remembered at least
UNREACHABLE = EnhancedCode(4, 4, 1)
NO_FAMILY = status(451, "4.4.4", "no address of ours can reach this server")

_Key = tuple[Endpoint, str, object]  # address, as whom we logged in there, and what the connection had to prove


class Pool:
    """One for a process. It holds no connection alive: idle ones end themselves after `Craft.idle_timeout`."""

    def __init__(
        self,
        dialer: Dialer,
        hosts: Hosts,
        craft: Craft,
        *,
        connect_timeout: float,
        source: str = "",
        policies: Policies | None = None,
        results: TlsResults | None = None,
    ) -> None:
        """Without `policies` TLS is taken where it is offered, and nothing else is asked."""
        self._dialer = dialer
        self._hosts = hosts
        self._craft = craft
        self._connect_timeout = connect_timeout
        self._source = source or None
        self._policies = policies
        self._results = results
        self._known: dict[_Key, WeakSet[Conversation]] = {}
        self._tidy_at = MAX_KNOWN

    async def hosts(self, transport: Transport) -> Sequence[str] | OpenFailure:
        """Where a next hop's mail goes, best first; or why it goes nowhere."""
        hosts = await self._hosts.of(transport)
        if isinstance(hosts, Status):
            return OpenFailure(hosts, transport.host, dialogue=f"* {transport.dest}: {hosts.cause}")
        return hosts

    async def open(
        self, transport: Transport, feed: Feed, hosts: Sequence[str] = (), manner: Manner = USUAL_MANNER
    ) -> OpenFailure | None:
        """Get a connection to one of these hosts (else to those of `transport`) and have `feed.began` called for it; or
        say why there is none."""
        if not hosts:
            found = await self.hosts(transport)
            if isinstance(found, OpenFailure):
                return found
            hosts = found
        return await self._first_of(hosts, transport, feed, manner)

    async def _first_of(
        self, hosts: Sequence[str], transport: Transport, feed: Feed, manner: Manner
    ) -> OpenFailure | None:
        """Host by host, address by address. A refusal for good counts only where every host refused for good."""
        failures: list[OpenFailure] = []
        notes: list[bytes] = []
        plan = await self._plan(hosts, transport)
        for host in hosts:
            reached = await self._hosts.reach(host, transport)
            targets = reached if isinstance(reached, Status) else await self._target(plan, host, reached, transport)
            if not isinstance(targets, Status) and manner is not USUAL_MANNER:
                targets = _in_manner(targets, manner)
            if isinstance(targets, Status):
                failures.append(OpenFailure(targets, host, alone=not isinstance(reached, Status)))
                notes.append(f"* {host}: {targets.cause}".encode())
                if targets.enhanced == LOOP.enhanced:
                    break
                continue
            left: Target | None = targets
            while left is not None:
                failure, left = await self._try(left, feed, notes)
                if failure is None:
                    return None
                failures.append(failure)
                if len(failures) > MAX_DIALS:
                    return _weightiest(failures, notes)
        return _weightiest(failures, notes)

    async def _plan(self, hosts: Sequence[str], transport: Transport) -> Plan | None:
        if self._policies is None:
            return None
        known = hosts if isinstance(hosts, MailHosts) else MailHosts(hosts, transport.host)
        return await self._policies.plan(transport, known)

    async def _target(self, plan: Plan | None, host: str, reached: Reached, transport: Transport) -> Target | Status:
        """What is demanded of this host; or why it must not even be dialled."""
        first, *others = reached.endpoints
        if plan is None or self._policies is None:
            return Target(host, first, transport, others=tuple(others))
        demand = await self._policies.demand(plan, host, reached)
        if not isinstance(demand, Barred):
            return Target(host, first, transport, demand=demand, others=tuple(others))
        if demand.kind and self._results is not None:
            reason = demand.status.cause
            applied = demand.applied.policy, demand.applied.text
            self._results.count(transport.host, applied, demand.kind, host=host, reason=reason)
        return demand.status

    async def _try(self, target: Target, feed: Feed, notes: list[bytes]) -> tuple[OpenFailure | None, Target | None]:
        """Get a connection to one of the target's addresses; with a failure comes what of it is left to try."""
        if self._reused(target, feed):
            return None, None
        conversation = Conversation(feed, target, self._craft, notes)
        failure = await self._dial(conversation, target)
        self._count(conversation)
        tried = conversation.target
        if failure is not None and conversation.tls_failed and not tried.needs_no_less:
            # RFC 7435 §3: opportunistic security falls back to what there was without it.
            notes.append(f"* {tried.host} {tried.endpoint}: TLS failed, once more without".encode())
            reason = f"no TLS: the handshake failed: {conversation.tls_failed}"
            conversation = Conversation(feed, replace(tried, plain_because=reason, others=()), self._craft, notes)
            failure = await self._dial(conversation, conversation.target)
        if failure is None:
            self._remember(conversation)
            return None, None
        notes.append(f"* {tried.host} {tried.endpoint}: {failure.status.text}".encode())
        return failure, _without(target, tried.endpoint) if conversation.is_connected else None

    def _remember(self, conversation: Conversation) -> None:
        """Addresses without a connection are forgotten now and then."""
        if len(self._known) >= self._tidy_at:
            self._known = {key: known for key, known in self._known.items() if known}
            self._tidy_at = max(MAX_KNOWN, 2 * len(self._known))
        self._known.setdefault(_key(conversation.target), WeakSet()).add(conversation)

    def _count(self, conversation: Conversation) -> None:
        """How it went with TLS, where it came that far."""
        if self._results is None or not (ended := conversation.tls_ended):
            return
        target = conversation.target
        applied = target.demand.applied if target.demand is not None else NOTHING_PUBLISHED
        kind, reason = ended.kind, ended.reason
        if not kind and target.demand is not None:
            kind, reason = target.demand.fault
        self._results.count(
            target.transport.host,
            (applied.policy, applied.text),
            kind,
            host=target.host,
            address=target.endpoint.host,
            source=ended.source,
            reason=reason,
        )

    async def _dial(self, conversation: Conversation, target: Target) -> OpenFailure | None:
        tls = target.tls if target.transport.implicit_tls else None
        try:
            await self._dialer.connect(
                (target.endpoint, *target.others) if target.others else target.endpoint,
                conversation.machine,
                conversation,
                timeout=self._connect_timeout,
                tls=tls,
                source=target.source or self._source,
            )
        except (OSError, TimeoutError) as error:
            return conversation.failure(_unreachable(target, error))
        return await conversation.opened

    def _reused(self, target: Target, feed: Feed) -> bool:
        """Domains that share a mail host share its connections, where these have proven as much as is demanded."""
        for endpoint in (target.endpoint, *target.others):
            key = _key(target, endpoint)
            known = self._known.get(key)
            if not known:
                self._known.pop(key, None)
                continue
            for conversation in known:
                if conversation.is_idle:
                    conversation.adopt(feed)
                    return True
        return False


def _key(target: Target, endpoint: Endpoint | None = None) -> _Key:
    demand = target.demand
    who = f"{target.source} {target.transport.username}"
    return endpoint or target.endpoint, who, demand.key if demand is not None else None


def _in_manner(target: Target, manner: Manner) -> Target | Status:
    """With the source that its group leaves from; of the addresses those that it can reach."""
    target = replace(target, most=manner.messages, most_recipients=manner.recipients)
    source = manner.source
    if source is None or target.endpoint.host.startswith("/"):
        return target
    first, *others = source.usable((target.endpoint, *target.others)) or (None,)
    if first is None:
        return NO_FAMILY.because(f"the pool has no address of the family of {target.host}'s")
    own = source.of(first)
    return replace(target, endpoint=first, others=tuple(others), source=own, helo=source.helo)


def _without(target: Target, endpoint: Endpoint) -> Target | None:
    """The addresses that are left of a host."""
    left = [one for one in (target.endpoint, *target.others) if one != endpoint]
    return replace(target, endpoint=left[0], others=tuple(left[1:])) if left else None


def _unreachable(target: Target, error: OSError) -> Status:
    words = error.strerror or str(error) or type(error).__name__
    return Status(451, UNREACHABLE, f"{target.host} cannot be reached", f"{target.endpoint}: {words}", "")


def _weightiest(failures: list[OpenFailure], notes: list[bytes]) -> OpenFailure:
    """The failure to report: the last temporary one, since another try may fare better; else the last."""
    chosen = next((failure for failure in reversed(failures) if failure.status.is_temporary), failures[-1])
    dialogue = chosen.dialogue or b"\n".join(notes).decode("utf-8", "replace")
    return replace(chosen, dialogue=dialogue)
