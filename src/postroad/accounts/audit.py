"""The audit log: who changed what, or signed in. Each row is written in the transaction of the change that it tells of,
so that neither is there without the other. What a row says never holds a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from postroad.ports.admins import AuditRecord
from postroad.ports.clock import Clock
from postroad.ports.ids import AuditId, IdSource
from postroad.ports.signals import Signals
from postroad.ports.store import Store, Tx

T = TypeVar("T")

_MAX_TEXT = 300  # characters of a name that strangers may have chosen


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something. `client` is the address it comes from, where there is one."""

    kind: str  # admin, key, token, command line, system
    name: str
    client: str = ""

    def __str__(self) -> str:
        return self.name


COMMAND_LINE = Actor("command line", "the command line")
SYSTEM = Actor("system", "postroad")


class Action(StrEnum):
    """What an audit row can tell of; the target stands beside it."""

    DOMAIN_ADDED = "domain added"  # its name
    DOMAIN_REMOVED = "domain removed"
    RETURN_PATH_SET = "return path set"  # of a domain, or server/stream; detail: name
    RETURN_PATH_CLEARED = "return path cleared"
    ACCOUNT_ADDED = "account added"  # its address
    ACCOUNT_REMOVED = "account removed"
    ACCOUNT_PASSWORD = "account password set"  # noqa: S105 - the name of an action
    ACCOUNT_QUOTA = "account quota set"
    ALIAS_SET = "alias set"  # its address; detail: targets
    ALIAS_REMOVED = "alias removed"
    SERVER_ADDED = "server added"  # its name
    SERVER_CHANGED = "server changed"
    SERVER_REMOVED = "server removed"
    STREAM_ADDED = "stream added"  # server/stream
    STREAM_ARCHIVED = "stream archived"
    STREAM_UNARCHIVED = "stream unarchived"
    TOKEN_ADDED = "token added"  # noqa: S105 - its name and hint
    TOKEN_REVOKED = "token revoked"  # noqa: S105
    ADDRESS_SUPPRESSED = "address suppressed"  # the address; detail: server, stream, reason
    ADDRESS_UNSUPPRESSED = "address unsuppressed"
    ADMIN_ADDED = "administrator added"  # the e-mail address
    ADMIN_REMOVED = "administrator removed"
    ADMIN_PASSWORD = "administrator password set"  # noqa: S105
    TOTP_BEGUN = "authenticator app begun"
    TOTP_ADDED = "authenticator app added"
    TOTP_REMOVED = "authenticator app removed"
    RECOVERY_MADE = "recovery codes made"
    RECOVERY_DROPPED = "recovery codes dropped"
    SECOND_STEP_RESET = "second step reset"  # codes, passkeys and recovery codes taken away
    PASSKEY_ADDED = "passkey added"
    PASSKEY_REMOVED = "passkey removed"
    LINK_MADE = "sign-in link made"
    SIGNED_IN = "signed in"  # the e-mail address; detail: method
    SIGN_IN_REFUSED = "sign-in refused"  # whatever was typed as the name; detail: why
    SESSION_ENDED = "session ended"
    SESSIONS_ENDED = "other sessions ended"
    APP_PASSWORD_ADDED = "app password added"  # noqa: S105 - the account's address; detail: its name, scopes
    APP_PASSWORD_REVOKED = "app password revoked"  # noqa: S105
    BAN_RELEASED = "ban released"  # the address or account, or all
    SEND_AS_ALLOWED = "send-as allowed"  # the account's address; detail: as
    SEND_AS_WITHDRAWN = "send-as withdrawn"
    SENDER_FROZEN = "sender frozen"  # kind and name; detail: why
    SENDER_RELEASED = "sender released"
    QUEUE = "queue"  # followed by what was done: queue retry, queue hold ...


def record(
    tx: Tx,
    actor: Actor,
    action: str,
    target: str,
    detail: Mapping[str, Any] | None = None,
    *,
    now: datetime,
    ids: IdSource,
) -> AuditId:
    """Write one row."""
    number = AuditId(ids.new())
    tx.audit.put(row(number, actor, action, target, detail, now=now))
    return number


def row(
    number: AuditId, actor: Actor, action: str, target: str, detail: Mapping[str, Any] | None, *, now: datetime
) -> AuditRecord:
    return AuditRecord(
        number, now, actor.kind, actor.name[:_MAX_TEXT], actor.client, str(action), target[:_MAX_TEXT], detail or {}
    )


class AuditLog:
    """What people read of it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, after: AuditId | None = None, limit: int = 50, text: str = "") -> list[AuditRecord]:
        """Newest first; `after` is the last id of the page before."""
        return await self._store.read(lambda tx: tx.audit.page(after, limit, text))


@dataclass(frozen=True, slots=True)
class Told:
    """What an audit row says of a change, beside who and what."""

    target: str
    detail: Mapping[str, Any] | None = None


class Changes:
    """Makes a change with its audit row, and tells whoever keeps copies (signal `config`)."""

    def __init__(self, store: Store, clock: Clock, ids: IdSource, signals: Signals) -> None:
        self.store = store
        self.clock = clock
        self.ids = ids
        self._signals = signals

    async def make(
        self, by: Actor, action: Action, function: Callable[[Tx], T], tell: Callable[[T], Told], *, signal: bool = True
    ) -> T:
        """Raises what `function` raises, and then nothing is written."""
        now = self.clock.now()

        def change(tx: Tx) -> T:
            result = function(tx)
            told = tell(result)
            record(tx, by, action, told.target, told.detail, now=now, ids=self.ids)
            return result

        result = await self.store.write(change)
        if signal:
            self._signals.publish("config")
        return result
