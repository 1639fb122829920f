"""Senders that are held back: an account, a token, a stream, or all mail that is to leave. In memory, for the queue and
acceptance ask for each message; the rows are the truth, read at the start and at each signal `senders`.
"""

from __future__ import annotations

from postroad.accounts import accounts, audit
from postroad.accounts.audit import Action, Actor
from postroad.accounts.projects import find_server, find_stream
from postroad.accounts.tokens import find_token
from postroad.observe import log
from postroad.ports.clock import Clock
from postroad.ports.ids import AccountId, IdSource, ServerId, TokenId
from postroad.ports.senders import SenderHold, SenderKey, SenderKind
from postroad.ports.sending import TokenKind, TokenRecord
from postroad.ports.signals import Signals
from postroad.ports.store import Message, Refused, Store, StoreUnavailable, Tx

EVERYBODY = SenderKey(SenderKind.ALL)
TOPIC = "senders"
LOOK_SECONDS = 5.0
_log = log.get("senders")
_KINDS = frozenset(kind.value for kind in SenderKind)


class Freezes:
    """Implements ports.senders.Holding. One for a process; `load` it before mail comes in."""

    def __init__(self, store: Store, clock: Clock, ids: IdSource, signals: Signals) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._signals = signals
        self._holds: dict[SenderKey, SenderHold] = {}
        self._changes = 0  # made here
        self._writing = 0  # of these, that are not rows yet

    async def load(self) -> None:
        """What the rows say. Raises StoreUnavailable."""
        changes = self._changes
        holds = await self._store.read(lambda tx: tx.senders.holds())
        if changes != self._changes or self._writing:
            return  # what was read may be older than what is known here
        changed = {hold.key for hold in holds} != self._holds.keys()
        self._holds = {hold.key: hold for hold in holds}
        if changed:
            self._signals.publish(TOPIC)

    async def run(self) -> None:
        """Look now and then for what another node was told. Until cancelled."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            try:
                await self.load()
            except StoreUnavailable as error:
                _log.warning("frozen senders cannot be read", error=str(error))

    @property
    def any(self) -> bool:
        return bool(self._holds)

    def why(self, message: Message) -> str:
        return self.reason(message.account, message.token, message.server, message.stream)

    def reason(self, account: AccountId | None, token: TokenId | None, server: ServerId | None, stream: str) -> str:
        """Why mail of this origin is held, as deliveries say it; "" when it is not."""
        if not self._holds:
            return ""
        keys = [EVERYBODY]
        if account is not None:
            keys.append(SenderKey(SenderKind.ACCOUNT, account))
        if token is not None:
            keys.append(SenderKey(SenderKind.TOKEN, token))
        if server is not None:
            keys.append(SenderKey(SenderKind.STREAM, server, stream))
        hold = next((hold for key in keys if (hold := self._holds.get(key)) is not None), None)
        return held_for(hold.key.kind, hold.name, hold.why) if hold is not None else ""

    def holds(self) -> list[SenderHold]:
        """Oldest first."""
        return list(self._holds.values())

    async def freeze(self, key: SenderKey, name: str, why: str, *, by: Actor) -> SenderHold:
        """In memory at once, so that nothing slips out while the row is written. Raises Refused when it is held."""
        now = self._clock.now()
        hold = SenderHold(key, name, now, by.name, why)
        if key in self._holds:
            raise Refused(f"{words(key.kind, name)} is held already: {self._holds[key].why}")
        self._holds[key] = hold
        self._changes += 1
        self._signals.publish(TOPIC)

        def write(tx: Tx) -> None:
            if tx.senders.hold(hold):
                audit.record(tx, by, Action.SENDER_FROZEN, words(key.kind, name), {"why": why}, now=now, ids=self._ids)

        self._writing += 1
        try:
            await self._store.write(write)
        except BaseException:
            self._holds.pop(key, None)
            raise
        finally:
            self._writing -= 1
        return hold

    async def release(self, key: SenderKey, name: str, *, by: Actor) -> bool:
        """False when it was not held."""
        now = self._clock.now()

        def write(tx: Tx) -> bool:
            was = tx.senders.release(key)
            audit.record(tx, by, Action.SENDER_RELEASED, words(key.kind, name), now=now, ids=self._ids)
            return was

        was = await self._store.write(write)
        self._changes += 1
        if self._holds.pop(key, None) is not None:
            self._signals.publish(TOPIC)
        return was

    async def find(self, kind: SenderKind, name: str) -> tuple[SenderKey, str]:
        """Whom people mean: an account's address, a token's id or last four characters, SERVER/STREAM. Raises
        Refused."""
        return await self._store.read(lambda tx: _FIND[kind](tx, name.strip()))


def held_for(kind: SenderKind, name: str, why: str) -> str:
    """What a delivery is held for; `kind_and_name` reads it."""
    return f"{words(kind, name)}: {why}"


def words(kind: SenderKind, name: str) -> str:
    return f"{kind} {name}" if name else str(kind)


def kind_and_name(text: str) -> tuple[SenderKind, str] | None:
    """Of `held_for`; None when a delivery is held for something else."""
    who, colon, _ = text.partition(": ")
    kind, _, name = who.partition(" ")
    return (SenderKind(kind), name) if colon and kind in _KINDS else None


def token_name(server: str, token: TokenRecord) -> str:
    return f"{server}/{token.name} (…{token.hint})"


def name_of(tx: Tx, key: SenderKey) -> str:
    """For people. Raises Refused when there is no such sender any more."""
    if key.kind is SenderKind.ACCOUNT and (account := tx.accounts.get(AccountId(key.subject))):
        return account.address
    if key.kind is SenderKind.TOKEN and (token := tx.tokens.get(TokenId(key.subject))) and token.server is not None:
        return token_name(find_server(tx, token.server).name, token)
    if key.kind is SenderKind.STREAM:
        return f"{find_server(tx, ServerId(key.subject)).name}/{key.stream}"
    if key.kind is SenderKind.ALL:
        return ""
    raise Refused(f"the {key.kind} is not there any more")


def _account(tx: Tx, name: str) -> tuple[SenderKey, str]:
    record = accounts.get(tx, name)
    return SenderKey(SenderKind.ACCOUNT, record.id), record.address


def _token(tx: Tx, name: str) -> tuple[SenderKey, str]:
    record = find_token(tx, name)
    if record.kind is not TokenKind.SERVER or record.server is None:
        raise Refused(f"{record.name} is a key of the API: it sends nothing")
    return SenderKey(SenderKind.TOKEN, record.id), token_name(find_server(tx, record.server).name, record)


def _stream(tx: Tx, name: str) -> tuple[SenderKey, str]:
    server, slash, stream = name.rpartition("/")
    if not slash:
        raise Refused("a stream is written SERVER/STREAM, such as shop/outbound")
    owner, record = find_stream(tx, server, stream)
    return SenderKey(SenderKind.STREAM, owner.id, record.id), f"{owner.name}/{record.id}"


def _all(_: Tx, name: str) -> tuple[SenderKey, str]:
    if name:
        raise Refused("`all` takes no name: it is whatever is to leave this server")
    return EVERYBODY, ""


_FIND = {
    SenderKind.ACCOUNT: _account,
    SenderKind.TOKEN: _token,
    SenderKind.STREAM: _stream,
    SenderKind.ALL: _all,
}
