"""The plumbing of a server's conversation: bytes in and out, the awaited answer, counted errors, the end.

`server.py` builds the SMTP machine on it; nothing here knows a command.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from postroad.mail.status import Status
from postroad.proto.smtp import reply as replies
from postroad.proto.smtp.order import Progress
from postroad.proto.smtp.profile import ServerProfile
from postroad.proto.smtp.reply import Reply, from_status
from postroad.proto.smtp.server_events import CommandRefused, ConversationEnded, EndReason, Event, Stage
from postroad.proto.wire import Interruption, ProtocolMisuse, ReceiveBuffer, Signal

Answered = Callable[[Any, Reply], None]  # a function of the machine and the reply that it is given

_INTERRUPTIONS: Final = {
    Interruption.TIMEOUT: (replies.TIMED_OUT, EndReason.TIMEOUT),
    Interruption.SHUTDOWN: (replies.SHUTTING_DOWN, EndReason.SHUTDOWN),
    Interruption.OVERLOAD: (replies.OVERLOADED, EndReason.OVERLOAD),
}
_STAGES: Final = {"AUTH": Stage.AUTH, "MAIL": Stage.MAIL, "RCPT": Stage.RCPT, "DATA": Stage.DATA, "BDAT": Stage.DATA}


class Conversation:
    """One conversation, seen from the server."""

    __slots__ = (
        "_answered", "_buffer", "_ended", "_eof", "_errors", "_events", "_interruption", "_out", "_progress", "profile",
    )  # fmt: skip

    def __init__(self, profile: ServerProfile) -> None:
        self.profile = profile
        self._progress = Progress(profile, secured=profile.secured)
        self._buffer = ReceiveBuffer()
        self._out: list[bytes] = []
        self._events: list[Event] = []  # to be told before anything else is read
        self._answered: Answered | None = None  # what an answer does; None: none is awaited
        self._interruption: Interruption | None = None  # to be said once the awaited answer has been given
        self._errors = 0
        self._eof = False
        self._ended = False

    def receive_eof(self) -> None:
        """The client stopped sending; what it sent before is still answered."""
        self._eof = True

    def data_to_send(self) -> bytes:
        """Bytes for the client, gathered since the last call."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    def interrupt(self, reason: Interruption) -> None:
        """Say 421 and end; an answer that is awaited comes first, because the client waits for it."""
        self._interruption = reason
        self._interrupt_now()

    def end(self, last: Reply) -> None:
        """End the conversation with these words, whatever it is at; instead of the banner too (RFC 5321 §3.1)."""
        self._answered = None
        if not self._ended:
            self._say_and_end(last, EndReason.REFUSED)

    def answer(self, reply: Reply) -> None:
        """Answer the event that waits. A 421 ends the conversation (RFC 5321 §3.8)."""
        answered, self._answered = self._answered, None
        if answered is None:
            if self._ended:  # we ended it while the answer was on its way
                return
            raise ProtocolMisuse("no event waits for an answer")
        if reply.code == 421:
            self._say_and_end(reply, EndReason.REFUSED)
            return
        answered(self, reply)
        self._interrupt_now()

    def answer_status(self, status: Status) -> None:
        """Answer with a status."""
        self.answer(from_status(status))

    @property
    def waits(self) -> bool:
        """Whether an event waits for its answer."""
        return self._answered is not None

    @property
    def has_unread(self) -> bool:
        """Whether the client has said more than has been looked at: it did not wait."""
        return len(self._buffer) > 0

    # --- for the machine ----------------------------------------------------------------------------------------------

    def _expect(self, answered: Answered) -> None:
        """This answer is the one that the waiting event takes; it is given now."""
        if self._answered is not answered:
            raise ProtocolMisuse("this is not the answer that the waiting event takes")
        self._answered = None

    def _need_data(self) -> Event | Signal:
        """Everything has been used: wait for more, or the conversation is over."""
        if not self._eof or self._ended:
            return Signal.NEED_DATA
        self._end(EndReason.EOF)
        return self._events.pop(0)

    def _refuse(self, refusal: Reply, verb: str = "", line: str = "") -> Event:
        """Say what is wrong and count it. AUTH lines may hold secrets: `line` is their verb and mechanism at most."""
        said = self._say_refusal(refusal)
        if verb == "AUTH":
            line = " ".join(line.split(" ")[:2])
        return CommandRefused(_STAGES.get(verb, Stage.CONNECT), said, line)

    def _say_refusal(self, refusal: Reply) -> Reply:
        """Say it; but the last error that is allowed is answered by 421. Returns what was said. A temporary refusal is
        not the client's error."""
        self._errors += refusal.code >= 500
        if self._errors >= self.profile.max_errors:
            refusal = replies.TOO_MANY_ERRORS
            self._say_and_end(refusal, EndReason.ERRORS)
        else:
            self._out.append(refusal.wire)
        return refusal

    def _answer_idle(self, reply: Reply, event: Event) -> Event:
        """A command that brings no mail: some are in order, many only keep us busy."""
        self._progress.idle -= 1
        if self._progress.idle < 0:
            return self._end_idleness("")
        self._out.append(reply.wire)
        return event

    def _end_idleness(self, line: str) -> Event:
        self._say_and_end(replies.TOO_MANY_COMMANDS, EndReason.IDLE)
        return CommandRefused(Stage.CONNECT, replies.TOO_MANY_COMMANDS, line)

    def _refuse_and_end(self, refusal: Reply, line: str, stage: Stage = Stage.DATA) -> Event:
        self._say_and_end(refusal, EndReason.REFUSED)
        return CommandRefused(stage, refusal, line)

    def _say_and_end(self, last: Reply, reason: EndReason) -> None:
        self._out.append(last.wire)
        self._end(reason)

    def _end(self, reason: EndReason) -> None:
        self._stop()
        self._events.append(ConversationEnded(reason))

    def _stop(self) -> None:
        """Nothing more is read."""
        self._ended = True
        self._buffer.clear()

    def _interrupt_now(self) -> None:
        """Say the 421 of an interruption, unless an answer is awaited."""
        if self._interruption is not None and not self._ended and self._answered is None:
            self._say_and_end(*_INTERRUPTIONS[self._interruption])
