"""DNS answers: whatever a server says, it is an answer, nobody's, or malformed; and its names are names."""

from postroad.adapters.dnswire import KINDS, Malformed, query, read
from postroad.ports.dns import MxRecord, TlsaRecord
from postroad.testing.fuzzing import Target

ASKED = {number: query("a.test", kind) for number, kind in enumerate(sorted(KINDS))}
for _asked in ASKED.values():
    _asked.message.id = 0x1234  # what the seeds answer
_SAID = b"\x12\x34\x81\xa0\0\1\0\2\0\1\0\1"


def answer(data: bytes) -> None:
    """The first octet chooses the question; the rest is what was said."""
    asked = ASKED[data[0] % len(ASKED)] if data else ASKED[0]
    try:
        reply = read(data[1:], asked)
    except Malformed:
        return
    if reply is None:
        return
    assert 0 <= reply.ttl < 1 << 31
    assert reply.canonical.isascii()
    assert reply.canonical.isprintable()
    for value in reply.values:
        assert isinstance(value, str | MxRecord | TlsaRecord)
        if isinstance(value, MxRecord):
            assert value.host.isascii()
            assert len(value.host) <= 4 * 255


_RECORDS = {
    "A": b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1",
    "AAAA": b"\xc0\x0c\0\x1c\0\1\0\0\0\x3c\0\x10" + bytes(15) + b"\1",
    "CNAME": b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\4\1b\xc0\x0e",
    "MX": b"\xc0\x0c\0\x0f\0\1\0\0\0\x3c\0\4\0\n\xc0\x0c",
    "PTR": b"\xc0\x0c\0\x0c\0\1\0\0\0\x3c\0\2\xc0\x0c",
    "TLSA": b"\xc0\x0c\0\x34\0\1\0\0\0\x3c\0\5\3\1\1\xab\xcd",
    "TXT": b"\xc0\x0c\0\x10\0\1\0\0\0\x3c\0\6\2ab\2cd",
}
_SOA = b"\xc0\x0e\0\6\0\1\0\0\0\x3c\0\x16\0\0" + bytes(19) + b"\x1e"
_EDNS = b"\0\0\x29\4\xd0\0\0\0\0\0\0"
SEEDS = tuple(
    bytes([number]) + _SAID + asked.wire[12:-11] + _RECORDS["CNAME"] + _RECORDS[kind] + _SOA + _EDNS
    for (number, asked), kind in zip(ASKED.items(), sorted(KINDS), strict=True)
)
WORDS = (
    b"\xc0\x0c", b"\xc0\x0e", b"\xc0\0", b"\xff", b"\0", b"\1b", b"\4test\0", b"\0\5\0\1", b"\0\6\0\1", b"\0\x29",
    b"\xc0\x1c", b"\x3f", b"\x40", b"\0\0\0\x3c", b"\x80\0\0\0",
)  # fmt: skip
TARGETS = {"dns": Target(answer, SEEDS, WORDS)}
