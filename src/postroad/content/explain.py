"""A refusal explained: what happened, whose move it is, the exact next step, with our own facts in it. Pure.

The sentences stand in `data/reasons.toml`. A part in [brackets] is left out where a fact that it names is not known, or
gives way to what stands behind its `|`.
"""

from __future__ import annotations

import re

from msgspec import Struct, structs

from postroad.content.classify import Cause, Certainty, classify
from postroad.content.reasons import Fault, Move, Pace
from postroad.content.returned.wording import codes_in
from postroad.mail.status import Status

MAX_TEXT = 4000  # characters of a reply that somebody asks about


class Facts(Struct, frozen=True):
    """What we know of our side and of theirs; empty: not known."""

    recipient: str = ""
    domain: str = ""  # the recipient's
    sender: str = ""
    sender_domain: str = ""
    speaker: str = ""
    address: str = ""  # ours, that mail goes out from
    ptr: str = ""  # its name in DNS, or words for what is wrong with it
    hello: str = ""  # our host name
    spf: str = ""
    dkim: str = ""
    dmarc: str = ""
    rate: str = ""
    wait: str = ""


class Explanation(Struct, frozen=True):
    """All that people are told. `facts` are pairs of a label and what we know."""

    reason: str
    title: str
    happened: str
    whose: str
    next_step: str
    retry: str
    fault: str
    permanent: bool
    hard: bool
    bounce_type: str
    speaker: str
    certainty: str
    found_by: str
    doc: str
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def fault_is_ours(self) -> bool:
        """What is known of our side bears on it."""
        return self.fault not in (FAULTS[Fault.RECIPIENT], FAULTS[Fault.NETWORK], FAULTS[Fault.RECEIVER])


def read_reply(text: str) -> Status:
    """A reply as people paste it: of one line or several, with or without codes, with a log's words around it."""
    text = " ".join(text[:MAX_TEXT].split())
    reply_code, enhanced = codes_in(text)
    if not reply_code:
        reply_code = enhanced.klass * 100 + 50 if enhanced else 0
    return Status(reply_code, enhanced, text, diagnostic=text)


def explain(status: Status, facts: Facts | None = None, *, host: str = "") -> Explanation:
    """`host` is who said it, where the status does not name it."""
    cause = classify(status, host=host)
    return explain_cause(cause, facts or Facts())


def explain_cause(cause: Cause, facts: Facts) -> Explanation:
    facts = structs.replace(facts, speaker=facts.speaker or cause.speaker_title, wait=span(cause.retry.after))
    meaning = cause.meaning
    return Explanation(
        reason=cause.reason.value,
        title=meaning.title,
        happened=filled(meaning.happened, facts),
        whose=WHOSE[meaning.move],
        next_step=filled(meaning.next, facts),
        retry=_retry(cause),
        fault=FAULTS[meaning.fault],
        permanent=cause.permanent,
        hard=cause.hard,
        bounce_type=cause.bounce_type,
        speaker=cause.speaker_title,
        certainty=cause.certainty.value,
        found_by=FOUND_BY[cause.certainty],
        doc=cause.doc,
        facts=tuple((label, value) for label, name in LABELS.items() if (value := getattr(facts, name))),
    )


WHOSE = {
    Move.YOU: "Your move",
    Move.YOUR_ADMIN: "Your server's administrator",
    Move.RECIPIENT: "The recipient's move",
    Move.THEIR_ADMIN: "The administrator on the other side",
    Move.NOBODY: "Nobody has to do anything",
}
FAULTS = {
    Fault.RECIPIENT: "the recipient's address or mailbox",
    Fault.CONTENT: "the content of the message",
    Fault.REPUTATION: "what they think of the sender",
    Fault.POLICY: "a rule of the other side",
    Fault.NETWORK: "the network on the way",
    Fault.RECEIVER: "the receiving server",
    Fault.OURS: "our own set-up",
    Fault.NOBODY: "nobody's fault",
}
FOUND_BY = {
    Certainty.PATTERN: "These words are known.",
    Certainty.ENHANCED: "The words are not known; this is what the enhanced code says in general.",
    Certainty.CODE: "The words are not known; this is what the reply code says at that place, which is not much.",
    Certainty.NONE: "Neither words nor codes tell a reason.",
}
LABELS = {
    "sent from": "address",
    "its PTR record": "ptr",
    "as": "hello",
    "sender's domain": "sender_domain",
    "SPF": "spf",
    "DKIM": "dkim",
    "DMARC": "dmarc",
    "sent there lately": "rate",
}
_PACES = {
    Pace.USUAL: "It is tried again by the usual schedule.",
    Pace.SOON: "It is tried again soon, with fewer connections.",
    Pace.GREYLIST: "It is tried again when the window opens.",
    Pace.SLOW: "It is tried again, more slowly than usual.",
    Pace.FULL: "It is tried again with long waits.",
    Pace.NEVER: "It is not tried again.",
}


def _retry(cause: Cause) -> str:
    if cause.hard:
        return "It is not tried again; a stream does not send to this address any more."
    if cause.retry.after is not None:
        return f"It is tried again in {span(cause.retry.after)}, as the server asks."
    return _PACES[cause.retry.schedule]


_PART = re.compile(r"\[([^\[\]|]*)(?:\|([^\[\]]*))?\]")
_NAME = re.compile(r"\{(\w+)\}")


def filled(sentence: str, facts: Facts) -> str:
    """The sentence with what is known; parts that need what is not known are left out."""

    def part(found: re.Match[str]) -> str:
        known = all(getattr(facts, name) for name in _NAME.findall(found[1]))
        return found[1] if known else found[2] or ""

    whole = _PART.sub(part, sentence)
    whole = _NAME.sub(lambda found: str(getattr(facts, found[1])), whole)
    return whole[:1].upper() + whole[1:]


def span(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for size, name in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            number = round(seconds / size)
            return f"{number} {name}{'s' if number != 1 else ''}"
    return "a moment"
