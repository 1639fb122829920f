"""The body reader: faults, flags, size; never dependent on how the bytes were cut. Smuggling, receiving side."""

import pytest

from postroad.mail.envelope import BodyFlag
from postroad.proto.smtp.body import BodyFault, BodyReader, ChunkReader, hides_a_dot

Result = tuple[bytes | None, BodyFault | None, BodyFlag, bytes | None]


def read(pieces: list[bytes], *, max_size: int = 10_000, repair: bool = False) -> Result:
    """(content, unless faulty; fault; flags; what came behind the end, None without an end)."""
    reader, content = BodyReader(max_size, repair_bare_lf=repair), b""
    for index, data in enumerate(pieces):
        chunk, rest = reader.feed(data)
        content += chunk
        if rest is not None:
            behind = rest + b"".join(pieces[index + 1 :])
            if reader.fault:
                return None, reader.fault, BodyFlag.NONE, behind
            assert reader.size == len(content)
            return content, None, reader.flags, behind
    return None, reader.fault, BodyFlag.NONE, None


def all_cuts(data: bytes, **settings: object) -> Result:
    """The one result of every way to cut `data`."""
    whole = read([data], **settings)
    assert read([data[i : i + 1] for i in range(len(data))], **settings) == whole
    for cut in range(1, len(data)):
        assert read([data[:cut], data[cut:]], **settings) == whole, cut
    return whole


@pytest.mark.parametrize(
    ("wire", "content", "flags"),
    [
        (b".\r\n", b"", BodyFlag.NONE),
        (b"\r\n.\r\n", b"\r\n", BodyFlag.NONE),
        (b"a: b\r\n\r\ntext\r\n.\r\n", b"a: b\r\n\r\ntext\r\n", BodyFlag.NONE),
        (b"..\r\n.\r\n", b".\r\n", BodyFlag.DOT_LINES),
        (b"a\r\n..b\r\n.\r\n", b"a\r\n.b\r\n", BodyFlag.DOT_LINES),
        (b".a\r\n.\r\n", b"a\r\n", BodyFlag.NONE),  # a client that did not stuff: RFC 5321 §4.5.2 says what to do
        (b"a.b\r\n.\r\n", b"a.b\r\n", BodyFlag.NONE),
        (b"\xc3\xa4\r\n.\r\n", b"\xc3\xa4\r\n", BodyFlag.EIGHT_BIT),
        (b"a\0b\r\n.\r\n", b"a\0b\r\n", BodyFlag.NUL),
    ],
)
def test_content_and_flags(wire: bytes, content: bytes, flags: BodyFlag) -> None:
    assert all_cuts(wire + b"QUIT\r\n") == (content, None, flags, b"QUIT\r\n")


@pytest.mark.parametrize("length", [997, 998, 999, 1000, 1001])
@pytest.mark.parametrize("before", [b"", b"short\r\n", b"x" * 998 + b"\r\n", (b"y" * 70 + b"\r\n") * 15])
def test_long_lines(length: int, before: bytes) -> None:
    wire = before + b"z" * length + b"\r\nend\r\n.\r\n"
    flags = BodyFlag.LONG_LINES if length > 998 else BodyFlag.NONE
    assert read([wire])[2] == flags
    assert read([wire[i : i + 1] for i in range(len(wire))])[2] == flags
    for step in (7, 331, 997, 998, 999, 1000):
        assert read([wire[i : i + step] for i in range(0, len(wire), step)])[2] == flags


@pytest.mark.parametrize(
    ("bare", "fault"),
    [
        (b"a\nb\r\n", BodyFault.BARE_LF),
        (b"a\rb\r\n", BodyFault.BARE_CR),
        (b"a\r\r\nb\r\n", BodyFault.BARE_CR),
        (b"\na\r\n", BodyFault.BARE_LF),
        (b"a\n\r\n", BodyFault.BARE_LF),
        (b"a\n\rb\r\n", BodyFault.BARE_CR),
    ],
)
def test_bare_line_ends_are_refused_once_at_the_real_end(bare: bytes, fault: BodyFault) -> None:
    assert all_cuts(bare + b"more\r\n.\r\nNOOP\r\n") == (None, fault, BodyFlag.NONE, b"NOOP\r\n")


@pytest.mark.parametrize(
    ("wire", "content", "flags"),
    [
        (b"a\nb\r\n", b"a\r\nb\r\n", BodyFlag.NONE),
        (b"\n\n", b"\r\n\r\n\r\n", BodyFlag.NONE),
        (b"a\n.\nb\r\n", b"a\r\n.\r\nb\r\n", BodyFlag.DOT_LINES),  # the dot stays: it stood on no line of its own
        (b"a\n.\r\nb\r\n", b"a\r\n.\r\nb\r\n", BodyFlag.DOT_LINES),
        (b"a\r\n.\nb\r\n", b"a\r\n\r\nb\r\n", BodyFlag.NONE),
    ],
)
def test_repair(wire: bytes, content: bytes, flags: BodyFlag) -> None:
    end = b".\r\n" if wire.endswith(b"\r\n") else b"\r\n.\r\n"
    assert all_cuts(wire + end + b"NOOP\r\n", repair=True) == (content, None, flags, b"NOOP\r\n")


def test_repair_does_not_take_a_bare_cr() -> None:
    assert all_cuts(b"a\nb\rc\n\r\n.\r\n", repair=True, max_size=9)[1] is BodyFault.BARE_CR


@pytest.mark.parametrize("repair", [False, True])
def test_the_size_limit_on_both_sides(repair: bool) -> None:
    assert all_cuts(b"x" * 18 + b"\r\n.\r\n", max_size=20, repair=repair)[0] == b"x" * 18 + b"\r\n"
    assert all_cuts(b"x" * 19 + b"\r\n.\r\n", max_size=20, repair=repair)[1] is BodyFault.TOO_LARGE
    assert all_cuts(b"x\n" * 30 + b"\r\n.\r\n", max_size=20)[1] is BodyFault.TOO_LARGE  # before BARE_LF, however cut


def test_stuffed_dots_do_not_count() -> None:
    assert all_cuts(b"..\r\n..\r\n.\r\n", max_size=6)[0] == b".\r\n.\r\n"


# Sequences that some server somewhere has taken for the end of data. None may end ours, whatever surrounds it, and
# strangers' content that has one is refused, so that we never pass one on.
SMUGGLING = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r.\n",
    b"\r\r\n.\r\r\n",
    b"\r\n.\r\r\n",
    b"\n\n.\n\n",
    b"\n\r.\n\r",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n . \r\n",
    b"\r\n. \r\n",
    b"\x85.\x85",
    b"\xe2\x80\xa8.\xe2\x80\xa8",
]


@pytest.mark.parametrize("variant", SMUGGLING, ids=repr)
@pytest.mark.parametrize("repair", [False, True])
def test_nothing_else_ends_the_data(variant: bytes, repair: bool) -> None:
    evil = b"MAIL FROM:<evil@evil.example>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\nx\r\n"
    data = b"Subject: x\r\n\r\nbody" + variant + evil + b".\r\nNOOP\r\n"
    content, fault, _, behind = all_cuts(data, repair=repair)
    assert behind == b"NOOP\r\n"
    bare = variant.replace(b"\r\n", b"")
    if b"\r" in bare or (b"\n" in bare and not repair):
        assert fault in (BodyFault.BARE_CR, BodyFault.BARE_LF)
    elif variant == b"\r\n\0.\r\n":
        assert fault is BodyFault.HIDDEN_DOT
    else:
        assert content is not None
        assert b"MAIL FROM:<evil@evil.example>\r\n" in content


@pytest.mark.parametrize(
    ("line", "hidden"),
    [
        (b"\0.", True), (b"\0\0.\0", True), (b"\0" * 3000 + b".", True), (b"\0.." , False), (b".\0", False),
        (b"\0", False), (b"\0.x", False), (b"x\0.", False), (b". \0", False),
    ],
)  # fmt: skip
def test_a_dot_behind_nuls(line: bytes, hidden: bool) -> None:
    for before in (b"", b"x\r\n", b"\0\r\n", b"\0.x\r\n"):
        content = before + line + b"\r\n"
        wire = content.replace(b"\r\n.", b"\r\n..")
        wire = (b"." if wire.startswith(b".") else b"") + wire + b".\r\n"
        got = all_cuts(wire) if len(wire) < 100 else read([wire[i : i + 7] for i in range(0, len(wire), 7)])
        assert got[1] is (BodyFault.HIDDEN_DOT if hidden else None)
        assert hides_a_dot(content) is hides_a_dot(content[:-2]) is hidden
        if not hidden:
            assert got[0] == content


# --- chunks -----------------------------------------------------------------------------------------------------------


def read_chunks(chunks: list[bytes], step: int = 0, **settings: bool) -> tuple[bytes, BodyFault | None, BodyFlag]:
    """What comes of a message in these chunks, each fed in pieces of `step` octets (0: whole)."""
    reader, content = ChunkReader(10_000, **settings), b""
    for number, chunk in enumerate(chunks, 1):
        reader.open(len(chunk), last=number == len(chunks))
        assert reader.left == len(chunk)
        for start in range(0, len(chunk), step or len(chunk) or 1):
            content += reader.feed(chunk[start : start + (step or len(chunk))])
        if not chunk:
            content += reader.feed(b"")
        if reader.is_over:
            break
    assert reader.is_over
    if reader.fault is None:
        assert reader.size == len(content)
    return b"" if reader.fault else content, reader.fault, BodyFlag.NONE if reader.fault else reader.flags


def every_way(content: bytes, **settings: bool) -> tuple[bytes, BodyFault | None, BodyFlag]:
    """The one result of every cut into two chunks, and of every way to read them."""
    whole = read_chunks([content], **settings)
    for step in (0, 1, 2, 3):
        for cut in range(len(content) + 1):
            assert read_chunks([content[:cut], content[cut:]], step, **settings) == whole
        assert read_chunks([content, b""], step, **settings) == whole
    return whole


@pytest.mark.parametrize(
    ("content", "flags"),
    [
        (b"", BodyFlag.NONE),
        (b"Subject: x\r\n\r\nno line end", BodyFlag.NONE),
        (b".\r\n..\r\n", BodyFlag.DOT_LINES),
        (b"a\r\n.\r\nQUIT\r\n", BodyFlag.DOT_LINES),
        (b"\xe4\0\r\n", BodyFlag.EIGHT_BIT | BodyFlag.NUL),
        (b"\r\n", BodyFlag.NONE),
    ],
)
def test_chunks_bring_content_as_it_is(content: bytes, flags: BodyFlag) -> None:
    assert every_way(content) == (content, None, flags)
    assert every_way(content, binary=True)[0] == content or b"\0" in content


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"a\nb", BodyFault.BARE_LF),
        (b"a\rb", BodyFault.BARE_CR),
        (b"a\r", BodyFault.BARE_CR),
        (b"a\r\r\n", BodyFault.BARE_CR),
        (b"\n.\r\n", BodyFault.BARE_LF),
        (b"a\r\n\0.\r\n", BodyFault.HIDDEN_DOT),
        (b"a\r\n\0.", BodyFault.HIDDEN_DOT),
        (b"\0.\0\0", BodyFault.HIDDEN_DOT),
    ],
)
def test_chunks_are_held_to_the_rules_of_data(content: bytes, fault: BodyFault) -> None:
    """It may leave us by DATA."""
    assert every_way(content)[1] is fault
    if fault is BodyFault.BARE_LF:
        assert every_way(content, repair_bare_lf=True)[0] == content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@pytest.mark.parametrize("body", [b"a\nb", b"a\rb\r", b"\r\n.\n", b"\0.\r\n", b"x\r\n\0.", b"\n"])
def test_binary_content_is_kept_and_known(body: bytes) -> None:
    content = b"Subject: x\r\n\r\n" + body
    got = every_way(content, binary=True, repair_bare_lf=True)
    assert got[:2] == (content, None)
    assert got[2] & BodyFlag.BINARY
    content = b"\r\n" + body  # no header fields at all
    assert every_way(content, binary=True)[2] & BodyFlag.BINARY


@pytest.mark.parametrize(
    "header", [b"Subject: x\n\n", b"A: b\r\nC: d\ne\r\n\r\n", b"A: b\r", b"A: \0\r\n\r\n", b"A: b\r\n\n"]
)
def test_the_header_block_of_binary_content_has_lines(header: bytes) -> None:
    fault = every_way(header + b"text", binary=True)[1]
    assert fault in (BodyFault.BARE_CR, BodyFault.BARE_LF, BodyFault.HIDDEN_DOT)


def test_binary_content_without_anything_binary_is_plain() -> None:
    assert every_way(b"Subject: x\r\n\r\na\r\n", binary=True)[2] == BodyFlag.NONE


@pytest.mark.parametrize("sizes", [(20,), (10, 10), (0, 20, 0)])
def test_a_size_is_judged_before_an_octet_is_read(sizes: tuple[int, ...]) -> None:
    for limit, fits in ((20, True), (19, False)):
        reader = ChunkReader(limit)
        for size in sizes:
            reader.open(size, last=False)
            if reader.fault:
                break
            reader.feed(b"x" * size)
        assert (reader.fault is None) is fits
        if not fits:
            assert reader.left > 0
            assert reader.feed(b"x" * reader.left) == b""
            assert reader.is_over


def test_repaired_content_may_outgrow_the_limit() -> None:
    reader = ChunkReader(10, repair_bare_lf=True)
    reader.open(10, last=True)
    assert reader.feed(b"a\nb\nc\nd\ne\n") == b""
    assert reader.fault is BodyFault.TOO_LARGE
