"""Who is told that a message is late, or has arrived (RFC 3461 §5.2, RFC 2852 §4)."""

from datetime import timedelta

import pytest
from msgspec import structs

from postroad.mail.dsn import Action
from postroad.mail.envelope import Notify
from postroad.mail.status import status
from postroad.mail.terms import ByMode, RecipientTerms, Terms
from postroad.queue.schedule import Schedule
from postroad.queue.telling import late_notice, success_notice
from postroad.testing.clock import START
from postroad.testing.sending import make_delivery, make_message

LATER, OK = status(451, "4.4.1", "later"), status(250, "2.0.0", "ok")
HOUR = timedelta(hours=1)
WARN = Schedule((300.0,), 5 * 86400.0, 4 * 3600.0)
SILENT = Schedule((300.0,), 5 * 86400.0)


def late(after, *, notify=Notify.UNSAID, schedule=WARN, terms=None, told=False, **message):
    sent = structs.replace(make_message(**message), terms=terms)
    delivery = make_delivery(1, sent, "x@b.test")
    if notify or told:
        delivery = structs.replace(delivery, terms=RecipientTerms(int(notify), told_late=told))
    return late_notice(sent, delivery, LATER, START + after, schedule)


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ({"after": 4 * HOUR - timedelta(seconds=1)}, False),
        ({"after": 4 * HOUR}, True),
        ({"after": 4 * HOUR, "told": True}, False),
        ({"after": 4 * HOUR, "notify": Notify.FAILURE}, False),
        ({"after": 4 * HOUR, "notify": Notify.NEVER}, False),
        ({"after": 4 * HOUR, "notify": Notify.DELAY}, True),
        ({"after": 9 * HOUR, "schedule": SILENT}, False),
        ({"after": 4 * HOUR, "schedule": SILENT, "notify": Notify.DELAY}, True),
        ({"after": 9 * HOUR, "reverse_path": ""}, False),
        ({"after": 9 * HOUR, "account": None}, False),
        ({"after": 9 * HOUR, "account": None, "notify": Notify.DELAY}, True),
        ({"after": 4 * HOUR, "terms": Terms(release=START + HOUR)}, False),
        ({"after": 5 * HOUR, "terms": Terms(release=START + HOUR)}, True),
        ({"after": HOUR, "terms": Terms(deadline=START + HOUR, by_mode=ByMode.NOTIFY)}, True),
        ({"after": HOUR, "terms": Terms(deadline=START + 2 * HOUR, by_mode=ByMode.NOTIFY)}, False),
        ({"after": HOUR, "terms": Terms(deadline=START + HOUR, by_mode=ByMode.NOTIFY), "notify": Notify.NEVER}, False),
        ({"after": HOUR, "terms": Terms(deadline=START + HOUR, by_mode=ByMode.NOTIFY), "notify": Notify.FAILURE}, True),
    ],
)
def test_who_is_told_of_a_delay(case, told):
    notice = late(**case)
    assert (notice is not None) == told
    assert notice is None or notice.action is Action.DELAYED
    assert notice is None or notice.until == START + timedelta(days=5)


def success(offered=(), *, notify=Notify.UNSAID, terms=None, dest="mx:b.test"):
    sent = structs.replace(make_message(), terms=terms)
    delivery = structs.replace(make_delivery(1, sent, "x@b.test", dest), terms=RecipientTerms(int(notify)))
    notice = success_notice(sent, delivery, OK, frozenset(offered))
    return notice.action if notice else None


BY = {"deadline": START + HOUR}


@pytest.mark.parametrize(
    ("case", "action"),
    [
        ({"notify": Notify.SUCCESS}, Action.RELAYED),
        ({"notify": Notify.SUCCESS, "offered": {"DSN"}}, None),
        ({"notify": Notify.FAILURE}, None),
        ({}, None),
        ({"notify": Notify.SUCCESS, "dest": "local"}, Action.DELIVERED),
        ({"notify": Notify.FAILURE, "dest": "local"}, None),
        ({"terms": Terms(**BY, by_mode=ByMode.NOTIFY)}, Action.RELAYED),
        ({"terms": Terms(**BY, by_mode=ByMode.NOTIFY), "offered": {"DELIVERBY"}}, None),
        ({"terms": Terms(**BY, by_mode=ByMode.NOTIFY, by_trace=True), "offered": {"DELIVERBY"}}, Action.RELAYED),
        ({"terms": Terms(**BY, by_mode=ByMode.RETURN), "offered": {"DELIVERBY"}}, None),
    ],
)
def test_who_is_told_of_a_success(case, action):
    assert success(**case) == action
