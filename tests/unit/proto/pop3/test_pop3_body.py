"""What RETR and TOP send, whatever the pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.proto.pop3.body import NO_LIMIT, BodyCutter, with_crlf


def cut(content, lines=NO_LIMIT, size=1):
    cutter = BodyCutter(lines)
    said = b""
    for start in range(0, len(content), size):
        said += cutter.cut(content[start : start + size])
        if cutter.done:
            break
    return said + cutter.finish()


@pytest.mark.parametrize(
    ("content", "lines", "expected"),
    [
        (b"", 0, b""),
        (b"\r\nbody", 0, b"\r\n"),
        (b"\r\nbody\r\nmore", 1, b"\r\nbody\r\n"),
        (b"A: b\r\n\r\none\r\ntwo\r\n", 0, b"A: b\r\n\r\n"),
        (b"A: b\r\n\r\none\r\ntwo\r\n", 1, b"A: b\r\n\r\none\r\n"),
        (b"A: b\r\n\r\none\r\ntwo\r\n", 2, b"A: b\r\n\r\none\r\ntwo\r\n"),
        (b"A: b\r\n\r\none\r\ntwo\r\n", 3, b"A: b\r\n\r\none\r\ntwo\r\n"),
        (b"A: b\r\n\r\none\r\ntwo", 2, b"A: b\r\n\r\none\r\ntwo"),
        (b"A: b\n\none\ntwo\n", 1, b"A: b\r\n\r\none\r\n"),
        (b"A: b\r\n", 5, b"A: b\r\n"),
        (b"A: b\r\n\r\n\r\n\r\nx", 1, b"A: b\r\n\r\n\r\n"),
        (b"end in CR\r", NO_LIMIT, b"end in CR\r"),
        (b"bare \r here\n.\n", NO_LIMIT, b"bare \r here\r\n.\r\n"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_cutting(content, lines, expected, size):
    assert cut(content, lines, size) == expected


def test_what_has_only_crlf_is_not_copied():
    content = b"a\r\nb\r\n"
    assert with_crlf(content) is content


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"."])).map(b"".join), st.integers(1, 5), st.integers(-1, 4)
)
def test_pieces_make_no_difference(content, size, lines):
    whole = cut(content, lines, len(content) + 1)
    assert cut(content, lines, size) == whole
    assert whole.count(b"\n") == whole.count(b"\r\n")
    if lines == NO_LIMIT:
        assert whole.replace(b"\r\n", b"\n") == content.replace(b"\r\n", b"\n")
