"""App passwords: made here for one program each, shown once, kept as SHA-256, honoured as far as their scopes go.

Like tokens they are random, so that nothing slower than SHA-256 would make them safer; and like passwords they have
SCRAM keys, so that programs may use them in any way. What the rows say is remembered for a minute.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from postroad.accounts import accounts
from postroad.accounts.audit import COMMAND_LINE, Action, Actor, Changes, Told
from postroad.accounts.credentials import Credentials
from postroad.accounts.lastuse import LastUse
from postroad.mail.address import Address, AddressError
from postroad.ports.apppasswords import AppPasswordRecord, Scope
from postroad.ports.clock import Clock
from postroad.ports.ids import AppPasswordId, IdSource, id_text
from postroad.ports.random import Random
from postroad.ports.signals import Signals
from postroad.ports.store import AccountRecord, Refused, Store, Tx

MAX_OF_ACCOUNT = 50
REMEMBERED_SECONDS = 60.0
_MAX_REMEMBERED = 10_000
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # 32, none of which is taken for another
_GROUPS, _GROUP = 4, 5  # 20 characters, 100 bits
_SHAPE = re.compile(f"[{_ALPHABET}]{{{_GROUPS * _GROUP}}}")
SCOPES = {Scope.SEND: "send mail (submission)", Scope.READ: "read mail (IMAP, POP3)"}


@dataclass(frozen=True, slots=True)
class NewAppPassword:
    """One just made: the only time that its secret is there to be seen."""

    account: AccountRecord
    record: AppPasswordRecord
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a right secret opens."""

    account: AccountRecord
    record: AppPasswordRecord


class AppPasswords:
    """One for a process. `close` before the store closes."""

    def __init__(
        self,
        store: Store,
        credentials: Credentials,
        *,
        clock: Clock,
        ids: IdSource,
        signals: Signals,
        random: Random,
    ) -> None:
        self._store = store
        self._credentials = credentials
        self._clock = clock
        self._ids = ids
        self._random = random
        self._changes = Changes(store, clock, ids, signals)
        self._known: dict[tuple[str, bytes], tuple[Opened, float]] = {}
        self._generation = 0
        self._last_use: LastUse[AppPasswordId] = LastUse(store, lambda tx, times: tx.app_passwords.used(times))
        signals.listen("config", self._tenants_changed)

    # --- managing them ------------------------------------------------------------------------------------------------

    async def add(
        self, address: str, name: str, scopes: Sequence[str] = tuple(Scope), *, by: Actor = COMMAND_LINE
    ) -> NewAppPassword:
        """Make one. Raises Refused."""
        name, wanted = " ".join(name.split())[:100], read_scopes(scopes)
        if not name:
            raise Refused("an app password needs a name, to know it by later")
        secret = self._make()
        account = await self._store.read(lambda tx: accounts.get(tx, address))
        keys = await self._credentials.make_keys(secret, await self._salt(account))
        number, now = AppPasswordId(self._ids.new()), self._clock.now()

        def add(tx: Tx) -> NewAppPassword:
            owner = accounts.get(tx, address)
            theirs = tx.app_passwords.list(owner.id)
            if len(theirs) >= MAX_OF_ACCOUNT:
                raise Refused(f"{owner.address} has {MAX_OF_ACCOUNT} app passwords; revoke one first")
            if any(one.name == name for one in theirs):
                raise Refused(f"{owner.address} has an app password called “{name}”; choose another name")
            record = AppPasswordRecord(number, owner.id, name, wanted, now, scram=keys)
            tx.app_passwords.add(record, digest_of(secret))
            return NewAppPassword(owner, record, secret)

        return await self._changes.make(by, Action.APP_PASSWORD_ADDED, add, _told)

    async def _salt(self, account: AccountRecord) -> bytes:
        """That of the account's password, if it has keys: one salt is told for all of them."""
        from postroad.accounts.passwords import read_scram

        for keys in read_scram(account.scram).values():
            return keys.salt
        return await self._credentials.salts.of(account.address)

    def _make(self) -> str:
        letters = "".join(_ALPHABET[octet & 31] for octet in self._random.token(_GROUPS * _GROUP))
        return "-".join(letters[at : at + _GROUP] for at in range(0, len(letters), _GROUP))

    async def list(self, address: str) -> Sequence[AppPasswordRecord]:
        """Oldest first. Raises Refused."""
        return await self._store.read(lambda tx: tx.app_passwords.list(accounts.get(tx, address).id))

    async def revoke(self, address: str, which: str, *, by: Actor = COMMAND_LINE) -> AppPasswordRecord:
        """By name or id; it opens nothing from the next login on. Raises Refused."""

        def revoke(tx: Tx) -> Opened:
            owner = accounts.get(tx, address)
            record = _find(tx.app_passwords.list(owner.id), which, owner)
            tx.app_passwords.remove(record.id)
            return Opened(owner, record)

        return (await self._changes.make(by, Action.APP_PASSWORD_REVOKED, revoke, _told)).record

    # --- logging in ---------------------------------------------------------------------------------------------------

    def known(self, name: str, secret: str) -> Opened | None:
        """What it opens, when that is remembered; never waits."""
        if not self._known or (digest := _digest_of_shape(secret)) is None:
            return None
        opened, until = self._known.get((name, digest), (None, 0.0))
        if opened is None or until <= self._clock.monotonic():
            return None
        self.used(opened.record)
        return opened

    async def open(self, name: str, secret: str) -> Opened | None:
        """What it opens for the account `name`, or None. Raises StoreUnavailable."""
        if (digest := _digest_of_shape(secret)) is None:
            return None
        key = _key(name)
        generation, until = self._generation, self._clock.monotonic() + REMEMBERED_SECONDS
        opened = await self._store.read(lambda tx: _open(tx, digest, key))
        if opened is not None and generation == self._generation:
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            self._known[name, digest] = (opened, until)
        if opened is not None:
            self.used(opened.record)
        return opened

    def used(self, record: AppPasswordRecord) -> None:
        self._last_use.note(record.id, record.last_used, self._clock.now())

    def _tenants_changed(self) -> None:
        self._generation += 1
        self._known.clear()

    async def close(self) -> None:
        """Wait for times of last use that are being written."""
        await self._last_use.close()


def read_scopes(scopes: Sequence[str]) -> tuple[Scope, ...]:
    """Raises Refused."""
    try:
        wanted = {Scope(scope) for scope in scopes}
    except ValueError as error:
        raise Refused(f"{error}; there are: {', '.join(Scope)}") from error
    if not wanted:
        raise Refused(f"an app password needs a scope: {', '.join(Scope)}")
    return tuple(scope for scope in Scope if scope in wanted)


def digest_of(secret: str) -> bytes:
    """What it is kept and found by; people may type it with or without dashes and in capitals."""
    return _digest_of_shape(secret) or b""


def _digest_of_shape(secret: str) -> bytes | None:
    """None for what cannot be one of ours, which is then not looked up."""
    if not _GROUPS * _GROUP <= len(secret) <= 40:
        return None
    bare = secret.replace("-", "").replace(" ", "").lower()
    return hashlib.sha256(bare.encode()).digest() if _SHAPE.fullmatch(bare) else None


def _open(tx: Tx, digest: bytes, address: str) -> Opened | None:
    record = tx.app_passwords.by_digest(digest)
    account = tx.accounts.get(record.account) if record is not None else None
    if record is None or account is None or account.disabled or account.address != address:
        return None
    return Opened(account, record)


def _key(name: str) -> str:
    try:
        return Address.parse(name.strip()).key
    except AddressError:
        return ""


def _find(records: Sequence[AppPasswordRecord], which: str, owner: AccountRecord) -> AppPasswordRecord:
    for record in records:
        if which in (record.name, id_text(record.id)):
            return record
    raise Refused(f"{owner.address} has no app password “{which}”; `postroad account app-password list` shows them")


def _told(subject: Opened | NewAppPassword) -> Told:
    return Told(subject.account.address, {"name": subject.record.name, "scopes": list(subject.record.scopes)})
