"""Threads for work that is too long for the loop. They start when they are first needed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class ThreadWorkers:
    """Implements ports.workers.Workers. `close` waits for what is running."""

    __slots__ = ("_pool",)

    def __init__(self, threads: int | None = None) -> None:
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 2, thread_name_prefix="postroad-worker")

    def run(self, function: Callable[[], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(self._pool, function)

    def close(self) -> None:
        """Work that has not begun is dropped."""
        self._pool.shutdown(cancel_futures=True)
