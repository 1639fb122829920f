"""What a connection has to prove: the rule, the settings, what DNS says, and which connections may be shared."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from cryptography import x509

from postroad.adapters.net.tls import ServerTls
from postroad.delivery import dane
from postroad.delivery.agent import AttemptRequest
from postroad.delivery.dane import TLSA_FAILED, HostRecords
from postroad.delivery.mx import Hosts, MailHosts, Reached
from postroad.delivery.policy import (
    NO_DANE,
    NO_ENCRYPTION,
    UNLISTED,
    UNSURE,
    Barred,
    Demand,
    Need,
    Plan,
    Policies,
    TlsLevel,
    TlsRules,
    decide,
)
from postroad.delivery.pool import Pool, _without
from postroad.delivery.sts import StsFound
from postroad.delivery.target import Craft, Target
from postroad.lab.authority import tlsa
from postroad.mail.terms import TlsWish
from postroad.mailauth.mtasts import StsMode, StsPolicy
from postroad.ports.dns import DnsAnswer, DnsOutcome, MxRecord, TlsaRecord
from postroad.ports.net import Endpoint
from postroad.routing.routes import RouteSettings, told_apart, transport, unwished, wished_dest
from postroad.testing.clock import JumpingClock
from postroad.testing.network import MemoryNetwork, write_certificate
from postroad.testing.remote import Remote
from postroad.testing.sending import CONTENT, CountingIds, MemoryZone, SeededRandom, make_delivery, make_message

HOST = "mx.far.test"
WITH_TLS = "250-mx.test\n250-PIPELINING\n250 STARTTLS"
EE = TlsaRecord(3, 1, 1, b"x" * 32)
GOOD = HostRecords(HOST, (EE,), "3 1 1 78")
USELESS = HostRecords(HOST, (), "1 1 1 78")
ENFORCED = StsFound(StsPolicy(StsMode.ENFORCE, 60, (HOST,)))
ELSEWHERE = StsFound(StsPolicy(StsMode.ENFORCE, 60, ("other.test",)))
TESTING = StsFound(StsPolicy(StsMode.TESTING, 60, (HOST,)))
BROKEN = StsFound(None, "sts-policy-fetch-error", "404")


def plan(level="opportunistic", sts=None, wish=TlsWish.UNSAID, *, secure=True):
    hop = replace(transport("far.test", None, RouteSettings()), tls=wish)
    return Plan(hop, MailHosts((HOST,), "far.test", secure=secure), TlsLevel(level), sts)


DEMANDS = [  # what is set, published and asked for; what follows, by what, and what a report says of it
    (plan(), None, Need.MAY, "", "no-policy-found"),
    (plan("none"), None, Need.NONE, "the setting tls = none", "no-policy-found"),
    (plan("encrypt"), None, Need.ENCRYPT, "the setting tls = encrypt", "no-policy-found"),
    (plan("verify"), None, Need.PROVE, "the setting tls = verify", "no-policy-found"),
    (plan(), GOOD, Need.PROVE, "DANE", "tlsa"),
    (plan("dane"), GOOD, Need.PROVE, "DANE", "tlsa"),
    (plan("encrypt"), GOOD, Need.PROVE, "DANE", "tlsa"),
    (plan(), USELESS, Need.ENCRYPT, "DANE, with no record that can be used", "tlsa"),
    (plan(sts=ENFORCED), None, Need.PROVE, "MTA-STS, mode enforce", "sts"),
    (plan(sts=ENFORCED), USELESS, Need.PROVE, "MTA-STS, mode enforce", "sts"),
    (plan(sts=ELSEWHERE), GOOD, Need.PROVE, "DANE", "tlsa"),  # RFC 8461 §2
    (plan(sts=TESTING), None, Need.MAY, "MTA-STS, mode testing", "sts"),
    (plan("encrypt", TESTING), None, Need.ENCRYPT, "the setting tls = encrypt", "sts"),
    (plan(sts=BROKEN), None, Need.MAY, "", "sts"),
    (plan(wish=TlsWish.REQUIRE), None, Need.PROVE, "REQUIRETLS", "no-policy-found"),
    (plan(wish=TlsWish.REQUIRE), GOOD, Need.PROVE, "DANE", "tlsa"),
    (plan(sts=ENFORCED, wish=TlsWish.REQUIRE, secure=False), None, Need.PROVE, "MTA-STS, mode enforce", "sts"),
    (plan("verify", wish=TlsWish.WAIVE), None, Need.PROVE, "the setting tls = verify", "no-policy-found"),
]


@pytest.mark.parametrize(("of", "records", "need", "why", "applied"), DEMANDS, ids=range(len(DEMANDS)))
def test_the_rule(of, records, need, why, applied):
    demand = decide(of, HOST, records)
    assert isinstance(demand, Demand)
    assert (demand.need, demand.why, demand.applied.policy) == (need, why, applied)
    assert demand.tls.verify is (need is Need.PROVE)
    assert (demand.announced, demand.final) == (of.transport.tls is TlsWish.REQUIRE,) * 2


@pytest.mark.parametrize(
    ("of", "status", "kind"),
    [
        (plan("dane"), NO_DANE, "dane-required"),
        (plan("none", wish=TlsWish.REQUIRE), NO_ENCRYPTION, ""),
        (plan(wish=TlsWish.REQUIRE, secure=False), UNSURE, ""),
        (plan(sts=ELSEWHERE), UNLISTED, "validation-failure"),
    ],
)
def test_who_is_not_even_dialled(of, status, kind):
    barred = decide(of, HOST, None)
    assert isinstance(barred, Barred)
    assert (barred.status.reply_code, barred.status.text, barred.kind) == (status.reply_code, status.text, kind)


def test_names_that_a_certificate_of_an_authority_may_be_for():
    hosts = MailHosts((HOST,), "far.test", secure=True, alias="real.far.test")
    records = HostRecords("target.test", (EE,), "")
    demand = decide(replace_hosts(plan(), hosts), HOST, records)
    assert demand.tls.server_name == "target.test"
    assert demand.tls.names == ("target.test", HOST, "far.test", "real.far.test")


def replace_hosts(of, hosts):
    return Plan(of.transport, hosts, of.level, of.sts)


def test_a_testing_policy_that_does_not_name_the_host_asks_for_nothing():
    other = StsFound(StsPolicy(StsMode.TESTING, 60, ("other.test",)))
    assert decide(plan(sts=TESTING), HOST, None).tls.report
    demand = decide(plan(sts=other), HOST, None)
    assert not demand.tls.report
    assert demand.fault == ("validation-failure", f"{HOST} is not in the MTA-STS policy"), "but it is counted"
    assert decide(plan(sts=BROKEN), HOST, None).fault == ("sts-policy-fetch-error", "404")


def test_rules_by_domain():
    rules = TlsRules(
        TlsLevel.ENCRYPT, {"a.test": TlsLevel.NONE, ".a.test": TlsLevel.VERIFY, ".b.a.test": TlsLevel.DANE}
    )
    asked = {name: rules.of(name) for name in ("A.test", "x.a.test", "y.b.a.test", "b.a.test", "xa.test")}
    assert list(asked.values()) == ["none", "verify", "dane", "verify", "encrypt"]


def test_next_hops_of_their_own():
    class Terms:
        tls = TlsWish.REQUIRE

    assert wished_dest("mx:far.test", None) == "mx:far.test"
    assert wished_dest("mx:far.test", Terms()) == "mx:far.test!requiretls"
    assert wished_dest("local", Terms()) == "local"
    assert told_apart("mx:far.test!requiretls") == ("mx:far.test", ", by proven TLS alone")
    assert told_apart("mx:far.test") == ("mx:far.test", "")
    assert unwished("mx:far.test!requiretls") == unwished("mx:far.test!tls-optional") == "mx:far.test"


# -- what DNS says -----------------------------------------------------------------------------------------------------


def found(*records, secure=True):
    return DnsAnswer(DnsOutcome.FOUND, tlsa=records, authenticated=secure)


FAILED = DnsAnswer(DnsOutcome.FAILED, detail="SERVFAIL")
ALIAS = DnsAnswer(DnsOutcome.FOUND, ("target.test",), authenticated=True)
UNSIGNED = Reached((), secure=False)
SIGNED = Reached((), secure=True)
AT_HOST, AT_TARGET = ("TLSA", f"_25._tcp.{HOST}"), ("TLSA", "_25._tcp.target.test")
LOOKUPS = [
    (SIGNED, {AT_HOST: found(EE)}, HOST),
    (SIGNED, {AT_HOST: found(EE, secure=False)}, None),
    (SIGNED, {}, None),
    (SIGNED, {AT_HOST: FAILED}, TLSA_FAILED),
    (UNSIGNED, {AT_HOST: FAILED}, None),  # nobody is asked: such servers often fail at it
    (Reached((), secure=True, canonical="target.test"), {AT_TARGET: found(EE), AT_HOST: found(EE)}, "target.test"),
    (Reached((), secure=True, canonical="target.test"), {AT_HOST: found(EE)}, HOST),
    (Reached((), secure=True, canonical="target.test"), {AT_TARGET: FAILED, AT_HOST: found(EE)}, TLSA_FAILED),
    (Reached((), canonical="target.test"), {("CNAME", HOST): ALIAS, AT_HOST: found(EE), AT_TARGET: found(EE)}, HOST),
    (Reached((), canonical="target.test"), {AT_HOST: found(EE)}, None),
    (Reached((), canonical="target.test"), {("CNAME", HOST): FAILED, AT_HOST: found(EE)}, TLSA_FAILED),
]


@pytest.mark.parametrize(("reached", "zone", "expected"), LOOKUPS, ids=range(len(LOOKUPS)))
async def test_where_records_are_looked_for(reached, zone, expected):
    resolver = MemoryZone()
    resolver.others = zone
    records = await dane.look_up(resolver, HOST, 25, reached)
    if expected is None:
        assert records is None
    elif expected is TLSA_FAILED:
        assert (records.reply_code, records.cause) == (451, "SERVFAIL")
    else:
        assert (records.base, records.usable) == (expected, (EE,))


@pytest.mark.parametrize("host", ["192.0.2.1", "/run/lmtp"])
async def test_what_has_no_name_has_no_records(host):
    resolver = MemoryZone()
    assert await dane.look_up(resolver, host, 25, SIGNED) is None
    assert resolver.asked == []


async def test_what_is_waived_or_unsigned_is_not_asked_for():
    resolver = MemoryZone()
    policies = Policies(resolver, sts=Sources(ENFORCED))
    for wish, secure, asked in ((TlsWish.WAIVE, True, None), (TlsWish.UNSAID, False, ENFORCED)):
        of = plan(wish=wish, secure=secure)
        made = await policies.plan(of.transport, of.hosts)
        assert made.sts == asked
        await policies.demand(made, HOST, SIGNED)
    assert resolver.asked == []


async def test_what_is_set_here_to_dane_is_looked_up_although_the_sender_waives_it():
    resolver = MemoryZone()
    resolver.others["TLSA", f"_25._tcp.{HOST}"] = found(EE)
    policies = Policies(resolver, TlsRules(TlsLevel.DANE))
    of = plan(wish=TlsWish.WAIVE)
    demand = await policies.demand(await policies.plan(of.transport, of.hosts), HOST, SIGNED)
    assert (demand.need, demand.why) == (Need.PROVE, "DANE")


class Sources:
    def __init__(self, answer):
        self.answer = answer

    async def find(self, domain):
        return self.answer


# -- on connections ----------------------------------------------------------------------------------------------------


class Basket:
    """A feed of one request."""

    def __init__(self, request):
        self.requests, self.outcomes = [request], []

    def began(self, carrier):
        """As delivery.agent.Feed has it, like those below."""

    def next(self):
        return self.requests.pop() if self.requests else None

    def dot_out(self, request): ...
    def idle(self, carrier): ...
    def ended(self, carrier): ...

    def done(self, outcome):
        self.outcomes.append(outcome)


class World:
    """Two domains whose mail one host takes; the first one publishes what its certificate is."""

    def __init__(self, tmp_path, *, ehlo=WITH_TLS, record=None):
        certificate, key = write_certificate(tmp_path, HOST)
        self.network = MemoryNetwork(timers=JumpingClock())
        self.remote = Remote({"EHLO": ehlo})
        self.remote.listen(self.network, "192.0.2.10", tls=ServerTls(certificate, key))
        self.zone = MemoryZone()
        parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
        numbers = (record or tlsa(parsed)).split()
        self.zone.others["TLSA", f"_25._tcp.{HOST}"] = found(TlsaRecord(3, 1, 1, bytes.fromhex(numbers[3])))
        mx = (MxRecord(10, HOST),)
        self.zone.mx_records["safe.test"] = DnsAnswer(DnsOutcome.FOUND, mx=mx, authenticated=True)
        self.zone.mx_records["plain.test"] = DnsAnswer(DnsOutcome.FOUND, mx=mx)
        self.zone.address_records[HOST] = DnsAnswer(DnsOutcome.FOUND, ("192.0.2.10",), authenticated=True)
        craft = Craft("mail.ours.test", JumpingClock(), CountingIds(), 100, 10.0)
        hosts = Hosts(self.zone, SeededRandom(), ())
        self.pool = Pool(self.network, hosts, craft, connect_timeout=30, policies=Policies(self.zone))

    async def send(self, domain):
        message = make_message()
        basket = Basket(self.request(message, domain))
        failure = await self.pool.open(transport(domain, None, RouteSettings()), basket)
        for _ in range(2000):
            if failure or basket.outcomes:
                break
            await asyncio.sleep(0)
        return failure, basket

    def request(self, message, domain):
        return AttemptRequest(f"mx:{domain}", message, [make_delivery(1, message, f"bob@{domain}")], CONTENT)


async def test_connections_are_shared_by_those_who_demand_the_same(tmp_path):
    world = World(tmp_path)
    for domain, connections in (("plain.test", 1), ("safe.test", 2), ("plain.test", 2), ("safe.test", 2)):
        failure, basket = await world.send(domain)
        assert failure is None
        assert [status.reply_code for _, status in basket.outcomes[0].statuses] == [250]
        assert world.remote.connections == connections
        proven = "proven by DANE 3 1 1" in basket.outcomes[0].attempt.tls
        assert proven is (domain == "safe.test")


@pytest.mark.parametrize("what", ["another key", "no TLS"])
async def test_what_is_demanded_and_not_there_ends_it(tmp_path, what):
    wrong = {"record": "3 1 1 " + "ab" * 32} if what == "another key" else {"ehlo": "250 mx.test"}
    world = World(tmp_path, **wrong)
    failure, _ = await world.send("safe.test")
    assert (failure.status.reply_code, str(failure.status.enhanced), failure.alone) == (451, "4.7.5", True)
    assert "TLS is demanded by DANE" in failure.status.cause
    assert "MAIL" not in " ".join(world.remote.commands)
    failure, _ = await world.send("plain.test")
    assert failure is None


def test_the_address_that_answered_is_the_one_on_record():
    first, second = Endpoint("2001:db8::1", 25), Endpoint("192.0.2.1", 25)
    target = Target(HOST, first, plan().transport, others=(second,))
    assert _without(target, second).endpoint == first
    assert _without(target, first).endpoint == second
    assert _without(replace(target, others=()), first) is None
