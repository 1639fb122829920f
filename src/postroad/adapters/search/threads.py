"""Threads that stand back: the one that indexes runs when nobody else wants the core."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from postroad.adapters.cores import roam

T = TypeVar("T")

_NICE = 10


class IndexThreads:
    """One thread that writes, and two that search. Both start when they are first needed."""

    def __init__(self) -> None:
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="search-index", initializer=_stand_back)
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="search", initializer=roam)

    async def write(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, function)

    async def read(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, function)

    async def close(self) -> None:
        """When what is under way has ended."""
        for pool in (self._writer, self._readers):
            await asyncio.get_running_loop().run_in_executor(None, pool.shutdown)


def _stand_back() -> None:
    roam()
    with suppress(OSError, AttributeError):  # where a thread cannot have a priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
