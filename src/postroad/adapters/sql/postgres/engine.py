"""PostgreSQL: the same functions and doors on connections in threads. psycopg is imported only with this package."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

import psycopg
from psycopg import errors

from postroad.adapters.sql.connection import Connection, Dialect, Fault
from postroad.adapters.sql.postgres.session import DIALECT, PostgresSession, connect

T = TypeVar("T")

_UNSAFE = ("fsync", "synchronous_commit")
_OLDEST_SERVER = 150000
_FAULTS: tuple[tuple[type[BaseException], Fault], ...] = (
    (errors.SerializationFailure, Fault.RETRY),
    (errors.DeadlockDetected, Fault.RETRY),
    (psycopg.IntegrityError, Fault.CONSTRAINT),
    (errors.DiskFull, Fault.NO_SPACE),
    (errors.ReadOnlySqlTransaction, Fault.BROKEN),
    (psycopg.OperationalError, Fault.BROKEN),
    (psycopg.InterfaceError, Fault.BROKEN),
    (psycopg.InternalError, Fault.BROKEN),
)


class PostgresEngine:
    writers = 2  # one gathers while the other's commit waits for the server's disk

    def __init__(self, url: str) -> None:
        self._url = url
        self._local = threading.local()
        self._readers: list[PostgresSession] = []
        self._version = 0

    @property
    def dialect(self) -> Dialect:
        return DIALECT

    @property
    def version(self) -> str:
        return f"PostgreSQL {self._version // 10000}.{self._version % 10000}"

    def problems(self) -> list[str]:
        session = self.open_session()
        try:
            self._version = session.database.info.server_version
            found = [
                f"PostgreSQL runs with {name} = off: what it says is committed may be lost; set it on"
                for name in _UNSAFE
                if session.rows("SELECT current_setting(?)", (name,))[0][0] == "off"
            ]
        finally:
            session.close()
        if self._version < _OLDEST_SERVER:
            found.append(f"{self.version} is too old: 15 or later is needed")
        return found

    def open_session(self) -> PostgresSession:
        return PostgresSession(connect(self._url))

    def fault(self, error: BaseException) -> Fault:
        for kind, fault in _FAULTS:
            if isinstance(error, kind):
                return fault
        return Fault.OWN

    def figures(self) -> Mapping[str, int]:
        return {}

    def read(self, function: Callable[[Connection], T]) -> T:
        session = self._begun()
        try:
            return function(session)
        finally:
            if session.in_transaction:
                session.rollback()

    def _begun(self) -> PostgresSession:
        """This thread's connection, in a transaction; a connection that the server has closed is replaced."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        known: PostgresSession | None = getattr(self._local, "session", None)
        if known is not None:
            try:
                known.script(begin)
            except psycopg.OperationalError:
                known.close()
                self._readers.remove(known)
            else:
                return known
        session = self._local.session = self.open_session()
        self._readers.append(session)
        session.script(begin)
        return session

    def close(self) -> None:
        for session in self._readers:
            session.close()
