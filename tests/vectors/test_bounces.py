"""Bounce messages that others collected and labelled (sisimai's set): recipients, reasons, hard or soft.

Their reasons and ours divide the same field otherwise. `MEANT` is the one table by which a label counts as met; a case
whose label does not fit its message is in `DISPUTED`, with why, and is left out of the count of reasons.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from postroad.content.classify import Cause, classify_returned
from postroad.content.reasons import Reason as R
from postroad.content.returned import Kind, Returned, read
from postroad.testing import vectors

FOLDER = vectors.testdata("bounces/sisimai")

# their reason -> ours. Where one of theirs is several of ours, the comment says how we divide it.
MEANT: dict[str, frozenset[R]] = {
    name: frozenset(ours)
    for name, ours in {
        "userunknown": (R.NO_SUCH_MAILBOX, R.BAD_ADDRESS),  # an address that cannot exist is told apart
        "hostunknown": (R.NO_SUCH_DOMAIN,),
        "hasmoved": (R.MOVED,),
        "notaccept": (R.TAKES_NO_MAIL,),
        "mailboxfull": (R.MAILBOX_FULL,),
        "suspend": (R.MAILBOX_DISABLED,),
        "filtered": (R.RECIPIENT_FILTER,),
        "blocked": (R.BLOCKLISTED,),
        "badreputation": (R.BAD_REPUTATION,),
        "requireptr": (R.NO_REVERSE_DNS,),
        "authfailure": (R.UNAUTHENTICATED, R.DMARC_POLICY),  # the domain's own policy is told apart from the server's
        "rejected": (R.SENDER_REFUSED,),
        "policyviolation": (R.POLICY, R.CONTENT_REFUSED),  # forbidden attachments are content
        "securityerror": (R.ACCESS_DENIED,),
        "failedstarttls": (R.TLS_REQUIRED,),
        "norelaying": (R.RELAY_DENIED,),
        "spamdetected": (R.SPAM_CONTENT,),
        "virusdetected": (R.VIRUS,),
        "contenterror": (R.CONTENT_REFUSED,),
        "notcompliantrfc": (R.MALFORMED,),
        "mesgtoobig": (R.TOO_LARGE,),
        "exceedlimit": (R.TOO_LARGE,),
        "emailtoolarge": (R.TOO_LARGE,),
        "speeding": (R.RATE_LIMITED, R.GREYLISTED),
        "ratelimited": (R.RATE_LIMITED, R.GREYLISTED, R.TOO_MANY_CONNECTIONS),
        "toomanyconn": (R.TOO_MANY_CONNECTIONS,),
        "expired": (R.EXPIRED, R.NO_CONNECTION),  # given up is told apart from what made it give up
        "networkerror": (R.DNS_FAILURE, R.MAIL_LOOP, R.NO_CONNECTION),
        "systemerror": (R.RECEIVER_TROUBLE,),
        "systemfull": (R.RECEIVER_FULL,),
        "mailererror": (R.PROGRAM_FAILED,),
        "syntaxerror": (R.PROTOCOL_ERROR,),
        "suppressed": (R.SUPPRESSED,),
        "onhold": (R.UNKNOWN,),
        "undefined": (R.UNKNOWN,),
        "feedback": (R.COMPLAINT,),
        "vacation": (R.AUTO_REPLY,),
        "delivered": (R.DELIVERED,),
    }.items()
}
DISPUTED = {
    "lhost-domino-02.eml": "its words (in Japanese) say that the user is not in the directory; labelled as undecided",
    "rfc3464-01.eml": "a text about one recipient was joined to another's report, and the label gives both the text's"
    " reason and the report's codes (550 5.1.1)",
    "rhost-aol-06.eml": "word for word the reply of lhost-postfix-17, which is labelled as a network error",
}
FORWARDED_FAULT = (
    "rb-issue-368-bug.eml"  # among those that are no bounces, though it says `reject reason: Mailbox full`
)


@cache
def expected() -> dict[str, list[dict[str, Any]] | None]:
    loaded: dict[str, list[dict[str, Any]] | None] = json.loads((FOLDER / "expected.json").read_text())
    return loaded


def messages(path: Path) -> list[bytes]:
    """A file is a mailbox: of one message, or of several with `From ` lines between."""
    content = path.read_bytes()
    if not content.startswith(b"From "):
        return [content]
    parts = content.split(b"\n\nFrom MAILER-DAEMON ")
    return [parts[0], *(b"From MAILER-DAEMON " + part for part in parts[1:])]


@cache
def told(name: str) -> tuple[Returned, ...]:
    return tuple(read(content) for content in messages(FOLDER / "messages" / name))


def causes(name: str) -> list[Cause]:
    return [classify_returned(each, one.kind) for one in told(name) for each in one.recipients]


def labelled() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for name, labels in sorted(expected().items()):
        if labels is not None:
            yield name, labels


def test_recipients_are_found():
    right = wrong = missing = 0
    for name, labels in labelled():
        found = sum(len(one.recipients) for one in told(name))
        right += min(found, len(labels))
        wrong += max(0, found - len(labels))
        missing += max(0, len(labels) - found)
    f1 = 2 * right / (2 * right + wrong + missing)
    assert f1 >= 0.97, f"F1 {f1:.3f}: {right} right, {wrong} too many, {missing} missing"


def test_reasons_are_right():
    right = total = 0
    misses = []
    for name, labels in labelled():
        if name in DISPUTED:
            continue
        left = causes(name)
        for label in labels:
            total += 1
            met = next((cause for cause in left if cause.reason in MEANT[label["reason"]]), None)
            if met is None:
                misses.append(f"{name}: {label['reason']}, we say {[cause.reason.value for cause in left]}")
            else:
                left.remove(met)
                right += 1
    assert right / total >= 0.97, f"{right} of {total}:\n" + "\n".join(misses)


def test_hard_and_soft_are_not_confused():
    """One label is at odds with others: an unknown user, told by a mail system itself and without a code, is for good
    in all other messages."""
    at_odds = {"lhost-x1-01.eml"}
    confused = [
        name
        for name, labels in labelled()
        if name not in DISPUTED and sorted(label["hard"] for label in labels) != sorted(map(is_hard, causes(name)))
    ]
    assert set(confused) <= at_odds


def is_hard(cause: Cause) -> bool:
    return cause.hard and cause.reason is not R.COMPLAINT


def test_codes_are_those_of_the_label():
    """Where a label has a reply code or an enhanced code that is not of sisimai's own making (X.0.9NN)."""
    right = total = 0
    for name, labels in labelled():
        found = [each for one in told(name) for each in one.recipients]
        for label, each in zip(labels, found, strict=False):
            if label["status"] and not label["status"].split(".")[2].startswith("9"):
                total += 1
                right += str(each.enhanced) == label["status"] or label["status"].endswith(".0.0")
    assert right / total >= 0.85, f"{right} of {total}"


def test_what_is_no_bounce_is_none():
    for path in sorted((FOLDER / "not-bounces").iterdir()):
        kind = read(path.read_bytes()).kind
        assert kind is (Kind.BOUNCE if path.name == FORWARDED_FAULT else Kind.NONE), path.name


def test_no_message_breaks_the_reader():
    """Whole, cut anywhere, with other line ends."""
    for path in sorted((FOLDER / "messages").iterdir()):
        content = path.read_bytes()
        for part in (content[: len(content) // 2], content[len(content) // 3 :], content.replace(b"\n", b"\r\n")):
            read(part)
