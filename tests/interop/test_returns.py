"""A server takes a message, and finds out later that it has nowhere to put it: Postfix's bounces find their message. It
needs root.
"""

from __future__ import annotations

import json
import smtplib
import ssl

import pytest
from tests.interop.foreign import until
from tests.interop.mailbag import message
from tests.interop.peers import GONE, PostfixPeer
from tests.interop.site import Site

pytestmark = pytest.mark.interop


def submit(site: Site, login: tuple[str, str], subject: str) -> None:
    context = ssl.create_default_context(cafile=str(site.ca))
    with smtplib.SMTP_SSL("localhost", site.port("submissions"), context=context) as link:
        link.login(*login)
        link.sendmail(site.alice, [GONE], message(subject, site.alice, GONE))


def came_back(site: Site, subject: str) -> dict[str, str]:
    """The event's detail, once it is there."""

    def told() -> list[dict[str, str]]:
        listed = json.loads(site.server.run("message", "list", "--subject", subject, "--json"))
        ident = next(row["message"]["id"] for row in listed if row["message"]["reverse_path"])
        events = json.loads(site.server.run("message", "trace", str(ident), "--json"))["events"]
        return [event["detail"] for event in events if event["kind"] == "returned"]

    until(lambda: bool(told()), "Postfix's bounce to be told", 30)
    return told()[0]


def test_a_persons_message_that_postfix_cannot_place(site: Site, postfix: PostfixPeer) -> None:
    submit(site, (site.alice, site.password), "late-person")
    detail = came_back(site, "late-person")
    assert (detail["type"], detail["reason"]) == ("HardBounce", "no_such_mailbox")
    assert detail["unproven"] == "yes"
    assert postfix.drained()


def test_a_streams_message_that_postfix_cannot_place(site: Site, postfix: PostfixPeer) -> None:
    site.server.run("server", "add", "late-shop")
    made = json.loads(site.server.run("token", "add", "--server", "late-shop", "--json"))
    submit(site, (made["secret"], made["secret"]), "late-stream")
    detail = came_back(site, "late-stream")
    assert detail["type"] == "HardBounce"
    assert "unproven" not in detail
    assert "b-" in postfix.log()
    listed = json.loads(site.server.run("suppression", "list", "late-shop", "outbound", "--json"))
    assert [(row["address"], row["reason"]) for row in listed] == [(GONE, "hard bounce")]
