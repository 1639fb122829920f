"""How an administrator looks after the own sign-in: password, codes, passkeys, sessions."""

from __future__ import annotations

from collections.abc import Iterator

import pyotp
import pytest
from playwright.sync_api import Browser, expect
from tests.browser.harness import Stage, Visit, context, watch

PASSWORD = "a long enough password"


@pytest.fixture
def dave(inside: None, browser: Browser, stage: Stage, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A page of an administrator of the test's own."""
    email = f"{request.node.name.replace('_', '-')}@one.test"

    async def make(node):
        admins = node.services.admins
        made = await admins.add(email, PASSWORD, "Dave")
        return made.id, await admins.begin_session(made.id, "127.0.0.1", "the tests' browser")

    number, secret = stage.ask(make)
    profile = context(browser, stage, secret)
    visit = watch(profile.new_page(), stage.origin)
    visit.page.context.set_default_timeout(10_000)
    yield visit
    profile.close()
    stage.ask(lambda node: node.services.admins.remove(number))
    assert not visit.unexpected(), "\n".join(visit.unexpected())


def sign_in(visit: Visit, email: str, password: str = PASSWORD) -> None:
    page = visit.open("/console/login").page
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    with visit.changing():
        page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(visit: Visit) -> None:
    visit.page.locator("details.who > summary").click()
    with visit.changing():
        visit.page.get_by_role("button", name="Sign out").click()


def email_of(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name.replace('_', '-')}@one.test"


def test_password(dave: Visit, request: pytest.FixtureRequest) -> None:
    page = dave.open("/console/security").page
    page.get_by_label("Present password").fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill("another long password")
    page.get_by_label("New password, once more").fill("another long password")
    with dave.changing():
        page.get_by_role("button", name="Change password").click()
    sign_out(dave)
    sign_in(dave, email_of(request), "another long password")
    assert page.get_by_role("navigation", name="Main").is_visible()


def test_codes_from_an_app(dave: Visit, request: pytest.FixtureRequest) -> None:
    page = dave.open("/console/security").page
    with dave.changing():
        page.get_by_role("button", name="Set up").click()
    dave.look("security-app")
    secret = (page.locator("main code").first.text_content() or "").replace(" ", "")
    page.get_by_label("Code").fill(pyotp.TOTP(secret).now())
    password = page.get_by_label("Your password")
    if password.count():
        password.first.fill(PASSWORD)
    with dave.changing():
        page.keyboard.press("Enter")
    dave.look("security-recovery-codes")
    sign_out(dave)
    sign_in(dave, email_of(request))
    dave.look("login-code")
    code = pyotp.TOTP(secret)
    page.get_by_label("Code").fill(code.generate_otp(code.timecode(_now()) + 1))  # a code is good once
    with dave.changing():
        page.keyboard.press("Enter")
    assert page.get_by_role("navigation", name="Main").is_visible()


def test_a_passkey(dave: Visit, request: pytest.FixtureRequest) -> None:
    page = dave.page
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    dave.open("/console/security")
    page.get_by_role("button", name="passkey").first.click()
    dave.look("security-new-passkey")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("the test's key")
    dialog.get_by_label("Your password").fill(PASSWORD)
    with dave.changing():
        dialog.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("main")).to_contain_text("the test's key")
    dave.look("security-passkey")
    sign_out(dave)
    with dave.changing():
        page.get_by_role("button", name="Use a passkey").click()
    assert page.get_by_role("navigation", name="Main").is_visible()


def test_other_sessions_can_be_ended(dave: Visit, browser: Browser, stage: Stage, request) -> None:
    elsewhere = context(browser, stage)
    other = watch(elsewhere.new_page(), stage.origin)
    sign_in(other, email_of(request))
    other.open("/console/domains")
    page = dave.open("/console/security").page
    dave.look("security-sessions")
    page.get_by_role("button", name="End all others").click()
    with dave.changing():
        page.get_by_role("dialog").get_by_role("button", name="End them").click()
    other.open("/console/queue")
    assert "/console/login" in other.page.url
    elsewhere.close()


def test_a_session_that_has_ended_leads_to_the_sign_in_page(dave: Visit, stage: Stage, request) -> None:
    dave.expect("401")
    page = dave.open("/console/messages").page

    async def end(node):
        admins = node.services.admins
        await admins.end_sessions((await admins.find(email_of(request))).id)

    stage.ask(end)
    page.get_by_role("main").get_by_role("searchbox").press_sequentially("x")
    page.wait_for_url("**/console/login**")


def _now():
    from datetime import UTC, datetime

    return datetime.now(UTC)
