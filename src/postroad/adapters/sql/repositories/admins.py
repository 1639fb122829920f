"""Administrators with their passkeys and sign-in links; their sessions; what failed logins cost."""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from datetime import datetime

from postroad.adapters.sql.connection import Connection, Row, in_list
from postroad.adapters.sql.values import clean, json_text, json_value, moment, moment_or_none, time_of, time_or_none
from postroad.ports.admins import AdminRecord, FailedLogins, PasskeyRecord, SessionRecord
from postroad.ports.ids import AdminId, SessionId
from postroad.ports.store import Refused

_ADMIN = (
    "id", "email", "created", "name", "password_hash", "credential_version", "totp_secret", "totp_pending",
    "totp_counter", "last_login",
)  # fmt: skip
_PASSKEY = ("credential", "admin", "public_key", "sign_count", "name", "created", "transports", "last_used")
_SESSION = ("id", "admin", "created", "seen", "method", "client", "user_agent")
_FAILURE = ("subject", "failures", "last", "until")


def _admin(row: Row) -> AdminRecord:
    number, email, created, name, password_hash, version, secret, pending, counter, last_login = row
    return AdminRecord(
        AdminId(number), email, time_of(created), name, password_hash, version, secret, pending, counter,
        time_or_none(last_login),
    )  # fmt: skip


def _passkey(row: Row) -> PasskeyRecord:
    credential, admin, public_key, sign_count, name, created, transports, last_used = row
    return PasskeyRecord(
        bytes(credential), AdminId(admin), bytes(public_key), sign_count, name, time_of(created),
        tuple(json_value(transports)), time_or_none(last_used),
    )  # fmt: skip


def _session(row: Row) -> SessionRecord:
    number, admin, created, seen, method, client, user_agent = row
    return SessionRecord(SessionId(number), AdminId(admin), time_of(created), time_of(seen), method, client, user_agent)


class Admins:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, admin: AdminId) -> AdminRecord | None:
        return self._one("id = ?", admin)

    def by_email(self, email: str) -> AdminRecord | None:
        return self._one("email = ?", clean(email))

    def _one(self, where: str, value: object) -> AdminRecord | None:
        rows = self._connection.rows(f"SELECT {', '.join(_ADMIN)} FROM admin WHERE {where}", (value,))
        return _admin(rows[0]) if rows else None

    def list(self) -> builtins.list[AdminRecord]:
        return [_admin(row) for row in self._connection.rows(f"SELECT {', '.join(_ADMIN)} FROM admin ORDER BY email")]

    def add(self, record: AdminRecord) -> None:
        if self.by_email(record.email):
            raise Refused(f"{record.email} is an administrator already")
        row = (
            record.id, record.email, moment(record.created), record.name, record.password_hash,
            record.credential_version, record.totp_secret, record.totp_pending, record.totp_counter,
            moment_or_none(record.last_login),
        )  # fmt: skip
        self._connection.insert("admin", _ADMIN, [row])

    def remove(self, admin: AdminId) -> None:
        for table in ("passkey", "admin_session", "login_link", "recovery_code"):
            self._connection.run(f"DELETE FROM {table} WHERE admin = ?", (admin,))
        self._connection.run("DELETE FROM admin WHERE id = ?", (admin,))

    def set_password(self, admin: AdminId, password_hash: str) -> None:
        self._connection.run(
            "UPDATE admin SET password_hash = ?, credential_version = credential_version + 1 WHERE id = ?",
            (password_hash, admin),
        )

    def set_totp(self, admin: AdminId, *, secret: str, pending: str) -> None:
        self._connection.run(
            "UPDATE admin SET totp_secret = ?, totp_pending = ? WHERE id = ?", (secret, pending, admin)
        )

    def totp_used(self, admin: AdminId, counter: int) -> bool:
        changed = self._connection.run(
            "UPDATE admin SET totp_counter = ? WHERE id = ? AND totp_counter < ?", (counter, admin, counter)
        )
        return changed > 0

    def logged_in(self, admin: AdminId, now: datetime) -> None:
        self._connection.run("UPDATE admin SET last_login = ? WHERE id = ?", (moment(now), admin))

    def passkeys(self, admin: AdminId) -> builtins.list[PasskeyRecord]:
        rows = self._connection.rows(
            f"SELECT {', '.join(_PASSKEY)} FROM passkey WHERE admin = ? ORDER BY created, credential", (admin,)
        )
        return [_passkey(row) for row in rows]

    def passkey(self, credential: bytes) -> PasskeyRecord | None:
        rows = self._connection.rows(f"SELECT {', '.join(_PASSKEY)} FROM passkey WHERE credential = ?", (credential,))
        return _passkey(rows[0]) if rows else None

    def add_passkey(self, record: PasskeyRecord) -> None:
        if self.passkey(record.credential):
            raise Refused("this passkey is registered already")
        row = (
            record.credential, record.admin, record.public_key, record.sign_count, record.name, moment(record.created),
            json_text(record.transports), moment_or_none(record.last_used),
        )  # fmt: skip
        self._connection.insert("passkey", _PASSKEY, [row])

    def remove_passkey(self, admin: AdminId, credential: bytes) -> bool:
        return self._connection.run("DELETE FROM passkey WHERE admin = ? AND credential = ?", (admin, credential)) > 0

    def passkey_used(self, credential: bytes, sign_count: int, now: datetime) -> None:
        self._connection.run(
            "UPDATE passkey SET sign_count = ?, last_used = ? WHERE credential = ?",
            (sign_count, moment(now), credential),
        )

    def set_recovery(self, admin: AdminId, digests: Sequence[bytes]) -> None:
        self._connection.run("DELETE FROM recovery_code WHERE admin = ?", (admin,))
        self._connection.insert("recovery_code", ("admin", "digest"), [(admin, digest) for digest in digests])

    def take_recovery(self, admin: AdminId, digest: bytes) -> bool:
        return self._connection.run("DELETE FROM recovery_code WHERE admin = ? AND digest = ?", (admin, digest)) > 0

    def recovery_left(self, admin: AdminId) -> int:
        rows = self._connection.rows("SELECT count(*) FROM recovery_code WHERE admin = ?", (admin,))
        return int(rows[0][0])

    def add_link(self, digest: bytes, admin: AdminId, expires: datetime) -> None:
        self._connection.insert("login_link", ("digest", "admin", "expires"), [(digest, admin, moment(expires))])

    def take_link(self, digest: bytes, now: datetime) -> AdminId | None:
        rows = self._connection.rows("DELETE FROM login_link WHERE digest = ? RETURNING admin, expires", (digest,))
        return AdminId(rows[0][0]) if rows and rows[0][1] > moment(now) else None


class Sessions:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def by_digest(self, digest: bytes) -> SessionRecord | None:
        return self._one("digest = ?", digest)

    def get(self, session: SessionId) -> SessionRecord | None:
        return self._one("id = ?", session)

    def _one(self, where: str, value: object) -> SessionRecord | None:
        rows = self._connection.rows(f"SELECT {', '.join(_SESSION)} FROM admin_session WHERE {where}", (value,))
        return _session(rows[0]) if rows else None

    def list(self, admin: AdminId) -> builtins.list[SessionRecord]:
        rows = self._connection.rows(
            f"SELECT {', '.join(_SESSION)} FROM admin_session WHERE admin = ? ORDER BY seen DESC, id DESC", (admin,)
        )
        return [_session(row) for row in rows]

    def add(self, record: SessionRecord, digest: bytes) -> None:
        row = (
            record.id, record.admin, moment(record.created), moment(record.seen), record.method, clean(record.client),
            clean(record.user_agent), digest,
        )  # fmt: skip
        self._connection.insert("admin_session", (*_SESSION, "digest"), [row])

    def seen(self, times: Sequence[tuple[SessionId, datetime]]) -> None:
        self._connection.run_many(
            "UPDATE admin_session SET seen = ? WHERE id = ?", [(moment(now), session) for session, now in sorted(times)]
        )

    def end(self, session: SessionId) -> bool:
        return self._connection.run("DELETE FROM admin_session WHERE id = ?", (session,)) > 0

    def end_all(self, admin: AdminId, *, keep: SessionId | None = None) -> int:
        return self._connection.run("DELETE FROM admin_session WHERE admin = ? AND id <> ?", (admin, keep or 0))


def _failures(rows: Iterable[Row]) -> builtins.list[FailedLogins]:
    return [FailedLogins(subject, failures, time_of(last), time_of(until)) for subject, failures, last, until in rows]


class LoginThrottle:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def hold(self, subjects: Sequence[str], now: datetime) -> None:
        """Row by row and in order, so that two writers never wait for each other in a circle."""
        self._connection.run_many(
            f"INSERT INTO login_failure ({', '.join(_FAILURE)}) VALUES (?, 0, ?, ?) ON CONFLICT (subject) DO UPDATE"
            " SET failures = login_failure.failures",
            [(clean(subject), moment(now), moment(now)) for subject in sorted(subjects)],
        )

    def get(self, subjects: Sequence[str]) -> dict[str, FailedLogins]:
        listed, params = in_list([clean(subject) for subject in subjects])
        rows = self._connection.rows(
            f"SELECT {', '.join(_FAILURE)} FROM login_failure WHERE subject IN {listed}", params
        )
        return {
            subject: FailedLogins(subject, failures, time_of(last), time_of(until))
            for subject, failures, last, until in rows
        }

    def put(self, records: Sequence[FailedLogins]) -> None:
        self._connection.run_many(
            f"INSERT INTO login_failure ({', '.join(_FAILURE)}) VALUES (?, ?, ?, ?) ON CONFLICT (subject) DO UPDATE"
            " SET failures = excluded.failures, last = excluded.last, until = excluded.until",
            [
                (clean(record.subject), record.failures, moment(record.last), moment(record.until))
                for record in sorted(records, key=lambda record: record.subject)
            ],
        )

    def failing(self, limit: int = 1000) -> builtins.list[FailedLogins]:
        rows = self._connection.rows(
            f"SELECT {', '.join(_FAILURE)} FROM login_failure WHERE failures > 0 ORDER BY until DESC, subject LIMIT ?",
            (limit,),
        )
        return _failures(rows)

    def shared(self) -> builtins.list[FailedLogins]:
        return _failures(
            self._connection.rows(
                f"SELECT {', '.join(_FAILURE)} FROM login_failure WHERE subject LIKE ? ORDER BY last DESC",
                ("shared %",),
            )
        )

    def clear(self, subjects: Sequence[str]) -> None:
        listed, params = in_list([clean(subject) for subject in subjects])
        self._connection.run(f"DELETE FROM login_failure WHERE subject IN {listed}", params)
