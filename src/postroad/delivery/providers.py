"""Which provider takes a domain's mail, by the names of its MX hosts, and what that provider asks of senders.

Pure. The table ships as data/providers.toml; `[[provider]]` of the settings changes single values or adds providers.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from importlib.resources import files
from re import Pattern, compile  # noqa: A004 - as the module calls it

from postroad.config.schema import ProviderSettings


@dataclass(frozen=True, slots=True)
class Provider:
    """What is asked of senders; 0: nothing is known, so it is learned or left to the settings."""

    name: str
    title: str = ""
    mx: tuple[str, ...] = ()
    connections: int = 0
    messages_per_connection: int = 0
    recipients: int = 0  # of one transaction
    per_minute: float = 0.0  # messages
    source: str = ""


class Providers:
    """The table. `group` names the group that a set of MX hosts belongs to."""

    def __init__(self, rows: Iterable[Provider], organization: Callable[[str], str] | None = None) -> None:
        """`organization` tells what part of a host name its owner registered; without it that is guessed."""
        self.rows = tuple(rows)
        self._organization = organization or owner_of
        self._by_suffix: dict[str, Provider] = {}
        self._patterns: list[tuple[Pattern[str], Provider]] = []
        for row in self.rows:
            for pattern in row.mx:
                suffix = pattern.removeprefix("*.").lower()
                if "*" in suffix:
                    self._patterns.append((compile(translate(suffix if suffix == pattern else "*." + suffix)), row))
                else:
                    self._by_suffix.setdefault(suffix, row)

    def of_host(self, host: str) -> Provider | None:
        """The longest name that fits: `*.olc.protection.outlook.com` goes before `*.outlook.com`."""
        labels = host.lower().rstrip(".").split(".")
        for start in range(len(labels) - 1):
            if (row := self._by_suffix.get(".".join(labels[start:]))) is not None:
                return row
        return next((row for pattern, row in self._patterns if pattern.match(".".join(labels))), None)

    def group(self, hosts: Sequence[str]) -> Provider:
        """The provider of a domain with these hosts, best first. One that nobody has written down is whoever owns the
        first host's name."""
        for host in hosts:
            if (row := self.of_host(host)) is not None:
                return row
        return Provider(self._organization(hosts[0].lower().rstrip(".")) if hosts else "")


def owner_of(host: str) -> str:
    """The part of a host name that somebody registered, without a list of public suffixes: `mx1.hoster.example` and
    `mx2.hoster.example` are of one hand; a name of two labels stands for itself."""
    labels = host.split(".")
    if host.startswith("[") or labels[-1].isdigit() or ":" in host:
        return host  # an address
    keep = 3 if len(labels[-1]) == 2 and labels[-2:-1] and labels[-2] in _SECOND_LEVELS else 2  # mx.example.co.uk
    return ".".join(labels[-keep:])


_SECOND_LEVELS = frozenset(
    ("ac", "asn", "co", "com", "edu", "gen", "go", "gob", "gouv", "gov", "govt", "gr", "id", "in", "info", "ltd", "me",
     "mil", "muni", "ne", "net", "nhs", "nom", "or", "org", "plc", "sch", "web")
)  # fmt: skip


def load_providers(overrides: Iterable[ProviderSettings] = ()) -> Providers:
    """The table as shipped, with what the settings say about it."""
    with (files("postroad.data") / "providers.toml").open("rb") as file:
        shipped = {row["name"]: _row(row) for row in tomllib.load(file)["provider"]}
    added = []
    for override in overrides:
        known = shipped.get(override.name)
        changed = _changed(known or Provider(override.name), override)
        if known is not None:
            shipped[override.name] = changed
        else:
            added.append(changed)
    return Providers([*added, *shipped.values()])


def _row(row: dict[str, object]) -> Provider:
    return Provider(**{**row, "mx": tuple(row.get("mx", ()))})  # type: ignore[arg-type]


def _changed(row: Provider, override: ProviderSettings) -> Provider:
    given = {
        "mx": override.mx or None,
        "connections": override.connections or None,
        "messages_per_connection": override.messages_per_connection or None,
        "recipients": override.max_recipients or None,
        "per_minute": override.per_minute or None,
    }
    return replace(row, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
