"""What a sender asks of TLS, from our EHLO to the last hop: REQUIRETLS, and `TLS-Required: No` (RFC 8689)."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from postroad.lab.secure import ROOT, SecureQuarter
from postroad.mail.terms import TlsWish
from postroad.ports.ids import MessageId, parse_id
from postroad.ports.store import DeliveryState
from postroad.reports.story import Story
from postroad.testing.site import ALICE, PASSWORD, Site, delivery_to, letter, node_in, running_world, states

DELIVERED, BOUNCED, QUEUED = DeliveryState.DELIVERED, DeliveryState.BOUNCED, DeliveryState.QUEUED


@asynccontextmanager
async def secured(folder: Path) -> AsyncIterator[tuple[Site, SecureQuarter]]:
    async with running_world() as world:
        quarter = await SecureQuarter.open(world, folder / "lab")
        sections = {
            "dns": {"trust_ad": True},
            "delivery": {"sts_port": quarter.port, "retry_waits": [3600]},
            "tls": {"trusted": str(quarter.trusted)},
        }
        try:
            async with node_in(world, folder, sections) as node:
                site = Site(node, world)
                await site.tenants.add_domain("here.test")
                await site.tenants.add_account(ALICE, PASSWORD)
                yield site, quarter
        finally:
            await quarter.close()


async def require(site: Site, *recipients: str, option: str = "REQUIRETLS", **fields: str) -> MessageId:
    async with site.client("submissions") as client:
        await client.login(ALICE, PASSWORD)
        content = letter(ALICE, recipients[0], **fields)
        _, answer = await client.sendmail(ALICE, recipients, content, mail_options=[option] if option else [])
    return MessageId(parse_id(answer.rpartition(" ")[2]) or 0)


async def tried(site: Site, message: MessageId) -> Story:
    return await site.when(message, lambda story: all(d.last_status or d.state.is_final for d in story.deliveries))


def at(house: str) -> str:
    return f"someone@{house}.{ROOT}"


async def test_it_is_announced_under_tls_alone(tmp_path: Path) -> None:
    async with secured(tmp_path) as (site, _), site.client("mx") as client:
        await client.ehlo()
        assert not client.supports_extension("requiretls")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        await client.starttls(tls_context=context)
        await client.ehlo()
        assert client.supports_extension("requiretls")
        response = await client.mail("far@far.test", options=["REQUIRETLS"])
        assert response.code == 250


async def test_it_goes_only_where_all_is_proven(tmp_path: Path) -> None:
    """By DANE, or a name by an authority where MTA-STS or DNSSEC vouches for the host; else it is returned at once."""
    wrong = {
        "refused": ("5.7.10", "offers no TLS"),
        "sts-foreign": ("5.7.10", "does not prove"),
        "unsigned.later": ("5.7.10", "nothing vouches for the names"),
        "silent": ("5.7.30", "does not promise to pass it on"),
    }
    async with secured(tmp_path) as (site, quarter):
        dns, world = quarter.world.dns, quarter.world
        world.receivers[f"mx.later.{ROOT}"].oddity = None
        dns.put(f"unsigned.later.{ROOT}", "MX", f"10 mx.later.{ROOT}.")
        dns.signed(f"unsigned.later.{ROOT}", yes=False)
        dns.put(f"silent.{ROOT}", "MX", f"10 mx.sts-name.{ROOT}.")
        silent = world.receivers[f"mx.sts-name.{ROOT}"]
        silent.profile = _without_requiretls(silent.profile)
        dns.put(f"_{world.port}._tcp.mx.sts-name.{ROOT}", "TLSA", *_records(quarter, "sts-name"))
        story = await tried(site, await require(site, at("dane"), at("sts"), at("later"), *map(at, wrong)))
        assert {states(story)[at(house)] for house in ("dane", "sts", "later")} == {DELIVERED}
        for house, (code, words) in wrong.items():
            delivery = delivery_to(story, at(house))
            assert delivery.state is BOUNCED, (house, delivery.last_status)
            assert delivery.last_status
            assert (str(delivery.last_status.enhanced), words in delivery.last_status.text) == (code, True), house
            assert delivery.dest == f"mx:{house}.{ROOT}!requiretls"
        assert all(taken.parameters.require_tls for taken in world.bag.letters)
        told = [report for report in await site.inbox(ALICE) if "failed" in report.as_string()]
        assert told
        assert not any("How are you?" in report.as_string() for report in told), "what it says does not come back"


async def test_other_mail_to_the_same_domain_is_as_ever(tmp_path: Path) -> None:
    async with secured(tmp_path) as (site, _):
        strict = await tried(site, await require(site, at("refused")))
        usual = await tried(site, await site.submit(at("refused")))
        assert states(strict)[at("refused")] is BOUNCED
        assert states(usual)[at("refused")] is DELIVERED


async def test_a_sender_may_waive_what_a_domain_asks_for(tmp_path: Path) -> None:
    """A word about broken TLS has to arrive although TLS is broken; REQUIRETLS goes before the field."""
    houses = ("dane-wrong", "dane-bogus", "sts-list", "sts-none")
    async with secured(tmp_path) as (site, _):
        waived = await tried(site, await require(site, *map(at, houses), option="", TLS_Required="No"))
        assert waived.message.terms is not None
        assert waived.message.terms.tls is TlsWish.WAIVE
        assert set(states(waived).values()) == {DELIVERED}
        both = await tried(site, await require(site, at("refused"), TLS_Required="No"))
        assert states(both)[at("refused")] is BOUNCED
        odd = await tried(site, await require(site, at("sts-none"), option="", TLS_Required="Yes"))
        assert states(odd)[at("sts-none")] is QUEUED


def _without_requiretls(profile):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(profile, extensions=profile.extensions - {"REQUIRETLS"})


def _records(quarter: SecureQuarter, house: str) -> tuple[str, ...]:
    from cryptography import x509

    from postroad.lab.authority import tlsa

    pem = (quarter.trusted.parent / f"{house}.crt").read_bytes()
    return (tlsa(x509.load_pem_x509_certificate(pem)),)
