"""Headless Chromium in front of a whole server that has a day of mail behind it, and an eye on all that is wrong.

One server and one browser serve a worker; each test gets a context of its own. A `Visit` fails its test for what the
browser's console says, for a request that leaves the origin, for an answer that is no good, for a policy that was
broken. `Visit.look` is what a person would see, at both widths and in both themes.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response

from postroad.app.build import Node
from postroad.app.demo import publish
from postroad.app.demo_fill import ADMIN, ADMIN_PASSWORD, fill
from postroad.app.lifecycle import running
from postroad.config.load import load
from postroad.lab.world import World
from postroad.ports.ids import MessageId, parse_id
from postroad.ports.store import Delivery
from postroad.testing import npm
from postroad.testing.network import write_certificate
from postroad.testing.server import HOSTNAME, write_configuration
from postroad.testing.site import configuration, until

T = TypeVar("T")

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
WIDE, NARROW = (1440, 900), (390, 844)
MAX_HEIGHT = 8000
THEMES = ("light", "dark")
ZONE = "Europe/Helsinki"
SCREENSHOTS = Path(__file__).parents[2] / ".cache/screenshots"
CHECKS = Path(__file__).with_name("checks.js").read_text("utf-8")
PATIENCE = 10_000  # milliseconds for anything that a page does
SETTLED = """async () => {
  const busy = () => document.querySelector(".htmx-request, .htmx-swapping, .htmx-settling, [aria-busy=true]");
  for (let tries = 0; busy() && tries < 200; tries++) await new Promise((go) => setTimeout(go, 10));
  if (busy()) return "still busy: " + busy().outerHTML.slice(0, 200);
  await document.fonts.ready;
  const ends = (one) => one.effect && Number.isFinite(one.effect.getComputedTiming().endTime);
  await Promise.allSettled(document.getAnimations().filter(ends).map((one) => one.finished));
  await new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
  return "";
}"""
AXE_FILE = "axe-core/axe.min.js"
AXE = """async (rules) => {
  const found = await axe.run(document, {
    runOnly: rules.length ? { type: "rule", values: rules } : {
      type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    },
    resultTypes: ["violations"],
    preload: false,
  });
  return found.violations.map((one) => one.id + ": " + one.help + ": " +
    one.nodes.slice(0, 3).map((node) => node.target.join(" ") + " (" + node.any.map((why) => why.message)
      .slice(0, 1).join("") + ")").join("; "));
}"""
# What a narrow window can break; the rest is the same page.
WHEN_NARROW = ("color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable", "landmark-unique")


def required(what: str, found: T | None) -> T:
    """What a test needs from outside; where it is not there the test is skipped, or fails where CI demands it."""
    if found is None:
        complain = pytest.fail if os.environ.get("POSTROAD_REQUIRE_INTEROP") else pytest.skip
        complain(f"{what} is not installed")
    assert found is not None
    return found


def chromium() -> str:
    """The browser's path."""
    return required("chromium", next((path for name in CHROMIUM if (path := shutil.which(name))), None))


class Stage:
    """A server with the demo's people and their day, in a world of its own; both run in a thread beside the test."""

    def __init__(self, folder: Path, *, filled: bool = True) -> None:
        """Not `filled`: there is an administrator, and nothing else."""
        self._folder = folder
        self._filled = filled
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="stage", daemon=True)
        self.node: Node
        self.world: World
        self.token = ""

    def start(self) -> None:
        self._thread.start()
        self._ready.result(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.node.endpoints['http'][0].port}"  # a name: passkeys belong to one

    def ask(self, question: Callable[[Node], Awaitable[T]]) -> T:
        """Run something beside the server, in its loop."""

        async def answer() -> T:
            return await question(self.node)

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(30)

    def session(self) -> str:
        """The secret of a new session of the administrator."""

        async def begin(node: Node) -> str:
            admins = node.services.admins
            return await admins.begin_session((await admins.find(ADMIN)).id, "127.0.0.1", "the tests' browser")

        return self.ask(begin)

    def submit(self, *recipients: str, subject: str, sender: str = "alice@one.test", content: bytes = b"") -> str:
        """A message of ours, accepted; its id as people see it."""

        async def send(node: Node) -> str:
            head = f"From: {sender}\r\nTo: {', '.join(recipients)}\r\nSubject: {subject}\r\n\r\n"
            assert node.services.intake
            answer = await node.services.intake.submit_local(
                sender, recipients, content or head.encode() + b"Hello.\r\n"
            )
            assert answer.is_success, answer
            return answer.text.rpartition(" ")[2]

        return self.ask(send)

    def waiting(self, recipient: str, subject: str) -> str:
        """A message that has been tried once in vain; its id."""
        message = self.submit(recipient, subject=subject)
        self.wait(message, lambda delivery: delivery.tries > 0 and delivery.owner is None)
        return message

    def wait(self, message: str, condition: Callable[[Delivery], bool]) -> None:
        """Until the message's only recipient stands like that."""

        async def look(node: Node) -> None:
            number = MessageId(parse_id(message) or 0)
            await until(
                lambda: node.services.store.read(lambda tx: tx.deliveries.of_message(number)),
                lambda found: condition(found[0]),
            )

        self.ask(look)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)
        finally:
            self._loop.close()

    async def _live(self) -> None:
        self.world = world = await World.start("127.0.0.1:0", 0)
        try:
            extra = configuration(world, {"delivery": {"retry_waits": [3600]}})
            certificate, key = write_certificate(self._folder, "127.0.0.1", HOSTNAME)
            services = ("http", "mx", "submission", "imap")
            config = write_configuration(self._folder, services, certificate=certificate, key=key, extra=extra)
            settings = load(config, {})
            publish(world, settings.hostname)
            if self._filled:
                self.token = (await fill(settings, self._folder)).token
            async with running(settings) as self.node:
                if not self._filled:
                    await self.node.services.admins.add(ADMIN, ADMIN_PASSWORD)
                self._ready.set_result(None)
                await self._end.wait()
        finally:
            await world.stop()


@dataclass
class Visit:
    """One page of a context, and what went wrong in it."""

    page: Page
    origin: str
    troubles: list[str] = field(default_factory=list)
    listeners: dict[str, Callable[..., None]] = field(default_factory=dict)
    _expected: list[str] = field(default_factory=list)

    # -- what happens in it --------------------------------------------------------------------------------------------

    def open(self, path: str) -> Visit:
        """Go to a path of the console and wait until it stands still."""
        self.page.goto(self.origin + path, wait_until="load")
        return self.settle()

    def settle(self) -> Visit:
        """Wait until nothing is on its way and nothing moves."""
        self.page.wait_for_load_state("load")
        if still := self.page.evaluate(SETTLED):
            raise AssertionError(f"{self.page.url}: {still}")
        return self

    @contextmanager
    def changing(self) -> Iterator[None]:
        """What is done inside loads another page."""
        with self.page.expect_navigation(wait_until="load"):
            yield
        self.settle()

    def expect(self, pattern: str) -> None:
        """A trouble that is meant to come in this test."""
        self._expected.append(pattern)

    def trouble(self, text: str) -> None:
        self.troubles.append(f"{self.page.url}: {text}")

    def leave(self) -> None:
        """The page is as new for whoever comes next."""
        for event, listener in self.listeners.items():
            self.page.remove_listener(event, listener)
        self.page.goto("about:blank")
        self.page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
        self.page.emulate_media(color_scheme="light", reduced_motion="reduce")

    def unexpected(self) -> list[str]:
        return [text for text in self.troubles if not any(re.search(each, text) for each in self._expected)]

    # -- what it looks like --------------------------------------------------------------------------------------------

    def look(self, name: str, *, everywhere: bool = False) -> None:
        """Everything can be read, nothing is cut off or lies on something else, axe finds no violation; a picture of it
        is kept. Wide and light, narrow and dark; `everywhere`: at both widths in both themes."""
        problems: list[str] = []
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        for (width, height), themes in zip((WIDE, NARROW), (THEMES, THEMES[::-1]), strict=True):
            self._resize(width, height)
            for theme in themes if everywhere else themes[:1]:
                self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                self.settle()
                faults = self.seen()
                if theme == themes[0]:
                    faults += self._axe(() if width == WIDE[0] else WHEN_NARROW)
                problems += [f"{width} {theme}: {text}" for text in faults]
                self.page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{theme}.png")
        self.page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
        assert not problems, f"{self.page.url}:\n" + "\n".join(problems)

    def _resize(self, width: int, height: int) -> None:
        """As wide as that, and high enough for all of the page: what sticks to an edge covers nothing then."""
        self.page.set_viewport_size({"width": width, "height": height})
        whole = int(self.settle().page.evaluate("document.documentElement.scrollHeight"))
        if whole > height:
            self.page.set_viewport_size({"width": width, "height": min(whole, MAX_HEIGHT)})

    def faults(self, rules: Sequence[str] = (), *, without: str = "") -> list[str]:
        """What is wrong with the page as it stands now; of axe's rules all, or these, or all but one."""
        found = self._axe(rules)
        return [*self.seen(), *(one for one in found if one.partition(":")[0] != without)]

    def seen(self) -> list[str]:
        """What our own eye finds."""
        return list(self.page.evaluate(CHECKS))

    def _axe(self, rules: Sequence[str]) -> list[str]:
        source = npm.find(AXE_FILE)
        if source is None:  # test_checks says so
            return []
        if not self.page.evaluate("typeof axe === 'object'"):
            self.page.evaluate(source.read_text("utf-8"))
        return list(self.page.evaluate(AXE, list(rules)))


def watch(page: Page, origin: str) -> Visit:
    """A visit of this page that hears of all that goes wrong in it and in its frames."""
    visit = Visit(page, origin)
    page.set_default_timeout(PATIENCE)

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            visit.trouble(f"the console says: {message.text}")

    def asked(request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob", "about") and f"{parts.scheme}://{parts.netloc}" != origin:
            visit.trouble(f"a request leaves the origin: {request.url}")

    def answered(response: Response) -> None:
        if response.status >= 400:
            visit.trouble(f"{response.request.method} {response.url} was answered {response.status}")

    def failed(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page went on to another one
            visit.trouble(f"{request.url} failed: {request.failure}")

    visit.listeners = {
        "console": said,
        "pageerror": lambda error: visit.trouble(f"a script failed: {error}"),
        "request": asked,
        "response": answered,
        "requestfailed": failed,
    }
    for event, listener in visit.listeners.items():
        page.on(event, listener)  # type: ignore[call-overload]
    return visit


def context(browser: Browser, stage: Stage, secret: str = "") -> BrowserContext:
    """A fresh browser profile, signed in with `secret`."""
    made = browser.new_context(
        viewport={"width": WIDE[0], "height": WIDE[1]}, locale="en-GB", timezone_id=ZONE, reduced_motion="reduce"
    )
    sign_in(made, stage, secret)
    return made


def sign_in(profile: BrowserContext, stage: Stage, secret: str) -> None:
    """As if the last visit had been there, with this session; nothing else is remembered."""
    profile.clear_cookies()
    profile.add_cookies([{"name": "postroad-zone", "value": quote(ZONE, safe=""), "url": stage.origin}])
    if secret:
        profile.add_cookies([{"name": "postroad-session", "value": secret, "url": stage.origin, "httpOnly": True}])
