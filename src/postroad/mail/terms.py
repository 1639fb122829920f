"""What a sender asks of everyone who carries its message: reports, time, priority (RFC 3461, 4865, 2852, 6710).

Kept with the message as long as it is on its way. Most mail asks for nothing: then there is no record at all.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from postroad.mail.envelope import Notify


class ByMode(StrEnum):
    """What is to be done when the time of BY= has run out (RFC 2852 §4)."""

    NOTIFY = "N"  # tell the sender that it is late, and go on
    RETURN = "R"  # give it back


class TlsWish(StrEnum):
    """What its sender asks of TLS on the way (RFC 8689)."""

    UNSAID = ""
    REQUIRE = "require"  # REQUIRETLS: nobody passes it on without, nor to whom he cannot be sure of
    WAIVE = "waive"  # `TLS-Required: No`: better unprotected than not at all, whatever the recipient's domain asks


class Terms(Struct, frozen=True, gc=False, omit_defaults=True):
    """What was asked for the message as a whole, by MAIL FROM."""

    ret: str = ""  # RET=: FULL or HDRS (RFC 3461 §4.3)
    envid: str = ""  # ENVID=, decoded (§4.4)
    release: datetime | None = None  # HOLDFOR=, HOLDUNTIL=: nobody gets it before then (RFC 4865)
    deadline: datetime | None = None  # BY=, from when it came (RFC 2852)
    by_mode: ByMode | None = None
    by_trace: bool = False  # each relay shall tell
    priority: int = 0  # MT-PRIORITY=, -9 to 9; 0 is what mail has that says nothing (RFC 6710 §5)
    tls: TlsWish = TlsWish.UNSAID

    @property
    def returns_late(self) -> bool:
        """It is worth nothing any more once its time has run out."""
        return self.by_mode is ByMode.RETURN


class RecipientTerms(Struct, frozen=True, gc=False, omit_defaults=True):
    """What was asked for one recipient, by RCPT TO, and which of it has been done."""

    notify: int = 0  # NOTIFY=, as the number of a `Notify` (RFC 3461 §4.1)
    orcpt: str = ""  # ORCPT=, decoded: `rfc822;a@b` (§4.2)
    told_late: bool = False  # its sender knows that it takes long
    reverse_path: str = ""  # of mail that is passed on to another host: our own word for its sender (mail.srs)

    def wants(self, report: Notify, *, unsaid: bool = False) -> bool:
        """Whether such a report was asked for; `unsaid` is the answer where nothing was said."""
        return self.notify & report != 0 if self.notify else unsaid


NO_TERMS = Terms()
NO_RECIPIENT_TERMS = RecipientTerms()


def expanded(terms: RecipientTerms) -> RecipientTerms:
    """For each of several that an alias leads to: the alias itself is reported as `expanded` (RFC 3461 §5.2.7.3 c)."""
    if not terms.notify & Notify.SUCCESS:
        return terms
    left = int(terms.notify & ~Notify.SUCCESS) or int(Notify.NEVER)
    return RecipientTerms(left, terms.orcpt, terms.told_late)


def merged(one: RecipientTerms | None, other: RecipientTerms | None) -> RecipientTerms | None:
    """For a mailbox that two recipients lead to: whoever of them is to be told is told.

    One that said nothing counts as FAILURE, which is what it would get (RFC 3461 §5.2.6 c).
    """
    if one is None or other is None:
        said = one or other
        if said is None or not said.notify or said.notify & Notify.FAILURE:
            return said
        return RecipientTerms(int(_asked(said) | Notify.FAILURE), said.orcpt)
    if not one.notify and not other.notify:
        return one if one.orcpt else other
    both = (_asked(one) if one.notify else Notify.FAILURE) | (_asked(other) if other.notify else Notify.FAILURE)
    return RecipientTerms(int(both or Notify.NEVER), one.orcpt or other.orcpt)


def _asked(terms: RecipientTerms) -> Notify:
    return Notify(terms.notify) & ~Notify.NEVER
