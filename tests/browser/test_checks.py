"""The eye that looks at the pages sees what it is meant to see."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser
from tests.browser.harness import AXE_FILE, CHECKS, Stage, context, required, watch

from postroad.testing import npm

PLANTED = {
    "text that lies on text": (
        '<p style="position:relative">One sentence here<span style="position:absolute;left:0">Another</span></p>',
        "lies on",
    ),
    "text on a button": ('<button>Do it</button><p style="margin-top:-1.2em">Words under it</p>', "lies on"),
    "text cut off": ('<div style="width:60px;overflow:hidden;white-space:nowrap">A long sentence</div>', "is cut off"),
    "text cut off below": ('<div style="height:12px;overflow:hidden"><p>One</p><p>Two</p></div>', "is cut off"),
    "a label wider than its button": ('<button style="width:40px;white-space:nowrap">Much too long</button>', "wider"),
    "grey on grey": ('<p style="color:#999;background:#bbb">Hardly to be read</p>', "contrast"),
    "a veil over text": ('<p style="opacity:.4">Hardly to be read</p>', "contrast"),
    "words without a gap": ("<p><span>One word</span><small>and another</small></p>", "runs into"),
    "a hint too long": ('<input style="width:80px" aria-label="x" placeholder="Sender or recipient">', "does not fit"),
    "tiny text": ('<p style="font-size:8px">Small print</p>', "only 8px"),
    "a page too wide": ('<div style="width:3000px">Wide</div>', "wide in a window"),
}
FINE = """
<p>Words. <b>More</b> <i>of them</i><small> here</small></p><input placeholder="Find" aria-label="x"><button>Do</button>
<div style="width:60px;overflow:hidden;white-space:nowrap;text-overflow:ellipsis">A long sentence</div>
<div style="width:60px;overflow:auto;white-space:nowrap">A long sentence</div>
<span style="position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)">For readers of screens</span>
<div style="position:absolute;top:0;left:0;background:#fff">A menu above the words</div>
"""


@pytest.mark.parametrize("what", PLANTED)
def test_it_sees(browser: Browser, what: str) -> None:
    body, words = PLANTED[what]
    page = browser.new_page()
    page.set_content(f"<!doctype html><title>x</title>{body}")
    found = page.evaluate(CHECKS)
    page.close()
    assert any(words in problem for problem in found), found


def test_it_leaves_alone_what_is_fine(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content(f"<!doctype html><title>x</title>{FINE}")
    found = page.evaluate(CHECKS)
    page.close()
    assert not found


def test_axe_looks_too(browser: Browser) -> None:
    required("axe-core (make npm)", npm.find(AXE_FILE))
    page = browser.new_page()
    page.set_content('<!doctype html><html lang="en"><title>x</title><main><h1>x</h1><img src="x.png"></main>')
    found = watch(page, "").faults()
    page.close()
    assert any(problem.startswith("image-alt") for problem in found), found


def test_it_hears_what_goes_wrong(browser: Browser, stage: Stage) -> None:
    profile = context(browser, stage)
    visit = watch(profile.new_page(), stage.origin)
    visit.open("/console/login")
    visit.page.evaluate("console.error('planted')")
    visit.page.evaluate("setTimeout(() => { throw new Error('planted too') })")
    visit.page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://elsewhere.test/x.png'}))")
    visit.page.evaluate("document.body.setAttribute('onclick', 'void 0')")
    visit.page.evaluate("fetch('/console/nowhere').then(() => document.body.append('done'))")
    visit.page.get_by_text("done").wait_for()
    said = "\n".join(visit.unexpected())
    profile.close()
    for words in ("console says: planted", "a script failed: planted too", "Content Security Policy", "elsewhere.test"):
        assert words in said, said
