"""Turns: at most so many at once for each of many names, and nothing kept for a name that nobody uses."""

from __future__ import annotations

import asyncio


class Turns:
    """Whoever `take`s a turn `give`s it back."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[asyncio.Semaphore, int]] = {}

    async def take(self, name: str, most: int) -> None:
        """Wait for one of the `most` turns of `name`."""
        semaphore, users = self._held.get(name) or (asyncio.Semaphore(most), 0)
        self._held[name] = (semaphore, users + 1)
        try:
            await semaphore.acquire()
        except BaseException:
            self._leave(name)
            raise

    def give(self, name: str) -> None:
        self._held[name][0].release()
        self._leave(name)

    def _leave(self, name: str) -> None:
        semaphore, users = self._held[name]
        if users > 1:
            self._held[name] = (semaphore, users - 1)
        else:
            del self._held[name]

    def __len__(self) -> int:
        return len(self._held)
