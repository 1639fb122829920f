"""Every page of the console, looked at in both widths and both themes; and nothing of the console is left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.browser.harness import Stage, Visit

from postroad.app.build import Node
from postroad.ports.ids import id_text
from postroad.ports.store import MessageFilter
from postroad.web.console import app as console


@dataclass(frozen=True)
class Page:
    """One page: what its picture is called, which route it is of, and where it is (with what the day has). `again`: the
    route has been seen at both widths in both themes already, and is full of something else now."""

    name: str
    route: str
    path: str | Callable[[Stage], str] = ""
    again: bool = False

    def where(self, stage: Stage) -> str:
        if callable(self.path):
            return self.path(stage)
        return "/console" + (self.path or self.route)


def message(subject: str, more: str = "") -> Callable[[Stage], str]:
    """The page of the day's message with this subject, or one of the parts below it."""

    async def find(node: Node) -> str:
        found = await node.services.store.read(lambda tx: tx.messages.search(MessageFilter(subject=subject), limit=1))
        return id_text(found[0].id)

    return lambda stage: f"/console/messages/{stage.ask(find)}{more}"


def server(more: str = "") -> Callable[[Stage], str]:
    async def find(node: Node) -> int:
        return (await node.services.sending.server("shop")).id

    return lambda stage: f"/console/servers/{stage.ask(find)}{more}"


PAGES = [
    Page("overview", "/"),
    Page("security", "/security"),
    Page("messages", "/messages"),
    Page("messages-found", "/messages", "/messages?q=from%3Ashop%20state%3Adelivered", again=True),
    Page("messages-none", "/messages", "/messages?q=nobodyhaswrittenthis", again=True),
    Page("messages-wrong", "/messages", "/messages?q=state%3Alost", again=True),
    Page("message-delivered", "/messages/{id}", message("Keys"), again=True),
    Page("message-inbound", "/messages/{id}", message("The morning post"), again=True),
    Page("message-bounced", "/messages/{id}", message("Order 4471"), again=True),
    Page("message-waiting", "/messages/{id}", message("Flea market")),
    Page("message-held", "/messages/{id}", message("Price list"), again=True),
    Page("queue", "/queue"),
    Page("domains", "/domains"),
    Page("domain-new", "/domains/new"),
    Page("domain", "/domains/{name}", "/domains/one.test"),
    Page("accounts", "/accounts"),
    Page("account-new", "/accounts/new"),
    Page("account", "/accounts/{address:path}", "/accounts/alice@one.test"),
    Page("aliases", "/aliases"),
    Page("alias-new", "/aliases/new"),
    Page("alias", "/aliases/{address:path}", "/aliases/info@one.test"),
    Page("servers", "/servers"),
    Page("server-new", "/servers/new"),
    Page("server", "/servers/{server:int}", server()),
    Page("keys", "/keys"),
    Page("key-new", "/keys/new"),
    Page("senders", "/senders"),
    Page("admins", "/admins"),
    Page("admin-new", "/admins/new"),
    Page("audit", "/audit"),
]


# What is looked at by other files of this folder, or is a part of a page and seen with it.
SEEN_ELSEWHERE = {
    "test_login_page": ("/login", "/enter"),
    "test_messages": ("/messages/refused", "/messages/{id}/content", "/messages/{id}/attempts/{attempt}"),
    "test_hostile_content": ("/messages/{id}/html", "/messages/{id}/pictures/{path}"),
    "files": ("/messages/{id}/source", "/messages/{id}/parts/{path}", "/security/app.svg"),
    "test_queue": ("/queue/recipients", "/messages/{id}/act"),
    "test_overview": ("/overview/figures", "/overview/events"),
    "test_security": ("/security/app", "/login/code"),
    "parts": ("/overview/machine", "/overview/dns", "/domains/{name}/records", "/domains/{name}/glance"),
}


def test_every_page_is_looked_at() -> None:
    there = {route.path for page in console.PAGES for route in page.ROUTES if "GET" in route.methods}
    looked_at = {page.route for page in PAGES} | {path for some in SEEN_ELSEWHERE.values() for path in some}
    assert there == looked_at


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_looks_as_it_should(visit: Visit, stage: Stage, page: Page) -> None:
    visit.open(page.where(stage)).look(page.name, everywhere=not page.again)


def test_a_page_that_is_not_there_says_so(visit: Visit) -> None:
    visit.expect("404")
    visit.open("/console/nowhere").look("not-there")
