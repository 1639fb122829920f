"""One server and one browser for each worker; a fresh profile, and a watched page in it, for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.browser.harness import Stage, Visit, chromium, context, watch


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


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


@pytest.fixture
def visit(browser: Browser, stage: Stage, secret: str) -> Iterator[Visit]:
    """A page of the signed-in administrator. Whatever went wrong in it fails the test."""
    yield from _visit(browser, stage, secret)


@pytest.fixture
def newcomer(browser: Browser, empty_stage: Stage) -> Iterator[Visit]:
    """A page of the administrator of a server that has nothing yet."""
    yield from _visit(browser, empty_stage, empty_stage.session())


@pytest.fixture
def stranger(browser: Browser, stage: Stage) -> Iterator[Visit]:
    """A page of somebody who has not signed in."""
    yield from _visit(browser, stage, "")


def _visit(browser: Browser, stage: Stage, secret: str) -> Iterator[Visit]:
    profile = context(browser, stage, secret)
    made = watch(profile.new_page(), stage.origin)
    try:
        yield made
        assert not made.unexpected(), "\n".join(made.unexpected())
    finally:
        profile.close()
