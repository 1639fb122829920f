"""What a test sees of the log."""

from __future__ import annotations

from typing import Any

import pytest

from postroad.web import app


class _Log:
    """Keeps what is said of mistakes."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def exception(self, event: str, error: BaseException, **fields: Any) -> None:
        self.lines.append({"event": event, "error": error, **fields})


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Lines that the dispatcher logs of mistakes."""
    log = _Log()
    monkeypatch.setattr(app, "_log", log)
    return log.lines
