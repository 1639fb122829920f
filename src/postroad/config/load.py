"""Find the configuration, read it with the environment over it, and say everything that is wrong with it at once.

The schema is the only list of settings: this file walks it. A value comes from `POSTROAD_SECTION_KEY`, for secrets from
the file named by `POSTROAD_SECTION_KEY_FILE`, else from the TOML file, else from its default.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from postroad.config import checks
from postroad.config.convert import Misfit, from_text, from_toml
from postroad.config.problems import ConfigError, Problem
from postroad.config.schema import Settings
from postroad.config.values import suggest

PREFIX = "POSTROAD_"
SYSTEM_FILE = Path("/etc/postroad/postroad.toml")
# Names under our prefix that are no settings: the file's own name, what tests look at, and what Kubernetes puts into
# the environment of every container for a service called "postroad".
_NOT_SETTINGS = re.compile(
    r"POSTROAD_(CONFIG|TESTDATA|NPM|PASSWORD|REQUIRE_INTEROP|TEST_.*|BENCH_.*|SERVICE_.*|PORT(_.*)?)"
)


def find(named: str | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration file: `--config`, then POSTROAD_CONFIG, then ./postroad.toml, then /etc/postroad/."""
    for given, origin in ((named, "--config"), (environ.get("POSTROAD_CONFIG"), "POSTROAD_CONFIG")):
        if given:
            if not Path(given).is_file():
                raise ConfigError([Problem(origin, f"there is no file {given}")])
            return Path(given)
    for path in (Path("postroad.toml"), SYSTEM_FILE):
        if path.is_file():
            return path
    return None


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Settings from `path` (None: the environment alone). Raises ConfigError with every problem."""
    reader = _Reader(environ, path)
    settings: Settings | None = reader.section(Settings, _read_file(path), ())
    reader.unknown_variables()
    if settings is not None:
        reader.problems += checks.inconsistencies(settings)
    if settings is None or reader.problems:
        raise ConfigError(reader.problems, path)
    return settings


def _read_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Problem("", f"not valid TOML: {error}")], path) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem("", f"cannot be read: {error}")], path) from error


class _Reader:
    """Walks the schema beside the file's tables, gathering problems."""

    def __init__(self, environ: Mapping[str, str], path: Path | None, folder: Path | None = None) -> None:
        """Relative paths are read from the file's folder, or from `folder`."""
        self.problems: list[Problem] = []
        self._environ = environ
        self._folder = folder or (path.parent.resolve() if path else Path.cwd())
        self._known_variables: set[str] = set()

    def section(self, kind: type[Any], table: object, path: tuple[str, ...]) -> Any:
        """One table as its dataclass; None when something in it is wrong."""
        if not isinstance(table, dict):
            name = ".".join(path)
            self._add(name, f"must be a table: [{name}]")
            table = {}
        before = len(self.problems)
        self._unknown_keys(kind, table, path)
        given: dict[str, Any] = {}
        for field, hint in _fields(kind):
            found, value = self._field(field, hint, table, (*path, field.name))
            if found:
                given[field.name] = value
        return kind(**given) if len(self.problems) == before else None

    def _field(self, field: dataclasses.Field[Any], hint: Any, table: dict[str, Any], path: tuple[str, ...]) -> Any:
        if dataclasses.is_dataclass(hint):
            return True, self.section(hint, table.get(field.name, {}), path)  # type: ignore[arg-type]
        name = ".".join(path)
        variable = PREFIX + "_".join(path).upper()
        try:
            variable, text = self._variable(field, variable)
            if text is not None:
                name = variable
                value = from_text(text, hint)
            elif field.name in table:
                value = from_toml(table[field.name], hint, secret=field.metadata["secret"])
            else:
                self._check_required(field, name, variable)
                return False, None
        except Misfit as misfit:
            self._add(name, str(misfit), misfit.suggestion)
            return False, None
        return True, self._checked(field, hint, value, name)

    def _variable(self, field: dataclasses.Field[Any], variable: str) -> tuple[str, str | None]:
        """The variable that sets this field, perhaps by naming a file, and its value there."""
        self._known_variables |= {variable}
        if variable in self._environ:
            return variable, self._environ[variable]
        if field.metadata["secret"]:
            self._known_variables |= {variable + "_FILE"}
            if named := self._environ.get(variable + "_FILE"):
                try:
                    return variable + "_FILE", Path(named).read_text("utf-8").rstrip("\r\n")
                except (OSError, UnicodeDecodeError) as error:
                    raise Misfit(f"{variable}_FILE: {error}") from error
        return variable, None

    def _check_required(self, field: dataclasses.Field[Any], name: str, variable: str) -> None:
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            by = "" if "[" in variable else f", or by {variable}"
            self._add(name, f"is missing ({field.metadata['text']})", f"set it in the file{by}")

    def _checked(self, field: dataclasses.Field[Any], hint: Any, value: Any, name: str) -> Any:
        if isinstance(value, Path):
            return self._folder / value.expanduser()
        if isinstance(value, tuple) and value and isinstance(value[0], dict):
            element = hint.__args__[0]
            return tuple(self._element(element, table, f"{name}[{number}]") for number, table in enumerate(value))
        check = field.metadata["check"]
        for number, single in enumerate(value if isinstance(value, tuple) else (value,)):
            if check and (wrong := check(single)):
                self._add(f"{name}[{number}]" if isinstance(value, tuple) else name, wrong)
        return value

    def _element(self, kind: type[Any], table: dict[str, Any], name: str) -> Any:
        """One table of a list of tables, such as `[[listen]]`; the environment sets only the whole list."""
        reader = _Reader({}, None, self._folder)
        result = reader.section(kind, table, (name,))
        self.problems += reader.problems
        return result

    def _unknown_keys(self, kind: type[Any], table: dict[str, Any], path: tuple[str, ...]) -> None:
        known = [field.name for field, _ in _fields(kind)]
        for key in table:
            if key not in known:
                hint = suggest(key, known) or _elsewhere(key)
                self._add(".".join((*path, key)), "is not a setting", hint)

    def unknown_variables(self) -> None:
        for name in self._environ:
            if name.startswith(PREFIX) and name not in self._known_variables and not _NOT_SETTINGS.fullmatch(name):
                self._add(name, "is not a setting", suggest(name, sorted(self._known_variables)))

    def _add(self, path: str, text: str, suggestion: str = "") -> None:
        self.problems.append(Problem(path, text, suggestion))


def _fields(kind: type[Any]) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        yield field, hints[field.name]


def _elsewhere(key: str) -> str:
    """Where a key belongs that was put into the wrong table."""
    for field, hint in _fields(Settings):
        if field.name == key and not dataclasses.is_dataclass(hint):
            return f"`{key}` stands at the top of the file, above the first table"
        if dataclasses.is_dataclass(hint) and any(inner.name == key for inner in dataclasses.fields(hint)):
            return f"did you mean `{field.name}.{key}`?"
    return ""


def changed(old: Settings, new: Settings) -> tuple[list[str], list[str]]:
    """Names of settings that differ: those that SIGHUP applies, and those that need a restart."""
    applied: list[str] = []
    waiting: list[str] = []
    _compare(old, new, (), applied, waiting)
    return applied, waiting


def _compare(old: Any, new: Any, path: tuple[str, ...], applied: list[str], waiting: list[str]) -> None:
    for field in dataclasses.fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        name = (*path, field.name)
        if dataclasses.is_dataclass(before):
            _compare(before, after, name, applied, waiting)
        elif before != after:
            (applied if field.metadata["reload"] else waiting).append(".".join(name))
