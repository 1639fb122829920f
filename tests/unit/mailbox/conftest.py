from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postroad.testing.mailboxes import Post, open_post


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    async with open_post(tmp_path) as opened:
        yield opened
