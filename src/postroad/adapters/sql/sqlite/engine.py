"""SQLite: one file in WAL mode, one writer, readers with short transactions, a log that stays bounded."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TypeVar

import apsw

from postroad.adapters.cores import roam
from postroad.adapters.sql.connection import Connection, Dialect, Fault
from postroad.adapters.sql.sqlite.gate import Gate
from postroad.adapters.sql.sqlite.session import DIALECT, SqliteConnection, SqliteSession

T = TypeVar("T")

WAL_CHECKPOINT = 8 * 1024 * 1024  # from here on a thread copies the log into the file while writing goes on
WAL_RESTART = 64 * 1024 * 1024  # from here on readers are held so that the log begins anew
WAL_KEEP = 128 * 1024 * 1024  # the file keeps this size: a reused log commits twice as fast as a growing one
WAL_FILL = 8 * 1024 * 1024  # zeros written behind the log at a time while it grows, from its first megabytes on
_FILL_BEFORE = 2 * 1024 * 1024  # when less than this is left of them
_PIECE = 1024 * 1024
HOLD_READERS = 0.05  # seconds
_OLDEST_SQLITE = (3, 51, 3)  # older ones can corrupt a WAL file that two connections write or checkpoint at once
_FAULTS: tuple[tuple[type[BaseException], Fault], ...] = (
    (apsw.ConstraintError, Fault.CONSTRAINT),
    (apsw.FullError, Fault.NO_SPACE),
    (apsw.BusyError, Fault.RETRY),
    (apsw.LockedError, Fault.RETRY),
    (apsw.IOError, Fault.BROKEN),
    (apsw.ReadOnlyError, Fault.BROKEN),
    (apsw.CantOpenError, Fault.BROKEN),
    (apsw.CorruptError, Fault.BROKEN),
    (apsw.NotADBError, Fault.BROKEN),
    (apsw.ConnectionClosedError, Fault.BROKEN),
)


class SqliteEngine:
    """`vfs` names an apsw VFS; tests register one that fails at a chosen call."""

    writers = 1

    def __init__(
        self, path: Path, *, read_only: bool = False, vfs: str | None = None, wal_restart: int = WAL_RESTART
    ) -> None:
        self._path = path
        self._read_only = read_only
        self._vfs = vfs
        self._wal_restart = wal_restart
        self._gate = Gate()
        self._local = threading.local()
        self._readers: list[apsw.Connection] = []
        self._page = 4096
        self._wal_pages = 0
        self._restart_tried_at = 0  # pages in the log when starting it anew was last tried in vain
        self._checkpointed_at = 0
        self._filled = 2 * _FILL_BEFORE  # the log's length, zeros included; a quiet server never fills any
        self._checkpoint = threading.Event()
        self._closing = False
        self._checkpointer: threading.Thread | None = None

    @property
    def dialect(self) -> Dialect:
        return DIALECT

    @property
    def version(self) -> str:
        return f"SQLite {apsw.sqlite_lib_version()}"

    def problems(self) -> list[str]:
        if tuple(map(int, apsw.sqlite_lib_version().split("."))) < _OLDEST_SQLITE:
            return [f"{self.version} can corrupt its log; install apsw 3.51.3 or later"]
        return []

    def fault(self, error: BaseException) -> Fault:
        for kind, fault in _FAULTS:
            if isinstance(error, kind):
                return fault
        return Fault.OWN

    def figures(self) -> Mapping[str, int]:
        return {"wal_bytes": self._wal_pages * self._page}

    # --- writing ---

    def open_session(self) -> SqliteSession:
        self._make_private()
        database = self._open(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        database.execute("PRAGMA journal_mode = WAL")
        for pragma in ("synchronous = FULL", f"journal_size_limit = {WAL_KEEP}", "cache_size = -8192"):
            database.execute(f"PRAGMA {pragma}")
        self._page = database.pragma("page_size")
        database.set_wal_hook(self._committed)  # in place of checkpoints inside a commit, which cost 30 to 70 ms
        return SqliteSession(database, self._keep_log_bounded)

    def _make_private(self) -> None:
        """Password hashes and everybody's mail are in it: for our eyes alone, whatever its folder's mode. SQLite gives
        the log and its index the mode of the file."""
        with suppress(OSError):  # what is wrong with it shows when it is opened
            os.close(os.open(self._path, os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._path.chmod(0o600)

    def _open(self, flags: int) -> apsw.Connection:
        database = apsw.Connection(str(self._path), flags=flags, vfs=self._vfs, statementcachesize=250)
        database.set_busy_timeout(5000)
        return database

    def _committed(self, _: apsw.Connection, __: str, pages: int) -> int:
        if pages < self._wal_pages:
            self._restart_tried_at = self._checkpointed_at = 0
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _keep_log_bounded(self, database: apsw.Connection) -> None:
        size = self._wal_pages * self._page
        if size + _FILL_BEFORE > self._filled and not self._vfs:
            self._fill_log()
        if size >= self._wal_restart and self._wal_pages >= self._restart_tried_at + 1024:
            self._restart_log(database)
        elif size - self._checkpointed_at * self._page >= WAL_CHECKPOINT:
            self._checkpointed_at = self._wal_pages
            self._wake_checkpointer()

    def _fill_log(self) -> None:
        """Lengthen the log by zeros: a commit into blocks that are there costs a quarter less than growing the file.

        Only the writer's thread writes to the log, and this is it; SQLite stops reading at what is no frame of its own.
        """
        with suppress(OSError):  # a full disk shows where something has to be written
            with self._path.with_name(self._path.name + "-wal").open("r+b", buffering=0) as log:
                end = log.seek(0, os.SEEK_END)
                self._filled = max(end, min(end + WAL_FILL, self._wal_restart + _FILL_BEFORE))
                while end < self._filled:
                    end += log.write(bytes(min(_PIECE, self._filled - end)))
            return
        self._filled = self._wal_restart * 2

    def _restart_log(self, database: apsw.Connection) -> None:
        self._restart_tried_at = self._wal_pages
        with self._gate.held(HOLD_READERS) as empty:
            if not empty:
                return  # a reader was slower; tried again when the log has grown by 4 MiB
            database.set_busy_timeout(int(HOLD_READERS * 1000))
            with suppress(apsw.BusyError):
                database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            database.set_busy_timeout(5000)

    def _wake_checkpointer(self) -> None:
        if self._checkpointer is None:
            self._checkpointer = threading.Thread(target=self._copy_log, name="store-checkpoint", daemon=True)
            self._checkpointer.start()
        self._checkpoint.set()

    def _copy_log(self) -> None:
        roam()
        database = self._open(apsw.SQLITE_OPEN_READWRITE)
        while not self._closing:
            self._checkpoint.wait()
            self._checkpoint.clear()
            if not self._closing:
                with suppress(apsw.Error):  # what fails here fails in the writer too, and is told there
                    database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        database.close()

    # --- reading ---

    def read(self, function: Callable[[Connection], T]) -> T:
        connection = self._reader()
        with self._gate.reading():
            connection.database.execute("BEGIN")
            try:
                return function(connection)
            finally:
                if connection.database.in_transaction:
                    connection.database.execute("ROLLBACK")  # nothing was written

    def reading(self) -> AbstractContextManager[None]:
        """For reading by a connection of one's own: the log cannot begin anew meanwhile."""
        return self._gate.reading()

    def _reader(self) -> SqliteConnection:
        connection: SqliteConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            flags = apsw.SQLITE_OPEN_READONLY if self._read_only else apsw.SQLITE_OPEN_READWRITE
            database = self._open(flags)
            database.execute("PRAGMA query_only = 1")
            connection = self._local.connection = SqliteConnection(database)
            self._readers.append(database)
        return connection

    def close(self) -> None:
        self._closing = True
        self._checkpoint.set()
        if self._checkpointer:
            self._checkpointer.join()
        for database in self._readers:
            database.close()
