"""Mailbox names: what is one, which fit a pattern, and what LIST says of them (RFC 3501 §5.1, §6.3.8). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from postroad.ports.store import MailboxRecord

DELIMITER = "/"
INBOX = "INBOX"
MAX_NAME = 250  # characters
MAX_DEPTH = 20
_WILDCARDS = "*%"


class BadName(ValueError):  # noqa: N818 - the peer's, not ours
    """The text cannot be the name of a mailbox; says why."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One name with what LIST says of it."""

    name: str
    attributes: tuple[str, ...]


def canonical(name: str) -> str:
    """INBOX is itself in any case, also as the first level of a longer name (RFC 3501 §5.1)."""
    first, slash, rest = name.partition(DELIMITER)
    return INBOX + slash + rest if first.upper() == INBOX else name


def new_name(name: str) -> str:
    """The name of a mailbox about to be made. A delimiter at the end only says that more will follow below
    (RFC 3501 §6.3.3). Raises BadName."""
    name = canonical(name.removesuffix(DELIMITER))
    levels = name.split(DELIMITER)
    if not name or not all(levels):
        raise BadName("a mailbox name and each level of it need at least one character")
    if len(name) > MAX_NAME or len(levels) > MAX_DEPTH:
        raise BadName(f"a mailbox name has at most {MAX_NAME} characters and {MAX_DEPTH} levels")
    if not name.isprintable() or any(wildcard in name for wildcard in _WILDCARDS):
        raise BadName("a mailbox name holds neither * nor % nor control characters")
    return name


def superiors(name: str) -> Iterator[str]:
    """`a`, `a/b` of `a/b/c`."""
    at = name.find(DELIMITER)
    while at >= 0:
        yield name[:at]
        at = name.find(DELIMITER, at + 1)


def is_below(name: str, superior: str) -> bool:
    return name.startswith(superior + DELIMITER)


def matches(pattern: str, name: str) -> bool:
    """`*` stands for anything, `%` for anything but the delimiter. Linear in both, whatever the pattern."""
    states = {0}
    states = _skip_wildcards(pattern, states)
    for character in name:
        states = _skip_wildcards(pattern, _step(pattern, states, character))
        if not states:
            return False
    return len(pattern) in states


def _step(pattern: str, states: set[int], character: str) -> set[int]:
    found = set()
    for state in states:
        if state == len(pattern):
            continue
        wanted = pattern[state]
        if wanted == "*" or (wanted == "%" and character != DELIMITER):
            found.add(state)
        elif wanted == character:
            found.add(state + 1)
    return found


def _skip_wildcards(pattern: str, states: set[int]) -> set[int]:
    """A wildcard may also stand for nothing."""
    found = set()
    for state in states:
        while state < len(pattern) and pattern[state] in _WILDCARDS:
            found.add(state)
            state += 1  # noqa: PLW2901
        found.add(state)
    return found


def listed(mailboxes: Iterable[MailboxRecord], reference: str, pattern: str, *, subscribed: bool) -> list[Listed]:
    """The answer to LIST or LSUB, in order of names."""
    records = {record.name: record for record in mailboxes}
    parents = {superior for name in records for superior in superiors(name)}
    chosen = {name for name, record in records.items() if record.subscribed or not subscribed}
    # LSUB shows a name that is not subscribed only as the `%` level above one that is (RFC 3501 §6.3.9)
    above = {superior for name in chosen for superior in superiors(name)} - chosen
    pattern = canonical(reference + pattern)
    names = chosen | (above if not subscribed or "%" in pattern else set())
    return [
        Listed(name, _attributes(name, records.get(name), parents, hidden=name not in chosen))
        for name in sorted(names, key=lambda name: (name != INBOX, name))
        if matches(pattern, name)
    ]


def _attributes(name: str, record: MailboxRecord | None, parents: set[str], *, hidden: bool) -> tuple[str, ...]:
    attributes = ["\\HasChildren" if name in parents else "\\HasNoChildren"]  # RFC 3348
    if hidden:
        attributes.insert(0, "\\Noselect")
    if record is not None and record.special_use:
        attributes.append(record.special_use)  # RFC 6154 §2: may stand in a plain LIST
    return tuple(attributes)
