import pytest

from postroad.proto.imap.reader import MAX_SWALLOWED, CommandReader, Complete, Flood, LiteralNext, Overlong
from postroad.proto.literals import Literal


def reader(data=b"", limit=100):
    made = CommandReader(limit)
    made.receive(data)
    return made


def test_lines():
    made = reader(b"a NOOP\r\nb NO")
    assert made.next() == Complete(b"a NOOP")
    assert made.next() is None
    made.receive(b"OP\nc")
    assert made.next() == Complete(b"b NOOP")
    assert made.next() is None


def test_collected_literal():
    made = reader(b"a LOGIN {3}\r\n")
    frame = made.next()
    assert frame == LiteralNext(b"a LOGIN {3}\r\n", Literal(3, synchronizing=True))
    made.collect(frame.literal)
    assert made.next() is None
    made.receive(b"a\r\nb")
    assert made.next() is None
    made.receive(b"\r\n")
    assert made.next() == Complete(b"a LOGIN {3}\r\na\r\nb")


def test_streamed_literal():
    made = reader(b"a APPEND x {5+}\r\nab")
    made.stream(made.next().literal)
    assert made.chunk() == b"ab"
    assert made.chunk() == b""
    made.receive(b"cde\r\n")
    assert made.chunk() == b"cde"
    assert made.streaming == 0
    assert made.next() == Complete(b"")


def test_refused_literal_is_swallowed_with_its_line():
    made = reader(b"a X {4+}\r\n\r\nb rest {2+}\r\nxy more\r\nc NOOP\r\n")
    made.refuse(made.next().literal)
    assert made.next() == Complete(b"c NOOP")


def test_refused_synchronizing_literal_does_not_come():
    made = reader(b"a X {4}\r\nb NOOP\r\n")
    made.refuse(made.next().literal)
    assert made.next() == Complete(b"b NOOP")


def test_streamed_literal_dropped_half_way():
    made = reader(b"a APPEND x {5+}\r\nab")
    made.stream(made.next().literal)
    made.chunk()
    made.drop()
    made.receive(b"cde\r\nb NOOP\r\n")
    assert made.next() == Complete(b"b NOOP")


@pytest.mark.parametrize("size", [99, 100])
def test_budget_is_kept_exactly(size):
    line = b"x" * (size - 2) + b"\r\n"
    assert reader(line).next() == Complete(line[:-2])


def test_over_the_budget():
    made = reader(b"x" * 99 + b"\r\nb NOOP\r\n")
    assert made.next() == Overlong(b"x" * 99 + b"\r\n")
    assert made.next() == Complete(b"b NOOP")


def test_over_the_budget_without_an_end():
    made = reader(b"x" * 101)
    assert made.next() == Overlong(b"x" * 101)
    for _ in range(10):
        made.receive(b"y" * 1000)
        assert made.next() is None
    assert len(made._buffer) < 1000
    made.receive(b" {3+}\r\nabc\r\nb NOOP\r\n")
    assert made.next() == Complete(b"b NOOP")


def test_flood():
    made = reader(b"x" * 101)
    made.next()
    frames = []
    for _ in range(2 + MAX_SWALLOWED // 60_000):
        made.receive(b"y" * 60_000)
        frames.append(made.next())
    assert Flood() in frames


def test_forget():
    made = reader(b"a X {4}\r\nab")
    made.collect(made.next().literal)
    made.next()
    made.forget()
    made.receive(b"b NOOP\r\n")
    assert made.next() == Complete(b"b NOOP")
