"""Dot-stuffing: the rule, the end, every cut."""

import pytest

from postroad.proto.dotstuff import DotReader, DotStuffer, stuffed, unstuff


def read(pieces: list[bytes]) -> tuple[bytes, bytes | None]:
    reader, content = DotReader(), b""
    for index, data in enumerate(pieces):
        piece = reader.feed(data)
        content += unstuff(piece)
        if piece.rest is not None:
            return content, piece.rest + b"".join(pieces[index + 1 :])
    return content, None


EXAMPLES = [
    (b"", b".\r\n"),
    (b"a", b"a\r\n.\r\n"),
    (b"a\r\n", b"a\r\n.\r\n"),
    (b".", b"..\r\n.\r\n"),
    (b".\r\n", b"..\r\n.\r\n"),
    (b"a\r\n.b\r\n..c\r\n.\r\n", b"a\r\n..b\r\n...c\r\n..\r\n.\r\n"),
    (b"a\n.b\r\n", b"a\n.b\r\n.\r\n"),  # a bare LF ends no line
    (b"a\r.b\r\n", b"a\r.b\r\n.\r\n"),
    (b"\r\n", b"\r\n.\r\n"),
    (b"a\r", b"a\r\r\n.\r\n"),
]


@pytest.mark.parametrize(("content", "wire"), EXAMPLES)
def test_stuffing(content: bytes, wire: bytes) -> None:
    assert stuffed(content) == wire
    for cut in range(len(content) + 1):
        writer = DotStuffer()
        assert writer.write(content[:cut]) + writer.write(content[cut:]) + writer.finish() == wire
    writer = DotStuffer()
    assert b"".join(writer.write(content[i : i + 1]) for i in range(len(content))) + writer.finish() == wire


@pytest.mark.parametrize(("content", "wire"), EXAMPLES)
def test_unstuffing(content: bytes, wire: bytes) -> None:
    whole = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    data = wire + b"QUIT\r\n"
    assert read([data]) == (whole, b"QUIT\r\n")
    assert read([data[i : i + 1] for i in range(len(data))]) == (whole, b"QUIT\r\n")
    for cut in range(len(data) + 1):
        assert read([data[:cut], data[cut:]]) == (whole, b"QUIT\r\n")


# What other servers have taken for the end of data (SMTP smuggling); here none of them is.
SMUGGLING = [
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r.\n", b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",    b"\r\r\n.\r\r\n", b"\r\n.\r\r\n", b"\n\n.\n\n", b"\n\r.\n\r", b"\x85.\x85", b"\r\n \x08.\r\n",
]  # fmt: skip


@pytest.mark.parametrize("variant", SMUGGLING)
def test_nothing_else_is_an_end(variant: bytes) -> None:
    data = b"body" + variant + b"MAIL FROM:<evil@example>\r\n"
    assert read([data])[1] is None
    assert read([data[i : i + 1] for i in range(len(data))])[1] is None
