"""Who may open a connection, where some hosts do not answer."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from postroad.queue.dials import Dials, Trust


def lane():
    return Mock(dialling=False, ready=[1])


@pytest.mark.parametrize(("trust", "most"), [(Trust.FAILING, 2), (Trust.UNKNOWN, 6), (Trust.ANSWERING, 8)])
def test_those_that_fail_leave_room_for_those_that_answer(trust, most):
    dials = Dials(8)
    for _ in range(most):
        assert dials.may_open(trust)
        dials.opening(trust)
    assert not dials.may_open(trust)


def test_what_stands_is_counted_but_no_longer_by_trust():
    dials = Dials(8)
    for _ in range(2):
        dials.opening(Trust.FAILING)
        dials.opened(Trust.FAILING)
    assert dials.may_open(Trust.FAILING)
    assert dials.connections == 2


def test_those_that_answer_go_first():
    dials = Dials(4)
    failing, answering = lane(), lane()
    dials.wait(failing, Trust.FAILING)
    dials.wait(answering, Trust.ANSWERING)
    assert [dials.next_in_line(), dials.next_in_line(), dials.next_in_line()] == [answering, failing, None]


def test_nobody_waits_twice():
    dials, one = Dials(4), lane()
    dials.wait(one, Trust.UNKNOWN)
    dials.wait(one, Trust.UNKNOWN)
    assert dials.next_in_line() is one
    assert dials.next_in_line() is None
    assert not dials.awaited
