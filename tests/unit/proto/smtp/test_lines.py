"""From a line to a command: what is remembered, and what never is."""

from __future__ import annotations

import pytest

from postroad.proto.smtp import lines
from postroad.proto.smtp import reply as replies
from postroad.proto.smtp.lines import Unreadable, read_line


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    lines._remembered.cache_clear()


def remembered() -> int:
    return lines._remembered.cache_info().currsize


def test_a_usual_line_is_read_once() -> None:
    line = b"MAIL FROM:<news@example.com> SIZE=100\r\n"
    assert read_line(line) is read_line(bytes(bytearray(line)))
    assert read_line(line)[1].parameters.size == 100


@pytest.mark.parametrize("word", [b"AUTH", b"auth", b"Auth"])
def test_a_password_is_never_kept(word: bytes) -> None:
    verb, command = read_line(word + b" PLAIN AGEAYg==\r\n")
    assert (verb, command.initial) == ("AUTH", b"\0a\0b")
    assert remembered() == 0


@pytest.mark.parametrize(("spaces", "kept"), [(128 - 7, 1), (129 - 7, 0)])
def test_long_lines_are_not_kept(spaces: int, kept: int) -> None:
    assert read_line(b"NOOP " + b"x" * spaces + b"\r\n")[0] == "NOOP"
    assert remembered() == kept


@pytest.mark.parametrize(
    ("line", "reply", "verb"),
    [
        (b"NOOP\n", replies.BARE_LINE_END, ""),
        (b"\r\n", replies.UNKNOWN_COMMAND, ""),
        (b"GET / HTTP/1.1\r\n", replies.NOT_HTTP, ""),
        (b"EXPN x\r\n", replies.NOT_IMPLEMENTED, "EXPN"),
        (b"NOOP \0\r\n", replies.BAD_CHARACTERS, ""),
        (b"NOOP \xc3\xa4\r\n", replies.BAD_CHARACTERS, ""),
        (b"NOOP " + b"x" * 600 + b"\r\n", replies.LINE_TOO_LONG, "NOOP"),
    ],
)
def test_what_cannot_be_read_says_why_each_time(line: bytes, reply: replies.Reply, verb: str) -> None:
    for _ in range(2):
        with pytest.raises(Unreadable) as unreadable:
            read_line(line)
        assert (unreadable.value.reply, unreadable.value.verb) == (reply, verb)
    assert remembered() == 0
