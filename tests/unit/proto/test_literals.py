from postroad.proto import literals
from postroad.proto.literals import Literal


def test_announcements():
    assert literals.announced(b"a LOGIN {5}") == Literal(5, synchronizing=True)
    assert literals.announced(b"a LOGIN {5+}") == Literal(5, synchronizing=False)
    assert literals.announced(b"{0}") == Literal(0, synchronizing=True)
    for line in (
        b"",
        b"{}",
        b"{5",
        b"{-5}",
        b"{5-}",
        b"{5 }",
        b"{5}x",
        b"{9223372036854775808}",
        b"{" + b"9" * 21 + b"}",
    ):
        assert literals.announced(line) is None


def test_take():
    buffer = bytearray(b"abcdef")
    assert literals.take(buffer, 2) == b"ab"
    assert literals.take(buffer, 0) == b""
    assert literals.take(buffer, 10) == b"cdef"
    assert buffer == b""
