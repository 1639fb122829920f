"""What the writer and the database ask of an engine: sessions with transactions, readers, the meaning of errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from postroad.adapters.sql.connection import Connection, Dialect, Fault

T = TypeVar("T")


class Session(Connection, Protocol):
    """A connection that a writer thread owns."""

    def begin(self) -> None: ...
    def commit(self) -> None:
        """When this raises, nobody knows whether the commit took place."""

    def rollback(self) -> None: ...
    def savepoint(self) -> None: ...
    def release(self) -> None: ...
    def roll_back_to_savepoint(self) -> None: ...

    @property
    def in_transaction(self) -> bool:
        """False when an error has ended the whole transaction, savepoints and all."""

    def script(self, sql: str) -> None:
        """Several statements at once."""

    def committed(self) -> None:
        """After a group: housekeeping that belongs to the writer."""

    def close(self) -> None: ...


class Engine(Protocol):
    @property
    def dialect(self) -> Dialect: ...

    @property
    def writers(self) -> int:
        """How many writer threads make sense."""

    @property
    def version(self) -> str:
        """Name and version, for people."""

    def open_session(self) -> Session: ...

    def read(self, function: Callable[[Connection], T]) -> T:
        """Run in a read-only transaction of a connection that belongs to the calling thread."""

    def fault(self, error: BaseException) -> Fault: ...

    def problems(self) -> list[str]:
        """Settings of the database that break promise 1; it is not opened then."""

    def figures(self) -> Mapping[str, int]:
        """For metrics."""

    def close(self) -> None:
        """After all readers and writers have ended."""
