"""A node's life: lock, start, `listening ...` and `ready`, signals, a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from postroad.adapters.cores import SharedCore
from postroad.app import lock
from postroad.app.build import Node
from postroad.app.services import open_services
from postroad.config.load import changed, load
from postroad.config.problems import ConfigError
from postroad.config.schema import Settings
from postroad.observe import log

GC_THRESHOLDS = (50_000, 50, 50)  # after the start most objects live for ever: look at them seldom
GOOD, FAILED = 0, 1

_log = log.get("node")


async def say_ready(node: Node) -> None:
    """`listening SERVICE ADDRESS:PORT` for each listener, then `ready`."""
    for service, endpoint in node.all_endpoints():
        log.say(f"listening {service} {endpoint}")
    log.say("ready")


def serve(
    settings: Settings,
    config: Path | None,
    *,
    announce: Callable[[Node], Awaitable[None]] = say_ready,
    beside: AbstractAsyncContextManager[object] | None = None,
    log_fd: int | None = None,
) -> int:
    """Run until SIGTERM or SIGINT; the exit code. `announce` is called once the node is ready; `beside` runs around
    the node, in the same loop; the log goes to `log_fd`, or to standard output."""
    _raise_file_limit()
    log.start(format=settings.log.format, level=settings.log.level, fd=log_fd)
    _route_logging()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(settings, config, announce, beside or contextlib.nullcontext()))
    finally:
        log.stop()


async def _serve(
    settings: Settings,
    config: Path | None,
    announce: Callable[[Node], Awaitable[None]],
    beside: AbstractAsyncContextManager[object],
) -> int:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_loop_error)
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    async with beside, running(settings, lost=end.set) as node:
        loop.add_signal_handler(signal.SIGHUP, _reload, node, config)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        async with _one_core(node):
            await announce(node)
            await end.wait()
            _log.info("stopping")
    _log.info("stopped")
    return FAILED if node.is_lost else GOOD


@asynccontextmanager
async def _one_core(node: Node) -> AsyncIterator[None]:
    """Loop, store's writer and log share a core inside the block, unless the settings say no."""
    if not node.settings.one_core:
        yield
        return
    others = [*node.services.store.writer_threads, log.thread()]
    core = SharedCore([threading.get_native_id(), *(other for other in others if other)], node.services.clock)
    with core.held():
        watching = asyncio.create_task(core.watch())
        try:
            yield
        finally:
            watching.cancel()


@asynccontextmanager
async def running(settings: Settings, *, lost: Callable[[], None] = lambda: None) -> AsyncIterator[Node]:
    """A node from its start to its end, inside the running loop. Raises Locked, CannotListen, StoreUnavailable."""
    with lock.held(settings.data_dir):
        async with open_services(settings) as services, _background() as group:
            node = Node(services, group, lost)
            try:
                await node.start()
                yield node
            finally:
                await node.stop()


@asynccontextmanager
async def _background() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group whose single failure is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        if len(failures.exceptions) == 1:
            raise failures.exceptions[0] from None
        raise


def _reload(node: Node, config: Path | None) -> None:
    """What SIGHUP does; whatever is wrong changes nothing."""
    try:
        settings = load(config, os.environ)
        applied, waiting = changed(node.settings, settings)
        node.reload(settings)
    except (ConfigError, OSError, ValueError) as error:
        _log.error("reload refused, nothing has changed", error=str(error))
        return
    _log.info("reloaded", applied=applied, needs_restart=waiting)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop where it is there: a third of asyncio's CPU, a tenth of its memory for each connection."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _raise_file_limit() -> None:
    """As many open files as we may have: each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _log_loop_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, Exception):
        _log.exception(context["message"], error)
    else:
        _log.error(context["message"])


class _IntoOurLog(logging.Handler):
    """What libraries say goes where our own lines go."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = log.get(record.name)
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Exception):
            logger.exception(record.getMessage(), error)
        elif record.levelno >= logging.ERROR:
            logger.error(record.getMessage())
        else:
            logger.warning(record.getMessage())


def _route_logging() -> None:
    root = logging.getLogger()
    root.handlers[:] = [_IntoOurLog()]
    root.setLevel(logging.WARNING)
