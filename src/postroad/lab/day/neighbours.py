"""The other servers of the day: where they live, how far away, and how each takes what we bring.

Their addresses are from the ranges kept for examples (RFC 5737). Domains that the laboratory has too (`down.test`,
`remote.test`) behave as they do there, so that what still waits when the day is over goes on in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from postroad.lab.day.past import Past, SeededRandomness, SteppingClock
from postroad.lab.day.wire import SILENT, TLS, Door
from postroad.lab.profiles.greylisting import Greylisting
from postroad.lab.receivers import Mailbag, Receiver
from postroad.lab.temper import Move, Temper, Visit, refuse
from postroad.mail.envelope import TlsInfo
from postroad.ports.dns import DnsAnswer, DnsOutcome, MxRecord
from postroad.ports.net import Endpoint
from postroad.proto.smtp.reply import reply

OLD_TLS = TlsInfo("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256")

NO_SUCH_USER = refuse(
    550,
    "5.1.1",
    "The address you wrote to does not exist here. Check it for typing errors",
    "and unneeded spaces; see https://help.bigmail.test/no-such-user",
)
INBOX_FULL = refuse(452, "4.2.2", "The recipient's mailbox is full and takes no mail until it has been tidied")
QUOTA = refuse(552, "5.2.2", "Mailbox is over its quota, and has been for 30 days")
TOO_FAST = refuse(
    421,
    "4.7.28",
    "Our systems see an unusual rate of mail from your address. To protect our users it is",
    "limited for a while; see https://help.bigmail.test/bulk-senders",
)
LEFT = refuse(550, "5.1.6", "Mrs Okafor has left the firm; please write to office@northwind.test")
POLICY = refuse(550, "5.7.1", "Message refused: the attachment's type is not allowed here (.xlsm)")
BLOCKED = refuse(554, "5.7.1", "Service unavailable; client host [203.0.113.25] blocked using list.dnsbl.test")
BUSY = refuse(451, "4.3.2", "System is busy with its nightly work, try again later")
LAB_451 = refuse(451, "4.3.0", "Local error in processing, try again later")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One domain, its hosts by preference (name, address), and its ways. No hosts: there is no such domain."""

    domain: str
    hosts: tuple[tuple[str, str], ...]
    trip: float = 0.03  # seconds to them and back
    thinks: tuple[float, float] = (0.05, 0.4)  # seconds over a whole message, from and to
    answers: Mapping[str, Sequence[Move]] = field(default_factory=dict)  # by local-part; the last holds ever after
    afterwards: Mapping[str, Move] = field(default_factory=dict)  # the same, to the final dot
    greylists: float = 0.0  # seconds
    tls: TlsInfo | None = TLS
    listens: bool = True
    silent: bool = False  # not even a refusal comes back
    resolves: bool = True


YES = Move()
NEIGHBOURS = (
    Neighbour(
        "bigmail.test",
        (("mx1.bigmail.test", "198.51.100.10"), ("mx2.bigmail.test", "198.51.100.11")),
        trip=0.014,
        thinks=(0.25, 0.9),
        answers={
            "jo.mistyped": [NO_SUCH_USER],
            "grace": [INBOX_FULL, INBOX_FULL, YES],
            "oldreader": [QUOTA],
            "weekly.fan": [TOO_FAST, YES],
            "ivan": [TOO_FAST, YES],
        },
    ),
    Neighbour(
        "uni.test",
        (("mail.uni.test", "192.0.2.80"),),
        trip=0.041,
        thinks=(0.5, 1.6),
        greylists=300.0,
    ),
    Neighbour(
        "northwind.test",
        (("mx.northwind.test", "203.0.113.140"),),
        trip=0.026,
        answers={"okafor": [LEFT]},
        afterwards={"purchasing": POLICY},
    ),
    Neighbour("atelier.test", (("correo.atelier.test", "192.0.2.201"),), trip=0.095, thinks=(1.8, 4.5), tls=OLD_TLS),
    Neighbour("kumo.test", (("mx1.kumo.test", "198.51.100.77"),), trip=0.247, thinks=(0.2, 0.6)),
    Neighbour("press.test", (("in.press.test", "203.0.113.9"),), answers={"desk": [BLOCKED]}),
    Neighbour("hilltop.test", (("hilltop.test", "192.0.2.15"),), trip=0.033, answers={"erin": [BUSY, YES]}, tls=None),
    Neighbour("remote.test", (("mx1.remote.test", "127.0.0.10"),), trip=0.001, answers={"451": [LAB_451]}),
    Neighbour("down.test", (("mx.down.test", "127.0.0.19"),), listens=False),
    Neighbour("servfail.test", (), resolves=False),
    Neighbour("faraway.test", (("mx.faraway.test", "203.0.113.222"),), silent=True),
)
BY_DOMAIN = {neighbour.domain: neighbour for neighbour in NEIGHBOURS}


class Household(Temper):
    """One neighbour's ways, as a temper for its receivers."""

    def __init__(self, neighbour: Neighbour, random: SeededRandomness) -> None:
        self._neighbour = neighbour
        self._random = random
        self._asked: dict[str, int] = {}
        self._behind = Greylisting(neighbour.greylists) if neighbour.greylists else Temper()

    def rcpt(self, visit: Visit, address: str) -> Move:
        name = address.partition("@")[0]
        answers = self._neighbour.answers.get(name)
        if not answers:
            return self._behind.rcpt(visit, address)
        count = self._asked[name] = self._asked.get(name, -1) + 1
        return answers[min(count, len(answers) - 1)]

    def message(self, visit: Visit) -> Move:
        thinking = round(self._random.between(*self._neighbour.thinks), 3)
        for address in visit.recipients:
            if refusal := self._neighbour.afterwards.get(address.partition("@")[0]):
                return Move(refusal.reply, delay=thinking)
        said = reply(250, "2.0.0", f"Ok: queued as {self._random.token(5).hex().upper()}")
        return Move(said, delay=thinking)


class Neighbourhood:
    """All of them at their addresses: `doors` for the network, and the DNS that leads there (ports.dns.Resolver)."""

    def __init__(self, past: Past, random: SeededRandomness, port: int) -> None:
        self.doors: dict[Endpoint, Door] = {}
        self._addresses: dict[str, str] = {}
        clock, bag = SteppingClock(past), Mailbag(keep_contents=False)
        for neighbour in NEIGHBOURS:
            temper = Household(neighbour, random)
            for host, address in neighbour.hosts:
                self._addresses[host] = address
                receiver = Receiver(host, temper, bag=bag, clock=clock, starttls=neighbour.tls is not None)
                if neighbour.silent:
                    self.doors[Endpoint(address, port)] = SILENT
                elif neighbour.listens:
                    self.doors[Endpoint(address, port)] = Door(receiver.make, neighbour.trip, neighbour.tls or TLS)

    async def mx(self, name: str) -> DnsAnswer:
        neighbour = BY_DOMAIN.get(name)
        if neighbour is None:
            return DnsAnswer(DnsOutcome.NXDOMAIN)
        if not neighbour.resolves:
            return DnsAnswer(DnsOutcome.FAILED, detail="127.0.0.1:1053 answered SERVFAIL")
        records = tuple(MxRecord(10 * rank, host) for rank, (host, _) in enumerate(neighbour.hosts, 1))
        return DnsAnswer(DnsOutcome.FOUND, mx=records, ttl=3600)

    async def addresses(self, name: str, family: int = 0) -> DnsAnswer:  # noqa: ARG002 - there is one kind here
        address = self._addresses.get(name)
        return DnsAnswer(DnsOutcome.FOUND, (address,)) if address else DnsAnswer(DnsOutcome.NXDOMAIN)

    async def txt(self, name: str) -> DnsAnswer:  # noqa: ARG002
        return DnsAnswer(DnsOutcome.NO_DATA)

    async def ptr(self, address: str) -> DnsAnswer:  # noqa: ARG002
        return DnsAnswer(DnsOutcome.NO_DATA)

    async def cname(self, name: str) -> DnsAnswer:  # noqa: ARG002
        return DnsAnswer(DnsOutcome.NO_DATA)

    async def tlsa(self, name: str) -> DnsAnswer:  # noqa: ARG002
        return DnsAnswer(DnsOutcome.NO_DATA)

    def forget(self) -> None:
        """Nothing is remembered."""
