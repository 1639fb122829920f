"""The page docs/reference/reasons.md, written from the tables of reasons and replies; a test keeps the two one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from postroad.content.explain import FAULTS, WHOSE, Facts, filled
from postroad.content.reasons import Pace, meanings
from postroad.content.replies import Row, Speaker, replies

SHOWN = 6  # alternatives of a pattern on the page; all of them stand in the file

_HEAD = """\
# Reasons and replies

<!-- Written by `python -m postroad.cli.reasons`; change src/postroad/data/reasons.toml and replies.toml instead. -->

Every failed attempt, and every bounce that comes back, is given one of these reasons: [why](../concepts/reasons.md).
Ask for one yourself with `postroad explain "550 5.7.1 ..."` or `GET /api/v1/explain`.
"""
_KINDS = {
    "provider": "Providers",
    "filter": "Filters",
    "list": "Block lists",
    "software": "Mail servers",
    "standard": "Words that many share",
}
_PACES = {
    Pace.USUAL: "as usual",
    Pace.SOON: "soon",
    Pace.GREYLIST: "when the window opens",
    Pace.SLOW: "slower",
    Pace.FULL: "with long waits",
    Pace.NEVER: "never",
}


def reasons_page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_reasons(), *_replies(), ""])


def _reasons() -> Iterator[str]:
    yield "## Reasons\n"
    yield "*Hard* means that this address will not take mail again: a stream does not send to it any more. *Again* is"
    yield "when a temporary refusal is tried again; a permanent one never is.\n"
    yield "| reason | title | lies with | hard | bounce type | again |"
    yield "|---|---|---|---|---|---|"
    for reason, each in meanings().items():
        hard = "yes" if each.hard else ""
        yield (
            f"| `{reason.value}` | {each.title} | {FAULTS[each.fault]} | {hard} | {each.bounce} |"
            f" {_PACES[each.schedule]} |"
        )
    yield ""
    for reason, each in meanings().items():
        yield f"### {reason.value}\n"
        yield f"**{each.title}.** {filled(each.happened, Facts())}\n"
        yield f"*{WHOSE[each.move]}:* {filled(each.next, Facts())}\n"


def _replies() -> Iterator[str]:
    known = replies()
    kinds = Counter(speaker.kind for speaker in known.speakers.values())
    yield "## Replies\n"
    yield (
        f"{known.count} patterns of {kinds['provider']} providers, {kinds['filter']} filters, {kinds['list']} block"
        f" lists and {kinds['software']} mail servers. A speaker is known by the name of its MX host, or by words that"
        " it alone uses; its own patterns are tried first, then everybody's. `*` stands for anything; *own* patterns"
        " count only where that speaker is known to speak.\n"
    )
    order = list(_KINDS)
    speakers = sorted(known.speakers.values(), key=lambda speaker: order.index(speaker.kind))
    for kind, some in groupby(speakers, key=lambda speaker: speaker.kind):
        yield f"### {_KINDS[kind]}\n"
        for speaker in some:
            yield from _speaker(speaker)


def _speaker(speaker: Speaker) -> Iterator[str]:
    yield f"#### {speaker.title}\n"
    hosts = f" MX hosts: {', '.join(f'`{host}`' for host in speaker.hosts)}." if speaker.hosts else ""
    yield f"Documented: <{speaker.doc}>.{hosts}\n"
    yield "| words | reason | example |"
    yield "|---|---|---|"
    for row in speaker.reply:
        notes = [
            f"{name} {value}" for name, value in (("code", _joined(row.code)), ("at", _joined(row.stage))) if value
        ]
        notes += ["own"] if row.only else []
        words = _words(row) + (f" ({', '.join(notes)})" if notes else "")
        yield f"| {words} | `{row.reason.value}` | {_code(row.example)} |"
    yield ""


def _words(row: Row) -> str:
    says = (row.says,) if isinstance(row.says, str) else row.says
    more = f" and {len(says) - SHOWN} more" if len(says) > SHOWN else ""
    return ", ".join(_code(each) for each in says[:SHOWN]) + more


def _joined(value: tuple[str, ...] | str) -> str:
    return value if isinstance(value, str) else " or ".join(value)


def _code(text: str) -> str:
    """As code inside a table."""
    return "`" + text.replace("|", "\\|").replace("`", "'") + "`"


if __name__ == "__main__":
    page = Path(__file__).parents[3] / "docs" / "reference" / "reasons.md"
    page.write_text(reasons_page(), encoding="utf-8")
