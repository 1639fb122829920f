"""Searching, and one message's page. What hostile senders do is in test_hostile_content."""

from __future__ import annotations

import re
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


def message(stage: Stage, subject: str) -> str:
    """The path of the day's message with this subject."""
    from tests.browser.test_pages import message as found

    return found(subject)(stage)
