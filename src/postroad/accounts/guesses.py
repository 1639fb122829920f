"""What slows the guessing of mailbox passwords over SMTP, IMAP and POP3: a growing wait by account and by address.

A pair of address and account that has logged in within a month has a count of its own: strangers cannot lock an owner
out, nor can one forgotten phone lock out the office behind its address. Counts are rows (those of `logins`, which the
console shares) and outlive a restart. A right login writes nothing, but for the first one of a pair in a day.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from types import TracebackType
from typing import TypeVar

from postroad.accounts import audit, bans
from postroad.accounts.audit import COMMAND_LINE, Action, Actor
from postroad.accounts.bans import Ban, Subject, subjects_of
from postroad.accounts.crowd import Crowd
from postroad.accounts.logins import FORGET, KNOWN, Curve, TooManyLogins, counted, network_of, short_name
from postroad.accounts.names import one_spelling, shown_name
from postroad.accounts.turns import Turns
from postroad.config.networks import Networks
from postroad.observe import log
from postroad.ports.admins import FailedLogins
from postroad.ports.clock import Clock
from postroad.ports.ids import IdSource
from postroad.ports.store import Store, StoreUnavailable, Tx

REFRESH = timedelta(days=1)  # how old the row of a known pair may grow
SHARED = timedelta(days=1)  # how long an address counts as a proxy's after it looked like one
BY_ACCOUNT = Curve(free=5, most=300.0)
BY_ADDRESS = Curve(free=10, most=900.0, ban_after=100, ban=86400.0)
_MAX_REMEMBERED = 10_000
_WRONG_SECONDS = 3600.0
_FRIEND_SECONDS = 3600.0

_log = log.get("logins")
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class GuessLimits:
    """How waits grow. `exempt` addresses are spared the wait by address, never that by account."""

    by_account: Curve = BY_ACCOUNT
    by_address: Curve = BY_ADDRESS


class Guesses:
    """One for a process; what it knows of failures is in the rows."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: IdSource,
        limits: GuessLimits | None = None,
        *,
        exempt: Iterable[str] = (),
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self.limits = limits or GuessLimits()
        self._exempt = Networks(exempt)
        self.turns = Turns()
        self.crowd = Crowd(clock)
        self._failing: OrderedDict[str, datetime] = OrderedDict()  # networks that failed, as far as this process saw
        self._wrong: OrderedDict[bytes, float] = OrderedDict()  # passwords known to be wrong
        self._friends: OrderedDict[str, float] = OrderedDict()  # pairs that have lately logged in, and until when

    def is_clean(self, client: str) -> bool:
        """True when no login from there has failed within a day, as far as this process has seen; never waits. Only
        then may a remembered password be taken without looking at the rows: else it could be guessed for nothing."""
        last = self._failing.get(network_of(client))
        return last is None or self._clock.now() - last > FORGET

    def attempt(self, client: str, name: str, fingerprint: bytes = b"") -> Attempt:
        """Around the look at a password: `async with` raises TooManyLogins when it comes too soon. Say by `right` how
        it went. `fingerprint` tells the same wrong password again from a new guess."""
        return Attempt(self, client, short_name(shown_name(one_spelling(name))), fingerprint)

    # --- what an attempt asks -----------------------------------------------------------------------------------------

    async def look(self, attempt: Attempt) -> Mapping[str, FailedLogins]:
        return await self._store.read(lambda tx: tx.throttle.get(list(attempt.subjects.values())))

    def is_friend(self, attempt: Attempt) -> bool:
        """A pair that logged in within the hour, from where nobody has failed: nothing has to be looked up for it."""
        known = attempt.subjects.get(Subject.KNOWN)
        return (
            known is not None
            and self._friends.get(known, 0.0) > self._clock.monotonic()
            and self.is_clean(attempt.client)
        )

    def wait(self, attempt: Attempt, found: Mapping[str, FailedLogins]) -> timedelta:
        """How long until this may be tried."""
        now = self._clock.now()
        if self.knows(attempt, found):
            kinds = [Subject.PAIR]
        elif self.spares(attempt, found):
            kinds = [Subject.ACCOUNT]
        else:
            kinds = [Subject.ACCOUNT, Subject.ADDRESS]
        rows = (found.get(attempt.subjects.get(kind, "")) for kind in kinds)
        return max((row.until - now for row in rows if row is not None), default=timedelta(0))

    def knows(self, attempt: Attempt, found: Mapping[str, FailedLogins]) -> bool:
        row = found.get(attempt.subjects.get(Subject.KNOWN, ""))
        return row is not None and self._clock.now() - row.last < KNOWN

    def spares(self, attempt: Attempt, found: Mapping[str, FailedLogins]) -> bool:
        """An address that the settings spare, or that hides many people."""
        shared = found.get(attempt.subjects.get(Subject.SHARED, ""))
        if shared is not None and self._clock.now() - shared.last < SHARED:
            return True
        return attempt.client in self._exempt

    async def succeeded(self, attempt: Attempt, found: Mapping[str, FailedLogins] | None) -> None:
        """`found` is None for a friend: what its row has to say was said within the hour."""
        self.crowd.note(attempt.network, attempt.name, right=True)
        known = attempt.subjects.get(Subject.KNOWN)
        if found is None or known is None:
            return
        _remember(self._friends, known, self._clock.monotonic() + _FRIEND_SECONDS)
        now, row = self._clock.now(), found.get(known)
        pair = found.get(attempt.subjects[Subject.PAIR])
        if row is not None and now - row.last < REFRESH and pair is None:
            return

        def write(tx: Tx) -> None:
            tx.throttle.put([FailedLogins(known, 0, now, now)])
            if pair is not None:
                tx.throttle.clear([pair.subject])

        await self._quietly(write)

    async def failed(self, attempt: Attempt, found: Mapping[str, FailedLogins] | None) -> None:
        self.crowd.note(attempt.network, attempt.name, right=False)
        if attempt.client:
            _remember(self._failing, attempt.network, self._clock.now())
        if found is None:
            found = await self.look(attempt)
        curves = self._counts(attempt, found)
        if self.crowd.hides_behind(attempt.network):
            await self._found_shared(attempt)
            curves.pop(attempt.subjects[Subject.ADDRESS], None)
        if not curves:
            return
        now = self._clock.now()
        written: list[FailedLogins] = []

        def write(tx: Tx) -> None:
            tx.throttle.hold(list(curves), now)
            rows = tx.throttle.get(list(curves))
            written[:] = [counted(rows[subject], curve, now) for subject, curve in curves.items()]
            tx.throttle.put(written)

        await self._quietly(write)
        self._tell(attempt, written)

    def _counts(self, attempt: Attempt, found: Mapping[str, FailedLogins]) -> dict[str, Curve]:
        """What a failure counts for."""
        repeated = self._is_repeated(attempt.fingerprint)
        if self.knows(attempt, found):
            return {} if repeated else {attempt.subjects[Subject.PAIR]: self.limits.by_account}
        curves = {}
        if Subject.ACCOUNT in attempt.subjects and not repeated:
            curves[attempt.subjects[Subject.ACCOUNT]] = self.limits.by_account
        if Subject.ADDRESS in attempt.subjects and not self.spares(attempt, found):
            curves[attempt.subjects[Subject.ADDRESS]] = self.limits.by_address
        return curves

    def _is_repeated(self, fingerprint: bytes) -> bool:
        """The same wrong password for the same name again is a program that nobody has told of the new one."""
        now = self._clock.monotonic()
        known = fingerprint != b"" and self._wrong.get(fingerprint, 0.0) > now
        if fingerprint:
            _remember(self._wrong, fingerprint, now + _WRONG_SECONDS)
        return known

    async def _found_shared(self, attempt: Attempt) -> None:
        """Loudly, since every limit by address is of no use until somebody acts."""
        if not self.crowd.may_tell(attempt.network):
            return
        _log.error(
            "nearly all logins come from one private address: a proxy hides the clients, so that none of them can be"
            " slowed by its address; let the proxy pass their addresses on by the PROXY protocol (limits.proxies)",
            address=attempt.network,
        )
        now, shared = self._clock.now(), attempt.subjects[Subject.SHARED]
        await self._quietly(lambda tx: tx.throttle.put([FailedLogins(shared, 0, now, now)]))

    def _tell(self, attempt: Attempt, written: Iterable[FailedLogins]) -> None:
        """The first refusal of a row of them; `postroad ban list` shows the others."""
        address = attempt.subjects.get(Subject.ADDRESS)
        for row in written:
            curve = self.limits.by_address if row.subject == address else self.limits.by_account
            if row.failures in (curve.free + 1, curve.ban_after):
                wait = (row.until - row.last).total_seconds()
                _log.warning("logins are slowed", subject=row.subject, failures=row.failures, wait=wait)

    async def _quietly(self, write: Callable[[Tx], None]) -> None:
        """A count that cannot be written must not spoil the answer."""
        try:
            await self._store.write(write)
        except StoreUnavailable as error:
            _log.warning("what a login costs was not written", error=str(error))

    # --- for console and command line ---------------------------------------------------------------------------------

    async def bans(self) -> list[Ban]:
        """Who has to wait now, longest first."""
        now = self._clock.now()
        return await self._store.read(lambda tx: bans.waiting(tx, now))

    async def release(self, who: str, *, by: Actor = COMMAND_LINE) -> int:
        """Forget the failures of an address or an account ("" : of all); how many counts it were. Raises Refused when
        there are none."""
        now = self._clock.now()

        def forget(tx: Tx) -> int:
            number = bans.forget(tx, who)
            audit.record(tx, by, Action.BAN_RELEASED, who or "all", now=now, ids=self._ids)
            return number

        return await self._store.write(forget)


class Attempt:
    """One look at a password. Others for the same account or address wait while as many are looked at as are free of
    cost, so that a hundred at once are a hundred."""

    __slots__ = ("_found", "_guesses", "_held", "client", "fingerprint", "name", "network", "right", "subjects")

    def __init__(self, guesses: Guesses, client: str, name: str, fingerprint: bytes) -> None:
        self._guesses = guesses
        self._held: list[str] = []
        self._found: Mapping[str, FailedLogins] | None = None
        self.client = client
        self.name = name
        self.network = network_of(client)
        self.fingerprint = fingerprint
        self.right: bool | None = None  # None: nothing can be said
        self.subjects = subjects_of(self.network if client else "", name)

    async def __aenter__(self) -> Attempt:
        limits, subjects = self._guesses.limits, self.subjects
        wanted = [(subjects[Subject.ACCOUNT], limits.by_account.free)] if Subject.ACCOUNT in subjects else []
        wanted += [(subjects[Subject.ADDRESS], limits.by_address.free)] if Subject.ADDRESS in subjects else []
        try:
            for subject, most in sorted(wanted):
                await self._guesses.turns.take(subject, max(most, 1))
                self._held.append(subject)
            if not self._guesses.is_friend(self):
                self._found = await self._guesses.look(self)
                wait = self._guesses.wait(self, self._found)
                if wait > timedelta(0):
                    raise TooManyLogins(ceil(wait.total_seconds()))
        except BaseException:
            self._release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and self.right:
                await self._guesses.succeeded(self, self._found)
            elif error is None and self.right is False:
                await self._guesses.failed(self, self._found)
        finally:
            self._release()

    def _release(self) -> None:
        for subject in self._held:
            self._guesses.turns.give(subject)
        self._held = []


def _remember(memory: OrderedDict[K, V], key: K, value: V) -> None:
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > _MAX_REMEMBERED:
        memory.popitem(last=False)
