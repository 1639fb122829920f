"""The signals port: wake-ups by topic (`queue`, `mailbox:42`, `config`). A signal only wakes; rows are the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Signals(Protocol):
    """Publish and listen, on the loop's thread. A listener must be quick and must not raise."""

    def publish(self, topic: str) -> None:
        """Wake every listener of `topic`, here and (where there are several) on other nodes."""

    def listen(self, topic: str, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` at each signal; the returned function ends that."""
