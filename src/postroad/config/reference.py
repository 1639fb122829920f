"""The page docs/reference/settings.md, written from the schema; a test keeps the page and the schema one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

from postroad.config.schema import Settings

_HEAD = """\
# Settings

<!-- Written by `python -m postroad.config.reference`; change src/postroad/config/schema.py instead. -->

One TOML file, found by `--config`, then `POSTROAD_CONFIG`, then `./postroad.toml`, then `/etc/postroad/postroad.toml`.
Paths in it are relative to its folder. The environment wins over the file; lists there are separated by commas.
Settings marked *secret* can also be read from the file that the same variable with `_FILE` behind it names.
Those marked *on reload* are applied by SIGHUP; the others by a restart. `postroad check` says what is wrong.
"""
_LISTS = {
    "listen": "One table for each listener; none at all: the default ports of the roles that run.\n"
    '`POSTROAD_LISTEN="mx=0.0.0.0:25,metrics=127.0.0.1:9667"` sets them all.\n',
    "scanner": "One table for each milter or Rspamd, asked in this order (see docs/guides/scanners.md).\n"
    '`POSTROAD_SCANNER="rspamd=milter:127.0.0.1:11332"` sets them all, by name and address.\n',
    "tls_policy": "One table for each destination of which more, or less, is asked than `[delivery] tls` says.\n"
    '`POSTROAD_TLS_POLICY="example.com=verify"` sets them all, by domain and what is asked.\n',
    "dns_list": "One table for each list of clients in DNS; a zone may have several, with other codes.\n"
    '`POSTROAD_DNS_LIST="zen.example.org=10"` sets them all, by zone and weight.\n',
    "route": "One table for each way; the first that fits decides. What fits none goes by its domain alone.\n",
    "pool": "One table for each set of addresses that some mail leaves from.\n",
    "provider": "One table for each provider whose limits are other than those that ship, or that is not among them.\n",
    "retry": "One table for each stream or cause whose tries are other than `[delivery]` says.\n",
}
_TYPES = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "Path": "path",
    "Certificate": "table",
    "Union": "path",
}


def settings_page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_sections()]) + "\n"


def _sections() -> Iterator[str]:
    hints = get_type_hints(Settings)
    top = [field for field in dataclasses.fields(Settings) if not dataclasses.is_dataclass(hints[field.name])]
    yield from _table("Top level", "", Settings, [field for field in top if field.name not in _LISTS])
    for name in _LISTS:
        yield from _list(name, hints[name].__args__[0])
    for field in dataclasses.fields(Settings):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            yield from _table(f"`[{field.name}]`", field.name, kind, list(dataclasses.fields(kind)))


def _list(name: str, kind: Any) -> Iterator[str]:
    """A list of tables."""
    yield f"## `[[{name}]]`\n"
    yield _LISTS[name]
    yield "| Key | Type | Default | Meaning |\n|---|---|---|---|"
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        yield f"| `{field.name}` | {_type_text(hints[field.name], field)} | {_default(field)} | {_meaning(field)} |"
    yield ""


def _table(title: str, section: str, kind: Any, fields: list[dataclasses.Field[Any]]) -> Iterator[str]:
    hints = get_type_hints(kind)
    yield f"## {title}\n"
    yield "| Key | Type | Default | Meaning | Environment |\n|---|---|---|---|---|"
    for field in fields:
        variable = "_".join(filter(None, ("POSTROAD", section.upper(), field.name.upper())))
        yield (
            f"| `{field.name}` | {_type_text(hints[field.name], field)} | {_default(field)} "
            f"| {_meaning(field)} | `{variable}` |"
        )
    yield ""


def _meaning(field: dataclasses.Field[Any]) -> str:
    marks = [word for word, name in (("secret", "secret"), ("on reload", "reload")) if field.metadata[name]]
    text: str = field.metadata["text"].replace("|", "\\|")
    return text + (f" *({', '.join(marks)})*" if marks else "")


def _type_text(hint: Any, field: dataclasses.Field[Any]) -> str:
    if getattr(hint, "__origin__", None) is tuple:
        return f"list of {_TYPES[hint.__args__[0].__name__]}s{_unit(field)}"
    name: str = getattr(hint, "__name__", "Union")
    return _TYPES[name] + _unit(field)


def _unit(field: dataclasses.Field[Any]) -> str:
    return f", {field.metadata['unit']}" if field.metadata["unit"] else ""


def _default(field: dataclasses.Field[Any]) -> str:
    value = field.default
    if value is dataclasses.MISSING:
        return "required"
    if value is None or value in ("", ()):
        return "–"
    if isinstance(value, tuple):
        return "`[" + ", ".join(_literal(part) for part in value) + "]`"
    return f"`{_literal(value)}`"


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if value < 1e6 else str(int(value))
    return f'"{value}"' if isinstance(value, str) else str(value)


if __name__ == "__main__":
    page = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"
    page.write_text(settings_page(), "utf-8")
