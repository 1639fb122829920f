"""The table of docs/concepts/smuggling.md, row by row: what is said there is done, on every way in, by DATA at every
cut and by BDAT, and what is kept leaves us so that it ends once."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.proto.smtp.test_smuggling import EVIL, assert_ends_once

from postroad.intake.fields import body_flags, wire_lines
from postroad.mail.envelope import BodyFlag
from postroad.proto.smtp.body import ChunkReader
from postroad.proto.smtp.profile import Dialect, ServerProfile
from postroad.proto.smtp.server import SmtpServer
from postroad.proto.smtp.server_events import BodyChunk, BodyEnd, CommandRefused, MailReceived
from postroad.proto.wire import Signal
from postroad.testing.smtp import ScriptedIntake

PAGE = Path(__file__).parents[4] / "docs" / "concepts" / "smuggling.md"
PROFILES = {
    "mx": ServerProfile("mail.example.com"),
    "lmtp": ServerProfile("mail.example.com", Dialect.LMTP),
    "submission": ServerProfile("mail.example.com", Dialect.SUBMISSION, repair_bare_lf=True),
}
HEAD = b"Subject: x\r\n\r\nbody"
BEHIND = b"\r\n.\r\nNOOP\r\n"


def rows() -> Iterator[tuple[bytes, dict[str, str]]]:
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("| `"):
            variant, strangers, submitters, binary, tools = (cell.strip() for cell in line.strip("|").split("|"))
            text = codecs.decode(variant.strip("`"), "unicode_escape")
            octets = text.encode("latin-1") if max(text) < "\u0100" else text.encode()
            said = {"mx": strangers, "lmtp": strangers, "submission": submitters, "binary": binary, "tools": tools}
            yield octets, said


ROWS = list(rows())


def test_the_table_is_there_and_has_the_known_ones() -> None:
    known = {b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\r\n.\r\r\n", b"\r\n\0.\r\n"}
    assert known <= {variant for variant, _ in ROWS}


def ways(word: str) -> tuple[str, str]:
    """What becomes of it by DATA, and by BDAT."""
    first, _, second = word.partition("; ")
    return first, second.removesuffix(" by BDAT") or first


@pytest.mark.parametrize(("variant", "said"), ROWS, ids=[repr(variant) for variant, _ in ROWS])
@pytest.mark.parametrize("listener", list(PROFILES))
def test_by_data(listener: str, variant: bytes, said: dict[str, str]) -> None:
    wanted = ways(said[listener])[0]
    wire = HEAD + variant + EVIL + BEHIND
    for cut in (0, *range(len(HEAD) - 2, len(HEAD) + len(variant) + 3), len(wire) - 8):
        assert by_data(PROFILES[listener], (wire[:cut], wire[cut:])) == wanted, cut
    assert by_data(PROFILES[listener], [bytes([octet]) for octet in wire]) == wanted


def by_data(profile: ServerProfile, pieces: list[bytes] | tuple[bytes, ...]) -> str:
    machine = SmtpServer(profile)
    intake, ended, mails, content = ScriptedIntake(machine), list[BodyEnd](), 0, b""
    hello = b"LHLO x" if profile.dialect is Dialect.LMTP else b"EHLO x"
    envelope = b"\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n"
    for piece in (hello + envelope, *pieces):
        machine.receive_data(piece)
        while not isinstance(event := machine.next_event(), Signal):
            if isinstance(event, BodyEnd):
                ended.append(event)
            elif isinstance(event, BodyChunk) and not ended:
                content += event.data
            mails += isinstance(event, MailReceived) or (isinstance(event, CommandRefused) and "evil@" in event.text)
            intake.answer(event)
    if mails > 1:
        return "the end"
    (end,) = ended
    if end.fault is not None:
        assert intake.messages == []
        return "refused"
    assert_ends_once(content, end.flags)
    wire = b"".join(pieces)
    return "content" if content == wire[: wire.rindex(b".\r\nNOOP")].replace(b"\r\n.", b"\r\n") else "mended"


@pytest.mark.parametrize(("variant", "said"), ROWS, ids=[repr(variant) for variant, _ in ROWS])
@pytest.mark.parametrize("way", ["mx", "lmtp", "submission", "binary"])
def test_by_bdat(way: str, variant: bytes, said: dict[str, str]) -> None:
    wanted = ways(said[way])[1]
    content = HEAD + variant + EVIL
    for cut in (0, *range(len(HEAD) - 2, len(HEAD) + len(variant) + 3)):
        reader, kept = ChunkReader(100_000, repair_bare_lf=way == "submission", binary=way == "binary"), b""
        for piece, last in ((content[:cut], False), (content[cut:], True)):
            reader.open(len(piece), last=last)
            kept += reader.feed(piece)
        assert word_for(content, kept, reader.flags, refused=reader.fault is not None) == wanted, cut


@pytest.mark.parametrize(("variant", "said"), ROWS, ids=[repr(variant) for variant, _ in ROWS])
def test_from_tools(variant: bytes, said: dict[str, str]) -> None:
    content = HEAD + variant + EVIL
    kept = wire_lines(content)
    assert word_for(content, kept, body_flags(kept), refused=False) == said["tools"]


def word_for(content: bytes, kept: bytes, flags: BodyFlag, *, refused: bool) -> str:
    if refused:
        return "refused"
    if flags & BodyFlag.BINARY:
        return "binary"
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", kept)
    assert_ends_once(kept, flags)
    return "content" if kept == content else "mended"
