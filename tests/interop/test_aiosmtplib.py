"""aiosmtplib: in the clear, STARTTLS, implicit TLS, every AUTH that it knows, many at once, SMTPUTF8."""

from __future__ import annotations

import asyncio
import ssl
from email.message import EmailMessage

import aiosmtplib
import pytest
from tests.interop.mailbag import fetch_by_subject, found_by_subject
from tests.interop.site import BUECHER, Site

pytestmark = pytest.mark.interop


def mail(site: Site, subject: str, recipient: str = "") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = site.alice, recipient or site.bob, subject
    message.set_content("Hallo\n.\n")
    return message


def client(site: Site, service: str, **options: object) -> aiosmtplib.SMTP:
    """To that service, with TLS as it is usual there."""
    context = ssl.create_default_context(cafile=str(site.ca))
    implicit = service == "submissions"
    return aiosmtplib.SMTP(
        hostname="localhost", port=site.port(service), use_tls=implicit, tls_context=context, **options
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(("start_tls", "protocol"), [(False, b" with ESMTP "), (True, b" with ESMTPS ")])
async def test_sends_to_the_mx(site: Site, start_tls: bool, protocol: bytes) -> None:
    subject = f"aiosmtplib-{start_tls}-end"
    async with client(site, "mx", start_tls=start_tls) as link:
        errors, _ = await link.send_message(mail(site, subject))
        assert link.supports_extension("chunking")
    assert errors == {}
    assert protocol in await asyncio.to_thread(fetch_by_subject, site, subject)


@pytest.mark.parametrize("service", ["submission", "submissions"])
async def test_logs_in_by_what_it_prefers(site: Site, service: str) -> None:
    subject = f"aiosmtplib-{service}-end"
    with site.logins() as logins:
        async with client(site, service, username=site.alice, password=site.password) as link:
            await link.send_message(mail(site, subject))
    assert b" with ESMTPSA " in await asyncio.to_thread(fetch_by_subject, site, subject)
    assert logins == [("PLAIN", "TLSv1.3")]


async def test_every_mechanism_that_it_knows(site: Site) -> None:
    async def bearer() -> str:
        return site.bearer()

    with site.logins(3) as logins:
        async with client(site, "submissions") as link:
            await link.ehlo()
            await link.auth_login(site.alice, site.password)
        async with client(site, "submissions") as link:
            await link.ehlo()
            await link.auth_plain(site.alice, site.app_password)
        async with client(site, "submission", username=site.alice, oauth_token_generator=bearer):
            pass
    assert [mechanism for mechanism, _ in logins] == ["LOGIN", "PLAIN", "XOAUTH2"]


async def test_a_wrong_password(site: Site) -> None:
    async with client(site, "submissions") as link:
        await link.ehlo()
        with pytest.raises(aiosmtplib.SMTPAuthenticationError) as refused:
            await link.auth_plain(site.alice, "wrong")
    assert refused.value.code == 535


async def test_many_at_once(site: Site) -> None:
    async def send(number: int) -> None:
        async with client(site, "mx", start_tls=False) as link:
            for _ in range(5):
                await link.send_message(mail(site, "aiosmtplib-many"))

    await asyncio.gather(*(send(number) for number in range(8)))
    assert len(await asyncio.to_thread(found_by_subject, site, "aiosmtplib-many")) == 40


async def test_internationalized_addresses(site: Site) -> None:
    async with client(site, "mx", start_tls=True) as link:
        errors, _ = await link.send_message(mail(site, "aiosmtplib-Grüße", BUECHER))
    assert errors == {}
    story = await asyncio.to_thread(site.story, BUECHER)
    assert "asked for: SMTPUTF8" in story
    assert f"{BUECHER}: delivered into INBOX" in story
