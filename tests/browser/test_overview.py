"""The first page: whether mail flows, live."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from playwright.sync_api import expect
from tests.browser.harness import SCREENSHOTS, Stage, Visit


@pytest.mark.parametrize("span", ["day", "month"])
def test_other_spans(visit: Visit, span: str) -> None:
    page = visit.open("/console/").page
    page.get_by_role("link", name=span.capitalize(), exact=True).click()
    expect(page.locator("[data-spans] [aria-current=true]")).to_have_text(span.capitalize())
    visit.look(f"overview-{span}")


def test_it_moves_without_being_loaded_again(visit: Visit, stage: Stage) -> None:
    page = visit.open("/console/").page
    page.evaluate("window.isTheSamePage = true")
    stage.submit("bob@two.test", subject="Seen at once")
    expect(page.get_by_role("main").get_by_text("Seen at once")).to_be_visible(timeout=30_000)  # on a busy machine too
    assert page.evaluate("window.isTheSamePage")


def test_the_figures_as_a_table(visit: Visit) -> None:
    page = visit.open("/console/").page
    page.get_by_role("link", name="Show the figures as a table").click()
    visit.settle().look("overview-table")
    assert page.get_by_role("table").first.is_visible()


def test_light_and_dark_by_hand(visit: Visit) -> None:
    page = visit.open("/console/").page
    page.locator("details.who > summary").click()
    visit.look("menu-open")
    page.locator("[data-theme-choice][value=dark]").check(force=True)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert not visit.settle().faults()


def test_the_menu_of_a_narrow_window(visit: Visit) -> None:
    page = visit.page
    page.set_viewport_size({"width": 390, "height": 844})
    visit.open("/console/")
    page.get_by_role("button", name="More").click()
    assert page.get_by_role("link", name="Audit log").is_visible()
    visit.settle()
    page.screenshot(path=SCREENSHOTS / "menu-narrow-390-light.png")
    assert not visit.faults(without="target-size")  # axe does not know that a popover lies above the bar
    with visit.changing():
        page.get_by_role("link", name="Servers").click()


def test_what_fails_says_so_in_the_console_s_own_clothes(visit: Visit) -> None:
    visit.expect("500")
    with patch("postroad.web.console.audit.entry_of", side_effect=RuntimeError("a fault that a test has planted")):
        visit.open("/console/audit").look("failed")
    assert visit.page.get_by_text("Something went wrong").first.is_visible()
