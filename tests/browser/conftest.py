"""One server and one browser for each worker; a fresh profile, and a watched page in it, for each test."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.browser.harness import PATIENCE, Stage, Visit, chromium, context, sign_in, watch

expect.set_options(timeout=PATIENCE)


class Driver:
    """Playwright's event loop counts as running in this thread from its start to its end. Tests that share the worker
    want loops of their own, so it is put aside whenever no test of a browser is on."""

    def __init__(self) -> None:
        self._playwright = sync_playwright().start()
        self._loop = asyncio.get_running_loop()
        self.browser = self._playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        asyncio._set_running_loop(None)

    @contextmanager
    def on(self) -> Iterator[None]:
        asyncio._set_running_loop(self._loop)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def stop(self) -> None:
        with self.on():
            self.browser.close()
            self._playwright.stop()


@pytest.fixture(scope="session")
def driver() -> Iterator[Driver]:
    chromium()  # or the test is skipped
    made = Driver()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def browser(driver: Driver) -> Browser:
    return driver.browser


@pytest.fixture(autouse=True)
def inside(driver: Driver) -> Iterator[None]:
    with driver.on():
        yield


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("browser"))
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def empty_stage(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Stage]:
    """A server on its first day: an administrator, and nothing else."""
    made = Stage(tmp_path_factory.mktemp("empty"), filled=False)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def secret(stage: Stage) -> str:
    """Of one session that all tests share: signing in is a test of its own."""
    return stage.session()


class Tab:
    """The page that tests take turns with: a new one for each would cost as much as the test."""

    def __init__(self, browser: Browser, stage: Stage) -> None:
        self._profile = context(browser, stage)
        self._page: Page | None = None

    @property
    def page(self) -> Page:
        if self._page is None or self._page.is_closed():
            self._page = self._profile.new_page()
            self._page.on("crash", lambda page: page.close())
        return self._page


@pytest.fixture(scope="session")
def tab(driver: Driver, stage: Stage) -> Tab:
    with driver.on():
        return Tab(driver.browser, stage)


@pytest.fixture
def visit(inside: None, tab: Tab, stage: Stage, secret: str) -> Iterator[Visit]:
    """A page of the signed-in administrator. Whatever went wrong in it fails the test."""
    yield from _visit(tab, stage, secret)


@pytest.fixture
def newcomer(inside: None, tab: Tab, empty_stage: Stage) -> Iterator[Visit]:
    """A page of the administrator of a server that has nothing yet."""
    yield from _visit(tab, empty_stage, empty_stage.session())


@pytest.fixture
def stranger(inside: None, tab: Tab, stage: Stage) -> Iterator[Visit]:
    """A page of somebody who has not signed in."""
    yield from _visit(tab, stage, "")


def _visit(tab: Tab, stage: Stage, secret: str) -> Iterator[Visit]:
    sign_in(tab.page.context, stage, secret)
    made = watch(tab.page, stage.origin)
    try:
        yield made
    finally:
        made.leave()
    assert not made.unexpected(), "\n".join(made.unexpected())
