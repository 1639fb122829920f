"""A DNS server with a world of its own: zones from text, faults on request, and a record of who asked for what.

It answers like a recursive server would, from its zones alone: what is in none of them does not exist. Such a query is
remembered as a stranger's, so that a test can fail on it; nothing here ever asks the real DNS. Parts of it can be
`signed`: of them it says, as a validating server does, that it has validated the answer (the AD bit, RFC 4035 §3.2.3).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from enum import Enum
from ipaddress import ip_address
from typing import NamedTuple, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone

NEGATIVE_TTL = 30
MAX_ALIASES = 8
KEPT_QUERIES = 10_000

AD = dns.flags.AD
A, CNAME, SOA = dns.rdatatype.A, dns.rdatatype.CNAME, dns.rdatatype.SOA


class Fault(Enum):
    """What can be wrong with a name."""

    SERVFAIL = "server failure"
    SILENCE = "no answer at all"
    TRUNCATED = "over UDP the answer is cut"
    GARBAGE = "the answer is no DNS message"


class Query(NamedTuple):
    name: str  # lower case, without the last dot
    kind: str
    tcp: bool


class LabDns:
    """Zones, faults and what was asked; `start` opens the sockets."""

    def __init__(self, zones: Mapping[str, str] | None = None) -> None:
        """`zones` by origin, each in master file format (RFC 1035 §5), SOA and NS not needed."""
        self.queries: deque[Query] = deque(maxlen=KEPT_QUERIES)
        self.strangers: deque[Query] = deque(maxlen=KEPT_QUERIES)  # asked for, but in no zone of ours
        self.address = ""
        self._origins: dict[dns.name.Name, dns.rrset.RRset] = {}
        self._records: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], dns.rrset.RRset] = {}
        self._names: set[dns.name.Name] = set()
        self._wild: dict[dns.name.Name, dns.rrset.RRset] = {}  # by origin: addresses of whatever is not named there
        self._faults: dict[str, Fault] = {}
        self._signed: dict[dns.name.Name, bool] = {}  # from this name on downwards
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.AbstractServer | None = None
        for origin, text in (zones or {}).items():
            self.add_zone(origin, text)

    # -- the data ----------------------------------------------------------------------------------------------

    def add_zone(self, origin: str, text: str = "") -> None:
        """Everything under `origin` is answered from here: what `text` does not name does not exist."""
        apex = dns.name.from_text(origin)
        soa = f"ns.{apex} postmaster.{apex} 1 3600 600 86400 {NEGATIVE_TTL}"
        self._origins[apex] = dns.rrset.from_text(apex, NEGATIVE_TTL, "IN", "SOA", soa)
        self._names.add(apex)
        zone = dns.zone.from_text(f"$TTL 300\n{text}\n", origin=apex, relativize=False, check_origin=False)
        for name, node in zone.nodes.items():
            for rdataset in node.rdatasets:
                self._put(dns.rrset.from_rdata_list(name, rdataset.ttl, list(rdataset)))

    def put(self, name: str, kind: str, *values: str, ttl: int = 300) -> None:
        """Set (or with no values, remove) the records of one kind at `name`."""
        owner = dns.name.from_text(name)
        if values:
            self._put(dns.rrset.from_text(owner, ttl, "IN", kind, *values))
        else:
            self._records.pop((owner, dns.rdatatype.from_text(kind)), None)

    def add_list(self, zone: str, listed: Mapping[str, str] | None = None, *, everybody: str = "") -> None:
        """A list of clients (RFC 5782): addresses with the answer for each, and its test points. With `everybody` it
        gives that answer for whatever it is asked; with neither it is empty, without test points."""
        self.add_zone(zone)
        if everybody:
            self._wild[dns.name.from_text(zone)] = dns.rrset.from_text("*", 300, "IN", "A", everybody)
        if listed is None:
            return
        for address, code in {"127.0.0.2": "127.0.0.2", "::ffff:127.0.0.2": "127.0.0.2", **listed}.items():
            self.put(f"{_reversed(address)}.{zone}", "A", code)

    def fault(self, name: str, fault: Fault | None) -> None:
        """From now on this is what becomes of queries for `name`; None ends it."""
        key = name.rstrip(".").lower()
        if fault is None:
            self._faults.pop(key, None)
        else:
            self._faults[key] = fault

    def signed(self, name: str, yes: bool = True) -> None:
        """From now on all that is at and under `name` is signed, or not."""
        self._signed[dns.name.from_text(name)] = yes

    def asked(self, name: str, kind: str) -> int:
        """How often a name was asked for."""
        return sum(query.name == name and query.kind == kind for query in self.queries)

    def _is_signed(self, name: dns.name.Name) -> bool:
        while name not in self._signed and name != dns.name.root:
            name = name.parent()
        return self._signed.get(name, False)

    def _put(self, rrset: dns.rrset.RRset) -> None:
        self._records[rrset.name, rrset.rdtype] = rrset
        name = rrset.name
        while name not in self._names and name != dns.name.root:  # also the empty names between it and its zone exist
            self._names.add(name)
            name = name.parent()

    # -- the answers -------------------------------------------------------------------------------------------

    def respond(self, wire: bytes, *, tcp: bool) -> bytes | None:
        """The answer to one message; None for silence."""
        try:
            query = dns.message.from_wire(wire)
            question = query.question[0]
        except (dns.exception.DNSException, IndexError):
            return None
        name = question.name.to_text(omit_final_dot=True).lower()
        asked = Query(name, dns.rdatatype.to_text(question.rdtype), tcp)
        self.queries.append(asked)
        fault = self._faults.get(name)
        if fault is Fault.SILENCE:
            return None
        if fault is Fault.GARBAGE:
            return wire[:2] + b"\xff" * 10
        response = dns.message.make_response(query, recursion_available=True)
        if fault is Fault.TRUNCATED and not tcp:
            response.flags |= dns.flags.TC
        elif fault is Fault.SERVFAIL:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif not self._answer(response, question.name, question.rdtype):
            self.strangers.append(asked)
            response.set_rcode(dns.rcode.NXDOMAIN)
        size = 65535 if tcp else max(512, query.payload)
        return response.to_wire(max_size=size, prefer_truncation=True)

    def _answer(self, response: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> bool:
        """Fill in what the zones say; False when `name` is in none of them."""
        if self._soa(name) is None:
            return False
        signed = bool(self._signed)
        for _ in range(MAX_ALIASES):
            signed = signed and self._is_signed(name)
            response.flags = (response.flags | AD) if signed else (response.flags & ~AD)
            if rrset := self._records.get((name, kind)):
                response.answer.append(rrset)
                return True
            if kind == A and (wild := self._wild_at(name)):
                response.answer.append(wild)
                return True
            alias = self._records.get((name, CNAME))
            if alias is None:
                break
            response.answer.append(alias)
            name = alias[0].target
        if soa := self._soa(name):
            response.authority.append(soa)
            if name not in self._names:
                response.set_rcode(dns.rcode.NXDOMAIN)
        return True

    def _soa(self, name: dns.name.Name) -> dns.rrset.RRset | None:
        while True:
            if name in self._origins:
                return self._origins[name]
            if name == dns.name.root:
                return None
            name = name.parent()

    def _wild_at(self, name: dns.name.Name) -> dns.rrset.RRset | None:
        """What a zone says of every name that it does not have."""
        for origin, wild in self._wild.items():
            if name != origin and name.is_subdomain(origin):
                return dns.rrset.from_rdata_list(name, wild.ttl, list(wild))
        return None

    # -- the sockets -------------------------------------------------------------------------------------------

    async def start(self, address: str = "127.0.0.1:0") -> str:
        """Listen on UDP and TCP; the address with its real port."""
        host, _, port = address.rpartition(":")
        loop = asyncio.get_running_loop()
        for attempt in range(20):  # the kernel's free UDP port may be taken on TCP
            transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), (host, int(port)))
            real = transport.get_extra_info("sockname")[1]
            try:
                self._tcp = await loop.create_server(lambda: _Tcp(self), host, real)
            except OSError:
                transport.close()
                if int(port) or attempt == 19:
                    raise
                continue
            self._udp = transport
            break
        self.address = f"{host}:{real}"
        return self.address

    def stop(self) -> None:
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()


def _reversed(address: str) -> str:
    """The octets or nibbles of an address, backwards."""
    return ip_address(address).reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: LabDns) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._server.respond(data, tcp=False)
        if answer is not None:
            self._transport.sendto(answer, addr)


class _Tcp(asyncio.Protocol):
    """Messages behind a length of two octets (RFC 1035 §4.2.2)."""

    def __init__(self, server: LabDns) -> None:
        self._server = server
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 2:
            end = 2 + int.from_bytes(self._buffer[:2])
            if len(self._buffer) < end:
                return
            message, self._buffer = self._buffer[2:end], self._buffer[end:]
            answer = self._server.respond(message, tcp=True)
            if answer is not None:
                self._transport.write(len(answer).to_bytes(2) + answer)
