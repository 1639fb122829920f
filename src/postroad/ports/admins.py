"""Administrators of the console: their secrets, sessions and one-time links, what failed logins cost, the audit log."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from postroad.ports.ids import AdminId, AuditId, SessionId
from postroad.ports.store import Record


class AdminRecord(Record, frozen=True):
    id: AdminId
    email: str  # canonical key
    created: datetime
    name: str = ""
    password_hash: str = ""  # Argon2id; "": signs in by passkey or link alone
    credential_version: int = 0  # grows with each change of password
    totp_secret: str = ""  # base 32; "": no second factor
    totp_pending: str = ""  # shown, not yet confirmed
    totp_counter: int = 0  # of the last code taken: none is taken twice
    last_login: datetime | None = None

    @property
    def has_totp(self) -> bool:
        return self.totp_secret != ""

    def __repr__(self) -> str:
        return f"AdminRecord({self.email})"


class PasskeyRecord(Record, frozen=True):
    """A WebAuthn credential; its private half never leaves the authenticator."""

    credential: bytes
    admin: AdminId
    public_key: bytes
    sign_count: int
    name: str
    created: datetime
    transports: tuple[str, ...] = ()
    last_used: datetime | None = None


class SessionRecord(Record, frozen=True):
    """A browser that is signed in. The cookie's SHA-256 stands in a column of its own."""

    id: SessionId
    admin: AdminId
    created: datetime
    seen: datetime  # to the minute
    method: str  # password, passkey, link
    client: str = ""
    user_agent: str = ""


class FailedLogins(Record, frozen=True):
    """What is kept under one name or address that logins failed for."""

    subject: str
    failures: int
    last: datetime
    until: datetime  # no attempt before then


class AuditRecord(Record, frozen=True):
    """Who changed what, or signed in, or failed to."""

    id: AuditId
    at: datetime
    kind: str  # of the actor: admin, key, token, command line, system
    actor: str
    client: str
    action: str  # an accounts.audit.Action
    target: str
    detail: Mapping[str, Any] = {}


class Admins(Protocol):
    def get(self, admin: AdminId) -> AdminRecord | None: ...
    def by_email(self, email: str) -> AdminRecord | None: ...
    def list(self) -> list[AdminRecord]:
        """By e-mail address."""

    def add(self, record: AdminRecord) -> None:
        """Raises Refused when the address is taken."""

    def remove(self, admin: AdminId) -> None:
        """With passkeys, sessions, links and recovery codes."""

    def set_password(self, admin: AdminId, password_hash: str) -> None: ...
    def set_totp(self, admin: AdminId, *, secret: str, pending: str) -> None: ...
    def totp_used(self, admin: AdminId, counter: int) -> bool:
        """Take a code's counter, once; False when it or a later one has been taken."""

    def logged_in(self, admin: AdminId, now: datetime) -> None: ...
    def passkeys(self, admin: AdminId) -> builtins.list[PasskeyRecord]:
        """Oldest first."""

    def passkey(self, credential: bytes) -> PasskeyRecord | None: ...
    def add_passkey(self, record: PasskeyRecord) -> None:
        """Raises Refused when the credential is known."""

    def remove_passkey(self, admin: AdminId, credential: bytes) -> bool: ...
    def passkey_used(self, credential: bytes, sign_count: int, now: datetime) -> None: ...
    def set_recovery(self, admin: AdminId, digests: Sequence[bytes]) -> None:
        """In place of those that there were."""

    def take_recovery(self, admin: AdminId, digest: bytes) -> bool:
        """Use up one; False when there is none such."""

    def recovery_left(self, admin: AdminId) -> int: ...
    def add_link(self, digest: bytes, admin: AdminId, expires: datetime) -> None: ...
    def take_link(self, digest: bytes, now: datetime) -> AdminId | None:
        """Use up a link; None when there is none, or its time is over."""


class Sessions(Protocol):
    def by_digest(self, digest: bytes) -> SessionRecord | None: ...
    def get(self, session: SessionId) -> SessionRecord | None: ...
    def list(self, admin: AdminId) -> list[SessionRecord]:
        """Last used first."""

    def add(self, record: SessionRecord, digest: bytes) -> None: ...
    def seen(self, times: Sequence[tuple[SessionId, datetime]]) -> None: ...
    def end(self, session: SessionId) -> bool: ...
    def end_all(self, admin: AdminId, *, keep: SessionId | None = None) -> int: ...


class LoginThrottle(Protocol):
    def hold(self, subjects: Sequence[str], now: datetime) -> None:
        """Keep other writers from these until the transaction ends; what is not there begins with no failures."""

    def get(self, subjects: Sequence[str]) -> dict[str, FailedLogins]:
        """Those that are kept, by subject."""

    def put(self, records: Sequence[FailedLogins]) -> None: ...
    def clear(self, subjects: Sequence[str]) -> None: ...
    def failing(self, limit: int = 1000) -> list[FailedLogins]:
        """Those with failures, longest wait first."""

    def shared(self) -> list[FailedLogins]:
        """Addresses that were seen to hide many people."""


class Audit(Protocol):
    def put(self, record: AuditRecord) -> None:
        """Add a row; under an id that is there its detail is written anew (an action that goes in slices)."""

    def page(self, after: AuditId | None = None, limit: int = 50, text: str = "") -> list[AuditRecord]:
        """Newest first; `after` is the last id of the page before; `text` is looked for anywhere."""
