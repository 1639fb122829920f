"""Threads for work that is too long for the loop. They start when they are first needed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from postroad.adapters.cores import roam

T = TypeVar("T")


class ThreadWorkers:
    """Implements ports.workers.Workers. `close` waits for what is running."""

    __slots__ = ("_pool",)

    def __init__(self, threads: int | None = None) -> None:
        count = threads or os.cpu_count() or 2
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="postroad-worker", initializer=roam)

    def run(self, function: Callable[[], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(self._pool, function)

    def close(self) -> None:
        """Work that has not begun is dropped."""
        self._pool.shutdown(cancel_futures=True)
