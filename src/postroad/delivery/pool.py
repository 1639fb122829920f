"""Connections for a next hop: one that stands idle at the same address, else a new one, host by host.

Which hosts there are is `mx`; what is said on a connection is `smtp`; how many there may be is the queue's affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakSet

from postroad.delivery.agent import Feed, OpenFailure
from postroad.delivery.mx import Hosts
from postroad.delivery.smtp import Conversation
from postroad.delivery.target import Craft, Target
from postroad.mail.status import EnhancedCode, Status
from postroad.ports.net import ClientTls, Dialer, Endpoint
from postroad.routing.routes import Transport

MAX_DIALS = 12  # addresses that one attempt to open a connection tries
UNREACHABLE = EnhancedCode(4, 4, 1)

_Key = tuple[Endpoint, str]  # address, and as whom we logged in there


class Pool:
    """One for a process. It holds no connection alive: idle ones end themselves after `Craft.idle_timeout`."""

    def __init__(self, dialer: Dialer, hosts: Hosts, craft: Craft, *, connect_timeout: float, source: str = "") -> None:
        self._dialer = dialer
        self._hosts = hosts
        self._craft = craft
        self._connect_timeout = connect_timeout
        self._source = source or None
        self._known: dict[_Key, WeakSet[Conversation]] = {}

    async def open(self, transport: Transport, feed: Feed) -> OpenFailure | None:
        """Get a connection and have `feed.began` called for it; or say why there is none."""
        hosts = await self._hosts.of(transport)
        if isinstance(hosts, Status):
            return OpenFailure(hosts, transport.host, dialogue=f"* {transport.dest}: {hosts.cause}")
        return await self._first_of(hosts, transport, feed)

    async def _first_of(self, hosts: Sequence[str], transport: Transport, feed: Feed) -> OpenFailure | None:
        """Host by host, address by address. A refusal for good counts only where every host refused for good."""
        failures: list[OpenFailure] = []
        notes: list[bytes] = []
        for host in hosts:
            endpoints = await self._hosts.endpoints(host, transport.port)
            if isinstance(endpoints, Status):
                failures.append(OpenFailure(endpoints, host))
                notes.append(f"* {host}: {endpoints.cause}".encode())
                continue
            for endpoint in endpoints:
                failure = await self._try(Target(host, endpoint, transport), feed, notes)
                if failure is None or len(failures) >= MAX_DIALS:
                    return failure
                failures.append(failure)
        return _weightiest(failures, notes)

    async def _try(self, target: Target, feed: Feed, notes: list[bytes]) -> OpenFailure | None:
        if self._reused(target, feed):
            return None
        conversation = Conversation(feed, target, self._craft, notes)
        failure = await self._dial(conversation, target)
        if failure is not None and conversation.tls_failed and not target.transport.require_tls:
            # RFC 7435 §3: opportunistic security falls back to what there was without it.
            notes.append(f"* {target.host} {target.endpoint}: TLS failed, once more without".encode())
            reason = f"no TLS: the handshake failed: {conversation.tls_failed}"
            plain = Target(target.host, target.endpoint, target.transport, reason)
            conversation = Conversation(feed, plain, self._craft, notes)
            failure = await self._dial(conversation, plain)
        if failure is None:
            self._known.setdefault(_key(target), WeakSet()).add(conversation)
        else:
            notes.append(f"* {target.host} {target.endpoint}: {failure.status.text}".encode())
        return failure

    async def _dial(self, conversation: Conversation, target: Target) -> OpenFailure | None:
        tls = ClientTls(target.host, target.verify) if target.transport.implicit_tls else None
        try:
            await self._dialer.connect(
                target.endpoint,
                conversation.machine,
                conversation,
                timeout=self._connect_timeout,
                tls=tls,
                source=self._source,
            )
        except (OSError, TimeoutError) as error:
            return conversation.failure(_unreachable(target, error))
        return await conversation.opened

    def _reused(self, target: Target, feed: Feed) -> bool:
        """Domains that share a mail host share its connections."""
        key = _key(target)
        known = self._known.get(key)
        if not known:
            self._known.pop(key, None)
            return False
        for conversation in known:
            if conversation.is_idle:
                conversation.adopt(feed)
                return True
        return False


def _key(target: Target) -> _Key:
    return target.endpoint, target.transport.username


def _unreachable(target: Target, error: OSError) -> Status:
    words = error.strerror or str(error) or type(error).__name__
    return Status(451, UNREACHABLE, f"{target.host} cannot be reached", f"{target.endpoint}: {words}", "")


def _weightiest(failures: list[OpenFailure], notes: list[bytes]) -> OpenFailure:
    """The failure to report: the last temporary one, since another try may fare better; else the last."""
    chosen = next((failure for failure in reversed(failures) if failure.status.is_temporary), failures[-1])
    dialogue = chosen.dialogue or b"\n".join(notes).decode("utf-8", "replace")
    return OpenFailure(chosen.status, chosen.host, chosen.address, chosen.tls, chosen.timings, dialogue)
