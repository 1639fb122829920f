"""A query in the words of an index: wide enough to leave nothing out, for the rows decide.

Both indexes know a message by words in fields, and by facets: words that nobody writes for its states, its server and
its stream.
"""

from __future__ import annotations

from datetime import timedelta

from postroad.adapters.ids import first_id_at
from postroad.content.words import words
from postroad.ports.ids import MessageId
from postroad.ports.search import MessageQuery, SearchField, SearchTerm
from postroad.ports.store import DeliveryState

MAX_ID = (1 << 63) - 1
EARLIER = timedelta(days=1)  # a message's id is made when its sender is named, perhaps long before it is ours
CLOCKS = timedelta(minutes=1)  # that clocks differ

# In PostgreSQL a word stands behind the letter of its field.
LETTERS = {
    SearchField.SENDER: "f",
    SearchField.RECIPIENT: "t",
    SearchField.SUBJECT: "s",
    SearchField.IDENT: "i",
    SearchField.TAG: "g",
    SearchField.REPLY: "r",
}
FACET = "x"
MAX_WORD = 100  # characters; longer words are known by their beginning


def bounds(query: MessageQuery, below: MessageId | None, above: MessageId) -> tuple[int, int]:
    """The ids that may fit: from the first up to the second."""
    lows, highs = [int(above)], [MAX_ID if below is None else below]
    if query.ids:
        lows.append(query.ids[0])
        highs.append(query.ids[1])
    if query.since:
        lows.append(first_id_at(query.since - EARLIER))
    if query.until:
        highs.append(first_id_at(query.until + CLOCKS))
    return max(lows), min(highs)


def state_facets(query: MessageQuery) -> list[str]:
    """One of them must be there, where there are any."""
    states = [*query.states, *([DeliveryState.QUEUED] if query.deferred else ())]
    return [f"s{state.value}" for state in dict.fromkeys(states)]


def other_facets(query: MessageQuery) -> list[str]:
    """All of them must be there."""
    found = [] if query.server_id is None else [f"v{query.server_id}"]
    return [*found, f"m{query.stream.encode().hex()}"] if query.stream else found


def facets_of(states: str, server: int | None, stream: str) -> list[str]:
    """A message's own; `states` are s and a state each, side by side."""
    return [*states.split(), *([] if server is None else [f"v{server}"]), f"m{stream.encode().hex()}"]


def terms_of(query: MessageQuery) -> list[SearchTerm]:
    """Those that an index can help with: they have words."""
    return [term for term in query.terms if words(term.text)]


# --- FTS5 ---


def facet_expression(query: MessageQuery) -> list[str]:
    """Parts of an expression for MATCH."""
    parts = [f"facet : {facet}" for facet in other_facets(query)]
    if states := state_facets(query):
        parts.append(f"facet : ({' OR '.join(states)})")
    return parts


def is_single(term: SearchTerm) -> bool:
    """Whether it is one word, perhaps only begun."""
    return len(words(term.text)) == 1


def prefix(term: SearchTerm, *, last_word: bool = False) -> str:
    """The words side by side, the last one perhaps only begun; or that one alone."""
    return f"{_phrase(term, words(term.text)[-1] if last_word else term.text)} *"


def phrase(term: SearchTerm) -> str:
    """All words but the last one: they are there whole."""
    return _phrase(term, " ".join(words(term.text)[:-1]))


def _phrase(term: SearchTerm, text: str) -> str:
    quoted = text.replace("\0", " ").replace('"', '""')
    return f'{{{" ".join(term.fields)}}} : "{quoted}"'


# --- PostgreSQL ---


def tsquery(query: MessageQuery) -> str:
    """For @@; empty where the index cannot help. Words hold no signs, so that nothing needs quoting but by habit."""
    parts = [_tsquery_term(term) for term in terms_of(query)]
    parts += [f"'{FACET}{facet}'" for facet in other_facets(query)]
    if states := state_facets(query):
        parts.append(_any([f"'{FACET}{facet}'" for facet in states]))
    return " & ".join(parts)


def _tsquery_term(term: SearchTerm) -> str:
    """Every word in one of the fields, the last one perhaps only begun."""
    found = [word[:MAX_WORD] for word in words(term.text)]
    letters = [LETTERS[field] for field in term.fields]
    return " & ".join(
        _any([f"'{letter}{word}'{'' if number < len(found) else ':*'}" for letter in letters])
        for number, word in enumerate(found, 1)
    )


def _any(terms: list[str]) -> str:
    return f"({' | '.join(terms)})"
