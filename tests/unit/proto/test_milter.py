"""The milter conversation: one answer for each thing that is told, whatever the milter wants to hear of."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.proto.milter import (
    MAX_CHANGES,
    Answered,
    Broken,
    Changed,
    MilterClient,
    Negotiated,
    Progressed,
)
from postroad.proto.milterwire import AddHeader, Answer, Step, Verdict, packet, strings
from postroad.proto.wire import Interruption, ProtocolMisuse, Signal
from postroad.testing import milter as fake

CONTINUE = Answered(Answer(Verdict.CONTINUE))


def ready(**offer) -> MilterClient:
    machine = MilterClient(command_timeout=30, message_timeout=120)
    machine.receive_data(fake.offer(**offer))
    assert isinstance(machine.next_event(), Negotiated)
    machine.data_to_send()
    return machine


def sent(machine: MilterClient) -> list[bytes]:
    """Packets, without their lengths."""
    data, found = machine.data_to_send(), []
    while data:
        length = int.from_bytes(data[:4], "big")
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found


def events(machine: MilterClient) -> list[object]:
    found = []
    while (event := machine.next_event()) is not Signal.NEED_DATA:
        found.append(event)
    return found


def test_it_begins_with_our_offer():
    machine = MilterClient(command_timeout=30, message_timeout=120)
    assert machine.data_to_send()[4:5] == b"O"
    assert machine.patience == 30
    with pytest.raises(ProtocolMisuse):
        machine.helo("x", {})


def test_macros_go_before_what_they_are_about():
    machine = ready()
    machine.mail(["<a@b.test>", "SIZE=1"], {"i": "1", "{auth_type}": "PLAIN", "other": "no"})
    assert sent(machine) == [b"DMi\x001\0{auth_type}\0PLAIN\0", b"M<a@b.test>\0SIZE=1\0"]
    assert machine.next_event() is Signal.NEED_DATA
    assert machine.patience == 30
    machine.receive_data(fake.CONTINUE)
    assert events(machine) == [CONTINUE]
    assert machine.patience == math.inf


def test_its_own_list_of_macros_counts():
    machine = ready(symbols={2: "{mail_addr}", 3: ""})
    machine.mail(["<>"], {"i": "1", "{mail_addr}": "<>"})
    assert sent(machine)[0] == b"DM{mail_addr}\0<>\0"
    machine.receive_data(fake.CONTINUE)
    events(machine)
    machine.rcpt(["<a@b.test>"], {"i": "1"})
    assert sent(machine) == [b"R<a@b.test>\0"]


def test_fields_go_one_after_the_other():
    machine = ready(steps=Step.LEADING_SPACE)
    machine.headers([(b"A", b" 1\r\n\tmore"), (b"B", b"2"), (b"C", b"3")])
    assert sent(machine) == [b"LA\0 1\n\tmore\0"]
    machine.receive_data(fake.CONTINUE)
    assert events(machine) == [Progressed()]
    assert sent(machine) == [b"LB\x002\0"]
    machine.receive_data(fake.REJECT)
    assert events(machine) == [Answered(Answer(Verdict.REJECT))]
    assert not sent(machine)


def test_one_that_is_silent_gets_all_fields_at_once():
    machine = ready(steps=Step.SILENT_HEADER)
    machine.headers([(b"A", b" \t1"), (b"B", b"2")])
    assert sent(machine) == [b"LA\x001\0", b"LB\x002\0"]
    assert events(machine) == [CONTINUE]


def test_a_message_without_fields_is_answered_too():
    machine = ready()
    machine.headers([])
    assert (sent(machine), events(machine)) == ([], [CONTINUE])


def test_older_ones_hear_nothing_of_data():
    machine = ready(version=3)
    machine.data({"i": "1"})
    assert (sent(machine), events(machine)) == ([], [CONTINUE])


def test_changes_come_before_the_end():
    machine = ready()
    machine.end_of_message({})
    assert machine.patience == 120
    machine.receive_data(fake.add("X", "y") + fake.PROGRESS + fake.ACCEPT)
    assert events(machine) == [Changed(AddHeader(b"X", b"y")), Progressed(), Answered(Answer(Verdict.ACCEPT))]


def test_more_changes_than_anybody_wants_break_it():
    machine = ready()
    machine.end_of_message({})
    machine.receive_data(fake.add("X", "y") * (MAX_CHANGES + 1))
    assert isinstance(events(machine)[-1], Broken)


@pytest.mark.parametrize("word", [fake.add("X", "y"), fake.SKIP, packet(b"z"), b"\0\0\0\0", b"\0\xff\xff\xff"])
def test_what_is_out_of_place_breaks_it(word: bytes):
    machine = ready()
    machine.helo("x.test", {})
    machine.receive_data(word + fake.CONTINUE)
    (event,) = events(machine)
    assert isinstance(event, Broken)
    assert machine.patience == math.inf
    with pytest.raises(ProtocolMisuse):
        machine.data({})


def test_a_word_unasked_breaks_it():
    machine = ready()
    machine.receive_data(fake.CONTINUE)
    assert isinstance(events(machine)[0], Broken)


def test_two_questions_at_once_are_our_mistake():
    machine = ready()
    machine.helo("x.test", {})
    with pytest.raises(ProtocolMisuse):
        machine.data({})


@pytest.mark.parametrize("reason", list(Interruption))
def test_an_interruption_is_its_end(reason: Interruption):
    machine = ready()
    machine.helo("x.test", {})
    machine.interrupt(reason)
    machine.interrupt(reason)
    assert len(events(machine)) == 1


def test_its_going_is_its_end():
    machine = ready()
    machine.receive_eof()
    assert events(machine) == [Broken("it has closed the connection")]


def test_abort_and_quit_are_not_answered():
    machine = ready()
    machine.abort()
    machine.quit()
    machine.abort()
    assert sent(machine) == [b"A", b"Q"]
    machine.receive_data(b"anything")
    assert not events(machine)


def test_it_says_what_it_wants_to_hear():
    assert ready(steps=Step.REJECTED_RCPT).wants_rejected()
    assert not ready().wants_rejected()
    assert not ready(steps=Step.NO_BODY).wants_body()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_any_cut_comes_to_the_same(cuts: list[int]):
    words = (
        fake.add("X", "y")
        + fake.body(b"z" * 99)
        + fake.quarantine("q")
        + packet(b"h", strings(b"A", b"b"))
        + fake.ACCEPT
    )
    whole, cut = ready(), ready()
    for machine in (whole, cut):
        machine.end_of_message({})
    whole.receive_data(words)
    found, at, number = [], 0, 0
    while at < len(words):
        size = cuts[number % len(cuts)]
        cut.receive_data(words[at : at + size])
        found += events(cut)
        at, number = at + size, number + 1
    assert found == events(whole)
