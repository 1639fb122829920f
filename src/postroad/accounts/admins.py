"""Administrators of the console: passwords, second factors, passkeys, sign-in links, sessions.

The ceremonies of codes and passkeys are in `totp` and `passkeys`; here are the rows that they end in. What requests ask
of sessions is answered by `sessions`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from datetime import timedelta

from postroad.accounts import audit
from postroad.accounts.audit import COMMAND_LINE, SYSTEM, Action, Actor, Changes, Told
from postroad.accounts.credentials import Credentials
from postroad.accounts.logins import RememberedLogins, Throttle, forgive
from postroad.accounts.names import one_spelling, read_address, shown_name
from postroad.accounts.sessions import Sessions
from postroad.mail.address import Address, AddressError
from postroad.ports.admins import AdminRecord, PasskeyRecord, SessionRecord
from postroad.ports.clock import Clock
from postroad.ports.ids import AdminId, IdSource, SessionId
from postroad.ports.random import Random
from postroad.ports.signals import Signals
from postroad.ports.store import Refused, Store, Tx

MIN_PASSWORD = 8  # characters
LINK_VALID = timedelta(minutes=15)
MAX_LINK_VALID = timedelta(days=7)
MAX_PASSKEYS = 20
_TOTP_OCTETS = 20  # RFC 4226 §4 R6 recommends 160 bits


class Admins:
    """One for a process. `close` before the store closes."""

    def __init__(
        self,
        store: Store,
        credentials: Credentials,
        throttle: Throttle,
        *,
        clock: Clock,
        ids: IdSource,
        signals: Signals,
        random: Random,
    ) -> None:
        self._store = store
        self._credentials = credentials
        self._throttle = throttle
        self._clock = clock
        self._ids = ids
        self._random = random
        self._changes = Changes(store, clock, ids, signals)
        self._remembered = RememberedLogins(clock, random)
        self._sessions = Sessions(store, clock, signals, random)

    # --- who they are -------------------------------------------------------------------------------------------------

    async def add(self, email: str, password: str = "", name: str = "", *, by: Actor = COMMAND_LINE) -> AdminRecord:
        """Without a password, the first sign-in is by a link."""
        key = read_address(email).key
        hashed = await self._hash(password) if password else ""
        record = AdminRecord(AdminId(self._ids.new()), key, self._clock.now(), " ".join(name.split())[:100], hashed)

        def add(tx: Tx) -> AdminRecord:
            tx.admins.add(record)
            return record

        return await self._changes.make(by, Action.ADMIN_ADDED, add, _told)

    async def list(self) -> Sequence[AdminRecord]:
        return await self._store.read(lambda tx: tx.admins.list())

    async def get(self, admin: AdminId) -> AdminRecord | None:
        return await self._store.read(lambda tx: tx.admins.get(admin))

    async def find(self, email: str) -> AdminRecord:
        """Raises Refused when there is none."""
        return await self._store.read(lambda tx: _by_email(tx, email))

    async def remove(self, admin: AdminId, *, by: Actor = COMMAND_LINE) -> AdminRecord:
        """With sessions and passkeys. Refused for the last one: nobody could open the console."""

        def remove(tx: Tx) -> AdminRecord:
            record = _get(tx, admin)
            if len(tx.admins.list()) == 1:
                raise Refused(f"{record.email} is the last administrator; add another one first")
            tx.admins.remove(admin)
            return record

        return await self._changes.make(by, Action.ADMIN_REMOVED, remove, _told)

    # --- passwords ----------------------------------------------------------------------------------------------------

    async def set_password(
        self, admin: AdminId, password: str, *, keep: SessionId | None = None, by: Actor = COMMAND_LINE
    ) -> AdminRecord:
        """A new password: every session ends, but the one in `keep`."""
        hashed = await self._hash(password)

        def change(tx: Tx) -> AdminRecord:
            tx.admins.set_password(admin, hashed)
            tx.sessions.end_all(admin, keep=keep)
            return _get(tx, admin)

        return await self._changes.make(by, Action.ADMIN_PASSWORD, change, _told)

    async def _hash(self, password: str) -> str:
        if len(password) < MIN_PASSWORD:
            raise Refused(f"an administrator's password has at least {MIN_PASSWORD} characters")
        return (await self._credentials.make_secret(password)).password_hash

    async def verify(self, email: str, password: str) -> AdminRecord | None:
        """The administrator with this password. An unknown name takes as long as a wrong password."""
        try:
            key = Address.parse(email.strip()).key
        except AddressError:
            key = ""
        record = await self._store.read(lambda tx: tx.admins.by_email(key)) if key else None
        if record is not None and self._remembered.holds(record.id, record.credential_version, password):
            return record
        right = await self._credentials.check(record.password_hash if record else "", password)
        if record is None or not right:
            return None
        self._remembered.put(record.id, record.credential_version, password)
        return record

    async def log_in(self, email: str, password: str, client: str = "") -> AdminRecord | None:
        """The first step of signing in; where the record `has_totp`, a code follows, then `begin_session`.

        None for any reason that a stranger may hear. Raises TooManyLogins.
        """
        await self._throttle.admit(client, one_spelling(email))
        record = await self.verify(email, password)
        if record is None:
            await self.refused(email, client, "wrong name or password")
        return record

    async def refused(self, name: str, client: str, why: str) -> None:
        """Put a sign-in that failed into the audit log."""
        name, now = shown_name(name), self._clock.now()
        actor = Actor("admin", name, client)
        await self._store.write(
            lambda tx: audit.record(tx, actor, Action.SIGN_IN_REFUSED, name, {"why": why}, now=now, ids=self._ids)
        )

    # --- codes and passkeys -------------------------------------------------------------------------------------------

    async def totp_begin(self, admin: AdminId, *, by: Actor = COMMAND_LINE) -> str:
        """A new secret (base 32) to show; it counts once a first code has confirmed it."""
        secret = base64.b32encode(self._random.token(_TOTP_OCTETS)).decode()

        def begin(tx: Tx) -> AdminRecord:
            record = _get(tx, admin)
            tx.admins.set_totp(admin, secret=record.totp_secret, pending=secret)
            return record

        await self._changes.make(by, Action.TOTP_BEGUN, begin, _told)
        return secret

    async def totp_confirm(self, admin: AdminId, counter: int, *, by: Actor = COMMAND_LINE) -> AdminRecord:
        """The first code was right: from now on signing in asks for one. `counter` is that code's time step."""

        def confirm(tx: Tx) -> AdminRecord:
            record = _get(tx, admin)
            if not record.totp_pending:
                raise Refused("there is no new authenticator to confirm; begin again")
            tx.admins.set_totp(admin, secret=record.totp_pending, pending="")
            tx.admins.totp_used(admin, counter)
            return _get(tx, admin)

        return await self._changes.make(by, Action.TOTP_ADDED, confirm, _told)

    async def totp_used(self, admin: AdminId, counter: int) -> bool:
        """Take a code that was right; False when it, or a later one, was taken before (RFC 6238 §5.2)."""
        return await self._store.write(lambda tx: tx.admins.totp_used(admin, counter))

    async def totp_remove(self, admin: AdminId, *, by: Actor = COMMAND_LINE) -> AdminRecord:
        def remove(tx: Tx) -> AdminRecord:
            tx.admins.set_totp(admin, secret="", pending="")
            return _get(tx, admin)

        return await self._changes.make(by, Action.TOTP_REMOVED, remove, _told)

    async def reset_second_step(self, admin: AdminId, *, by: Actor = COMMAND_LINE) -> AdminRecord:
        """For whoever has lost phone and key: codes, passkeys and recovery codes go, the password stays."""

        def reset(tx: Tx) -> AdminRecord:
            tx.admins.set_totp(admin, secret="", pending="")
            for passkey in tx.admins.passkeys(admin):
                tx.admins.remove_passkey(admin, passkey.credential)
            tx.admins.set_recovery(admin, [])
            return _get(tx, admin)

        return await self._changes.make(by, Action.SECOND_STEP_RESET, reset, _told)

    async def passkeys(self, admin: AdminId) -> Sequence[PasskeyRecord]:
        return await self._store.read(lambda tx: tx.admins.passkeys(admin))

    async def passkey(self, credential: bytes) -> PasskeyRecord | None:
        return await self._store.read(lambda tx: tx.admins.passkey(credential))

    async def add_passkey(self, record: PasskeyRecord, *, by: Actor = COMMAND_LINE) -> PasskeyRecord:
        """Keep a credential whose registration has been verified."""

        def add(tx: Tx) -> AdminRecord:
            owner = _get(tx, record.admin)
            if len(tx.admins.passkeys(record.admin)) >= MAX_PASSKEYS:
                raise Refused(f"there are {MAX_PASSKEYS} passkeys already; remove one first")
            tx.admins.add_passkey(record)
            return owner

        tell: Callable[[AdminRecord], Told] = lambda owner: Told(owner.email, {"passkey": record.name})  # noqa: E731
        await self._changes.make(by, Action.PASSKEY_ADDED, add, tell)
        return record

    async def remove_passkey(self, admin: AdminId, credential: bytes, *, by: Actor = COMMAND_LINE) -> None:
        def remove(tx: Tx) -> Told:
            owner, record = _get(tx, admin), tx.admins.passkey(credential)
            if record is None or not tx.admins.remove_passkey(admin, credential):
                raise Refused("there is no such passkey")
            return Told(owner.email, {"passkey": record.name})

        await self._changes.make(by, Action.PASSKEY_REMOVED, remove, lambda told: told)

    async def passkey_used(self, credential: bytes, sign_count: int) -> None:
        now = self._clock.now()
        await self._store.write(lambda tx: tx.admins.passkey_used(credential, sign_count, now))

    # --- sign-in links ------------------------------------------------------------------------------------------------

    async def login_link(self, admin: AdminId, *, valid: timedelta = LINK_VALID, by: Actor = COMMAND_LINE) -> str:
        """The secret of a link that signs in once, in place of the password."""
        if not timedelta(0) < valid <= MAX_LINK_VALID:
            raise Refused(f"a sign-in link is valid for at most {MAX_LINK_VALID.days} days")
        secret = base64.urlsafe_b64encode(self._random.token(30)).decode()
        digest, expires = _digest(secret), self._clock.now() + valid

        def add(tx: Tx) -> AdminRecord:
            record = _get(tx, admin)
            tx.admins.add_link(digest, admin, expires)
            return record

        tell: Callable[[AdminRecord], Told] = lambda owner: Told(  # noqa: E731
            owner.email, {"expires": expires.isoformat(timespec="seconds")}
        )
        await self._changes.make(by, Action.LINK_MADE, add, tell, signal=False)
        return secret

    async def redeem(self, secret: str, client: str = "") -> AdminRecord | None:
        """Use up a link; a second factor, where there is one, is next. None for a link that is wrong, used or too old.
        Raises TooManyLogins."""
        await self._throttle.admit(client, "")
        digest, now = _digest(secret), self._clock.now()

        def take(tx: Tx) -> AdminRecord | None:
            admin = tx.admins.take_link(digest, now)
            return tx.admins.get(admin) if admin is not None else None

        record = await self._store.write(take)
        if record is None:
            await self.refused("sign-in link", client, "the link is wrong, used or too old")
        return record

    # --- sessions -----------------------------------------------------------------------------------------------------

    async def begin_session(
        self, admin: AdminId, client: str = "", user_agent: str = "", *, method: str = "password"
    ) -> str:
        """Signed in, all steps of it: the secret for the cookie."""
        secret, now = self._sessions.new_secret(), self._clock.now()
        number = SessionId(self._ids.new())
        session = SessionRecord(number, admin, now, now, method, client, user_agent[:300])

        def begin(tx: Tx) -> None:
            record = _get(tx, admin)
            tx.sessions.add(session, self._sessions.digest(secret))
            tx.admins.logged_in(admin, now)
            forgive(tx, client, record.email, now)
            actor = Actor("admin", record.email, client)
            audit.record(tx, actor, Action.SIGNED_IN, record.email, {"method": method}, now=now, ids=self._ids)

        await self._store.write(begin)
        return secret

    async def session(self, secret: str) -> SessionRecord | None:
        """The session of a cookie: used within a week, begun within thirty days."""
        return await self._sessions.get(secret)

    async def sessions(self, admin: AdminId) -> Sequence[SessionRecord]:
        """Last used first; those that have run out are left out."""
        return await self._sessions.of(admin)

    async def end_session(self, session: SessionId, *, by: Actor = SYSTEM) -> None:
        """Signing out, here or from afar. Nothing happens when it has ended already."""

        def end(tx: Tx) -> Told | None:
            record = tx.sessions.get(session)
            if record is None or not tx.sessions.end(session):
                return None
            return Told(_get(tx, record.admin).email, {"client": record.client})

        now = self._clock.now()

        def change(tx: Tx) -> None:
            told = end(tx)
            if told:
                audit.record(tx, by, Action.SESSION_ENDED, told.target, told.detail, now=now, ids=self._ids)

        await self._store.write(change)
        self._sessions.forget()

    async def end_sessions(self, admin: AdminId, except_: SessionId | None = None, *, by: Actor = COMMAND_LINE) -> int:
        """End all but one; how many they were."""

        def end(tx: Tx) -> tuple[AdminRecord, int]:
            return _get(tx, admin), tx.sessions.end_all(admin, keep=except_)

        tell: Callable[[tuple[AdminRecord, int]], Told] = lambda ended: Told(ended[0].email, {"ended": ended[1]})  # noqa: E731
        return (await self._changes.make(by, Action.SESSIONS_ENDED, end, tell))[1]

    async def close(self) -> None:
        """Wait for times of last use that are being written."""
        await self._sessions.close()


def _get(tx: Tx, admin: AdminId) -> AdminRecord:
    record = tx.admins.get(admin)
    if record is None:
        raise Refused("there is no such administrator")
    return record


def _by_email(tx: Tx, email: str) -> AdminRecord:
    key = read_address(email).key
    record = tx.admins.by_email(key)
    if record is None:
        raise Refused(f"{key} is no administrator; `postroad admin list` shows those there are")
    return record


def _told(record: AdminRecord) -> Told:
    return Told(record.email)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
