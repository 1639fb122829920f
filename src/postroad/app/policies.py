"""What is demanded of a domain's mail hosts, asked beside the server: for `postroad tls policy`."""

from __future__ import annotations

from msgspec import Struct

from postroad.adapters.clock import SystemClock
from postroad.adapters.dns import CachingResolver
from postroad.adapters.policyhttp import PolicyHttp
from postroad.adapters.random import SystemRandomness
from postroad.app.access import reading
from postroad.app.outbound import tls_rules
from postroad.config.schema import Settings
from postroad.delivery.mx import Hosts
from postroad.delivery.policy import Barred, Demand, Need, Policies
from postroad.delivery.sts import StsPolicies
from postroad.mail.address import AddressError, Domain
from postroad.mail.status import Status
from postroad.ports.store import Refused
from postroad.routing.routes import RouteSettings, transport

NEEDS = {
    Need.NONE: "plaintext",
    Need.MAY: "nothing; TLS where it is offered",
    Need.ENCRYPT: "TLS",
    Need.PROVE: "TLS and proof of who it is",
}


class HostPolicy(Struct):
    """One host of the domain."""

    host: str
    needs: str
    by: str
    detail: str = ""


async def look_up(settings: Settings, name: str) -> list[HostPolicy]:
    """Host by host, best first. Raises Refused. What is found is not kept: the server keeps its own."""
    try:
        domain = Domain.parse(name).ascii
    except AddressError as error:
        raise Refused(f"{name} is no domain: {error}") from error
    resolver = CachingResolver(settings.dns.nameservers, timeout=settings.dns.timeout, trust_ad=settings.dns.trust_ad)
    http = PolicyHttp(resolver, settings.tls.trusted)
    try:
        async with reading(settings) as store:
            delivery = settings.delivery
            sts = StsPolicies(
                resolver, http, store, SystemClock(), port=delivery.sts_port, timeout=delivery.sts_timeout, keep=False
            )
            policies = Policies(resolver, tls_rules(settings), sts if delivery.mta_sts else None)
            found = await _hosts(settings, domain, Hosts(resolver, SystemRandomness(), (settings.hostname,)), policies)
            await sts.close()
            return found
    finally:
        await http.close()
        await resolver.close()


async def _hosts(settings: Settings, domain: str, hosts: Hosts, policies: Policies) -> list[HostPolicy]:
    hop = transport(domain, None, RouteSettings(settings.delivery.port))
    names = await hosts.of(hop)
    if isinstance(names, Status):
        raise Refused(f"{domain}: {names.text} ({names.cause})")
    plan = await policies.plan(hop, names)
    found = []
    for host in names:
        reached = await hosts.reach(host, hop)
        if isinstance(reached, Status):
            found.append(HostPolicy(host, "-", "", reached.cause))
        else:
            found.append(_told(host, await policies.demand(plan, host, reached)))
    return found


def _told(host: str, demand: Demand | Barred) -> HostPolicy:
    if isinstance(demand, Barred):
        return HostPolicy(
            host, "it gets no mail", demand.applied.policy, f"{demand.status.text} ({demand.status.cause})"
        )
    detail = demand.applied.text.replace("\n", ", ")
    return HostPolicy(host, NEEDS[demand.need], demand.why or "nobody", detail)
