"""DNS messages as the client of a recursive server needs them: one question out, its answer in (RFC 1035 §4, RFC 6891).

No more than that, so that a look-up costs a tenth of what a whole DNS library takes. It is strict: what is not the
answer to the question is nobody's, and what is no message raises `Malformed`. Names go backwards only when they are
compressed, so the work is bounded by the octets that came.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from postroad.ports.dns import MxRecord, TlsaRecord

UDP_PAYLOAD = 1232  # no fragments (DNS flag day 2020)
MAX_CHAIN = 16  # aliases in one answer
MAX_NAME, MAX_LABEL = 255, 63  # RFC 1035 §2.3.4

KINDS = {"A": 1, "CNAME": 5, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "TLSA": 52}
_CNAME, _SOA, _OPT, _IN = 5, 6, 41, 1
_ASKS = 0x0120  # RD, and AD: we understand the bit (RFC 6840 §5.7)
_IS_ANSWER, _OPCODE, _CUT, _VALIDATED = 0x8000, 0x7800, 0x0200, 0x0020
_HEADER = struct.Struct("!HHHHHH")
_FIXED = struct.Struct("!HHIH")  # of a record, behind its name: type, class, TTL, length
_EDNS = b"\0" + _FIXED.pack(_OPT, UDP_PAYLOAD, 0, 0)
_QUESTION = _HEADER.size  # where it begins
_TO_QUESTION = b"\xc0\x0c"  # a pointer to the name that was asked for: what most records begin with
_LONG_TTL = 1 << 31  # RFC 2181 §8: counts as 0
_SPECIAL = frozenset(b'"().;\\@$')  # escaped in text
_PLAIN = re.compile(rb"[a-z0-9_.-]+")
_SERVFAIL = 2
_RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
_BARE = frozenset((1, 2, 4, 5))  # said by some servers without repeating the question


class BadName(ValueError):  # noqa: N818 - a name that is none
    """No name in DNS can be so."""


class Malformed(ValueError):  # noqa: N818 - the server's fault
    """Not a DNS message."""


class Reply(NamedTuple):
    """What a server said."""

    rcode: int
    is_cut: bool = False  # ask again by TCP
    validated: bool = False  # the AD bit
    canonical: str = ""  # the name that aliases led to, or the one that was asked for
    ttl: int | None = None  # of the answer and the aliases before it, or how long there is none; None: nothing said so
    has_soa: bool = False  # RFC 2308 §5: without one, what is not there should not be kept
    values: tuple[Any, ...] = ()  # texts, MxRecord, TlsaRecord

    @property
    def outcome(self) -> str:
        """The code by its name."""
        return _RCODES.get(self.rcode, f"RCODE{self.rcode}")


_Sets = dict[tuple[bytes, int], tuple[int, list[tuple[int, int]]]]  # (name, type): TTL, and where each value lies


def query(name: str, kind: str) -> bytes:
    """A question with an id that nobody can guess. Raises BadName."""
    return b"%b%b%b%b" % (
        os.urandom(2),
        _HEADER.pack(0, _ASKS, 1, 0, 0, 1)[2:],
        _encoded(name) + KINDS[kind].to_bytes(2) + b"\0\1",
        _EDNS,
    )


def _encoded(name: str) -> bytes:
    if not name.isascii() or "\\" in name:
        raise BadName("not a name of letters, digits and hyphens")
    wire = b""
    for label in name.encode("ascii").split(b".") if name else ():
        if not 0 < len(label) <= MAX_LABEL:
            raise BadName("an empty label, or one of more than 63 octets")
        wire += b"%c%b" % (len(label), label)
    if len(wire) >= MAX_NAME:
        raise BadName("more than 255 octets")
    return wire + b"\0"


def read(message: bytes, asked: bytes) -> Reply | None:
    """The answer to `asked`; None when `message` is none. Raises Malformed."""
    if len(message) < _HEADER.size:
        raise Malformed("too short")
    _, flags, questions, answers, authorities, others = _HEADER.unpack_from(message)
    if message[:2] != asked[:2] or not flags & _IS_ANSWER or flags & _OPCODE:
        return None
    if not questions and flags & 15 in _BARE:
        return Reply(flags & 15)
    question = asked[_QUESTION : -len(_EDNS)]
    if questions != 1 or message[_QUESTION : _QUESTION + len(question)].lower() != question.lower():
        return None
    if flags & _CUT:
        return Reply(flags & 15, is_cut=True)
    reader = _Reader(message, question[:-4].lower())
    at, sets, _ = reader.records(_QUESTION + len(question), answers)
    at, authority, _ = reader.records(at, authorities)
    _, _, extended = reader.records(at, others)
    rcode = flags & 15 | extended
    return reader.answer(rcode, int.from_bytes(question[-4:-2]), sets, authority, validated=bool(flags & _VALIDATED))


class _Reader:
    """One message."""

    __slots__ = ("_asked", "_message")

    def __init__(self, message: bytes, asked: bytes) -> None:
        self._message = message
        self._asked = asked  # the name that was asked for, in lower case

    def records(self, at: int, count: int) -> tuple[int, _Sets, int]:
        """Where they end, what they are, and the upper bits of the code that EDNS adds."""
        message, extended = self._message, 0
        sets: _Sets = {}
        for _ in range(count):
            owner, at = self.name(at)
            if at + _FIXED.size > len(message):
                raise Malformed("a record is cut")
            kind, cls, ttl, length = _FIXED.unpack_from(message, at)
            start = at + _FIXED.size
            at = start + length
            if at > len(message):
                raise Malformed("a value is cut")
            if kind == _OPT:
                extended = ttl >> 24 << 4  # RFC 6891 §6.1.3
            elif cls == _IN:
                self._put(sets, owner, kind, 0 if ttl >= _LONG_TTL else ttl, (start, at))
        return at, sets, extended

    @staticmethod
    def _put(sets: _Sets, owner: bytes, kind: int, ttl: int, place: tuple[int, int]) -> None:
        known = sets.get((owner, kind))
        if known is None:
            sets[owner, kind] = ttl, [place]
        else:
            known[1].append(place)
            if ttl < known[0]:  # RFC 2181 §5.2: they should not differ
                sets[owner, kind] = ttl, known[1]

    def name(self, at: int) -> tuple[bytes, int]:
        """The name at `at` as on the wire, without compression and in lower case; and what lies behind it."""
        message = self._message
        if message[at : at + 2] == _TO_QUESTION:
            return self._asked, at + 2
        labels, size, behind, lowest = [], 0, 0, at
        while True:
            if at >= len(message):
                raise Malformed("a name is cut")
            length = message[at]
            if not length:
                break
            if length >= 0xC0:
                target = int.from_bytes(message[at : at + 2]) & 0x3FFF
                if at + 2 > len(message) or target >= lowest:  # only backwards, so that it ends
                    raise Malformed("a name leads nowhere")
                behind = behind or at + 2
                at = lowest = target
                continue
            if length > MAX_LABEL or at + 1 + length > len(message):
                raise Malformed("a label is none")
            labels.append(message[at : at + 1 + length])
            size += 1 + length
            if size >= MAX_NAME:
                raise Malformed("a name is too long")
            at += 1 + length
        return b"".join(labels).lower() + b"\0", behind or at + 1

    def answer(self, rcode: int, kind: int, sets: _Sets, authority: _Sets, *, validated: bool) -> Reply:
        """Follow the aliases to what was asked for."""
        name, shortest = self._asked, None
        for _ in range(MAX_CHAIN):
            found = sets.get((name, kind)) or sets.get((name, _CNAME))
            if found is None:
                break
            ttl, places = found
            shortest = ttl if shortest is None else min(shortest, ttl)
            if (name, kind) in sets:
                values = self._values(kind, places) if not rcode else ()
                return Reply(rcode, False, validated, text_of(name), shortest, values=values)
            name, _ = self._whole_name(*places[0])
        else:
            return Reply(_SERVFAIL)  # the aliases do not end: a server that noticed would say so
        soa = self._negative_ttl(name, authority)
        known = [ttl for ttl in (shortest, soa) if ttl is not None]
        has_soa = any(owned == _SOA for _, owned in authority)
        return Reply(rcode, False, validated, text_of(name), min(known, default=None), has_soa)

    def _negative_ttl(self, name: bytes, authority: _Sets) -> int | None:
        """How long there is nothing (RFC 2308 §5): as the zone says in whose midst `name` would be."""
        while True:
            found = authority.get((name, _SOA))
            if found is not None:
                ttl, [(start, end), *_] = found
                if end - start < 22:
                    raise Malformed("a SOA is cut")
                return min(ttl, int.from_bytes(self._message[end - 4 : end]))
            if name == b"\0":
                return None
            name = name[1 + name[0] :]

    def _values(self, kind: int, places: list[tuple[int, int]]) -> tuple[Any, ...]:
        value = _VALUES[kind]
        return tuple(dict.fromkeys(value(self, start, end) for start, end in places))

    def _whole_name(self, start: int, end: int) -> tuple[bytes, int]:
        name, behind = self.name(start)
        if behind != end:
            raise Malformed("a name does not fill its value")
        return name, behind

    # --- values by their type ---------------------------------------------------------------------------------------

    def ipv4(self, start: int, end: int) -> str:
        if end - start != 4:
            raise Malformed("an address has four octets")
        return socket.inet_ntop(socket.AF_INET, self._message[start:end])

    def ipv6(self, start: int, end: int) -> str:
        if end - start != 16:
            raise Malformed("an address has sixteen octets")
        return socket.inet_ntop(socket.AF_INET6, self._message[start:end])

    def host(self, start: int, end: int) -> str:
        return text_of(self._whole_name(start, end)[0])

    def exchange(self, start: int, end: int) -> MxRecord:
        if end - start < 3:
            raise Malformed("an MX is cut")
        return MxRecord(int.from_bytes(self._message[start : start + 2]), self.host(start + 2, end))

    def text(self, start: int, end: int) -> str:
        """The strings of one record, joined (RFC 7208 §3.3)."""
        strings = []
        while start < end:
            length = self._message[start]
            if start + 1 + length > end:
                raise Malformed("a string is cut")
            strings.append(self._message[start + 1 : start + 1 + length])
            start += 1 + length
        return b"".join(strings).decode("utf-8", "replace")

    def certificate(self, start: int, end: int) -> TlsaRecord:
        if end - start < 3:
            raise Malformed("a TLSA is cut")
        usage, selector, matching = self._message[start : start + 3]
        return TlsaRecord(usage, selector, matching, self._message[start + 3 : end])


_VALUES: dict[int, Callable[[_Reader, int, int], Any]] = {
    KINDS["A"]: _Reader.ipv4,
    KINDS["AAAA"]: _Reader.ipv6,
    KINDS["CNAME"]: _Reader.host,
    KINDS["PTR"]: _Reader.host,
    KINDS["MX"]: _Reader.exchange,
    KINDS["TXT"]: _Reader.text,
    KINDS["TLSA"]: _Reader.certificate,
}


def text_of(name: bytes) -> str:
    """A name for people and for the next question: without the last dot; the root (the null MX, RFC 7505) is empty."""
    labels, at = [], 0
    while length := name[at]:
        labels.append(name[at + 1 : at + 1 + length])
        at += 1 + length
    text = b".".join(labels)
    if _PLAIN.fullmatch(text) and text.count(b".") == len(labels) - 1:  # all that are hosts
        return text.decode("ascii")
    return ".".join(map(_escaped, labels))


def _escaped(label: bytes) -> str:
    """RFC 1035 §5.1."""
    return "".join(
        f"\\{chr(octet)}" if octet in _SPECIAL else chr(octet) if 0x20 < octet < 0x7F else f"\\{octet:03d}"
        for octet in label
    )
