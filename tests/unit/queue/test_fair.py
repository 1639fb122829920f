"""Senders take turns at one destination (RFC 6710 for what has a rank of its own)."""

from __future__ import annotations

from msgspec import structs

from postroad.delivery.agent import AttemptRequest
from postroad.mail.terms import Terms
from postroad.queue.fair import Ready
from postroad.testing.sending import make_delivery, make_message


def request(number, stream="", priority=0):
    terms = Terms(priority=priority) if priority else None
    message = structs.replace(make_message(number), stream=stream, terms=terms)
    return AttemptRequest("mx:b.test", message, [make_delivery(number, message, "x@b.test")])


def filled(*rows):
    ready = Ready()
    for number, row in enumerate(rows, 1):
        ready.append(request(number, *row) if isinstance(row, tuple) else request(number, row))
    return ready


def taken(ready):
    return [ready.popleft().message.id for _ in range(len(ready))]


def test_one_sender_goes_in_order():
    assert taken(filled("a", "a", "a")) == [1, 2, 3]


def test_a_reset_does_not_wait_behind_a_mailing():
    assert taken(filled("bulk", "bulk", "bulk", "bulk", "reset")) == [1, 5, 2, 3, 4]


def test_three_take_turns():
    assert taken(filled("a", "a", "b", "b", "c")) == [1, 3, 5, 2, 4]


def test_ranks_go_before_turns():
    assert taken(filled("a", ("b", -3), ("c", 4), "d")) == [3, 1, 4, 2]


def test_it_is_walked_as_it_would_go():
    ready = filled("bulk", "bulk", "reset", ("late", -1))
    assert [one.message.id for one in ready] == taken(filled("bulk", "bulk", "reset", ("late", -1)))


def test_what_is_put_back_is_next_again():
    ready = filled("a", "a", "b")
    first = ready.popleft()
    ready.appendleft(first)
    assert ready[0] is first
    assert taken(ready) == [1, 3, 2]


def test_one_can_be_taken_out():
    ready = filled("a", "b", "a")
    second = next(one for one in ready if one.message.id == 2)
    assert second in ready
    ready.remove(second)
    assert second not in ready
    assert taken(ready) == [1, 3]


def test_cleared_it_is_empty():
    ready = filled("a", ("b", 2))
    ready.clear()
    assert not ready
    assert list(ready) == []
