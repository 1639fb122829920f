"""What commands print: JSON, tables, times and sizes. rich is imported only for a terminal."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import click
import msgspec
from msgspec import Struct

from postroad.mail.status import EnhancedCode
from postroad.ports.ids import id_text
from postroad.ports.sending import ServerRecord

_ID_FIELDS = frozenset({"id", "message", "delivery", "attempt", "account", "mailbox", "blob", "bounce_of", "owner"})
_SECRET_FIELDS = frozenset({"password_hash", "scram", "totp_secret", "totp_pending"})


def print_json(value: Any) -> None:
    """One JSON document, as people and jq can read it."""
    data = msgspec.json.format(msgspec.json.encode(plain(value)), indent=2)
    click.echo(data.decode())


def plain(value: Any, name: str = "") -> Any:
    """A record as JSON has it: ids and times as text, secrets left out."""
    if value is None or (isinstance(value, bool | float | str) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, EnhancedCode):
        return str(value)
    if isinstance(value, int):
        return id_text(value) if name in _ID_FIELDS else int(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, ServerRecord):  # its id is a count, which people see as it is
        return {"id": int(value.id)} | {key: plain(part, key) for key, part in _fields(value) if key != "id"}
    if isinstance(value, Struct) or dataclasses.is_dataclass(value):
        return {key: plain(part, key) for key, part in _fields(value) if key not in _SECRET_FIELDS}
    if isinstance(value, Mapping):
        return {str(key): plain(part, str(key)) for key, part in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [plain(part) for part in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _fields(record: Any) -> Iterator[tuple[str, Any]]:
    names = record.__struct_fields__ if isinstance(record, Struct) else [f.name for f in dataclasses.fields(record)]
    return ((name, getattr(record, name)) for name in names)


def _field_names(value: Any) -> tuple[str, ...]:
    """Of a record, in order; nothing for anything else."""
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    return tuple(field.name for field in dataclasses.fields(value)) if dataclasses.is_dataclass(value) else ()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """A table; `empty` is what to say when there is nothing in it."""
    if not rows:
        click.echo(empty)
        return
    texts = [["" if cell is None else _clean(str(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _rich_table(columns, texts)
        return
    widths = [max(len(line[number]) for line in [list(columns), *texts]) for number in range(len(columns))]
    for line in [list(columns), *texts]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _rich_table(columns: Sequence[str], texts: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for line in texts:
        table.add_row(*(Text(cell, overflow="fold") for cell in line))
    Console().print(table)


def print_facts(facts: Sequence[tuple[str, object]]) -> None:
    """Names and values, one a line; empty values are left out."""
    shown = [(name, _clean(str(value))) for name, value in facts if value not in (None, "", ())]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name.ljust(width)}  {value}")


def _clean(text: str) -> str:
    """What a stranger wrote must not steer a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def when(moment: datetime | None) -> str:
    """A time of the day for what is recent, with its date for what is older; in the reader's time zone."""
    if moment is None:
        return "-"
    local = moment.astimezone()
    today = datetime.now(local.tzinfo).date()
    return local.strftime("%H:%M:%S" if local.date() == today else "%Y-%m-%d %H:%M:%S")


def span(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h`, `2 d`."""
    seconds = max(0.0, seconds)
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def size_text(octets: int) -> str:
    """`512 B`, `3.4 KiB`, `1.2 MiB`."""
    if octets < 1024:
        return f"{octets} B"
    for power, unit in ((2, "KiB"), (3, "MiB")):
        if octets < 1024**power:
            return f"{octets / 1024 ** (power - 1):.1f} {unit}"
    return f"{octets / 1024**3:.1f} GiB"
