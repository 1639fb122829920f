"""Mailbox names: what is one, which fit a pattern, and what LIST says of them (RFC 3501 §5.1, §6.3.8). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from postroad.ports.store import MailboxRecord

DELIMITER = "/"
INBOX = "INBOX"
MAX_NAME = 250  # characters
MAX_DEPTH = 20
_WILDCARDS = "*%"
_WILDCARD_RUN = re.compile(r"[*%]{2,}")


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


class Pattern:
    """`*` stands for anything, `%` for anything but the delimiter.

    The places in the pattern that may come next are the bits of one number, so a name costs one step a character,
    whatever the pattern: LIST with a thousand wildcards would else hold the whole server.
    """

    __slots__ = ("_end", "_literals", "_star", "_wild")

    def __init__(self, text: str) -> None:
        text = _WILDCARD_RUN.sub(lambda run: "*" if "*" in run[0] else "%", text)
        self._literals: dict[str, int] = {}
        self._star = self._wild = 0
        for at, character in enumerate(text[: 2 * MAX_NAME + 2]):  # what is longer fits no name, and still does not
            if character in _WILDCARDS:
                self._wild |= 1 << at
                self._star |= (character == "*") << at
            else:
                self._literals[character] = self._literals.get(character, 0) | 1 << at
        self._end = 1 << len(text)

    def matches(self, name: str) -> bool:
        places = self._past_wildcard(1)
        for character in name:
            stay = places & (self._star if character == DELIMITER else self._wild)
            places = self._past_wildcard(stay | (places & self._literals.get(character, 0)) << 1)
            if not places:
                return False
        return bool(places & self._end)

    def _past_wildcard(self, places: int) -> int:
        """A wildcard may also stand for nothing; no two stand side by side."""
        return places | (places & self._wild) << 1


def listed(mailboxes: Iterable[MailboxRecord], reference: str, pattern: str, *, subscribed: bool) -> list[Listed]:
    """The answer to LIST or LSUB, in order of names."""
    records = {record.name: record for record in mailboxes}
    parents = {superior for name in records for superior in superiors(name)}
    chosen = {name for name, record in records.items() if record.subscribed or not subscribed}
    # LSUB shows a name that is not subscribed only as the `%` level above one that is (RFC 3501 §6.3.9)
    above = {superior for name in chosen for superior in superiors(name)} - chosen
    pattern = canonical(reference + pattern)
    fits = Pattern(pattern).matches
    names = chosen | (above if not subscribed or "%" in pattern else set())
    return [
        Listed(name, _attributes(name, records.get(name), parents, hidden=name not in chosen))
        for name in sorted(names, key=lambda name: (name != INBOX, name))
        if fits(name)
    ]


def _attributes(name: str, record: MailboxRecord | None, parents: set[str], *, hidden: bool) -> tuple[str, ...]:
    attributes = ["\\HasChildren" if name in parents else "\\HasNoChildren"]  # RFC 3348
    if hidden:
        attributes.insert(0, "\\Noselect")
    if record is not None and record.special_use:
        attributes.append(record.special_use)  # RFC 6154 §2: may stand in a plain LIST
    return tuple(attributes)
