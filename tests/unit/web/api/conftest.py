"""The API in memory over an empty store, and keys for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postroad.testing.api import Api
from postroad.testing.web import bare_web


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """Asks with a key that opens everything."""
    async with bare_web(tmp_path) as web:
        made = await web.services.sending.add_key("tests", ["*"])
        yield Api(web, made.secret)
