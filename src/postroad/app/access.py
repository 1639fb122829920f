"""How a command reaches the rows: reading beside a running server, changing through it or in its place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from postroad.app.request import NoServer, ask
from postroad.config.schema import Settings

if TYPE_CHECKING:
    from postroad.adapters.sql.database import Database


class NotRunning(Exception):  # noqa: N818
    """The command needs a running server."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(f"no server runs on {settings.data_dir}; start it with `postroad serve`")


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Database]:
    """Rows and content (`blobs`), read-only; a running server is not disturbed."""
    from postroad.app.rows import open_rows

    store = await open_rows(settings)
    try:
        yield store
    finally:
        await store.close()


async def change(settings: Settings, command: str, arguments: Mapping[str, Any]) -> Any:
    """Make one change. Raises Refused, StoreUnavailable, Locked."""
    try:
        return await ask(settings.data_dir, command, arguments)
    except NoServer:
        pass
    from postroad.app import lock
    from postroad.app.arguments import Arguments
    from postroad.app.operations import perform
    from postroad.app.services import open_services

    with lock.held(settings.data_dir):
        async with open_services(settings) as services:
            return await perform(services, command, Arguments(arguments))


async def change_running(settings: Settings, command: str, arguments: Mapping[str, Any], content: bytes = b"") -> Any:
    """Make one change that only a running server can make. Raises NotRunning too."""
    try:
        return await ask(settings.data_dir, command, arguments, content)
    except NoServer:
        raise NotRunning(settings) from None
