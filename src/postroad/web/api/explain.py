"""What a reply of another server means, and what to do about it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from postroad.content.classify import classify
from postroad.content.explain import MAX_TEXT, explain_cause, read_reply
from postroad.reports.facts import gather, plain_facts, source_addresses
from postroad.web.api.routes import Call, Route
from postroad.web.api.values import Text


class Question(Struct, forbid_unknown_fields=True):
    """A reply, and what is known of where it came up."""

    text: Annotated[str, Meta(max_length=MAX_TEXT, description="The reply, as a log or a bounce has it.")] = ""
    recipient: Annotated[Text, Meta(description="To whom the message went.")] = ""
    sender: Annotated[Text, Meta(description="Who sent it: what DNS says of its domain is told too.")] = ""
    host: Annotated[Text, Meta(description="The server that said it.")] = ""


class Fact(Struct):
    """Something that we know of our side."""

    label: str
    value: str


class ReplyExplained(Struct):
    """`reason` is one of docs/reference/reasons.md. `certainty`: `pattern` (the words are known), `enhanced` or `code`
    (only the codes are), `none`. `hard`: this address will not take mail again."""

    reason: str
    title: str
    happened: str
    whose_move: str
    next_step: str
    retry: str
    fault: str
    permanent: bool
    hard: bool
    bounce_type: str
    speaker: str
    certainty: str
    documented: str
    facts: list[Fact]


async def explain(call: Call, *, query: Question) -> ReplyExplained:
    """Say what an SMTP reply means.

    What happened, whose move it is and the exact next step, with our own facts: the address that mail leaves from, its
    PTR record, SPF and DMARC of the sender's domain, how much went there lately.
    """
    services = call.services
    cause = classify(read_reply(query.text), host=query.host)
    facts = await gather(
        cause,
        plain_facts(recipient=query.recipient, sender=query.sender, hello=services.hostname),
        resolver=services.resolver,
        store=services.store,
        now=services.clock.now(),
        sources=source_addresses(services.settings),
    )
    told = explain_cause(cause, facts)
    return ReplyExplained(
        told.reason,
        told.title,
        told.happened,
        told.whose,
        told.next_step,
        told.retry,
        cause.fault.value,
        told.permanent,
        told.hard,
        told.bounce_type,
        told.speaker,
        told.certainty,
        told.doc,
        [Fact(label, value) for label, value in told.facts],
    )


ROUTES = (Route("GET", "/explain", "messages:read", explain),)
