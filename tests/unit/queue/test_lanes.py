"""What goes first in a lane (RFC 6710)."""

from unittest.mock import Mock

from msgspec import structs

from postroad.delivery.agent import AttemptRequest
from postroad.mail.terms import Terms
from postroad.queue.lanes import Lane
from postroad.testing.sending import make_delivery, make_message


def request(number, priority=0):
    message = structs.replace(make_message(number), terms=Terms(priority=priority) if priority else None)
    return AttemptRequest("mx:b.test", message, [make_delivery(number, message, "x@b.test")])


def order(*priorities):
    lane = Lane("mx:b.test", Mock())
    for number, priority in enumerate(priorities, 1):
        lane.ready.append(request(number, priority))
    return [each.message.id for each in lane.ready]


def test_in_the_order_of_arrival():
    assert order(0, 0, 0) == [1, 2, 3]


def test_higher_ones_go_ahead_and_keep_their_order():
    assert order(0, 4, 0, 9, 4) == [4, 2, 5, 1, 3]


def test_lower_ones_let_the_others_pass():
    assert order(-3, 0, -9, 0) == [2, 4, 1, 3]


def test_an_empty_lane_forgets_ranks():
    lane = Lane("mx:b.test", Mock())
    lane.ready.append(request(1, -3))
    lane.ready.clear()
    lane.ready.append(request(2))
    assert lane.ready._many is None
