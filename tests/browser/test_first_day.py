"""A server that has nothing yet: every page says so kindly, and leads on."""

from __future__ import annotations

import pytest
from tests.browser.harness import Visit

PAGES = ("", "messages", "messages/refused", "queue", "domains", "accounts", "aliases", "servers", "keys", "audit")


@pytest.mark.parametrize("path", PAGES)
def test_an_empty_page_looks_as_it_should(newcomer: Visit, path: str) -> None:
    newcomer.open(f"/console/{path}").look(f"empty-{path.replace('/', '-') or 'overview'}")
