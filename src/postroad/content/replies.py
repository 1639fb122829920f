"""The table of replies (`data/replies.toml`): who says what in which words, and what is meant.

A pattern is made of words, `*` standing for anything between them: no regular expressions, so that a hostile reply
costs one search for each word and never more. Words begin where a word begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from operator import attrgetter
from typing import NamedTuple

import msgspec
from msgspec import Struct

from postroad.content.reasons import Reason
from postroad.data import table

_KEY = 4  # letters of a word that find it
_TOKEN = re.compile(r"[a-z0-9]+")
_PLACE = attrgetter("place")


class Row(Struct, frozen=True, forbid_unknown_fields=True):
    """One pattern. It fits where one of `says` and one of `code` (an enhanced or a basic code) fits, and `stage`."""

    reason: Reason
    example: str
    says: tuple[str, ...] | str = ()
    code: tuple[str, ...] | str = ()
    stage: tuple[str, ...] | str = ()
    doc: str = ""  # where it is documented, where another place than for the speaker's other patterns
    only: bool = False  # its words are common: it counts where the speaker is known to speak
    broad: bool = False  # its words are so common that only the reply itself is searched for them
    sure: bool = False  # an unknown user is meant for good, wherever in the dialogue it was said


class Speaker(Struct, frozen=True, forbid_unknown_fields=True):
    """A provider, a filter or a mail server, with its patterns."""

    name: str
    title: str
    kind: str  # provider, filter, list, software, standard
    doc: str  # where its replies are documented
    reply: tuple[Row, ...]
    hosts: tuple[str, ...] = ()  # its MX hosts end so
    marks: tuple[str, ...] = ()  # words that it alone uses


class Pattern(Struct, frozen=True):
    """A row, ready to be matched. `says`: alternatives, each a sequence of fragments."""

    row: Row
    speaker: str
    says: tuple[tuple[str, ...], ...]
    code: frozenset[str]
    stage: frozenset[str]

    def may_fit(self, codes: frozenset[str], stage: str) -> bool:
        """Whether codes and stage fit."""
        return (not self.code or bool(self.code & codes)) and (not self.stage or stage in self.stage)

    def fits(self, words: str, codes: frozenset[str], stage: str) -> bool:
        return self.may_fit(codes, stage) and any(fits(fragments, words) for fragments in self.says)


class Entry(NamedTuple):
    """One alternative of one pattern, with its place in the order of the file."""

    place: int
    fragments: tuple[str, ...]
    pattern: Pattern


class Table(Struct, frozen=True):
    """All patterns: those of each speaker, and those that are read whoever speaks, by the longest of their words."""

    speakers: dict[str, Speaker]
    hosts: dict[str, str]  # suffix of a host's name -> speaker
    marks: tuple[tuple[str, str], ...]
    own: dict[str, tuple[Pattern, ...]]
    shared: dict[str, tuple[Entry, ...]]  # by the first letters of a word that must be there; "" for none
    count: int

    def candidates(self, words: str) -> list[Entry]:
        """Alternatives whose longest word begins like one of these words, in the order of the file."""
        found = list(self.shared.get("", ()))
        for start in {token[:length] for token in set(_TOKEN.findall(words)) for length in range(1, _KEY + 1)}:
            found += self.shared.get(start, ())
        return sorted(found, key=_PLACE)


def fits(fragments: Sequence[str], words: str) -> bool:
    """Whether the fragments stand in the words, one behind the other, each at the beginning of a word."""
    at = 0
    for fragment in fragments:
        at = _find(fragment, words, at)
        if at < 0:
            return False
        at += len(fragment)
    return True


def _find(fragment: str, words: str, at: int) -> int:
    at = words.find(fragment, at)
    while at > 0 and words[at - 1].isalnum() and fragment[0].isalnum() and fragment[0].isascii():
        at = words.find(fragment, at + 1)
    return at


@cache
def replies() -> Table:
    """The table, read and made ready once."""
    speakers = msgspec.convert(table("replies")["speaker"], list[Speaker])
    own = {speaker.name: tuple(_pattern(row, speaker) for row in speaker.reply) for speaker in speakers}
    return Table(
        {speaker.name: speaker for speaker in speakers},
        {suffix: speaker.name for speaker in speakers for suffix in speaker.hosts},
        tuple((mark.lower(), speaker.name) for speaker in speakers for mark in speaker.marks),
        own,
        _index(own.values()),
        sum(len(patterns) for patterns in own.values()),
    )


def _index(lists: Iterable[Sequence[Pattern]]) -> dict[str, tuple[Entry, ...]]:
    index: dict[str, list[Entry]] = {}
    shared = [pattern for patterns in lists for pattern in patterns if not pattern.row.only]
    for place, pattern in enumerate(shared):
        for fragments in pattern.says:
            longest = max((word for fragment in fragments for word in _TOKEN.findall(fragment)), key=len, default="")
            index.setdefault(longest[:_KEY], []).append(Entry(place, fragments, pattern))
    return {key: tuple(entries) for key, entries in index.items()}


def _pattern(row: Row, speaker: Speaker) -> Pattern:
    says = tuple(
        tuple(fragment for part in plain(each).split("*") if (fragment := part.strip())) for each in _many(row.says)
    )
    return Pattern(row, speaker.name, says, frozenset(_many(row.code)), frozenset(_many(row.stage)))


_SPACES = re.compile(r"[\s<>\"`´‘’“”]+")


def plain(text: str) -> str:
    """In lower case, with single spaces, and without quotes."""
    return _SPACES.sub(" ", text.lower()).replace("'", "").strip()


def _many(value: tuple[str, ...] | str) -> Iterator[str]:
    return iter((value,) if isinstance(value, str) else value)


def speaker_of(host: str, words: str) -> str:
    """Who speaks: by the name of the host, or by words that it alone uses; empty where that is not known."""
    known = replies()
    name = host.lower().rstrip(".")
    while name:
        if name in known.hosts:
            return known.hosts[name]
        name = name.partition(".")[2]
    return next((speaker for mark, speaker in known.marks if _find(mark, words, 0) >= 0), "")
