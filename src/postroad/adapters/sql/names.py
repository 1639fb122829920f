"""Small numbers for names that rows repeat: next hops and segments."""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

from collections.abc import Iterable

from postroad.adapters.sql.connection import MAX_LIST, Connection, in_list, slices

_REMEMBERED = 50_000


class Names:
    """The ids of one table's names. What a transaction learns counts for others only once it has committed."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._known: dict[str, int] = {}
        self._fresh: dict[str, int] = {}

    def ids(self, connection: Connection, names: Iterable[str]) -> dict[str, int]:
        """An id for each name; those that are new get a row."""
        found: dict[str, int] = {}
        missing: set[str] = set()
        for name in names:
            number = self._known.get(name) or self._fresh.get(name)
            if number is None:
                missing.add(name)
            else:
                found[name] = number
        if missing:
            found |= self._learn(connection, sorted(missing))
        return found

    def _learn(self, connection: Connection, names: list[str]) -> dict[str, int]:
        learned: dict[str, int] = {}
        for some in slices(names, MAX_LIST):
            connection.insert(self._table, ("name",), [(name,) for name in some], "ON CONFLICT (name) DO NOTHING")
            listed, params = in_list(some)
            learned |= dict(connection.rows(f"SELECT name, id FROM {self._table} WHERE name IN {listed}", params))
        self._fresh |= learned
        return learned

    def committed(self) -> None:
        if self._fresh:
            if len(self._known) > _REMEMBERED:
                self._known.clear()
            self._known |= self._fresh
            self._fresh.clear()

    def rolled_back(self) -> None:
        self._fresh.clear()


class NameCaches:
    """Those of one writer."""

    __slots__ = ("dests", "segments")

    def __init__(self) -> None:
        self.dests = Names("dest")
        self.segments = Names("segment")

    def committed(self) -> None:
        self.dests.committed()
        self.segments.committed()

    def rolled_back(self) -> None:
        self.dests.rolled_back()
        self.segments.rolled_back()
