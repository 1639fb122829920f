"""The way into the console."""

from __future__ import annotations

from tests.browser.harness import Stage, Visit

from postroad.app.demo_fill import ADMIN, ADMIN_PASSWORD


def test_looks(stranger: Visit) -> None:
    stranger.open("/console/login").look("login")


def test_a_page_asks_to_sign_in_and_is_shown_afterwards(stranger: Visit) -> None:
    page = stranger.open("/console/queue").page
    page.get_by_label("E-mail address").fill(ADMIN)
    page.get_by_label("Password", exact=True).fill(ADMIN_PASSWORD)
    with stranger.changing():
        page.keyboard.press("Enter")
    assert page.url.endswith("/console/queue")


def test_a_wrong_password_is_told_kindly(stranger: Visit) -> None:
    stranger.expect("401|403|422")
    page = stranger.open("/console/login").page
    page.get_by_label("E-mail address").fill("nobody@one.test")
    page.get_by_label("Password", exact=True).fill("not the password")
    with stranger.changing():
        page.keyboard.press("Enter")
    assert page.get_by_role("alert").is_visible()
    stranger.look("login-refused")


def test_the_printed_link_signs_in(stranger: Visit, stage: Stage) -> None:
    async def make(node) -> str:
        admins = node.services.admins
        return await admins.login_link((await admins.find(ADMIN)).id)

    page = stranger.page
    page.goto(f"{stage.origin}/console/enter?{stage.ask(make)}")
    page.wait_for_url("**/console/")
    stranger.settle()
    assert page.get_by_role("navigation", name="Main").is_visible()
