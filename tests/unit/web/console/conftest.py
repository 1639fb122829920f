"""The console in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postroad.testing.console import Console, running_console


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Console]:
    """Nobody is signed in."""
    async with running_console(tmp_path) as found:
        yield found


@pytest.fixture
async def alice(console: Console) -> Console:
    """Alice is signed in."""
    await console.sign_in()
    return console
