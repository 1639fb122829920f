"""DNS messages as the client of a recursive server needs them, written and read by dnspython: one question, its answer.

What is not the answer to the question is nobody's; what is no message raises `Malformed`. dnspython is imported at the
first question.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from postroad.ports.dns import MxRecord, TlsaRecord

if TYPE_CHECKING:
    from dns.message import ChainingResult, Message, QueryMessage
    from dns.name import Name

UDP_PAYLOAD = 1232  # no fragments (DNS flag day 2020)
KINDS = ("A", "AAAA", "CNAME", "MX", "PTR", "TLSA", "TXT")


class BadName(ValueError):  # noqa: N818 - a name that is none
    """No name in DNS can be so."""


class Malformed(ValueError):  # noqa: N818 - the server's fault
    """Not a DNS message, or one that cannot be."""


class Query(NamedTuple):
    """A question with an id that nobody can guess."""

    message: Message
    wire: bytes


class Reply(NamedTuple):
    """What a server said."""

    rcode: int
    is_cut: bool = False  # ask again by TCP
    validated: bool = False  # the AD bit
    canonical: str = ""  # the name that aliases led to, or the one that was asked for
    ttl: int = 0  # of the answer and the aliases before it, or how long there is none
    has_soa: bool = False  # RFC 2308 §5: without one, what is not there should not be kept
    values: tuple[Any, ...] = ()  # texts, MxRecord, TlsaRecord

    @property
    def outcome(self) -> str:
        """The code by its name."""
        from dns import rcode

        return rcode.to_text(rcode.Rcode(self.rcode))


def query(name: str, kind: str) -> Query:
    """Ask for records of one of KINDS. Raises BadName."""
    from dns import exception, flags, message

    asks = flags.RD | flags.AD  # AD: we understand the bit (RFC 6840 §5.7)
    try:
        asked = message.make_query(f"{name}.", kind, use_edns=0, payload=UDP_PAYLOAD, flags=asks)
        return Query(asked, asked.to_wire())
    except (exception.DNSException, UnicodeError) as error:  # a label over 63 octets, an empty label
        raise BadName(str(error)) from None


def read(octets: bytes, asked: Query) -> Reply | None:
    """The answer to `asked`; None when it is none. Raises Malformed."""
    from dns import exception, flags, message

    try:
        found = message.from_wire(octets, ignore_trailing=True)
    except (exception.DNSException, ValueError) as error:
        raise Malformed(f"{type(error).__name__}: {error}") from None
    if not asked.message.is_response(found):
        return None
    if found.flags & flags.TC:
        return Reply(found.rcode(), is_cut=True)
    if not isinstance(found, message.QueryMessage) or not found.question:  # some servers say no without the question
        return Reply(found.rcode())
    return _answer(found, validated=bool(found.flags & flags.AD))


def _answer(found: QueryMessage, *, validated: bool) -> Reply:
    """Follow the aliases to what was asked for."""
    from dns import exception
    from dns.rdatatype import SOA

    try:
        chain = found.resolve_chaining()
    except exception.DNSException as error:  # aliases without end; an answer beside NXDOMAIN
        raise Malformed(f"{type(error).__name__}: {error}") from None
    has_soa = any(rrset.rdtype == SOA for rrset in found.authority)
    return Reply(
        found.rcode(), False, validated, _plain(chain.canonical_name), chain.minimum_ttl, has_soa, _values(chain)
    )


def _values(chain: ChainingResult) -> tuple[Any, ...]:
    if chain.answer is None:
        return ()
    read_one = _VALUES[chain.answer.rdtype]
    return tuple(read_one(record) for record in chain.answer)


def _plain(name: Name) -> str:
    """A name without its last dot; the root (the null MX, RFC 7505) is empty."""
    return name.to_text(omit_final_dot=True).lower() if len(name) > 1 else ""


_VALUES: dict[int, Callable[[Any], Any]] = {  # by the number of the type
    1: lambda record: record.address,
    5: lambda record: _plain(record.target),
    12: lambda record: _plain(record.target),
    15: lambda record: MxRecord(record.preference, _plain(record.exchange)),
    16: lambda record: b"".join(record.strings).decode("utf-8", "replace"),  # RFC 7208 §3.3
    28: lambda record: record.address,
    52: lambda record: TlsaRecord(record.usage, record.selector, record.mtype, record.cert),
}
