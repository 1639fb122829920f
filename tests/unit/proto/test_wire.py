"""The receive buffer: lines, limits, compaction."""

import pytest

from postroad.proto.wire import TOO_LONG, LineFault, ReceiveBuffer


def lines(pieces: list[bytes], limit: int) -> list[bytes | LineFault]:
    buffer, found = ReceiveBuffer(), []
    for piece in pieces:
        buffer.feed(piece)
        while (line := buffer.take_line(limit)) is not None:
            found.append(line)
    return found


def test_lines_come_with_their_endings() -> None:
    assert lines([b"a\r\nb\nc"], 10) == [b"a\r\n", b"b\n"]


@pytest.mark.parametrize("limit", [4, 5, 6])
def test_the_limit_counts_the_ending(limit: int) -> None:
    whole = lines([b"abc\r\nd\r\n"], limit)
    assert whole == [b"abc\r\n" if limit >= 5 else TOO_LONG, b"d\r\n"]
    assert lines([b"abc\r\nd\r\n"[i : i + 1] for i in range(8)], limit) == whole


def test_an_overlong_line_is_reported_once_and_dropped_to_its_end() -> None:
    data = b"x" * 100 + b"\r\nnext\r\n"
    assert lines([data], 10) == [TOO_LONG, b"next\r\n"]
    assert lines([data[i : i + 7] for i in range(0, len(data), 7)], 10) == [TOO_LONG, b"next\r\n"]


def test_what_is_dropped_is_not_kept() -> None:
    buffer = ReceiveBuffer()
    for _ in range(100):
        buffer.feed(b"y" * 1000)
        buffer.take_line(512)
        assert len(buffer) <= 1000


def test_take_and_take_all() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"line\r\nliteral and rest")
    assert buffer.take_line(100) == b"line\r\n"
    assert buffer.take(7) == b"literal"
    buffer.unread(b"al")
    assert len(buffer) == 11
    assert buffer.take(2) == b"al"
    buffer.feed(b"!\r\n")
    assert buffer.take_line(100) == b" and rest!\r\n"
    buffer.feed(b"tail")
    assert buffer.take(99) == b"tail"
    buffer.feed(b"more")
    assert buffer.take_all() == b"more"
    assert buffer.take_all() == b""


def test_clear_forgets_also_the_dropping() -> None:
    buffer = ReceiveBuffer()
    buffer.feed(b"z" * 50)
    assert buffer.take_line(10) is TOO_LONG
    buffer.clear()
    buffer.feed(b"ok\r\n")
    assert buffer.take_line(10) == b"ok\r\n"
