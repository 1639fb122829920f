"""One SMTP transaction as it goes: replies in, one Status per recipient out (RFC 5321 §4.2, §4.5.3.1.10)."""

from __future__ import annotations

from datetime import datetime

from postroad.delivery.agent import AttemptOutcome, AttemptRequest
from postroad.mail.status import EnhancedCode, Status
from postroad.ports.ids import AttemptId
from postroad.ports.store import Attempt, Delivery
from postroad.proto.smtp.client import Command
from postroad.proto.smtp.incoming import RemoteReply

TOO_MANY = (None, EnhancedCode(4, 5, 3), EnhancedCode(5, 5, 3))
LOST = EnhancedCode(4, 4, 2)
ODD = EnhancedCode(4, 5, 0)


def to_status(reply: RemoteReply, host: str, command: Command) -> Status:
    """A remote's reply as our status. What is neither yes nor no at this place is a temporary failure."""
    words = reply.text
    enhanced = reply.enhanced
    text = words[4:].partition("\n")[0]
    if enhanced is not None:
        text = text.partition(" ")[2] or text
    if 200 <= reply.code < 300 and command is not Command.DATA:
        return Status(reply.code, enhanced, text, "", host, words)
    if reply.code < 400:
        return Status(451, ODD, text, f"an unexpected reply to {command.value}", host, words)
    return Status(reply.code, enhanced, text, f"refused at {command.value}", host, words)


def is_too_many(reply: RemoteReply) -> bool:
    """Too many recipients for one transaction: 452, or 552 from those who follow RFC 821 (RFC 5321 §4.5.3.1.10)."""
    return reply.code in (452, 552) and reply.enhanced in TOO_MANY


class Transaction:
    """What is known so far. `heard` is False until the server has said anything about it."""

    __slots__ = (
        "_accepted", "_again", "_begun", "_dot", "_host", "_index", "_mail_took", "_rcpt_took", "_started", "_verdicts",
        "content", "heard", "mail_accepted", "offered", "record", "request",
    )  # fmt: skip

    def __init__(self, request: AttemptRequest, host: str, record: list[bytes], now: datetime, clock: float) -> None:
        self.request = request
        self.content = request.content  # or what was made of it for this server
        self.offered: frozenset[str] = frozenset()
        self.record = record
        self.heard = False
        self.mail_accepted = False
        self._host = host
        self._started = now
        self._begun = clock
        self._mail_took = self._rcpt_took = 0.0
        self._dot: float | None = None  # when the final dot went out
        self._index = 0  # the recipient whose reply comes next
        self._accepted = 0
        self._verdicts: list[Status | None] = [None] * len(request.deliveries)
        self._again: list[int] = []

    @property
    def dot_is_out(self) -> bool:
        return self._dot is not None

    def dot_sent(self, clock: float) -> None:
        self._dot = clock

    def keep_to(self, most: int) -> None:
        """The server takes so many recipients at once (RFC 9422 §4.2): the rest goes in transactions of their own."""
        for index in range(most, len(self._verdicts)):
            self._verdicts[index] = Status(452, EnhancedCode(4, 5, 3), f"{self._host} takes {most} recipients at once")
            self._again.append(index)

    def mail(self, reply: RemoteReply, clock: float) -> None:
        self.heard = True
        self._mail_took = clock - self._begun
        if reply.is_positive:
            self.mail_accepted = True
        else:
            self.settle(to_status(reply, self._host, Command.MAIL))

    def rcpt(self, reply: RemoteReply | None, clock: float) -> None:
        """The next recipient's reply; None when it was never asked."""
        index, self._index = self._index, self._index + 1
        self._rcpt_took = clock - self._begun - self._mail_took
        if reply is None or self._verdicts[index] is not None:
            return
        if reply.is_positive:
            self._accepted += 1
            return
        status = to_status(reply, self._host, Command.RCPT)
        if is_too_many(reply):
            status = Status(452, EnhancedCode(4, 5, 3), status.text, status.cause, status.remote, status.diagnostic)
            if self._accepted:
                self._again.append(index)  # some were taken: the rest goes in a transaction of its own, at once
        self._verdicts[index] = status

    def answer(self, reply: RemoteReply, command: Command, clock: float) -> float:
        """The reply to DATA or to the final dot: it holds for all recipients that were accepted. Returns how long the
        server took since the dot."""
        self.heard = True
        self.settle(to_status(reply, self._host, command))
        return clock - self._dot if self._dot is not None else 0.0

    def answer_one(self, reply: RemoteReply) -> bool:
        """With LMTP (RFC 2033 §4.2): the reply for the next recipient that was accepted. True: that was the last."""
        self.heard = True
        verdicts = self._verdicts
        verdicts[verdicts.index(None)] = to_status(reply, self._host, Command.BODY)
        return None not in verdicts

    def lost(self, text: str) -> None:
        """The connection went. Recipients that have their answer keep it."""
        where = "after the final dot: it may have arrived" if self.dot_is_out else "before the message was sent"
        self.settle(Status(451, LOST, text, f"connection lost {where}", self._host))

    def settle(self, status: Status) -> None:
        """`status` for every recipient without an answer."""
        verdicts = self._verdicts
        for index, verdict in enumerate(verdicts):
            if verdict is None:
                verdicts[index] = status

    def outcome(
        self,
        attempt: AttemptId,
        now: datetime,
        clock: float,
        *,
        address: str,
        tls: str,
        timings: dict[str, float],
        dialogue: list[bytes],
        broken: bool = False,
    ) -> AttemptOutcome:
        """`timings` and `dialogue` are those of the connection before this transaction, where it is the first."""
        request = self.request
        record = [*dialogue, *self.record] if dialogue else self.record
        took = clock - self._begun
        timings["mail"] = round(self._mail_took, 6)
        timings["rcpt"] = round(self._rcpt_took, 6)
        timings["data"] = round(max(took - self._mail_took - self._rcpt_took, 0.0), 6)
        made = Attempt(
            attempt, request.message.id, self._started, now, self._host, address, tls, timings,
            b"\n".join(record).decode("utf-8", "replace"),
        )  # fmt: skip
        late = () if broken else self._again
        statuses: list[tuple[Delivery, Status]] = []
        for index, (delivery, status) in enumerate(zip(request.deliveries, self._verdicts, strict=True)):
            assert status is not None, "every recipient has its answer"
            if not late or index not in late:
                statuses.append((delivery, status))
        again = [request.deliveries[index] for index in late]
        return AttemptOutcome(request, statuses, made, again, broken, self.offered, took)
