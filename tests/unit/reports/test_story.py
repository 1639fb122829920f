"""One message's life in plain words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from postroad.events.model import EventKind
from postroad.mail.envelope import BodyFlag, Origin
from postroad.mail.status import status
from postroad.ports.ids import AttemptId, BlobId, DeliveryId, EventId, MessageId
from postroad.ports.store import Attempt, Delivery, DeliveryState, Event, Message
from postroad.reports import story
from postroad.reports.story import Story

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MESSAGE = Message(MessageId(1), NOW, Origin("mx", "c"), "a@x.test", 10, BodyFlag.NONE, BlobId(1))
GREY = status(451, "4.7.1", "Greylisted")


def delivery(number: int, path: str, state: DeliveryState, **more: object) -> Delivery:
    return Delivery(DeliveryId(number), MessageId(1), "mx:remote.test", path, state, **more)  # type: ignore[arg-type]


def event(seconds: int, kind: EventKind, to: int | None = None, **detail: object) -> Event:
    at = NOW + timedelta(seconds=seconds)
    return Event(EventId(seconds), at, kind, MessageId(1), DeliveryId(to) if to else None, detail)


def test_a_message_with_two_recipients() -> None:
    told = Story(
        MESSAGE,
        (
            delivery(1, "bob@two.test", DeliveryState.DELIVERED, orig="info@two.test"),
            delivery(2, "grey@remote.test", DeliveryState.QUEUED, tries=1, last_status=GREY),
        ),
        (
            event(0, EventKind.RECEIVED, client="192.0.2.1", helo="client.test", protocol="ESMTPS", size=10),
            event(1, EventKind.DELIVERED, 1, mailbox="INBOX"),
            event(2, EventKind.QUEUED, 2, dest="mx:remote.test"),
            event(4, EventKind.DEFERRED, 2, reply=str(GREY), host="mx.remote.test"),
        ),
        ((Attempt(AttemptId(1), MessageId(1), NOW + timedelta(seconds=3), NOW, "mx.remote.test", "192.0.2.9:25"),
          {DeliveryId(2): GREY}),),
    )  # fmt: skip
    assert [line.text for line in told.lines()] == [
        "received from 192.0.2.1 (client.test) by ESMTPS, 10 octets",
        "bob@two.test (for info@two.test): delivered into INBOX",
        "grey@remote.test: queued for the mail hosts of remote.test",
        "grey@remote.test: trying mx.remote.test (192.0.2.9:25)",
        "grey@remote.test: deferred by mx.remote.test: 451 4.7.1 Greylisted",
    ]
    assert told.verdicts() == [
        ("bob@two.test: delivered", True),
        ("grey@remote.test: waiting, tried 1 time: 451 4.7.1 Greylisted", None),
    ]
    assert not told.is_finished


def test_every_kind_of_event_about_mail_is_told() -> None:
    assert set(story._WORDS) == set(EventKind) - {EventKind.ADMIN}
    for kind in story._WORDS:
        (line,) = Story(MESSAGE, (), (event(1, EventKind(kind), 5),), ()).lines()
        assert line.text.startswith("a recipient: ")


def test_every_state_has_its_words() -> None:
    deliveries = tuple(delivery(n, f"{state}@x.test", state) for n, state in enumerate(DeliveryState, 1))
    told = Story(MESSAGE, deliveries, (), ())
    assert [good for _, good in told.verdicts()] == [None, None, True, False, False, False]


def test_what_the_front_door_said_stands_behind_what_was_received() -> None:
    verdicts = [["rdns", "note", 2.0, "192.0.2.1 has no name"], ["helo", "pass", 0.0, "client.test"]]
    told = Story(
        MESSAGE,
        (),
        (
            event(0, EventKind.RECEIVED, client="192.0.2.1", verdicts=verdicts),
            event(0, EventKind.DELIVERED, 1, mailbox="INBOX"),
        ),
        (),
    )
    assert [(line.kind, line.text) for line in told.lines()] == [
        ("received", "received from 192.0.2.1"),
        ("front-door", "front door: rdns: 192.0.2.1 has no name (+2); helo: client.test"),
        ("delivered", "a recipient: delivered into INBOX"),
    ]


def test_what_came_back_later_is_the_last_word() -> None:
    taken = delivery(1, "bob@x.test", DeliveryState.DELIVERED)
    back = event(3, EventKind.RETURNED, 1, type="HardBounce", host="mx.x.test", reply="550 5.1.1 gone")
    told = Story(MESSAGE, (taken,), (event(1, EventKind.DELIVERED, 1, host="mx.x.test"), back), ())
    assert told.verdicts() == [("bob@x.test: taken, but came back from mx.x.test: 550 5.1.1 gone", False)]
    late = event(3, EventKind.RETURNED, 1, type="Transient", host="mx.x.test", reply="451 busy")
    told = Story(MESSAGE, (taken,), (late,), ())
    assert told.verdicts() == [("bob@x.test: delivered", True)]
    assert told.lines()[0].text == "bob@x.test: a delay was reported from mx.x.test: 451 busy"
    forged = event(3, EventKind.RETURNED, 1, type="HardBounce", address="carl@y.test", unproven="yes")
    assert Story(MESSAGE, (taken,), (forged,), ()).lines()[0].text == (
        "bob@x.test: came back, at carl@y.test (nothing proves that)"
    )
