"""The schema: numbered files, applied once, forwards only, under a lock.

`NNN_name.sql` is common; `NNN_name.sql.sqlite` or `.postgres` follows it for one engine. The code states the version it
was written for; the database states the oldest code that may open it, so that going back one release is safe: a release
first expands, and only the next one contracts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from string import Template

from postroad.adapters.sql.connection import Connection, Dialect
from postroad.adapters.sql.engine import Session
from postroad.ports.store import StoreUnavailable

SCHEMA_VERSION = 12
OLDEST_VERSION = 1  # code of this version can still work with what SCHEMA_VERSION has made
SCHEMA_DIRECTORY = Path(__file__).parent / "schema"


class SchemaError(StoreUnavailable):
    """The database is not one that this program may open; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A version with the directory that leads to it."""

    version: int = SCHEMA_VERSION
    oldest: int = OLDEST_VERSION
    directory: Path = SCHEMA_DIRECTORY


@dataclass(frozen=True, slots=True)
class Found:
    """What a database says of itself; version 0 is an empty one."""

    version: int
    oldest: int


def found_in(connection: Connection) -> Found:
    if not connection.rows(connection.dialect.has_table, ("meta",)):
        return Found(0, 0)
    facts: dict[str, str] = dict(
        connection.rows("SELECT name, value FROM meta WHERE name IN ('schema_version', 'schema_oldest')")
    )
    return Found(int(facts.get("schema_version", 0)), int(facts.get("schema_oldest", 0)))


def migrate(session: Session, schema: Schema) -> None:
    """Bring the database to `schema`; each step is there whole or not at all. Raises SchemaError."""
    session.script(session.dialect.locked_begin)
    try:
        found = found_in(session)
        refuse_newer(found, schema)
        for number, script in _steps(schema, session.dialect):
            if number > found.version:
                session.script(script)
        if schema.version > found.version:
            _state(session, schema)
    except BaseException:
        session.rollback()
        raise
    session.commit()


def refuse_newer(found: Found, schema: Schema) -> None:
    if found.oldest > schema.version:
        raise SchemaError(
            f"the database has schema {found.version}, which needs a program for schema {found.oldest} or later; this"
            f" one is for {schema.version}: install the newer release again, or restore a backup made before it"
        )


def refuse_older(found: Found, schema: Schema) -> None:
    """For those who may not migrate."""
    if found.version < schema.version:
        raise SchemaError(
            f"the database has schema {found.version}, this program is for {schema.version}:"
            " start `postroad serve` once"
        )


def _steps(schema: Schema, dialect: Dialect) -> list[tuple[int, str]]:
    names = sorted(schema.directory.glob("[0-9][0-9][0-9]_*"), key=lambda path: path.name)
    return [
        (int(path.name[:3]), Template(path.read_text()).substitute(dialect.types))
        for path in names
        if path.name.endswith((".sql", f".sql.{dialect.name}"))
    ]


def _state(session: Session, schema: Schema) -> None:
    for name, value in (("schema_version", schema.version), ("schema_oldest", schema.oldest)):
        session.run(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, str(value)),
        )
