"""The dialogue runner itself: what it reads, what it sends, what it complains about."""

import pytest

from postroad.proto.wire import TOO_LONG, Interruption, ReceiveBuffer, Signal
from postroad.testing.dialogue import (
    Dialogue,
    DialogueError,
    MachinePeer,
    agree,
    at_once,
    each_byte,
    play,
    random_cuts,
    unescape,
)


class Echo:
    """A machine that says `got LINE` for each line, and ends at `bye` or an interruption."""

    patience = 1.0

    def __init__(self) -> None:
        self.buffer = ReceiveBuffer()
        self.out = [b"hello\r\n"]

    def receive_data(self, data: bytes) -> None:
        self.buffer.feed(data)

    def receive_eof(self) -> None:
        self.out.append(b"eof\r\n")

    def next_event(self) -> object:
        line = self.buffer.take_line(600)
        if line is None:
            return Signal.NEED_DATA
        assert line is not TOO_LONG
        self.out.append(b"got " + line)
        return line.strip()

    def data_to_send(self) -> bytes:
        data, self.out = b"".join(self.out), []
        return data

    def interrupt(self, reason: Interruption) -> None:
        self.out.append(f"{reason.value}\r\n".encode())


def peer() -> MachinePeer:
    return MachinePeer(Echo(), lambda event: event == b"bye")


def run(text: str) -> list[str]:
    return agree(Dialogue.parse(text), peer)


def test_a_dialogue_passes_and_returns_what_was_said() -> None:
    assert run("S: hello\nC: a\nC: b\nS~ got [ab]\nS* got b\n! silent\nC: bye\nS: got bye\n! closed\n") == [
        "hello",
        "got a",
        "got b",
        "got bye",
    ]


def test_facts_stand_in_comments() -> None:
    dialogue = Dialogue.parse("# zones: basic.zone   listener: mx\n# only a comment\nS: hello\n")
    assert dialogue.facts == {"zones": "basic.zone", "listener": "mx"}
    assert not dialogue.machine_only
    assert Dialogue.parse("! timeout\n").machine_only


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("S: other", "expected S: other, got 'hello'"),
        ("S: hello\nC: a\nC: b\nS: got a\nC: c", "said more than expected"),
        ("S: hello\nS: more", "says nothing"),
        ("S: hello\nC: a\n", "at the end"),
        ("S: hello\n! closed", "has not closed"),
        ("S: hello\n! jump", "unknown directive"),
        ("hello", "not a dialogue line"),
        ("S* never", "says nothing"),
        ("S~ hel", "expected"),
    ],
)
def test_a_difference_is_an_error(text: str, complaint: str) -> None:
    with pytest.raises(DialogueError, match=complaint):
        at_once(play(Dialogue.parse(text), peer()))


def test_machine_directives() -> None:
    assert run("S: hello\n! eof\nS: eof\n! timeout\nS: timeout\n! shutdown\nS: shutdown\n")


def test_skipping_takes_a_text_that_is_no_pattern() -> None:
    assert run("S: hello\nC: a [b\nS* got a [b\n")


def test_escapes() -> None:
    assert unescape(r"a\r\n\0\x00\xff\\\t\{3*ab\r}") == b"a\r\n\0\0\xff\\\tab\rab\rab\r"
    with pytest.raises(DialogueError):
        unescape(r"\q")


def test_a_machine_that_depends_on_cuts_is_found() -> None:
    class Counting(Echo):
        def receive_data(self, data: bytes) -> None:
            self.out.append(b"%d\r\n" % len(data))

    with pytest.raises(DialogueError, match=r"differ|expected"):
        agree(Dialogue.parse("S: hello\nC: ab\nS* 4\n"), lambda: MachinePeer(Counting(), lambda event: None))


def test_cuts_keep_every_byte() -> None:
    data = bytes(range(256)) * 3
    assert b"".join(each_byte(data)) == data
    assert b"".join(random_cuts(7)(data)) == data
    assert list(random_cuts(7)(data)) == list(random_cuts(7)(data))
