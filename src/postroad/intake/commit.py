"""The one transaction that makes a message ours: its row, its deliveries, local mailbox rows and events.

Local deliveries are born delivered. The others are born owned by this node, as attempt 1 and with the due time of
attempt 2, and are handed to the queue after the commit (house rule: record the attempt before making it).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import structs

from postroad.events.recorder import Recorder
from postroad.intake.patience import Patience
from postroad.intake.rendering import Renderer, content_record, is_quick
from postroad.intake.spool import NO_SPACE, STORE_FAILED, Spooled
from postroad.intake.transaction import DISCARDED_DEST, MailTransaction, PlannedDelivery
from postroad.intake.verdicts import kept
from postroad.intake.wishes import (
    in_words,
    message_terms,
    recipient_terms,
    terms_of,
    utf8_flag,
    wants_expansion,
)
from postroad.mail.dsn import Action
from postroad.mail.envelope import BodyFlag, Notify
from postroad.mail.render import Rendering, render
from postroad.mail.status import EnhancedCode, Status, status
from postroad.mail.terms import NO_RECIPIENT_TERMS, RecipientTerms
from postroad.mail.trace import delivered_to, return_path
from postroad.observe import log
from postroad.observe.metrics import COUNTERS
from postroad.ports.handoff import Handoff, Notice, Ownership, Reporter, notice
from postroad.ports.ids import BlobId, DeliveryId, IdSource, MessageId, id_text
from postroad.ports.signals import Signals
from postroad.ports.store import (
    Acceptance,
    Accepted,
    Delivery,
    DeliveryState,
    Event,
    Message,
    NewMailboxMessage,
    Refused,
    Store,
    StoreUnavailable,
    Tx,
)
from postroad.routing.directory import Directory
from postroad.routing.routes import wished_dest

_log = log.get("intake")
ENVELOPE_VERSION = 1
Look = Callable[[Message, Sequence[str], bytes | None], None]
Steady = Callable[[datetime], datetime]
TURN = 32  # messages of a batch for which the loop is held
_ACCEPTED = EnhancedCode(2, 0, 0)
_DELIVERED = status(250, "2.0.0", "delivered to the mailbox")
_EXPANDED = status(250, "2.0.0", "sent on to each address of this name")
_GIVEN_UP = status(451, "4.3.0", "the message could not be stored in time, try again later")
_ABANDONED = status(451, "4.4.2", "the connection was lost", "the client went before the commit")


@dataclass(frozen=True, slots=True)
class Birth:
    """When a remote delivery falls due for others, and when it runs out of time."""

    second_try: timedelta  # after its birth as attempt 1: others may take over then, should this node die
    expire_after: timedelta


class _Rows(msgspec.Struct):
    """What one message writes beside its own row."""

    deliveries: list[Delivery]
    events: list[Event]
    local: list[NewMailboxMessage]
    remote: list[Delivery]
    notices: list[Notice]  # what the sender wants to hear of what is done already


class Prepared(msgspec.Struct, frozen=True):
    """A message that only needs its commit."""

    mail: MailTransaction
    acceptance: Acceptance
    remote: list[Delivery]
    notices: Sequence[Notice] = ()
    came_back: bool = False  # it may be a bounce or a complaint, and lies in a mailbox here


class Committer:
    """One for a process."""

    def __init__(
        self,
        store: Store,
        *,
        renderer: Renderer,
        directory: Directory,
        patience: Patience,
        recorder: Recorder,
        ids: IdSource,
        signals: Signals,
        birth: Birth,
        steady: Steady = lambda wall: wall,
    ) -> None:
        """`steady` is what the queue's clock shows for a wall time of now (queue.steady): what is due and what expires
        goes by it."""
        self._steady = steady
        self._store = store
        self._renderer = renderer
        self._directory = directory
        self._patience = patience
        self._recorder = recorder
        self._ids = ids
        self._signals = signals
        self._birth = birth
        self._handoff: Handoff | None = None  # where this node does not send, rows are born unowned and due at once
        self._ownership: Ownership | None = None
        self._reporter: Reporter | None = None
        self._look: Look | None = None

    def look_at_returns(self, look: Look) -> None:
        """Who looks, from now on, at what comes back to people's own mailboxes."""
        self._look = look

    def report_to(self, reporter: Reporter | None) -> None:
        """Who tells senders, from now on, of what is delivered when it is accepted."""
        self._reporter = reporter

    def hand_to(self, handoff: Handoff | None, ownership: Ownership | None) -> None:
        """Who sends what is accepted from now on."""
        self._handoff = handoff
        self._ownership = ownership

    async def commit(
        self, mail: MailTransaction, spooled: Spooled, flags: BodyFlag, *, bounce_of: MessageId | None = None
    ) -> Status:
        """Make the message ours and say so; or say why not. Nothing is kept of what is refused."""
        prepared = await self.prepare(mail, spooled, flags, bounce_of=bounce_of)
        try:
            return await self._answer(prepared, self._store.accept(prepared.acceptance))
        except StoreUnavailable as error:
            return not_stored(error)

    async def commit_all(self, messages: Sequence[Prepared], then: Callable[[Tx], None] | None = None) -> list[Status]:
        """The same for many that a program sent at once: one commit for all, an answer for each.

        `then` is called in the same transaction, when their rows are there.
        """
        try:
            commits = self._store.accept_all([each.acceptance for each in messages], then)
        except StoreUnavailable as error:
            return [not_stored(error)] * len(messages)
        answers = []
        for number, (prepared, commit) in enumerate(zip(messages, commits, strict=True), 1):
            answers.append(await self._answer(prepared, commit))
            if number % TURN == 0:
                await asyncio.sleep(0)  # others want the loop too
        return answers

    async def prepare(
        self, mail: MailTransaction, spooled: Spooled, flags: BodyFlag, *, bounce_of: MessageId | None = None
    ) -> Prepared:
        """All rows of a message. Nothing is awaited but the rendering of a large one."""
        rendering = None
        if any(planned.target.is_local for planned in mail.planned.values()):
            quick = is_quick(spooled) and spooled.content
            rendering = render(quick) if quick else await self._renderer.render_in_worker(spooled)
        if mail.parameters.asks:
            flags = utf8_flag(mail.parameters, spooled.header, flags)
        message = _message(mail, spooled, flags, rendering, bounce_of)
        rows = self._rows(mail, message)
        mail.acceptance = acceptance = Acceptance(
            message,
            spooled.content,
            spooled.place,
            segment_header(mail),
            rows.deliveries,
            rows.events,
            rows.local,
            content_record(rendering, message.blob, message.size) if rendering else None,
            abandoned=mail.gone,
        )
        came_back = rendering is not None and self._look is not None and _may_have_come_back(mail, spooled)
        return Prepared(mail, acceptance, rows.remote, rows.notices, came_back)

    async def _answer(self, prepared: Prepared, commit: Awaitable[Accepted]) -> Status:
        acceptance = prepared.acceptance
        try:
            accepted = await self._patience.wait(acceptance, commit)
        except StoreUnavailable as error:
            return not_stored(error)
        except Refused as error:  # a mailbox went away between RCPT and now: the next try will see that
            return STORE_FAILED.because(str(error))
        if accepted is None:
            return _GIVEN_UP
        if accepted.dropped:
            return _ABANDONED
        self._now_ours(prepared)
        return accepted_status(acceptance.message.id)

    def _now_ours(self, prepared: Prepared) -> None:
        """Wake whoever waits for this: the queue, and sessions that look at the mailboxes."""
        mail, acceptance, remote = prepared.mail, prepared.acceptance, prepared.remote
        message = acceptance.message
        COUNTERS.accepted += 1
        _log.info(
            "accepted",
            connection=message.origin.connection,
            message=message.id,
            sender=message.reverse_path,
            recipients=len(mail.recipients),
            size=message.size,
        )
        if acceptance.local:
            COUNTERS.delivered += len(acceptance.local)
            for row in acceptance.local:
                self._signals.publish(f"mailbox:{row.mailbox}")
            self._directory.delivered([planned.target for planned in mail.planned.values()])
            if prepared.came_back and self._look is not None:
                self._look(message, mail.recipients, acceptance.content)
        if prepared.notices and self._reporter is not None:
            self._reporter.succeeded(message, prepared.notices)
        if not remote:
            return
        if self._handoff is not None and remote[0].owner is not None:
            self._handoff.take(message, remote, acceptance.content)
        else:
            self._signals.publish("queue")

    def _rows(self, mail: MailTransaction, message: Message) -> _Rows:
        rows = _Rows([], [self._received(mail, message)], [], [], [])
        prefix = b""
        release = message.terms.release if message.terms is not None else None
        for planned in mail.planned.values():
            terms = recipient_terms(mail, planned) if mail.wishes else None
            if planned.target.via and not planned.target.is_local and not mail.is_trusted:
                terms = self._passed_on(mail, message, terms)
            if planned.end is not None:
                self._born_over(rows, message, planned, planned.end)
            elif planned.held:
                self._born_held(rows, message, planned, terms)
            elif release is not None:
                self._born_for_later(rows, message, planned, terms, release)
            elif planned.target.is_local:
                prefix = prefix or return_path(message.reverse_path)
                self._born_delivered(rows, message, planned, prefix, terms)
            else:
                self._born_queued(rows, message, planned, terms)
        for name in mail.expanded:
            if wants_expansion(mail, name):
                wish = mail.wishes[name]
                asked = RecipientTerms(int(wish.notify), wish.orcpt or "")
                rows.notices.append(Notice(Action.EXPANDED, name, _EXPANDED, asked))
        return rows

    def _passed_on(
        self, mail: MailTransaction, message: Message, terms: RecipientTerms | None
    ) -> RecipientTerms | None:
        """A stranger's mail that an alias leads to another host: it may not leave under the stranger's name."""
        returns = self._directory.returns
        sender = returns.rewritten(mail.reverse_path, message.id, message.created) if returns is not None else ""
        return structs.replace(terms or NO_RECIPIENT_TERMS, reverse_path=sender) if sender else terms

    def _received(self, mail: MailTransaction, message: Message) -> Event:
        verdicts = mail.visit.kept if mail.visit is not None else ()
        if mail.notes:
            verdicts += kept(mail.notes)
        asked = mail.tracking
        if mail.wishes or mail.parameters.asks:
            asked = {**asked, "wishes": in_words(mail)}
        return self._recorder.received(message, len(mail.recipients), asked, verdicts)

    def _born_delivered(
        self, rows: _Rows, message: Message, planned: PlannedDelivery, trace: bytes, terms: RecipientTerms | None
    ) -> None:
        target, now = planned.target, message.created
        delivery = Delivery(
            DeliveryId(self._ids.new()),
            message.id,
            target.dest,
            target.forward_path,
            DeliveryState.DELIVERED,
            planned.orig,
            last_status=_DELIVERED,
            finished=now,
            terms=terms,
        )
        if terms is not None and terms.wants(Notify.SUCCESS):
            rows.notices.append(notice(Action.DELIVERED, delivery, _DELIVERED))
        prefix = trace + delivered_to(target.forward_path)
        assert target.mailbox is not None
        rows.deliveries.append(delivery)
        rows.events.append(self._recorder.delivered_here(delivery, now, "INBOX", target.via))
        rows.local.append(
            NewMailboxMessage(
                target.mailbox,
                message.blob,
                len(prefix) + message.size,
                now,
                prefix=prefix,
                delivery=delivery.id,
                message=message.id,
            )
        )

    def _born_over(self, rows: _Rows, message: Message, planned: PlannedDelivery, end: Status) -> None:
        """Nothing is to be done for it, and its fate is on record: in a sandbox, or nobody here takes it."""
        target, now = planned.target, message.created
        state = DeliveryState.DELIVERED if end.is_success else DeliveryState.BOUNCED
        if target.dest == DISCARDED_DEST:
            state = DeliveryState.CANCELLED
        delivery = Delivery(
            DeliveryId(self._ids.new()),
            message.id,
            target.dest,
            target.forward_path,
            state,
            planned.orig,
            last_status=end,
            finished=now,
        )
        rows.deliveries.append(delivery)
        rows.events.append(self._recorder.final(delivery, state, now, reply=str(end), cause=end.cause))

    def _born_held(self, rows: _Rows, message: Message, planned: PlannedDelivery, terms: RecipientTerms | None) -> None:
        """Ours, and tried by nobody until it is released."""
        target, now = planned.target, message.created
        delivery = Delivery(
            DeliveryId(self._ids.new()),
            message.id,
            wished_dest(target.dest, message.terms),
            target.forward_path,
            DeliveryState.HELD,
            planned.orig,
            expires=self._steady(now) + self._birth.expire_after,
            held_for=planned.held,
            terms=terms,
        )
        rows.deliveries.append(delivery)
        rows.events.append(self._recorder.queued(delivery, now, target.via))
        rows.events.append(self._recorder.held(delivery, now, planned.held))

    def _born_queued(
        self, rows: _Rows, message: Message, planned: PlannedDelivery, terms: RecipientTerms | None
    ) -> None:
        target, now, birth = planned.target, message.created, self._birth
        owner, steady = self._ownership, self._steady(now)
        delivery = Delivery(
            DeliveryId(self._ids.new()),
            message.id,
            wished_dest(target.dest, message.terms),
            target.forward_path,
            DeliveryState.QUEUED,
            planned.orig,
            due=steady + birth.second_try if owner else steady,
            tries=1 if owner else 0,
            expires=steady + birth.expire_after,
            owner=owner.node if owner else None,
            epoch=owner.epoch if owner else 0,
            terms=terms,
        )
        rows.deliveries.append(delivery)
        rows.remote.append(delivery)
        rows.events.append(self._recorder.queued(delivery, now, target.via))

    def _born_for_later(
        self, rows: _Rows, message: Message, planned: PlannedDelivery, terms: RecipientTerms | None, release: datetime
    ) -> None:
        """Nobody's until it is released: then whoever claims it sends it (RFC 4865 §4). Mailboxes here wait too."""
        target = planned.target
        delivery = Delivery(
            DeliveryId(self._ids.new()),
            message.id,
            wished_dest(target.dest, message.terms),
            target.forward_path,
            DeliveryState.QUEUED,
            planned.orig,
            due=release,
            expires=release + self._birth.expire_after,
            terms=terms,
        )
        rows.deliveries.append(delivery)
        rows.events.append(self._recorder.queued(delivery, message.created, target.via, release))


def _may_have_come_back(mail: MailTransaction, spooled: Spooled) -> bool:
    """Bounces have no sender (RFC 5321 §4.5.5), complaints say what they are in their Content-Type (RFC 5965 §2)."""
    return not mail.is_trusted and (mail.reverse_path.null or b"eport-type" in spooled.header.raw)


def accepted_status(message: MessageId) -> Status:
    """What the client is told; the id finds the message in traces and logs."""
    return Status(250, _ACCEPTED, f"queued as {id_text(message)}")


def not_stored(error: StoreUnavailable) -> Status:
    return (NO_SPACE if error.no_space else STORE_FAILED).because(str(error))


def _message(
    mail: MailTransaction, spooled: Spooled, flags: BodyFlag, rendering: Rendering | None, bounce_of: MessageId | None
) -> Message:
    if rendering is not None:
        subject, header_from, message_id = rendering.subject, rendering.header_from, rendering.message_id
    else:
        text = spooled.header.text
        subject, header_from, message_id = text(b"subject"), text(b"from"), text(b"message-id")
    assert mail.received is not None
    return Message(
        mail.message,
        mail.received,
        mail.origin,
        str(mail.reverse_path),
        spooled.size,
        flags,
        BlobId(mail.message),
        len(spooled.final_header),
        subject,
        header_from,
        message_id,
        mail.body,
        mail.account.id if mail.account else None,
        bounce_of,
        mail.server,
        mail.stream,
        mail.tag,
        mail.metadata,
        terms_of(mail, spooled.header),
        mail.access.token.id if mail.access is not None else None,
    )


def segment_header(mail: MailTransaction) -> bytes:
    """The envelope as it lies beside the content, so that segments alone can rebuild the queue: msgpack of [version,
    message, received (timestamp), reverse-path, [[forward-path, dest, orig] ...], service, client, account, body], and,
    where MAIL or RCPT asked for something, the terms of the message and of each recipient.
    """
    recipients = [(planned.target.forward_path, planned.target.dest, planned.orig) for planned in mail.planned.values()]
    origin = mail.origin
    envelope: Sequence[Any] = (
        ENVELOPE_VERSION,
        mail.message,
        mail.received,
        str(mail.reverse_path),
        recipients,
        origin.service,
        origin.client,
        origin.account,
        mail.body,
    )
    if mail.parameters.asks or mail.wishes:
        assert mail.received is not None
        terms = [recipient_terms(mail, planned) for planned in mail.planned.values()]
        envelope = (*envelope, message_terms(mail.parameters, mail.received), terms)
    return _ENCODER.encode(envelope)


_ENCODER = msgspec.msgpack.Encoder()
