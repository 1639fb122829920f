"""The server's end of the control socket: commands have the running server make changes (`request.py` is theirs).

Whoever may open the socket may do all that `operations` has; the file's mode, 0600, is the permission.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from postroad.app.arguments import Arguments
from postroad.app.operations import OPERATIONS, perform
from postroad.app.request import MAX_REQUEST, SOCKET, Request, Response, short_path
from postroad.app.services import Services
from postroad.observe import log
from postroad.ports.store import Refused, StoreUnavailable

PATIENCE = 30.0  # seconds for a request to arrive
CHUNK = 64 * 1024

_log = log.get("control")


class ControlServer:
    """Listens while the node runs. `close` ends it and takes the socket away."""

    def __init__(self, services: Services, data_dir: Path) -> None:
        self._services = services
        self._path = data_dir / SOCKET
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """A socket left behind by a process that died is replaced: the lock on data_dir says that nobody is there."""
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        old = os.umask(0o177)
        try:
            with short_path(self._path) as path:
                listening.bind(path)
        finally:
            os.umask(old)
        self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=MAX_REQUEST)

    async def close(self) -> None:
        if self._server:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            response = await self._respond(reader)
            writer.write(msgspec.json.encode(response) + b"\n")
            await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the command has gone; what it asked for is done or not, as its next run will see
        finally:
            writer.close()

    async def _respond(self, reader: asyncio.StreamReader) -> Response:
        try:
            async with asyncio.timeout(PATIENCE):
                request = msgspec.json.decode(await reader.readuntil(b"\n"), type=Request)
            return Response(await self._perform(request, reader))
        except (msgspec.DecodeError, asyncio.LimitOverrunError) as error:
            return Response(error=f"not a request: {error}", refused=True)
        except Refused as error:
            return Response(error=str(error), refused=True)
        except StoreUnavailable as error:
            return Response(error=str(error))
        except (OSError, asyncio.IncompleteReadError):
            raise
        except Exception as error:
            _log.exception("a command failed", error)
            return Response(error=f"the server failed at this; its log says why ({error!r})")

    async def _perform(self, request: Request, reader: asyncio.StreamReader) -> Any:
        if request.command not in OPERATIONS:
            raise Refused(f"this server does not know `{request.command}`; is it of another version?")
        content = _content(reader, request.content)
        return await perform(self._services, request.command, Arguments(request.arguments, content))


async def _content(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size > 0:
        async with asyncio.timeout(PATIENCE):
            chunk = await reader.read(min(size, CHUNK))
        if not chunk:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(chunk)
        yield chunk
