"""Reports of final failures (RFC 3464): to authenticated senders of ours, and to nobody else.

A report to a stranger's unproven address would be backscatter; one to the null reverse-path a loop (RFC 5321 §6.1).
What is not told to the sender is an event all the same. A report enters as any message does, with a null reverse-path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from postroad.events.recorder import Recorder
from postroad.mail.dsn import Action, DeliveryReport, RecipientReport, ReturnedMessage, write
from postroad.mail.status import Status
from postroad.observe import log
from postroad.observe.metrics import COUNTERS
from postroad.ports.clock import Clock
from postroad.ports.ids import IdSource, MessageId, id_text, parse_id
from postroad.ports.random import Random
from postroad.ports.store import Delivery, Event, Message

RETRY_SECONDS = 5.0  # while it cannot be taken in, a report waits, and with it the final state that it tells of
MAX_TRIES = 24

LOCAL_SERVICE = "local"  # programs of this machine: whoever may open the control socket is one of us

_log = log.get("bounces")


class Submit(Protocol):
    """How a report becomes a message of ours: intake.pipeline.Intake.submit_local."""

    def __call__(
        self, reverse_path: str, recipients: Sequence[str], content: bytes, *, bounce_of: MessageId | None = None
    ) -> Awaitable[Status]: ...


ReadContent = Callable[[Message, int], Awaitable[bytes]]
"""The first octets of a message's content."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One recipient that will not get the message."""

    delivery: Delivery
    status: Status
    expired: bool


class Bounces:
    """Tells senders. One for a process."""

    def __init__(
        self,
        submit: Submit,
        read: ReadContent,
        *,
        clock: Clock,
        ids: IdSource,
        random: Random,
        hostname: str,
        header_only_over: int,
    ) -> None:
        self._submit = submit
        self._read = read
        self._clock = clock
        self._ids = ids
        self._random = random
        self._recorder = Recorder(ids)
        self._hostname = hostname
        self._header_only_over = header_only_over

    async def report(self, message: Message, failures: Sequence[Failure]) -> list[Event]:
        """Tell the sender, if it may be told. The events say what was done, for each recipient."""
        now = self._clock.now()
        if why := withheld_because(message):
            return [self._recorder.report_withheld(failure.delivery, now, why) for failure in failures]
        content = await self._compose(message, failures, now)
        answer = await self._submit("", [message.reverse_path], content, bounce_of=message.id)
        for _ in range(MAX_TRIES - 1):
            if not answer.is_temporary:
                break
            _log.warning("a report waits", message=message.id, reply=str(answer), cause=answer.cause)
            await self._clock.sleep(RETRY_SECONDS)
            answer = await self._submit("", [message.reverse_path], content, bounce_of=message.id)
        if not answer.is_success:
            why = f"the sender's address does not take it: {answer}"
            return [self._recorder.report_withheld(failure.delivery, now, why) for failure in failures]
        COUNTERS.reports += 1
        report = MessageId(parse_id(answer.text.rpartition(" ")[2]) or 0)
        to = message.reverse_path
        return [self._recorder.report_sent(failure.delivery, now, report=report, to=to) for failure in failures]

    async def _compose(self, message: Message, failures: Sequence[Failure], now: datetime) -> bytes:
        whole = message.size <= self._header_only_over
        content = await self._read(message, message.size if whole else message.header_size)
        report = DeliveryReport(
            self._hostname,
            [_recipient(failure, now) for failure in failures],
            arrival=message.created,
            tried_for=max(now - message.created, timedelta(0)),
        )
        return write(
            report,
            ReturnedMessage(content, whole, message.subject),
            to=message.reverse_path,
            now=now,
            message_id=f"{id_text(self._ids.new())}.report@{self._hostname}",
            boundary=f"report-{self._random.token(12).hex()}",
        )


def withheld_because(message: Message) -> str:
    """Why this message's sender gets no report; "" when it does."""
    if not message.reverse_path:
        return "the reverse-path is null: a report about it would have nowhere to go (RFC 5321 §6.1)"
    if message.account is None and message.server is None and message.origin.service != LOCAL_SERVICE:
        return "the sender did not log in here, so its address is unproven and a report might hit a stranger"
    return ""


def _recipient(failure: Failure, now: datetime) -> RecipientReport:
    delivery = failure.delivery
    return RecipientReport(
        delivery.forward_path,
        Action.FAILED,
        failure.status,
        original_recipient=delivery.orig.partition(", ")[0],  # merged ones: the first
        last_attempt=now,
        expired=failure.expired,
    )
