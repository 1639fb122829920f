"""One group in one transaction: the two doors set-wise, every function in a savepoint of its own.

A door that fails is replayed one by one, so that only the guilty one is refused. An error that took the whole
transaction with it (SQLite does that when the disk is full, savepoints and all) is a `GroupLost`: nothing is committed,
and the writer decides how to go on. A COMMIT that raises is a `CommitUnknown`: it may have taken place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from postroad.adapters.sql.births import insert_appended, insert_group
from postroad.adapters.sql.connection import Fault
from postroad.adapters.sql.engine import Engine, Session
from postroad.adapters.sql.names import NameCaches
from postroad.adapters.sql.results import apply_group
from postroad.adapters.sql.tx import SqlTx
from postroad.adapters.sql.units import AcceptUnit, AppendUnit, OutcomeUnit, Unit, WorkUnit
from postroad.ports.blobs import BlobPlace
from postroad.ports.store import Refused, StoreUnavailable

T = TypeVar("T")
U = TypeVar("U", AcceptUnit, AppendUnit, OutcomeUnit, WorkUnit)

Guard = Callable[[Callable[[], Sequence[Any]]], Sequence[Any]]
_TAKES_ALL = (Fault.RETRY, Fault.NO_SPACE, Fault.BROKEN)


@dataclass(slots=True)
class Done:
    """What became of one unit, once its group has committed."""

    unit: Unit
    value: Any = None
    error: Exception | None = None


class GroupLost(Exception):  # noqa: N818
    """Nothing of the group is committed."""

    def __init__(self, fault: Fault, error: Exception) -> None:
        super().__init__(str(error))
        self.fault = fault
        self.error = error


class CommitUnknown(Exception):  # noqa: N818
    """The group may be committed or not."""

    def __init__(self, fault: Fault, error: Exception) -> None:
        super().__init__(str(error))
        self.fault = fault
        self.error = error


class _Failed(Exception):  # noqa: N818
    """A step without a savepoint failed by its own fault."""


class Transactions:
    """Runs groups on one session."""

    def __init__(self, engine: Engine, session: Session, now: Callable[[], datetime]) -> None:
        self.session = session
        self._engine = engine
        self._now = now
        self._names = NameCaches()

    def run(self, units: Sequence[Unit]) -> list[Done]:
        """Commit a group. Raises GroupLost or CommitUnknown; other errors stay with their units.

        At first the doors go without savepoints. Where one fails, all is rolled back and done again with one around
        each step, so that the guilty can be told from the rest.
        """
        try:
            return self.work(lambda: self._apply(units, self._bare))
        except _Failed:
            return self.work(lambda: self._apply(units, self._saved))

    def work(self, function: Callable[[], T]) -> T:
        """Begin, call, commit."""
        try:
            self.session.begin()
        except Exception as error:
            raise GroupLost(self._fault(error), error) from error
        try:
            result = function()
        except (GroupLost, _Failed):
            self._roll_back()
            raise
        except Exception as error:
            self._roll_back()
            raise GroupLost(self._fault(error), error) from error
        try:
            self.session.commit()
        except Exception as error:
            self._roll_back()
            raise CommitUnknown(self._fault(error), error) from error
        self._names.committed()
        return result

    @property
    def tx(self) -> SqlTx:
        return SqlTx(self.session, self._names, self._now)

    def _fault(self, error: Exception) -> Fault:
        fault = self._engine.fault(error)
        return fault if fault in _TAKES_ALL else Fault.BROKEN

    def _roll_back(self) -> None:
        self._names.rolled_back()
        try:
            if self.session.in_transaction:
                self.session.rollback()
        except Exception:  # the session is reopened before it is used again
            return

    def _apply(self, units: Sequence[Unit], guard: Guard) -> list[Done]:
        accepts = [unit for unit in units if isinstance(unit, AcceptUnit)]
        appends = [unit for unit in units if isinstance(unit, AppendUnit)]
        outcomes = [unit for unit in units if isinstance(unit, OutcomeUnit)]
        done = self._together(accepts, self._insert, guard)
        done += self._together(appends, self._append, guard)
        done += self._together(outcomes, self._write_outcomes, guard)
        for unit in units:
            if isinstance(unit, WorkUnit):
                done += self._together([unit], self._call, self._saved)
        return done

    def _insert(self, units: Sequence[AcceptUnit]) -> Sequence[Any]:
        group = [(unit.acceptance, _place(unit.acceptance.place or unit.place)) for unit in units]
        return insert_group(self.session, self._names, group)

    def _append(self, units: Sequence[AppendUnit]) -> Sequence[Any]:
        group = [(unit.append, _place(unit.append.place or unit.place)) for unit in units]
        return insert_appended(self.session, self._names, group)

    def _write_outcomes(self, units: Sequence[OutcomeUnit]) -> Sequence[Any]:
        return apply_group(self.session, self._names, [unit.outcomes for unit in units])

    def _call(self, units: Sequence[WorkUnit]) -> Sequence[Any]:
        return [unit.function(self.tx) for unit in units]

    def _together(self, units: Sequence[U], write: Callable[[Sequence[U]], Sequence[Any]], guard: Guard) -> list[Done]:
        if not units:
            return []
        try:
            values = guard(lambda: write(units))
        except (GroupLost, _Failed):
            raise
        except Exception as error:
            if len(units) == 1:
                return [Done(units[0], error=self._told(error))]
            return [done for unit in units for done in self._together([unit], write, guard)]
        return [Done(unit, value) for unit, value in zip(units, values, strict=True)]

    def _bare(self, call: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        """Without a savepoint: whatever fails, the transaction is not to be used any more."""
        try:
            return call()
        except Exception as error:
            fault = self._engine.fault(error)
            if fault in _TAKES_ALL:
                raise GroupLost(fault, error) from error
            raise _Failed from error

    def _saved(self, call: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        """In a savepoint. Raises GroupLost where the error is not only the function's own."""
        self.session.savepoint()
        try:
            result = call()
        except Exception as error:
            self._names.rolled_back()
            fault = self._engine.fault(error)
            if fault in _TAKES_ALL or not self.session.in_transaction:
                raise GroupLost(fault, error) from error
            self.session.roll_back_to_savepoint()
            raise
        self.session.release()
        return result

    def _told(self, error: Exception) -> Exception:
        """What the one who asked is told of an error that touched only him."""
        if self._engine.fault(error) is Fault.CONSTRAINT:
            return Refused(f"the rows do not allow it: {error}")
        return error


def unavailable(fault: Fault, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(str(error), no_space=fault is Fault.NO_SPACE)


def _place(place: BlobPlace | None) -> BlobPlace:
    assert place is not None, "the writer stores content before it writes rows"
    return place
