"""Searching, one message's page, and what hostile senders put into it."""

from __future__ import annotations

import re
from email.message import EmailMessage
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser.harness import Stage, Visit

ROWS = "#mails a.row-link"


def rows(visit: Visit) -> int:
    return visit.page.locator(ROWS).count()


def test_results_come_as_one_types(visit: Visit) -> None:
    page = visit.open("/console/messages").page
    assert rows(visit) > 2
    page.get_by_role("main").get_by_role("searchbox").press_sequentially("projec")
    expect(page.locator(ROWS)).to_have_count(2)
    expect(page).to_have_url(re.compile("q=projec"))
    visit.settle().look("messages-typed")


def test_more_come_on_demand(visit: Visit) -> None:
    page = visit.open("/console/messages").page
    before = rows(visit)
    page.get_by_role("link", name="Show older messages").click()
    expect(page.locator(ROWS)).not_to_have_count(before)
    assert rows(visit) > before


def test_refused_mail_is_there_too(visit: Visit) -> None:
    visit.open("/console/messages/refused").look("messages-refused")
    assert visit.page.get_by_text("victim@elsewhere.test").is_visible()


@pytest.mark.parametrize("view", ["html", "text", "headers", "parts", "source"])
def test_the_message_itself(visit: Visit, stage: Stage, view: str) -> None:
    page = visit.open(f"{message(stage, 'Your invoice 2026-1187')}").page
    name = {"html": "HTML", "text": "Text", "headers": "Headers", "parts": "attachment", "source": "Source"}[view]
    page.locator("main").get_by_role("link", name=name).first.click()
    visit.settle().look(f"message-view-{view}")


def test_source_and_attachments_can_be_kept(visit: Visit, stage: Stage, tmp_path: Path) -> None:
    page = visit.open(message(stage, "Your invoice 2026-1187")).page
    with page.expect_download() as kept:
        page.get_by_role("link", name="Download").first.click()
    kept.value.save_as(tmp_path / "message.eml")
    assert b"Subject: Your invoice 2026-1187" in (tmp_path / "message.eml").read_bytes()
    page.locator("main").get_by_role("link", name="attachment").first.click()
    visit.settle()
    with page.expect_download() as kept:
        page.locator("main").get_by_role("link", name="invoice-2026-1187.pdf").first.click()
    kept.value.save_as(tmp_path / "invoice.pdf")
    assert (tmp_path / "invoice.pdf").read_bytes().startswith(b"%PDF")


def test_each_attempt_has_its_dialogue(visit: Visit, stage: Stage) -> None:
    page = visit.open(message(stage, "Keys")).page
    for summary in page.get_by_text("What was said").all():
        summary.click()
    assert page.get_by_text("STARTTLS").first.is_visible()
    visit.look("message-dialogues")


HOSTILE = """<!doctype html><html><head><script>parent.hacked = 1; alert(1)</script>
<meta http-equiv="refresh" content="0;url=https://evil.test/"><base href="https://evil.test/">
<link rel="stylesheet" href="https://evil.test/x.css"><style>@import url(https://evil.test/y.css);
body{background:url(https://evil.test/z.png)} p{position:fixed;inset:0;font-size:900px}</style></head>
<body onload="parent.hacked = 2" background="https://evil.test/b.png"><p>Dear customer</p>
<a href="javascript:parent.hacked=3">click me</a><a href="https://evil.test/" target="_top">and me</a>
<img src="https://evil.test/p.gif" onerror="parent.hacked = 4"><img srcset="https://evil.test/s.png 2x">
<form action="https://evil.test/f"><input name="password" autofocus onfocus="parent.hacked = 5"></form>
<table style="background-image:url('https://evil.test/t.png')"><tr><td>one</td></tr></table>
<svg onload="parent.hacked = 6"><image href="https://evil.test/i.svg"/><script>parent.hacked = 7</script></svg>
<iframe src="https://evil.test/frame"></iframe><object data="https://evil.test/o"></object>
<video poster="https://evil.test/v"></video><math><mtext><style><img src=x onerror="parent.hacked=8"></style>
</body></html>"""


def test_hostile_content_runs_nothing_and_fetches_nothing(visit: Visit, stage: Stage) -> None:
    content = EmailMessage()
    content["From"], content["To"] = "Mallory <mallory@evil.test>", "bob@two.test"
    content["Subject"] = "<img src=x onerror=alert(1)> & <script>parent.hacked = 9</script>"
    content.set_content("Plain <b>words</b>")
    content.add_alternative(HOSTILE, subtype="html")
    content.add_attachment(
        HOSTILE.encode(), maintype="text", subtype="html", filename='"><script>alert(1)</script>.html'
    )
    number = stage.submit("bob@two.test", subject="", sender="mallory@one.test", content=content.as_bytes())
    page = visit.page
    page.on("dialog", lambda dialog: visit.trouble(f"a dialog opened: {dialog.message}"))
    visit.open(f"/console/messages/{number}")
    frame = page.frame_locator("main iframe").first
    page.locator("main iframe").first.scroll_into_view_if_needed()
    expect(frame.get_by_text("Dear customer")).to_be_visible()
    assert "allow-scripts" not in (page.locator("main iframe").first.get_attribute("sandbox") or "")
    link = frame.get_by_text("click me")
    if link.count():
        link.click()
    visit.settle().look("message-hostile")
    page.goto(f"{stage.origin}/console/messages/{number}/html")
    visit.settle()
    assert page.evaluate("[window.hacked, window.parent.hacked]") == [None, None]
    assert page.url.startswith(stage.origin)


def message(stage: Stage, subject: str) -> str:
    """The path of the day's message with this subject."""
    from tests.browser.test_pages import message as found

    return found(subject)(stage)
