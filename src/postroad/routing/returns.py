"""Return addresses: what our mail says it comes from, so that what comes back finds its way; and who may use them.

Mail of a stream leaves under an address of ours (`mail.returnaddress`) in the domain that its owner has set aside for
that, else in our own; mail that is passed on leaves under a rewritten sender (`mail.srs`). Both are proven by a tag
under a key of the installation: what is forged or old is refused at RCPT.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

from postroad.config.schema import Returns
from postroad.mail.address import MAX_LOCAL_PART, Address, AddressError, ForwardPath, ReversePath
from postroad.mail.returnaddress import (
    SEVERAL,
    StreamTag,
    forward_address,
    looks_like_ours,
    read_forward_address,
    read_stream_address,
    stream_address,
)
from postroad.mail.srs import Srs, SrsError, SrsTooOld, is_srs
from postroad.mail.status import Status, status
from postroad.observe import log
from postroad.observe.metrics import COUNTERS
from postroad.ports.clock import Clock
from postroad.ports.ids import MessageId, ServerId, id_text, parse_id
from postroad.ports.random import Random
from postroad.ports.sending import ReturnPathRecord
from postroad.ports.signals import Signals
from postroad.ports.store import Delivery, Message, Store, StoreUnavailable, Tx
from postroad.routing.aliases import Resolution, Target
from postroad.routing.routes import FEEDBACK_DEST

_META = "return_secret"
_DAY = 86400
_MAX_MADE = 4096  # return addresses kept at hand
_MAX_LAYERS = 3  # of rewriting in one address
_BEGINNINGS: Final = frozenset(("b-", "B-", "f-", "F-", "SR", "sr", "Sr"))

FORGED = status(550, "5.7.1", "that return address is not one of ours")
TOO_OLD = status(550, "5.7.1", "that return address is too old")
_UNKNOWN = status(550, "5.1.1", "nobody is behind that return address any more")

_log = log.get("returns")

Resolve = Callable[[ForwardPath], Resolution | Awaitable[Resolution]]


class ReturnAddresses:
    """One for a process. Until `load` it makes none and knows none."""

    def __init__(
        self, store: Store, signals: Signals, clock: Clock, *, random: Random, settings: Returns, hostname: str
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._settings = settings
        self._own = (settings.domain or hostname).lower()
        self._key = b""
        self._srs = Srs(b"")
        self._names: frozenset[str] = frozenset()
        self._of_domain: dict[str, str] = {}
        self._of_stream: dict[tuple[ServerId, str], str] = {}
        self._made: dict[tuple[ServerId, str, str, int, str], str] = {}
        self._loading: asyncio.Task[None] | None = None
        signals.listen("config", self._changed)

    # -- keeping up ----------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Key and domains as the rows have them; the key is made at its first use. Raises StoreUnavailable."""
        fresh = self._random.token(32).hex()
        kept, records = await self._store.read(lambda tx: (tx.meta.get(_META), tx.return_paths.list()))
        if kept is None:
            kept = await self._store.write(lambda tx: _kept(tx, fresh))
        self._key = bytes.fromhex(kept)
        self._srs = Srs(hmac.digest(self._key, b"srs", "sha256").hex().encode(), self._settings.srs_days)
        self._take(records)

    def _take(self, records: Sequence[ReturnPathRecord]) -> None:
        self._of_domain = {record.domain: record.name for record in records if record.domain}
        self._of_stream = {
            (record.server, record.stream): record.name for record in records if record.server is not None
        }
        self._names = frozenset((self._own, *(record.name for record in records)))
        self._made.clear()

    def _changed(self) -> None:
        """Tenants have changed."""
        if self._key and (self._loading is None or self._loading.done()):
            self._loading = asyncio.ensure_future(self._reload())

    async def _reload(self) -> None:
        try:
            await self.load()
        except StoreUnavailable as error:
            _log.warning("return paths could not be read anew", error=str(error))

    async def close(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)

    # -- going out -----------------------------------------------------------------------------------------------------

    def sender(self, message: Message, deliveries: Sequence[Delivery]) -> str:
        """The reverse-path that MAIL FROM says for these recipients of a message.

        The same for a stream, a recipient's domain and the day on which the message came: so it is when it is tried
        again, which a greylist wants to see, and when the next message goes there.
        """
        terms = deliveries[0].terms
        if terms is not None and terms.reverse_path:
            return terms.reverse_path
        if message.server is None or not message.reverse_path or not self._key:
            return message.reverse_path
        domain = _domain_of(deliveries[0].forward_path)
        if len(deliveries) > 1 and any(_domain_of(each.forward_path) != domain for each in deliveries):
            domain = SEVERAL
        key = message.server, message.stream, _domain_of(message.reverse_path), _day(message.created), domain
        return self._made.get(key) or self._make(key)

    def _make(self, key: tuple[ServerId, str, str, int, str]) -> str:
        server, stream, own, day, domain = key
        name = self._of_stream.get((server, stream)) or self._of_domain.get(own) or self._own
        if len(self._made) >= _MAX_MADE:
            self._made.clear()
        made = self._made[key] = f"{stream_address(self._key, server, stream, day, domain)}@{name}"
        return made

    def rewritten(self, reverse_path: ReversePath, message: MessageId, now: datetime) -> str:
        """What stands for the sender of a message that is passed on; "" when it leaves as it came."""
        address = reverse_path.address
        if address is None or not self._key or not self._settings.srs:
            return ""
        made = self._srs.rewritten(address.local_part, address.domain.ascii, today=_day(now))
        if len(made.encode()) > MAX_LOCAL_PART or address.local_part.startswith('"'):
            made = forward_address(self._key, id_text(message))
        return f"{made}@{self._own}"

    # -- coming back ---------------------------------------------------------------------------------------------------

    def resolve(self, path: ForwardPath, resolve: Resolve) -> Resolution | Awaitable[Resolution] | None:
        """What a return address of ours comes to; None for any other address. `resolve` knows all others."""
        if path.local_part[:2] not in _BEGINNINGS or path.domain is None or path.domain.ascii not in self._names:
            return None
        return self._resolve(path, resolve)

    def _resolve(self, path: ForwardPath, resolve: Resolve) -> Resolution | Awaitable[Resolution] | None:
        local_part = path.local_part
        if is_srs(local_part):
            return self._reversed(local_part, resolve)
        if not looks_like_ours(local_part):
            return None
        if (tag := read_stream_address(self._key, local_part)) is not None:
            return _refused(TOO_OLD) if self._is_old(tag) else Resolution(True, (_feedback(path),))
        message = read_forward_address(self._key, local_part)
        return _refused(FORGED) if message is None else self._to_sender(message, resolve)

    def _reversed(self, local_part: str, resolve: Resolve) -> Resolution | Awaitable[Resolution]:
        """The sender that was rewritten, who is elsewhere as a rule."""
        for _ in range(_MAX_LAYERS):
            try:
                address = Address.parse(self._srs.reversed(local_part, today=_day(self._clock.now())))
            except SrsTooOld:
                return _refused(TOO_OLD)
            except (SrsError, AddressError):
                return _refused(FORGED)
            if not (is_srs(address.local_part) and address.domain.ascii in self._names):
                return _passed_back(resolve(ForwardPath(address.local_part, address.domain)))
            local_part = address.local_part
        return _refused(FORGED)

    async def _to_sender(self, message: str, resolve: Resolve) -> Resolution:
        """The sender of a message that was passed on, as long as that is kept."""
        number = MessageId(parse_id(message) or 0)
        found = await self._store.read(lambda tx: tx.messages.get(number))
        if found is None or not found.reverse_path:
            return Resolution(True, refusal=_UNKNOWN)
        address = Address.parse(found.reverse_path)
        passed = _passed_back(resolve(ForwardPath(address.local_part, address.domain)))
        return passed if isinstance(passed, Resolution) else await passed

    def read(self, address: str) -> StreamTag | None:
        """What the return address of a stream says; None when it is none of ours, or too old."""
        local_part, _, domain = address.rpartition("@")
        if domain.lower() not in self._names:
            return None
        tag = read_stream_address(self._key, local_part)
        return None if tag is None or self._is_old(tag) else tag

    def fits(self, tag: StreamTag, domain: str) -> bool:
        """Whether mail to this domain has said this return address."""
        return tag.is_for(self._key, domain)

    def _is_old(self, tag: StreamTag) -> bool:
        age = _day(self._clock.now()) - tag.day
        return not -1 <= age <= self._settings.days  # clocks may be a day ahead


def _feedback(path: ForwardPath) -> Target:
    return Target(str(path), FEEDBACK_DEST)


def _refused(why: Status) -> Resolution:
    """Forged addresses are tried by whoever wants to silence mail to somebody: they are counted."""
    kind = "old" if why is TOO_OLD else "forged"
    COUNTERS.returned[kind] = COUNTERS.returned.get(kind, 0) + 1
    return Resolution(True, refusal=why)


def _passed_back(found: Resolution | Awaitable[Resolution]) -> Resolution | Awaitable[Resolution]:
    """A bounce goes back to the sender whoever that is: its way is taken from us alone, so that this relays nothing
    else."""
    return _as_return(found) if isinstance(found, Resolution) else _as_return_later(found)


def _as_return(found: Resolution) -> Resolution:
    return Resolution(True, found.targets, found.refusal, bounces_only=True)


async def _as_return_later(found: Awaitable[Resolution]) -> Resolution:
    return _as_return(await found)


def _kept(tx: Tx, fresh: str) -> str:
    kept = tx.meta.get(_META)
    if kept is None:
        tx.meta.put(_META, fresh)
    return kept or fresh


def _day(when: datetime) -> int:
    return int(when.timestamp() // _DAY)


def _domain_of(address: str) -> str:
    """Paths are kept with A-labels."""
    return address.rpartition("@")[2].lower()
