"""What a connection to a host must prove before it gets mail: by our settings, by DANE, by MTA-STS, by REQUIRETLS.

Decided once for a connection, never for a message. `Policies` asks around, `decide` is the rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum, StrEnum

from msgspec import Struct

from postroad.delivery import dane
from postroad.delivery.dane import HostRecords
from postroad.delivery.mx import MailHosts, Reached
from postroad.delivery.sts import StsFound, StsSource
from postroad.mail.status import Status, status
from postroad.mail.terms import TlsWish
from postroad.mailauth.mtasts import StsMode
from postroad.ports.dns import Resolver
from postroad.ports.net import ClientTls
from postroad.routing.routes import Transport, TransportKind


class TlsLevel(StrEnum):
    """What a setting asks of a destination, from nothing to the most."""

    NONE = "none"  # never TLS
    OPPORTUNISTIC = "opportunistic"  # what DANE or MTA-STS ask for, else TLS where it is offered
    ENCRYPT = "encrypt"  # TLS at least
    VERIFY = "verify"  # and a certificate that proves the host
    DANE = "dane"  # and by DANE alone


class Need(IntEnum):
    """What one connection has to come to."""

    NONE = 0
    MAY = 1
    ENCRYPT = 2
    PROVE = 3


class Applied(Struct, frozen=True):
    """The published policy that counted, as a report names it (RFC 8460 §4.4)."""

    policy: str = "no-policy-found"
    text: str = ""


NOTHING_PUBLISHED = Applied()


class Demand(Struct, frozen=True):
    """What is demanded of a connection to one host."""

    need: Need
    tls: ClientTls
    why: str = ""  # for people; empty: nothing is demanded
    applied: Applied = NOTHING_PUBLISHED
    announced: bool = False  # the host has to offer REQUIRETLS (RFC 8689 §4.2.1)
    final: bool = False  # what falls short is returned, not tried again
    fault: tuple[str, str] = ("", "")  # what is wrong with the policy although nothing follows: result type, and reason

    @property
    def key(self) -> object:
        """Connections that were held to the same may be shared; the undemanding ones by all."""
        return None if self.need is Need.MAY and not self.tls.report else (self.need, self.tls, self.announced)


class Barred(Struct, frozen=True):
    """The host must not be dialled at all. `kind` is a result type of RFC 8460 §4.3."""

    status: Status
    kind: str
    applied: Applied = NOTHING_PUBLISHED


class TlsRules:
    """The settings: a level for all, and for domains (`example.com`; `.example.com` is all that is below it)."""

    def __init__(self, default: TlsLevel = TlsLevel.OPPORTUNISTIC, domains: Mapping[str, TlsLevel] | None = None):
        self._default = default
        self._domains = {name.lower(): level for name, level in (domains or {}).items()}

    def of(self, domain: str) -> TlsLevel:
        """The nearest one that is set."""
        if not self._domains:
            return self._default
        for name in _upwards(domain.lower()):
            if (level := self._domains.get(name)) is not None:
                return level
        return self._default


def _upwards(domain: str) -> Iterable[str]:
    yield domain
    while "." in domain:
        domain = domain.partition(".")[2]
        yield f".{domain}"


class Plan(Struct, frozen=True):
    """What is known of a next hop before its hosts are looked at."""

    transport: Transport
    hosts: MailHosts
    level: TlsLevel
    sts: StsFound | None = None


class Policies:
    """Asks DNS and the policies of MTA-STS. One for a process."""

    def __init__(self, resolver: Resolver, rules: TlsRules | None = None, sts: StsSource | None = None) -> None:
        """Without `sts` nobody's policy is looked for."""
        self._resolver = resolver
        self._rules = rules or TlsRules()
        self._sts = sts

    async def plan(self, transport: Transport, hosts: MailHosts) -> Plan:
        level = self._rules.of(transport.host)
        sts = None
        asks = transport.kind is TransportKind.MX and level is not TlsLevel.NONE and transport.tls is not TlsWish.WAIVE
        if self._sts is not None and asks:
            sts = await self._sts.find(hosts.domain)
        return Plan(transport, hosts, level, sts)

    async def demand(self, plan: Plan, host: str, reached: Reached) -> Demand | Barred:
        """Of a connection to this host."""
        transport = plan.transport
        waived = transport.tls is TlsWish.WAIVE and plan.level is not TlsLevel.DANE  # ours is not the sender's to waive
        if not plan.hosts.secure or plan.level is TlsLevel.NONE or waived:
            return decide(plan, host, None)
        records = await dane.look_up(self._resolver, host, transport.port, reached)
        if isinstance(records, Status):
            return Barred(records, "dnssec-invalid", Applied("tlsa"))
        return decide(plan, host, records)


UNLISTED = status(451, "4.7.5", "the host is not one of those that take mail for the domain", "MTA-STS, mode enforce")
NO_DANE = status(451, "4.7.5", "the host has no certificate records in DNS", "the setting tls = dane")
NO_ENCRYPTION = status(550, "5.7.10", "it must not go without TLS", "REQUIRETLS, and the setting tls = none")
UNSURE = status(
    550,
    "5.7.10",
    "nothing vouches for the names of the domain's mail servers",
    "REQUIRETLS wants DNSSEC or MTA-STS to do so (RFC 8689 §4.2.1)",
)


def decide(plan: Plan, host: str, records: HostRecords | None) -> Demand | Barred:
    """The rule. DANE goes before MTA-STS (RFC 8461 §2), and both before what is only set here."""
    level, required = plan.level, plan.transport.tls is TlsWish.REQUIRE
    if level is TlsLevel.NONE:
        return Barred(NO_ENCRYPTION, "") if required else Demand(Need.NONE, ClientTls(host), "the setting tls = none")
    if records is not None and records.usable:
        return _by_dane(plan, host, records, required=required)
    if level is TlsLevel.DANE:
        return Barred(NO_DANE, "dane-required", Applied("tlsa"))
    policy = plan.sts.policy if plan.sts is not None else None
    if policy is not None and policy.mode is StsMode.ENFORCE:
        return _by_sts(plan, host, required=required)
    if required:
        if not plan.hosts.secure:
            return Barred(UNSURE, "")
        return _proven_name(host, "REQUIRETLS", required=True)
    applied = _applied(plan, records)
    if level is TlsLevel.VERIFY:
        return _proven_name(host, "the setting tls = verify", applied)
    if level is TlsLevel.ENCRYPT:
        return Demand(Need.ENCRYPT, ClientTls(host), "the setting tls = encrypt", applied)
    if records is not None:
        return Demand(Need.ENCRYPT, ClientTls(host), "DANE, with no record that can be used", applied)
    if policy is not None and policy.mode is StsMode.TESTING:
        if not policy.allows(host):
            fault = ("validation-failure", f"{host} is not in the MTA-STS policy")
            return Demand(Need.MAY, ClientTls(host), "MTA-STS, mode testing", applied, fault=fault)
        return Demand(Need.MAY, ClientTls(host, report=True), "MTA-STS, mode testing", applied)
    fault = (plan.sts.kind, plan.sts.error) if plan.sts is not None else ("", "")
    return Demand(Need.MAY, ClientTls(host), applied=applied, fault=fault)


def _by_dane(plan: Plan, host: str, records: HostRecords, *, required: bool) -> Demand:
    """Names that a certificate of an authority may be for: RFC 7672 §3.2.2; the name asked for: §8.1."""
    names = tuple(dict.fromkeys((records.base, host, *plan.hosts.aliases)))
    tls = ClientTls(records.base, verify=True, names=names, tlsa=records.usable)
    return Demand(Need.PROVE, tls, "DANE", Applied("tlsa", records.text), announced=required, final=required)


def _by_sts(plan: Plan, host: str, *, required: bool) -> Demand | Barred:
    assert plan.sts is not None
    assert plan.sts.policy is not None
    applied = _applied(plan, None)
    if not plan.sts.policy.allows(host):
        return Barred(UNLISTED.because(f"{host} is not in the MTA-STS policy"), "validation-failure", applied)
    return _proven_name(host, "MTA-STS, mode enforce", applied, required=required)


def _proven_name(host: str, why: str, applied: Applied = NOTHING_PUBLISHED, *, required: bool = False) -> Demand:
    return Demand(Need.PROVE, ClientTls(host, verify=True), why, applied, announced=required, final=required)


def _applied(plan: Plan, records: HostRecords | None) -> Applied:
    if records is not None:
        return Applied("tlsa", records.text)
    if plan.sts is None:
        return NOTHING_PUBLISHED
    return Applied("sts", "\n".join(plan.sts.policy.lines) if plan.sts.policy is not None else "")
