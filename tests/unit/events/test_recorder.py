from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from postroad.events.model import FINAL_KIND, EventKind
from postroad.events.recorder import Recorder
from postroad.mail.envelope import BodyFlag, Origin
from postroad.mail.status import status
from postroad.ports.ids import BlobId, DeliveryId, MessageId, ServerId, id_text
from postroad.ports.sending import SuppressionOrigin, SuppressionReason, SuppressionRecord
from postroad.ports.store import Delivery, DeliveryState, Message

NOW = datetime(2025, 1, 1, 10, tzinfo=UTC)
DELIVERY = Delivery(
    DeliveryId(2), MessageId(1), "mx:r.test", "x@r.test", DeliveryState.QUEUED, orig="t@e.test", tries=3
)

CAME_BACK = (EventKind.RETURNED, EventKind.COMPLAINED, EventKind.AUTO_REPLIED, EventKind.CHALLENGED)
SUPPRESSION = SuppressionRecord(
    ServerId(1), "outbound", "x@r.test", SuppressionReason.HARD_BOUNCE, SuppressionOrigin.RECIPIENT, NOW
)


class Ids:
    def __init__(self):
        self.numbers = count(100)

    def new(self):
        return next(self.numbers)


@pytest.fixture
def recorder():
    return Recorder(Ids())


def test_received_tells_how_it_came(recorder):
    origin = Origin("submission", "c", client="192.0.2.1", helo="h", account="a@b")
    event = recorder.received(Message(MessageId(1), NOW, origin, "a@b", 99, BodyFlag.NONE, BlobId(1)), 2)
    assert (event.kind, event.message, event.delivery, event.at) == (EventKind.RECEIVED, 1, None, NOW)
    assert event.detail == {
        "protocol": "ESMTPA", "size": 99, "recipients": 2, "client": "192.0.2.1", "helo": "h", "account": "a@b"
    }  # fmt: skip


def test_a_local_message_has_no_client(recorder):
    event = recorder.received(Message(MessageId(1), NOW, Origin("local", ""), "", 9, BodyFlag.NONE, BlobId(1)), 1)
    assert event.detail == {"protocol": "local", "size": 9, "recipients": 1}


def test_a_deferral_tells_the_next_try(recorder):
    answer = status(451, "4.7.1", "greylisted", "try later")
    event = recorder.deferred(DELIVERY, NOW, answer, host="mx.r.test", next_due=NOW + timedelta(minutes=5))
    assert event.detail == {
        "reply": "451 4.7.1 greylisted", "host": "mx.r.test", "cause": "try later", "attempt": 3,
        "next": "2025-01-01T10:05:00+00:00",
    }  # fmt: skip
    assert (event.message, event.delivery) == (1, 2)


@pytest.mark.parametrize("state", list(FINAL_KIND))
def test_each_final_state_has_its_event(recorder, state):
    event = recorder.final(DELIVERY, state, NOW, reply="250 2.0.0 ok", host="")
    assert event.kind == state.value
    assert event.detail == {"reply": "250 2.0.0 ok"}


def test_every_kind_has_a_helper(recorder):
    made = [
        recorder.received(Message(MessageId(1), NOW, Origin("local", ""), "", 9, BodyFlag.NONE, BlobId(1)), 1),
        recorder.queued(DELIVERY, NOW),
        recorder.delivered_here(DELIVERY, NOW, "INBOX"),
        recorder.deferred(DELIVERY, NOW, status(451, "4.0.0", ""), host="", next_due=NOW),
        recorder.final(DELIVERY, DeliveryState.BOUNCED, NOW),
        recorder.final(DELIVERY, DeliveryState.EXPIRED, NOW),
        recorder.final(DELIVERY, DeliveryState.CANCELLED, NOW, by="me"),
        recorder.held(DELIVERY, NOW, "by hand"),
        recorder.released(DELIVERY, NOW, "me"),
        recorder.retry_asked(DELIVERY, NOW, "me"),
        recorder.report_sent(DELIVERY.message, DELIVERY.id, NOW, report=MessageId(7), to="a@b"),
        recorder.report_withheld(DELIVERY.message, DELIVERY.id, NOW, "null reverse-path"),
        recorder.repeat(MessageId(1), NOW, "192.0.2.1"),
        *(recorder.came_back(kind, MessageId(1), DeliveryId(2), NOW, report="x", detail={}) for kind in CAME_BACK),
        recorder.suppressed(DELIVERY, SUPPRESSION),
        recorder.admin(NOW, action="domain add", by="me", what=["example.com"]),
    ]
    assert {event.kind for event in made} == set(EventKind)
    assert len({event.id for event in made}) == len(made)
    assert made[10].detail == {"report": id_text(7), "to": "a@b"}


def test_what_comes_back_is_kept_in_few_words(recorder):
    detail = {"reply": "x" * 5000, "host": "", "type": "HardBounce"}
    event = recorder.came_back(EventKind.RETURNED, MessageId(1), DeliveryId(2), NOW, report="r", detail=detail)
    assert event.detail == {"report": "r", "reply": "x" * 1000, "type": "HardBounce"}


def test_a_suppression_says_of_whom_and_why(recorder):
    event = recorder.suppressed(DELIVERY, SUPPRESSION)
    assert (event.message, event.delivery, event.at) == (1, 2, NOW)
    assert event.detail == {"address": "x@r.test", "stream": "outbound", "reason": "hard bounce"}
