"""What a reply means: its words are looked up in the table of replies; where they say nothing, its codes speak.

A cause says how it was found, so that nobody takes a guess for knowledge. Pure; the tables are read once.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct, structs

from postroad.content.reasons import Fault, Meaning, Pace, Reason, meaning
from postroad.content.replies import Pattern, fits, plain, replies, speaker_of
from postroad.content.returned.model import Kind, ReturnedRecipient, Stage
from postroad.content.returned.wording import stage_of
from postroad.mail.dsn import Action
from postroad.mail.status import EnhancedCode, Status

OURSELVES = "postroad"  # the speaker of what no other server said
MAX_WORDS = 2000  # characters of a reply that are looked at


class Certainty(StrEnum):
    """By what a reason was found."""

    PATTERN = "pattern"  # its words are in the table of replies
    ENHANCED = "enhanced"  # its enhanced code alone (RFC 3463)
    CODE = "code"  # its basic code and where in the dialogue it came
    NONE = "none"


class Retry(Struct, frozen=True):
    """Whether to try again, and when: by the name of a schedule, or after the seconds that the reply names."""

    schedule: Pace
    after: float | None = None

    @property
    def never(self) -> bool:
        return self.schedule is Pace.NEVER


class Cause(Struct, frozen=True):
    """Why, as far as it can be told."""

    reason: Reason
    certainty: Certainty = Certainty.NONE
    speaker: str = ""  # the key of who spoke: gmail, exim ...
    permanent: bool = True
    retry: Retry = Retry(Pace.NEVER)
    doc: str = ""  # where the pattern is documented

    @property
    def meaning(self) -> Meaning:
        return meaning(self.reason)

    @property
    def fault(self) -> Fault:
        return self.meaning.fault

    @property
    def title(self) -> str:
        return self.meaning.title

    @property
    def hard(self) -> bool:
        """The address will not take mail again: suppress it."""
        return self.meaning.hard and self.permanent

    @property
    def bounce_type(self) -> str:
        """The name that the Postmark-compatible API has for it."""
        if not self.permanent and self.meaning.bounce in ("HardBounce", "SoftBounce", "Blocked"):
            return "Transient"
        return self.meaning.bounce

    @property
    def speaker_title(self) -> str:
        known = replies().speakers.get(self.speaker)
        return known.title if known is not None and known.kind != "standard" else ""


def classify(status: Status, *, stage: Stage = Stage.UNKNOWN, host: str = "") -> Cause:
    """One reply, as an attempt got it. `host` is the server that gave it, where `status.remote` is not it."""
    words, host = status.diagnostic, host or status.remote
    if not words:  # ours: nobody has answered
        words, host = f"{status.text}; {status.cause}", OURSELVES
    return _judge(
        words,
        "",
        reply_code=status.reply_code,
        enhanced=status.enhanced,
        stage=stage or stage_of(status.cause),
        host=host,
        permanent=status.is_permanent,
    )


@lru_cache(maxsize=1024)
def _reason(status: Status) -> str:
    """Remembered, for the recipients of one transaction share a status."""
    return classify(status).reason.value


def reasoned(status: Status) -> Status:
    """A failure with the name of its reason, to be stored with it."""
    return status if status.reason or status.is_success else structs.replace(status, reason=_reason(status))


def classify_returned(recipient: ReturnedRecipient, kind: Kind = Kind.BOUNCE) -> Cause:
    """One recipient of a report that came back."""
    if kind in _ANSWERS:
        return Cause(_ANSWERS[kind], Certainty.PATTERN)
    if recipient.action not in (Action.FAILED, Action.DELAYED):
        return Cause(Reason.DELIVERED, Certainty.PATTERN)
    return _judge(
        recipient.diagnostic,
        recipient.context,
        reply_code=recipient.reply_code,
        enhanced=recipient.enhanced,
        stage=recipient.stage,
        host=recipient.remote,
        permanent=recipient.action is Action.FAILED,
    )


_TELLING = ("provider", "filter", "list")  # their words tell who speaks; what a mail server says, others repeat
_ANSWERS = {Kind.FEEDBACK: Reason.COMPLAINT, Kind.AUTO_REPLY: Reason.AUTO_REPLY, Kind.CHALLENGE: Reason.CHALLENGE}


def _judge(
    words: str,
    context: str,
    *,
    reply_code: int,
    enhanced: EnhancedCode | None,
    stage: Stage,
    host: str,
    permanent: bool,
) -> Cause:
    plain = plain_words(words)
    codes = frozenset(filter(None, (str(reply_code) if reply_code else "", str(enhanced) if enhanced else "")))
    speaker = speaker_of(host, plain)
    found = _look_up(plain, codes, stage, speaker)
    if found is not None and _outweighs(enhanced, found):
        found = None
    reason, certainty = (found.row.reason, Certainty.PATTERN) if found else (None, Certainty.NONE)
    if reason is None and enhanced is not None:
        reason, certainty = _sure(enhanced), Certainty.ENHANCED
    if reason is None and context:
        said = plain_words(context)
        speaker = speaker or speaker_of("", said)
        found = _look_up(said, codes, stage, speaker, around=True)
        if found is not None:
            reason, certainty = found.row.reason, Certainty.PATTERN
    if reason is None:
        reason, certainty = _by_codes(reply_code, enhanced, stage)
    if found is not None and certainty is Certainty.PATTERN:
        speaker = speaker or (found.speaker if replies().speakers[found.speaker].kind in _TELLING else "")
    if not (found is not None and found.row.sure):
        reason = _settled(reason, certainty, reply_code, enhanced, stage)
    if reason is Reason.TAKES_NO_MAIL and enhanced is not None and enhanced.klass == 4:
        permanent = False  # a resolver may be mistaken for now
    return Cause(reason, certainty, speaker, permanent, _retry(reason, permanent, plain), _doc(found, certainty))


def _look_up(words: str, codes: frozenset[str], stage: Stage, speaker: str, *, around: bool = False) -> Pattern | None:
    """Its own patterns first where it is known who speaks, then everybody's in the order of the file. `around`: these
    are not the words of a reply but those of a report around it."""
    if not words:
        return None
    known = replies()
    for pattern in known.own.get(speaker, ()):
        if pattern.fits(words, codes, stage):
            return pattern
    for entry in known.candidates(words):
        pattern = entry.pattern
        if fits(entry.fragments, words) and pattern.may_fit(codes, stage) and not (around and pattern.row.broad):
            return pattern
    return None


def _doc(found: Pattern | None, certainty: Certainty) -> str:
    if certainty is Certainty.PATTERN and found is not None:
        return found.row.doc or replies().speakers[found.speaker].doc
    return "https://www.rfc-editor.org/rfc/rfc3463" if certainty is Certainty.ENHANCED else ""


# --- words ------------------------------------------------------------------------------------------------------------

# `550-5.7.26 ` at the beginning of each line of a reply, wherever a reporter joined the lines
_ENHANCED = r"\(?#?[245]\.\d{1,3}\.\d{1,3}\)?:?[- ]+"
_CODES = re.compile(rf"(?<![\w.])[245]\d\d(?:-#?(?:{_ENHANCED})?| #?{_ENHANCED})(?=\S)|^[245]\d\d +")
_ADDRESSES = re.compile(r"[^\s<>()\[\]\"',;:]{1,200}@[^\s<>()\[\]\"',;:]{1,253}")


def plain_words(text: str) -> str:
    """A reply as patterns want it: in lower case, its lines joined, codes and addresses out of the way."""
    text = text[:MAX_WORDS].lower()
    text = _CODES.sub(" ", text)
    return plain(_ADDRESSES.sub("@", text))


# --- codes ------------------------------------------------------------------------------------------------------------

# (subject, detail) of an enhanced code that means one thing (RFC 3463 §3, IANA registry)
_SURE_CODES: dict[tuple[int, int], Reason] = {
    (1, 1): Reason.NO_SUCH_MAILBOX,
    (1, 2): Reason.NO_SUCH_DOMAIN,
    (1, 3): Reason.BAD_ADDRESS,
    (1, 4): Reason.NO_SUCH_MAILBOX,
    (1, 6): Reason.MOVED,
    (1, 7): Reason.SENDER_REFUSED,
    (1, 8): Reason.SENDER_REFUSED,
    (1, 10): Reason.TAKES_NO_MAIL,
    (2, 1): Reason.MAILBOX_DISABLED,
    (2, 2): Reason.MAILBOX_FULL,
    (2, 3): Reason.TOO_LARGE,
    (3, 1): Reason.RECEIVER_FULL,
    (3, 2): Reason.TAKES_NO_MAIL,
    (3, 4): Reason.TOO_LARGE,
    (3, 5): Reason.RECEIVER_TROUBLE,
    (4, 3): Reason.RECEIVER_TROUBLE,
    (4, 4): Reason.NO_SUCH_DOMAIN,
    (4, 6): Reason.MAIL_LOOP,
    (4, 7): Reason.EXPIRED,
    (4, 14): Reason.MAIL_LOOP,
    (5, 3): Reason.TOO_LARGE,
    (6, 1): Reason.CONTENT_REFUSED,
    (6, 2): Reason.CONTENT_REFUSED,
    (6, 3): Reason.CONTENT_REFUSED,
    (6, 6): Reason.CONTENT_REFUSED,
    (6, 7): Reason.CONTENT_REFUSED,
    (6, 9): Reason.CONTENT_REFUSED,
    (7, 3): Reason.CONTENT_REFUSED,
    (7, 5): Reason.TLS_REQUIRED,
    (7, 8): Reason.ACCESS_DENIED,
    (7, 10): Reason.TLS_REQUIRED,
    (7, 11): Reason.TLS_REQUIRED,
    (7, 13): Reason.MAILBOX_DISABLED,
    (7, 20): Reason.UNAUTHENTICATED,
    (7, 21): Reason.UNAUTHENTICATED,
    (7, 22): Reason.UNAUTHENTICATED,
    (7, 23): Reason.UNAUTHENTICATED,
    (7, 24): Reason.UNAUTHENTICATED,
    (7, 25): Reason.NO_REVERSE_DNS,
    (7, 26): Reason.UNAUTHENTICATED,
    (7, 27): Reason.SENDER_REFUSED,
    (7, 28): Reason.RATE_LIMITED,
    (7, 29): Reason.UNAUTHENTICATED,
    (7, 30): Reason.TLS_REQUIRED,
}
# ... and of one that says little
_VAGUE_CODES: dict[tuple[int, int], Reason] = {
    (1, 0): Reason.NO_SUCH_MAILBOX,
    (1, 5): Reason.UNKNOWN,
    (2, 0): Reason.RECIPIENT_FILTER,
    (2, 4): Reason.RECIPIENT_FILTER,
    (3, 0): Reason.RECEIVER_TROUBLE,
    (3, 3): Reason.CONTENT_REFUSED,
    (4, 0): Reason.NO_CONNECTION,
    (4, 1): Reason.NO_CONNECTION,
    (4, 2): Reason.NO_CONNECTION,
    (4, 5): Reason.RECEIVER_TROUBLE,
    (5, 1): Reason.PROTOCOL_ERROR,
    (5, 2): Reason.PROTOCOL_ERROR,
    (5, 4): Reason.PROTOCOL_ERROR,
    (5, 5): Reason.PROTOCOL_ERROR,
    (6, 0): Reason.CONTENT_REFUSED,
    (6, 5): Reason.CONTENT_REFUSED,
    (7, 0): Reason.POLICY,
    (7, 1): Reason.POLICY,
    (7, 2): Reason.RECIPIENT_FILTER,
    (7, 4): Reason.POLICY,
    (7, 6): Reason.POLICY,
    (7, 7): Reason.CONTENT_REFUSED,
    (7, 9): Reason.POLICY,
}
# the basic code where no enhanced code says more (RFC 5321 §4.2.3)
_BASIC_CODES: dict[int, Reason] = {
    421: Reason.RECEIVER_TROUBLE,
    432: Reason.ACCESS_DENIED,
    450: Reason.RECEIVER_TROUBLE,
    451: Reason.RECEIVER_TROUBLE,
    452: Reason.RECEIVER_FULL,
    454: Reason.TLS_REQUIRED,
    455: Reason.PROTOCOL_ERROR,
    500: Reason.PROTOCOL_ERROR,
    501: Reason.PROTOCOL_ERROR,
    502: Reason.PROTOCOL_ERROR,
    503: Reason.PROTOCOL_ERROR,
    504: Reason.PROTOCOL_ERROR,
    521: Reason.TAKES_NO_MAIL,
    523: Reason.TOO_LARGE,
    525: Reason.MAILBOX_DISABLED,
    530: Reason.ACCESS_DENIED,
    535: Reason.ACCESS_DENIED,
    541: Reason.SPAM_CONTENT,
    551: Reason.MOVED,
    552: Reason.MAILBOX_FULL,
    556: Reason.TAKES_NO_MAIL,
}
_BY_STAGE: dict[Stage, Reason] = {
    Stage.CONNECT: Reason.BLOCKLISTED,
    Stage.HELO: Reason.BLOCKLISTED,
    Stage.AUTH: Reason.ACCESS_DENIED,
    Stage.TLS: Reason.TLS_REQUIRED,
    Stage.MAIL: Reason.SENDER_REFUSED,
    Stage.RCPT: Reason.NO_SUCH_MAILBOX,
    Stage.DATA: Reason.POLICY,
}


# ... and where a temporary one means another thing
_SURE_WHILE_TEMPORARY: dict[tuple[int, int], Reason] = {
    (3, 2): Reason.RECEIVER_TROUBLE,
    (4, 4): Reason.DNS_FAILURE,
}


def _sure(enhanced: EnhancedCode) -> Reason | None:
    key = (enhanced.subject, enhanced.detail)
    return (_SURE_WHILE_TEMPORARY.get(key) if enhanced.klass == 4 else None) or _SURE_CODES.get(key)


def _outweighs(enhanced: EnhancedCode | None, found: Pattern) -> bool:
    """A code that means one thing says more than words that stand in any refusal; and X.1.7 and X.1.8 are about the
    sender, whatever the words."""
    if enhanced is None or replies().speakers[found.speaker].kind != "standard":
        return False
    return (found.row.broad and _sure(enhanced) is not None) or (enhanced.subject, enhanced.detail) in _OF_SENDER


_OF_SENDER = ((1, 7), (1, 8))


def _by_codes(reply_code: int, enhanced: EnhancedCode | None, stage: Stage) -> tuple[Reason, Certainty]:
    """The enhanced code, then the basic code with where in the dialogue it came."""
    if enhanced is not None:
        reason = _VAGUE_CODES.get((enhanced.subject, enhanced.detail))
        if reason is not None:
            return reason, Certainty.ENHANCED
    if reply_code in _BASIC_CODES:
        return _BASIC_CODES[reply_code], Certainty.CODE
    if 500 <= reply_code < 600 and stage in _BY_STAGE:
        return _BY_STAGE[stage], Certainty.CODE
    return Reason.UNKNOWN, Certainty.NONE


# --- doubt ------------------------------------------------------------------------------------------------------------


def _settled(
    reason: Reason, certainty: Certainty, reply_code: int, enhanced: EnhancedCode | None, stage: Stage
) -> Reason:
    """An unknown user is for good where the refusal says it in its code (X.1.X) or was given to RCPT, or where a mail
    system looked itself (no reply is repeated). Else it may be a filter in front that uses these words: an address
    must not be given up for that. What is said of an address in answer to MAIL is said of the sender's."""
    if stage is Stage.MAIL and reason in (Reason.NO_SUCH_MAILBOX, Reason.NO_SUCH_DOMAIN, Reason.BAD_ADDRESS):
        return Reason.SENDER_REFUSED
    if reason is not Reason.NO_SUCH_MAILBOX or not reply_code:
        return reason
    if (enhanced is not None and enhanced.subject == 1) or stage is Stage.RCPT:
        return reason
    return Reason.RECIPIENT_FILTER if certainty is Certainty.PATTERN or stage is Stage.DATA else reason


# --- when -------------------------------------------------------------------------------------------------------------

_WAIT = re.compile(
    r"\b(?:in|after|for|wait|within|retry|delay(?:ed)?(?: by)?|again in|least|greylist(?:ed)?(?: for)?)\s?:?=?\s?"
    r"(?:(\d{1,2}):(\d\d):(\d\d)|(\d{1,5}) ?(s|sec|secs|second|seconds|m|min|mins|minute|minutes|h|hour|hours)\b)"
)
LONGEST_WAIT = 24 * 3600.0


def _retry(reason: Reason, permanent: bool, words: str) -> Retry:
    pace = meaning(reason).schedule
    if permanent:
        return Retry(Pace.NEVER)
    if pace is Pace.NEVER:
        pace = Pace.SLOW  # the server says that it may be taken later
    return Retry(pace, wait_in(words))


def wait_in(words: str) -> float | None:
    """Seconds that the reply asks to wait, where it names them."""
    found = _WAIT.search(words)
    if found is None:
        return None
    if found[1]:
        seconds = int(found[1]) * 3600.0 + int(found[2]) * 60 + int(found[3])
    else:
        seconds = int(found[4]) * {"s": 1.0, "m": 60.0, "h": 3600.0}[found[5][0]]
    return seconds if 0 < seconds <= LONGEST_WAIT else None
