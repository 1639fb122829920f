"""Domains, accounts, aliases, servers, keys, administrators: added, changed, taken away; and who did it."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect
from tests.browser.harness import Stage, Visit

from postroad.app.demo_fill import ADMIN_PASSWORD


def submit(visit: Visit, button: str) -> None:
    with visit.changing():
        visit.page.get_by_role("main").get_by_role("button", name=button, exact=True).click()


def told(visit: Visit) -> Locator:
    """The short word about what was done."""
    return visit.page.locator("#told")


def confirmed(visit: Visit, opener: str | re.Pattern[str], button: str, picture: str = "") -> None:
    """Open a dialog, look at it, say yes."""
    visit.page.get_by_role("main").get_by_role("button", name=opener).first.click()
    dialog = visit.page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    if picture:
        visit.look(picture)
    with visit.changing():
        dialog.get_by_role("button", name=button).click()


def test_a_domain(visit: Visit) -> None:
    page = visit.open("/console/domains/new").page
    page.get_by_label("Domain", exact=True).fill("new.test")
    submit(visit, "Add the domain")
    expect(told(visit)).to_contain_text("new.test")
    visit.open("/console/domains/new.test")
    page.get_by_role("button", name="Verify now").click()
    expect(visit.settle().page.get_by_text("Missing").first).to_be_visible()
    confirmed(visit, "Remove", "Remove the domain", "domain-remove")
    expect(told(visit)).to_contain_text("new.test")
    assert page.get_by_role("link", name="new.test").count() == 0


def test_a_relay_domain(visit: Visit) -> None:
    page = visit.open("/console/domains/new").page
    page.get_by_label("Domain", exact=True).fill("relay.test")
    page.get_by_role("radio", name=re.compile("^It is passed on")).check()
    page.get_by_label("Host that it is passed on to").fill("inside.relay.test:2525")
    visit.look("domain-new-relay")
    submit(visit, "Add the domain")
    visit.open("/console/domains/relay.test").look("domain-relay")
    assert page.get_by_text("inside.relay.test").first.is_visible()


def test_a_wrong_domain_is_told_where_it_was_typed(visit: Visit) -> None:
    visit.expect("422")
    page = visit.open("/console/domains/new").page
    page.get_by_label("Domain", exact=True).fill("not a domain")
    submit(visit, "Add the domain")
    expect(page.get_by_label("Domain", exact=True)).to_have_value("not a domain")
    expect(page.get_by_label("Domain", exact=True)).to_have_attribute("aria-invalid", "true")
    visit.look("domain-new-wrong")


def test_an_account(visit: Visit) -> None:
    page = visit.open("/console/accounts/new?domain=one.test").page
    page.get_by_label("Address", exact=True).fill("dora")
    submit(visit, "Add the account")
    visit.look("account-made")
    visit.open("/console/accounts/dora@one.test")
    page.get_by_label("Most that it may hold").fill("2G")
    submit(visit, "Set the quota")
    submit(visit, "Set the password")
    confirmed(visit, "Remove", "Remove account and mail", "account-remove")
    assert page.get_by_role("link", name="dora@one.test").count() == 0


def test_an_alias(visit: Visit) -> None:
    page = visit.open("/console/aliases/new").page
    page.get_by_label("Mail to", exact=True).fill("sales")
    page.get_by_label("Domain", exact=True).select_option("two.test")
    page.get_by_label("Goes to", exact=True).fill("bob@two.test\ncarol@one.test")
    submit(visit, "Add the alias")
    expect(told(visit)).to_contain_text("sales@two.test")
    visit.open("/console/aliases/sales@two.test")
    page.get_by_label("Goes to", exact=True).fill("bob@two.test")
    submit(visit, "Save")
    visit.open("/console/aliases/sales@two.test")
    confirmed(visit, "Remove", "Remove the alias", "alias-remove")
    assert page.get_by_role("link", name="sales@two.test").count() == 0


def test_a_server_its_tokens_and_streams(visit: Visit) -> None:
    page = visit.open("/console/servers/new").page
    page.get_by_label("Name", exact=True).fill("billing")
    submit(visit, "Add the server")
    page.get_by_role("button", name="Make one").click()
    visit.look("server-new-token")
    page.get_by_label("What it is for").fill("nightly job")
    with visit.changing():
        page.get_by_role("dialog").get_by_role("button", name="Make the token").click()
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-"))
    visit.look("server-token-made")
    with visit.changing():
        page.reload()
    expect(page.get_by_role("main")).not_to_contain_text(re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-"))
    confirmed(visit, re.compile("^Revoke"), "Revoke the token", "server-revoke")
    page.get_by_role("main").get_by_role("button", name="Add", exact=True).click()
    visit.look("server-new-stream")
    page.get_by_label("Id", exact=True).fill("reports")
    page.get_by_role("dialog").get_by_label("Name").fill("Reports")
    with visit.changing():
        page.get_by_role("dialog").get_by_role("button", name="Add the stream").click()
    confirmed(visit, "Archive Reports", "Archive the stream")
    confirmed(visit, "Remove", "Remove the server")
    assert page.get_by_role("link", name="billing", exact=True).count() == 0


def test_ways_to_send_are_shown(visit: Visit, stage: Stage) -> None:
    from tests.browser.test_pages import server

    page = visit.open(server()(stage)).page
    for way in ("Python", "Node", "SMTP", "curl"):
        page.get_by_role("tab", name=way, exact=True).click()
        visit.settle()
        assert not visit.faults()


def test_a_key(visit: Visit) -> None:
    page = visit.open("/console/keys/new").page
    page.get_by_label("What it is for").fill("dashboard")
    page.get_by_text("statistics:read").click()
    submit(visit, "Make the key")
    expect(page.get_by_role("main")).to_contain_text(re.compile("pr_[A-Za-z0-9_-]{40}"))
    visit.look("key-made")
    visit.open("/console/keys")
    expect(page.get_by_role("main")).not_to_contain_text(re.compile("pr_[A-Za-z0-9_-]{40}"))
    confirmed(visit, re.compile("^Revoke"), "Revoke the key", "key-revoke")


def test_an_administrator(visit: Visit) -> None:
    page = visit.open("/console/admins/new").page
    page.get_by_label("E-mail address").fill("dave@one.test")
    page.get_by_label("Name", exact=True).fill("Dave")
    page.get_by_label("Your password").fill(ADMIN_PASSWORD)
    submit(visit, "Add the administrator")
    expect(page.get_by_role("main")).to_contain_text("/console/enter?")
    visit.look("admin-made")
    visit.open("/console/admins").look("admins-two")
    confirmed(visit, re.compile("^Remove"), re.compile("^Remove"), "admin-remove")
    expect(told(visit)).to_contain_text("dave@one.test")


def test_the_audit_log_knows(visit: Visit) -> None:
    page = visit.open("/console/domains/new").page
    page.get_by_label("Domain", exact=True).fill("audited.test")
    submit(visit, "Add the domain")
    visit.open("/console/audit")
    page.get_by_role("main").get_by_role("searchbox").press_sequentially("audited.t")
    expect(page.get_by_role("main").get_by_text("audited.test").first).to_be_visible()
    expect(page.get_by_role("main")).not_to_contain_text("shop@one.test")
    expect(page.get_by_role("main")).to_contain_text("alice@one.test")
