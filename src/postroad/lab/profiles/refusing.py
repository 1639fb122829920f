"""Refuses every recipient with one reply: for good (550) or for now (451)."""

from __future__ import annotations

from postroad.lab.temper import Move, Temper, Visit
from postroad.proto.smtp.reply import Reply, reply

TEXTS = {
    421: ("4.3.2", "Service not available, closing the channel"),
    450: ("4.2.1", "Mailbox busy, try again later"),
    451: ("4.3.0", "Local error in processing, try again later"),
    452: ("4.2.2", "The mailbox is full"),
    500: ("5.5.1", "Command unrecognized"),
    550: ("5.1.1", "No such user here"),
    551: ("5.1.6", "The user has moved"),
    552: ("5.2.2", "The mailbox is over its quota"),
    553: ("5.1.3", "The mailbox name is not allowed"),
    554: ("5.7.1", "Rejected by local policy"),
}


def reply_for(code: int) -> Reply:
    """A plausible reply with this code."""
    enhanced, text = TEXTS.get(code, (f"{code // 100}.0.0", "Refused by the laboratory"))
    return reply(code, enhanced, text)


class Refusing(Temper):
    """`code` to every RCPT."""

    def __init__(self, code: int = 550) -> None:
        self._move = Move(reply_for(code))

    def rcpt(self, visit: Visit, address: str) -> Move:  # noqa: ARG002
        return self._move
