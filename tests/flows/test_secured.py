"""What domains publish about their TLS, and what it does to mail: DANE, MTA-STS, settings, old and odd servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from postroad.app.policies import look_up
from postroad.lab.dns import Fault
from postroad.lab.policies import Page, policy
from postroad.lab.secure import ROOT, SecureQuarter
from postroad.ports.store import DeliveryState, Refused
from postroad.reports.story import Story
from postroad.testing.site import ALICE, BOB, PASSWORD, Sections, Site, delivery_to, node_in, running_world, states

DELIVERED, QUEUED = DeliveryState.DELIVERED, DeliveryState.QUEUED


@asynccontextmanager
async def secured(
    folder: Path, sections: Sections | None = None, *, also: Sequence[str] = ()
) -> AsyncIterator[tuple[Site, SecureQuarter]]:
    """A server beside a world where DNS is signed. What is put off stays so: one attempt tells enough."""
    async with running_world() as world:
        quarter = await SecureQuarter.open(world, folder / "lab", also=also)
        wanted = {
            "dns": {"trust_ad": True},
            "delivery": {"sts_port": quarter.port, "retry_waits": [3600]},
            "tls": {"trusted": str(quarter.trusted)},
            **(sections or {}),
        }
        try:
            async with node_in(world, folder, wanted) as node:
                site = Site(node, world)
                await site.tenants.add_domain("here.test")
                for account in (ALICE, BOB):
                    await site.tenants.add_account(account, PASSWORD)
                yield site, quarter
        finally:
            await quarter.close()


async def attempted(site: Site, *houses: str) -> Story:
    """Send to all of them; the story, once each has been tried."""
    message = await site.submit(*(at(house) for house in houses))
    return await site.when(message, lambda story: all(d.last_status or d.state.is_final for d in story.deliveries))


def at(house: str) -> str:
    return f"someone@{house}.{ROOT}"


PROVEN = {  # house: what stands in the record of the attempt
    "dane": "proven by DANE 3 1 1 ",
    "dane-ta": "proven by DANE 2 1 1 ",
    "dane-sts": "proven by DANE 3 1 1 ",
    "dane-unusable": "TLSv1.3 TLS_AES_256_GCM_SHA384",
    "sts": "proven by a public authority",
    "sts-testing": "not proven: TLS: the certificate does not prove mx.sts-testing",
    "old": "TLSv1 ",
    "refused": "no TLS: STARTTLS was answered 502",
    "later": "no TLS: STARTTLS was answered 454",
    "broken": "no TLS: the handshake failed",
    "smuggling": "TLSv1.3",
}


async def test_who_gets_mail_and_by_what_tls(tmp_path: Path) -> None:
    async with secured(tmp_path) as (site, _):
        story = await attempted(site, *PROVEN)
        assert set(states(story).values()) == {DELIVERED}
        shown = {attempt.host.split(".")[1]: attempt for attempt, _ in story.attempts}
        for house, words in PROVEN.items():
            assert words in shown[house].tls, (house, shown[house].tls)
        assert "* held to: DANE" in shown["dane"].dialogue
        assert "* certificate for mx.dane.secure.test; by CN=Nobody in particular; until" in shown["dane"].dialogue
        assert "* held to: MTA-STS, mode enforce" in shown["sts"].dialogue
        assert "* held to: MTA-STS, mode testing" in shown["sts-testing"].dialogue
        assert "injected.test" not in shown["smuggling"].dialogue, "what stood behind the 220 was dropped"


REFUSED = {  # house: the words of its failure
    "dane-name": "is for other.secure.test",
    "dane-wrong": "fits none of the domain's TLSA records",
    "dane-none": "offers no TLS",
    "dane-bogus": "cannot be looked up",
    "sts-name": "is for other.secure.test",
    "sts-expired": "it is good from",
    "sts-foreign": "does not prove mx.sts-foreign",
    "sts-list": "not one of those that take mail",
    "sts-none": "offers no TLS",
}


async def test_who_gets_none(tmp_path: Path) -> None:
    async with secured(tmp_path) as (site, quarter):
        story = await attempted(site, *REFUSED)
        for house, words in REFUSED.items():
            delivery = delivery_to(story, at(house))
            assert delivery.state is QUEUED, house
            assert delivery.last_status
            assert str(delivery.last_status.enhanced) == "4.7.5", (house, delivery.last_status)
            assert words in f"{delivery.last_status.text} {delivery.last_status.cause}", (house, delivery.last_status)
        assert not quarter.world.bag.letters


async def test_without_trust_in_the_resolver_there_is_no_dane(tmp_path: Path) -> None:
    async with secured(tmp_path, {"dns": {"trust_ad": False}}) as (site, _):
        story = await attempted(site, "dane-wrong", "dane-none", "dane-bogus")
        assert set(states(story).values()) == {DELIVERED}


async def test_aliases_count_as_far_as_they_are_signed(tmp_path: Path) -> None:
    """RFC 7672 §2.2.2: records at the target, else at the alias itself; an unsigned alias leads to none."""
    async with secured(tmp_path) as (site, quarter):
        dns, port = quarter.world.dns, quarter.world.port
        wrong = "3 1 1 " + "ab" * 32
        dns.put(f"inside.{ROOT}", "MX", f"10 mx.inside.{ROOT}.")
        dns.put(f"mx.inside.{ROOT}", "CNAME", f"mx.dane.{ROOT}.")
        dns.put(f"both.{ROOT}", "MX", f"10 mx.both.{ROOT}.")
        dns.put(f"mx.both.{ROOT}", "CNAME", "onlya.test.")
        dns.put(f"_{port}._tcp.mx.both.{ROOT}", "TLSA", wrong)
        dns.put(f"far.unsigned.{ROOT}", "MX", f"10 mx.far.unsigned.{ROOT}.")
        dns.put(f"mx.far.unsigned.{ROOT}", "CNAME", f"mx.dane-wrong.{ROOT}.")
        story = await attempted(site, "inside", "both", "far.unsigned")
        found = {address.split("@")[1].split(".")[0]: state for address, state in states(story).items()}
        assert found == {"inside": DELIVERED, "both": QUEUED, "far": DELIVERED}
        (tls,) = [attempt.tls for attempt, _ in story.attempts if attempt.host == f"mx.inside.{ROOT}"]
        assert "proven by DANE 3 1 1" in tls


LEVELS = [  # what a setting asks of a house that publishes nothing, and what stands in the record where it gets mail
    ("none", "sts", "no TLS: the setting is tls = none"),
    ("opportunistic", "refused", "no TLS: STARTTLS was answered 502"),
    ("encrypt", "old", "TLSv1 "),
    ("encrypt", "refused", ""),
    ("verify", "sts", "proven by a public authority"),
    ("verify", "old", ""),
    ("dane", "dane", "proven by DANE"),
    ("dane", "sts", ""),
]


async def test_what_a_setting_asks_for(tmp_path: Path) -> None:
    """As tables for single destinations: a domain for each, with the host of a house."""
    domains = [f"{level}-{house}" for level, house, _ in LEVELS]
    rows = [{"domain": f"{domain}.{ROOT}", "tls": domain.partition("-")[0]} for domain in domains]
    async with secured(tmp_path, {"tls_policy": rows}) as (site, quarter):
        for level, house, _ in LEVELS:
            quarter.world.dns.put(f"{level}-{house}.{ROOT}", "MX", f"10 mx.{house}.{ROOT}.")
        story = await attempted(site, *domains)
        shown = {of: attempt.tls for attempt, made in story.attempts for of in made}
        for domain, (_, _, words) in zip(domains, LEVELS, strict=True):
            delivery = delivery_to(story, at(domain))
            assert delivery.state is (DELIVERED if words else QUEUED), (domain, delivery.last_status)
            assert words in shown[delivery.id], (domain, shown[delivery.id])


async def test_a_policy_outlives_a_restart_and_what_dns_says(tmp_path: Path) -> None:
    """Whoever controls DNS for a moment cannot have a policy forgotten (RFC 8461 §10.2)."""
    async with running_world() as world:
        quarter = await SecureQuarter.open(world, tmp_path / "lab")
        sections: Sections = {
            "dns": {"trust_ad": False},
            "delivery": {"sts_port": quarter.port, "retry_waits": [3600]},
            "tls": {"trusted": str(quarter.trusted)},
        }
        host = f"mx.sts.{ROOT}"
        async with node_in(world, tmp_path, sections) as node:
            site = Site(node, world)
            await site.tenants.add_domain("here.test")
            await site.tenants.add_account(ALICE, PASSWORD)
            assert set(states(await attempted(site, "sts")).values()) == {DELIVERED}
        world.dns.put(f"_mta-sts.sts.{ROOT}", "TXT")
        world.dns.put(f"sts.{ROOT}", "MX", "10 onlya.test.")
        quarter.policies.pages.clear()
        async with node_in(world, tmp_path, sections) as node:
            site = Site(node, world)
            story = await attempted(site, "sts")
            assert set(states(story).values()) == {QUEUED}
            assert quarter.policies.asked[f"mta-sts.sts.{ROOT}"] == 1, host
        await quarter.close()


PAGES = {
    "missing": Page("", 404),
    "moved": Page("", 301, location=f"https://mta-sts.sts.{ROOT}/.well-known/mta-sts.txt"),
    "html": Page(policy("enforce", "other.test"), content_type="text/html"),
    "large": Page(policy("enforce", "other.test") + "x: y\r\n" * 20_000),
    "odd": Page("version: STSv1\r\nmode: enforce\r\n"),
    "off": Page(policy("none")),
    "unproven": Page(policy("enforce", "other.test")),  # its web server's certificate has not this name
}


async def test_what_is_no_policy_holds_nobody_up(tmp_path: Path) -> None:
    async with secured(tmp_path, also=[name for name in PAGES if name != "unproven"]) as (site, quarter):
        dns = quarter.world.dns
        for name, page in PAGES.items():
            dns.put(f"{name}.{ROOT}", "MX", "10 onlya.test.")
            quarter.publish(f"{name}.{ROOT}", page)
        dns.put(f"silent.{ROOT}", "MX", "10 onlya.test.")
        quarter.publish(f"silent.{ROOT}", Page(policy("enforce", "other.test")))
        dns.fault(f"mta-sts.silent.{ROOT}", Fault.SERVFAIL)
        story = await attempted(site, *PAGES, "silent")
        assert set(states(story).values()) == {DELIVERED}
        assert site.node._outbound_tls is not None
        sts = site.node._outbound_tls._sts
        found = {name: await sts.find(f"{name}.{ROOT}") for name in [*PAGES, "silent"]}
        assert {name: one.kind if one else "" for name, one in found.items()} == {
            "missing": "sts-policy-fetch-error",
            "moved": "sts-policy-fetch-error",
            "large": "sts-policy-fetch-error",
            "silent": "sts-policy-fetch-error",
            "unproven": "sts-webpki-invalid",
            "html": "sts-policy-invalid",
            "odd": "sts-policy-invalid",
            "off": "",
        }


async def test_sessions_are_counted_by_day_and_domain(tmp_path: Path) -> None:
    async with secured(tmp_path) as (site, _):
        houses = ("dane", "dane-wrong", "sts", "sts-testing", "refused", "sts-list")
        await attempted(site, *houses)
        assert site.node._outbound_tls is not None
        await site.node._outbound_tls.results.flush()
        today = site.node.services.clock.now().date()
        rows = await site.store.read(lambda tx: tx.tls.results(first=today, last=today))
        found = {(row.key.domain.split(".")[0], row.key.policy, row.key.result) for _, row in rows}
        assert found == {
            ("dane", "tlsa", ""),
            ("dane-wrong", "tlsa", "validation-failure"),
            ("sts", "sts", ""),
            ("sts-testing", "sts", "certificate-not-trusted"),
            ("refused", "no-policy-found", "starttls-not-supported"),
            ("sts-list", "sts", "validation-failure"),
        }
        assert {row.key.source for _, row in rows} == {"127.0.0.1", ""}, "of those that were dialled"
        assert {row.key.domain.split(".")[0] for _, row in rows if not row.key.source} == {"sts-list"}
        (good,) = (row for _, row in rows if row.key.domain.startswith("sts."))
        assert good.key.policy_text.startswith("version: STSv1\nmode: enforce\nmx: mx.sts.")
        assert (good.key.host, good.key.source) == (f"mx.sts.{ROOT}", "127.0.0.1")
        told = await site.run_json("tls", "results")
        assert {(row["domain"].split(".")[0], row["result"]) for row in told[:1]} <= {(d, r) for d, _, r in found if r}
        assert sum(row["sessions"] for row in told) == sum(row.sessions for _, row in rows) >= len(houses)


async def test_what_a_domain_asks_for_can_be_looked_up(tmp_path: Path) -> None:
    async with secured(tmp_path) as (site, _):
        for house, words in {
            "dane": ("TLS and proof of who it is", "DANE"),
            "sts": ("TLS and proof of who it is", "MTA-STS, mode enforce"),
            "sts-list": ("it gets no mail", "sts"),
            "old": ("nothing; TLS where it is offered", "nobody"),
        }.items():
            (row,) = await look_up(site.node.settings, f"{house}.{ROOT}")
            assert (row.host, row.needs, row.by) == (f"mx.{house}.{ROOT}", *words)
        with pytest.raises(Refused, match="takes no mail"):
            await look_up(site.node.settings, "nullmx.test")
        with pytest.raises(Refused, match="is no domain"):
            await look_up(site.node.settings, "a..b")
