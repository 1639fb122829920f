"""One apsw connection as repositories and the writer see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import apsw

from postroad.adapters.sql.connection import Dialect, Params, Row, insert_statements, update_statements

DIALECT = Dialect(
    name="sqlite",
    types={
        "key": "INTEGER PRIMARY KEY",
        "serial": "INTEGER PRIMARY KEY",
        "int": "INTEGER",
        "bytes": "BLOB",
        "clustered": " WITHOUT ROWID",
    },
    skip_locked="",  # one writer: nothing is ever locked
    fold="fold",
    empty_bytes="x''",
    has_table="SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?",
    locked_begin="BEGIN EXCLUSIVE",
)


class SqliteConnection:
    """Reading and writing inside a transaction."""

    def __init__(self, database: apsw.Connection) -> None:
        self.database = database
        database.create_scalar_function("fold", _fold, 1, deterministic=True)

    @property
    def dialect(self) -> Dialect:
        return DIALECT

    def rows(self, sql: str, params: Params = ()) -> list[Row]:
        return self.database.execute(sql, params).fetchall()

    def run(self, sql: str, params: Params = ()) -> int:
        self.database.execute(sql, params)
        return self.database.changes()

    def run_many(self, sql: str, params: Iterable[Params]) -> None:
        self.database.executemany(sql, params)

    def returning_many(self, sql: str, params: Iterable[Params]) -> list[Row]:
        return self.database.executemany(sql, params).fetchall()

    def update_from(
        self,
        update: str,
        columns: Sequence[str],
        rows: Sequence[Row],
        where: str,
        texts: Sequence[str] = (),  # noqa: ARG002 - values bring their own types here
    ) -> list[Row]:
        found: list[Row] = []
        for sql, params in update_statements(update, columns, rows, where):
            found += self.database.execute(sql, params).fetchall()
        return found

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row], tail: str = "") -> None:
        for sql, params in insert_statements(table, columns, rows, tail):
            self.database.execute(sql, params)


class SqliteSession(SqliteConnection):
    """The writer's."""

    def __init__(self, database: apsw.Connection, after_group: Callable[[apsw.Connection], None]) -> None:
        super().__init__(database)
        self._after_group = after_group

    def begin(self) -> None:
        self.database.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self.database.execute("COMMIT")

    def rollback(self) -> None:
        self.database.execute("ROLLBACK")

    def savepoint(self) -> None:
        self.database.execute("SAVEPOINT unit")

    def release(self) -> None:
        self.database.execute("RELEASE unit")

    def roll_back_to_savepoint(self) -> None:
        self.database.execute("ROLLBACK TO unit; RELEASE unit")

    @property
    def in_transaction(self) -> bool:
        return self.database.in_transaction

    def script(self, sql: str) -> None:
        self.database.execute(sql)

    def committed(self) -> None:
        self._after_group(self.database)

    def close(self) -> None:
        self.database.close()


def _fold(*texts: apsw.SQLiteValue) -> apsw.SQLiteValue:
    text = texts[0]
    return text.lower() if isinstance(text, str) else text
