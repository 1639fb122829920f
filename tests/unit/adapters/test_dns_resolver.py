"""The resolver against the laboratory's DNS server, on both event loops."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop

from postroad.adapters import dns as resolver_module
from postroad.adapters.dns import FAILURE_TTL, CachingResolver, Nameserver, nameserver, system_nameservers
from postroad.lab.dns import NEGATIVE_TTL, Fault, LabDns
from postroad.ports.dns import DnsOutcome, MxRecord

ZONE = """
mail.test.      MX 20 b.mail.test.
mail.test.      MX 10 A.mail.test.
mail.test.      TXT "v=spf1 " "-all"
a.mail.test.    60 A 192.0.2.1
a.mail.test.    AAAA 2001:db8::1
b.mail.test.    A 192.0.2.2
null.test.      MX 0 .
alias.test.     CNAME mail.test.
far.test.       CNAME gone.test.
loop.test.      CNAME pool.test.
pool.test.      CNAME loop.test.
deep.er.test.   A 192.0.2.3
broken.test.    A 192.0.2.4
"""
PTR_ZONE = "1.2.0 PTR host.test.\n"


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Lab:
    def __init__(self) -> None:
        self.dns = LabDns({"test": ZONE, "192.in-addr.arpa": PTR_ZONE})
        self.time = Time()

    async def __aenter__(self):
        await self.dns.start()
        self.resolver = self.resolve_with(self.dns.address)
        return self

    async def __aexit__(self, *_):
        await self.resolver.close()
        self.dns.stop()

    def resolve_with(self, *servers: str, **options) -> CachingResolver:
        return CachingResolver(servers, monotonic=self.time, **options)


@pytest.fixture
async def lab():
    async with Lab() as lab:
        yield lab


async def test_records_of_each_kind(lab):
    resolve = lab.resolver
    mx = await resolve.mx("Mail.Test.")
    assert mx.mx == (MxRecord(10, "a.mail.test"), MxRecord(20, "b.mail.test"))
    assert (await resolve.mx("null.test")).mx == (MxRecord(0, ""),)
    both = await resolve.addresses("a.mail.test")
    assert both.records == ("2001:db8::1", "192.0.2.1")
    assert both.ttl == 60
    assert (await resolve.addresses("a.mail.test", 4)).records == ("192.0.2.1",)
    assert (await resolve.addresses("b.mail.test")).records == ("192.0.2.2",)
    assert (await resolve.txt("mail.test")).records == ("v=spf1 -all",)
    assert (await resolve.ptr("192.0.2.1")).records == ("host.test",)
    assert not lab.dns.strangers


async def test_what_is_not_there_is_told_apart(lab):
    resolve = lab.resolver
    assert (await resolve.mx("a.mail.test")).outcome is DnsOutcome.NO_DATA
    assert (await resolve.mx("er.test")).outcome is DnsOutcome.NO_DATA  # an empty name on the way to another
    assert (await resolve.mx("nowhere.test")).outcome is DnsOutcome.NXDOMAIN
    assert (await resolve.addresses("nowhere.test")).outcome is DnsOutcome.NXDOMAIN
    assert (await resolve.addresses("mail.test")).outcome is DnsOutcome.NO_DATA
    lab.dns.fault("broken.test", Fault.SERVFAIL)
    failed = await resolve.mx("broken.test")
    assert failed.outcome is DnsOutcome.FAILED
    assert "SERVFAIL" in failed.detail


async def test_one_family_is_enough_when_the_other_fails(lab):
    asked = lab.dns._answer

    def answer(response, name, kind):
        return not (str(name) == "b.mail.test." and int(kind) == 28) and asked(response, name, kind)

    lab.dns._answer = answer
    found = await lab.resolver.addresses("b.mail.test")
    assert (found.outcome, found.records) == (DnsOutcome.FOUND, ("192.0.2.2",))


@pytest.mark.parametrize("name", ["a..test", "a" * 64 + ".test", ".".join(["a" * 60] * 5)])
async def test_names_that_cannot_exist(lab, name):
    assert (await lab.resolver.mx(name)).outcome is DnsOutcome.NXDOMAIN
    assert not lab.dns.queries


async def test_aliases_are_followed(lab):
    found = await lab.resolver.mx("alias.test")
    assert [record.host for record in found.mx] == ["a.mail.test", "b.mail.test"]
    assert (await lab.resolver.mx("far.test")).outcome is DnsOutcome.NXDOMAIN
    assert (await lab.resolver.mx("loop.test")).outcome is DnsOutcome.FAILED


async def test_answers_are_kept_for_their_ttl(lab):
    for seconds, asked in ((0, 1), (59, 1), (61, 2)):
        lab.time.now = seconds
        assert (await lab.resolver.addresses("a.mail.test", 4)).records == ("192.0.2.1",)
        assert lab.dns.asked("a.mail.test", "A") == asked


async def test_negative_answers_are_kept_for_the_zones_negative_ttl(lab):
    for seconds, asked in ((0, 1), (NEGATIVE_TTL - 1, 1), (NEGATIVE_TTL + 1, 2)):
        lab.time.now = seconds
        assert (await lab.resolver.mx("nowhere.test")).outcome is DnsOutcome.NXDOMAIN
        assert lab.dns.asked("nowhere.test", "MX") == asked


async def test_failures_are_kept_for_a_moment(lab):
    lab.dns.fault("broken.test", Fault.SERVFAIL)
    await lab.resolver.addresses("broken.test", 4)
    lab.dns.fault("broken.test", None)
    assert (await lab.resolver.addresses("broken.test", 4)).outcome is DnsOutcome.FAILED
    lab.time.now = FAILURE_TTL + 1
    assert (await lab.resolver.addresses("broken.test", 4)).outcome is DnsOutcome.FOUND


async def test_forgetting(lab):
    await lab.resolver.mx("mail.test")
    lab.dns.put("mail.test", "MX", "5 b.mail.test.")
    lab.resolver.forget()
    assert (await lab.resolver.mx("mail.test")).mx == (MxRecord(5, "b.mail.test"),)


async def test_the_cache_is_bounded(lab):
    resolver = lab.resolve_with(lab.dns.address, max_entries=10)
    for number in range(25):
        await resolver.mx(f"n{number}.test")
    assert len(resolver._cache) <= 10
    await resolver.mx("n24.test")
    assert lab.dns.asked("n24.test", "MX") == 1


async def test_the_cache_is_bounded_by_what_it_holds_too(lab, monkeypatch):
    """Whoever has names looked up may have servers that answer with 64 KiB each."""
    monkeypatch.setattr(resolver_module, "MAX_OCTETS", 100_000)
    for number in range(30):
        lab.dns.put(f"n{number}.mail.test", "TXT", *(f"{part:02d}" + "x" * 250 for part in range(40)))
        assert len((await lab.resolver.txt(f"n{number}.mail.test")).records) == 40
    assert 1 < len(lab.resolver._cache) < 10
    lab.resolver.forget()
    await lab.resolver.txt("mail.test")
    assert lab.resolver._octets < 1000


async def test_look_ups_at_the_same_time_are_one_query(lab):
    answers = await asyncio.gather(*(lab.resolver.mx("mail.test") for _ in range(20)))
    assert len(set(answers)) == 1
    assert lab.dns.asked("mail.test", "MX") == 1


async def test_one_who_gives_up_does_not_take_the_answer_from_others(lab):
    first = asyncio.ensure_future(lab.resolver.mx("mail.test"))
    second = asyncio.ensure_future(lab.resolver.mx("mail.test"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).outcome is DnsOutcome.FOUND


async def test_a_cut_answer_is_asked_again_over_tcp(lab):
    lab.dns.fault("mail.test", Fault.TRUNCATED)
    assert len((await lab.resolver.mx("mail.test")).mx) == 2
    assert [query.tcp for query in lab.dns.queries] == [False, True]


async def test_an_answer_too_large_for_udp(lab):
    lab.dns.put("big.test", "TXT", *[f'"{number:03}{"x" * 200}"' for number in range(30)])
    assert len((await lab.resolver.txt("big.test")).records) == 30


async def test_silence_and_garbage_are_failures():
    async with Lab() as lab:
        resolver = CachingResolver([lab.dns.address], timeout=0.1)
        lab.dns.fault("mail.test", Fault.SILENCE)
        lab.dns.fault("broken.test", Fault.GARBAGE)
        assert (await resolver.mx("mail.test")).outcome is DnsOutcome.FAILED
        assert (await resolver.mx("broken.test")).outcome is DnsOutcome.FAILED
        await resolver.close()


async def test_the_next_server_is_asked(lab):
    async with Lab() as other:
        lab.dns.fault("mail.test", Fault.SERVFAIL)
        resolver = lab.resolve_with(lab.dns.address, other.dns.address)
        assert (await resolver.mx("mail.test")).outcome is DnsOutcome.FOUND
        assert other.dns.asked("mail.test", "MX") == 1


async def test_nobody_there():
    resolver = CachingResolver(["127.0.0.1:1"], timeout=0.5)
    assert (await resolver.mx("mail.test")).outcome is DnsOutcome.FAILED


async def test_a_stranger_does_not_exist_and_is_remembered(lab):
    assert (await lab.resolver.mx("example.com")).outcome is DnsOutcome.NXDOMAIN
    assert {query.name for query in lab.dns.strangers} == {"example.com"}


def test_it_works_on_uvloop():
    async def run() -> None:
        async with Lab() as lab:
            lab.dns.fault("mail.test", Fault.TRUNCATED)
            assert len((await lab.resolver.mx("mail.test")).mx) == 2
            assert (await lab.resolver.mx("nowhere.test")).outcome is DnsOutcome.NXDOMAIN

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("127.0.0.1:1053", Nameserver("127.0.0.1", 1053)),
        ("192.0.2.1", Nameserver("192.0.2.1", 53)),
        ("[::1]:5353", Nameserver("::1", 5353)),
        ("2001:db8::1", Nameserver("2001:db8::1", 53)),
    ],
)
def test_nameservers_are_read(text, server):
    assert nameserver(text) == server


def test_the_systems_servers(tmp_path: Path):
    path = tmp_path / "resolv.conf"
    path.write_text("# a comment\nsearch test\nnameserver 192.0.2.53\nnameserver nonsense\nnameserver ::1\n")
    assert system_nameservers(path) == (Nameserver("192.0.2.53", 53), Nameserver("::1", 53))
    assert system_nameservers(tmp_path / "none") == (Nameserver("127.0.0.1", 53),)
