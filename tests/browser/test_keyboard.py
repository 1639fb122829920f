"""Everything without a mouse."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from tests.browser.harness import Stage, Visit

from postroad.app.demo_fill import ADMIN, ADMIN_PASSWORD

# Every element of the page that can be worked with; of radio buttons one for each group.
REACHABLE = """() => {
  const groups = new Set();
  const kinds = "a[href], button, input, select, textarea, summary, iframe, [tabindex='0']";
  const all = [...document.querySelectorAll(kinds)];
  const wanted = all.filter((one) => {
    if (!one.checkVisibility({ visibilityProperty: true }) || one.disabled || one.tabIndex < 0) return false;
    if (one.type === "hidden" || one.closest("[inert]") || one.closest("dialog:not([open])")) return false;
    if (one.type !== "radio") return true;
    if (groups.has(one.name)) return false;
    groups.add(one.name);
    return true;
  });
  window.reached = new Set();
  window.unmarked = [];
  const plain = new Map(wanted.map((one) => [one, getComputedStyle(one).outline + getComputedStyle(one).boxShadow]));
  document.addEventListener("focusin", ({ target }) => {
    window.reached.add(target.type === "radio" ? target.name : target);
    const style = getComputedStyle(target);
    const around = target.closest("label, .query-box, .find");
    const marked = style.outlineStyle !== "none" || style.outline + style.boxShadow !== plain.get(target) ||
      (around && getComputedStyle(around).outlineStyle !== "none");
    if (marked || target.localName === "iframe" || !plain.has(target)) return;
    window.unmarked.push(target.outerHTML.slice(0, 120));
  }, true);
  window.wanted = wanted;
  return wanted.length;
}"""
MISSED = """() => window.wanted
  .filter((one) => !window.reached.has(one.type === "radio" ? one.name : one) && one.isConnected)
  .map((one) => one.outerHTML.slice(0, 160))"""


@pytest.mark.parametrize(
    "path", ["", "messages", "queue", "domains/one.test", "accounts/new", "servers/1", "keys/new", "security"]
)
def test_tab_reaches_everything_and_shows_where_it_is(visit: Visit, path: str) -> None:
    page = visit.open(f"/console/{path}").page
    count = page.evaluate(REACHABLE)
    page.evaluate("document.activeElement.blur()")
    for _ in range(count + 10):
        page.keyboard.press("Tab")
    assert not page.evaluate(MISSED)
    assert not page.evaluate("window.unmarked")


def test_a_walk(stranger: Visit, stage: Stage) -> None:
    """Sign in, find a message, read what was said, hold another one, look at a domain, sign out."""
    page = stranger.open("/console/login").page
    page.keyboard.type(ADMIN)
    page.keyboard.press("Tab")
    page.keyboard.type(ADMIN_PASSWORD)
    with stranger.changing():
        page.keyboard.press("Enter")
    go(stranger, "m")
    page.keyboard.press("/")
    page.keyboard.type("to:grace keys")
    expect(page.locator("#mails a.row-link")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    with stranger.changing():
        page.keyboard.press("Enter")
    assert page.get_by_role("heading", name="Keys").is_visible()
    tab_to(page, "What was said")
    page.keyboard.press("Enter")
    expect(page.get_by_text("STARTTLS").first).to_be_visible()
    message = stage.waiting("by-keys@down.test", "Held without a mouse")
    stranger.open(f"/console/messages/{message}")
    tab_to(page, "Hold")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("by-keys@down.test")
    tab_to(page, "Hold")
    with stranger.changing():
        page.keyboard.press("Enter")
    expect(page.get_by_text("Held").first).to_be_visible()
    go(stranger, "d")
    tab_to(page, "one.test")
    with stranger.changing():
        page.keyboard.press("Enter")
    tab_to(page, "AAlice Ahlgren")
    page.keyboard.press("Enter")
    tab_to(page, "Sign out")
    with stranger.changing():
        page.keyboard.press("Enter")
    assert "/console/login" in page.url


def test_help_with_keys(visit: Visit) -> None:
    page = visit.open("/console/queue").page
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    visit.look("keys-help")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def go(visit: Visit, key: str) -> None:
    with visit.changing():
        visit.page.keyboard.press("g")
        visit.page.keyboard.press(key)


def tab_to(page: Page, text: str, most: int = 80) -> None:
    """Press Tab until the element that begins with this text has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        said = page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent")
        if " ".join(said.split()).startswith(text):
            return
    raise AssertionError(f"Tab does not lead to {text!r}")
