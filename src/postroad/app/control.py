"""The control socket, `data_dir/control.sock` (0600): how commands have the running server make changes.

One request to a connection: a line of JSON `{"command": ..., "arguments": {...}, "content": N}`, then N octets; one
line of JSON comes back, `{"result": ...}` or `{"error": ..., "refused": ...}`. Whoever may open the socket may do all
that `operations` has; the file's mode is the permission.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from postroad.app.arguments import Arguments
from postroad.app.operations import OPERATIONS, perform
from postroad.app.services import Services
from postroad.observe import log
from postroad.ports.store import Refused, StoreUnavailable

SOCKET = "control.sock"
MAX_REQUEST = 1 << 20  # octets of the JSON line; content comes behind it
PATIENCE = 30.0  # seconds for a request to arrive
CHUNK = 64 * 1024
_LONGEST_PATH = 100  # sun_path has 108 octets

_log = log.get("control")


class NoServer(Exception):  # noqa: N818
    """Nobody listens on the control socket."""


class _Request(msgspec.Struct):
    command: str
    arguments: dict[str, Any] = {}
    content: int = 0


class _Response(msgspec.Struct, omit_defaults=True):
    result: Any = None
    error: str = ""
    refused: bool = False


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
            with _short(self._path) as path:
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

    async def _respond(self, reader: asyncio.StreamReader) -> _Response:
        try:
            async with asyncio.timeout(PATIENCE):
                request = msgspec.json.decode(await reader.readuntil(b"\n"), type=_Request)
            return _Response(await self._perform(request, reader))
        except (msgspec.DecodeError, asyncio.LimitOverrunError) as error:
            return _Response(error=f"not a request: {error}", refused=True)
        except Refused as error:
            return _Response(error=str(error), refused=True)
        except StoreUnavailable as error:
            return _Response(error=str(error))
        except (OSError, asyncio.IncompleteReadError):
            raise
        except Exception as error:
            _log.exception("a command failed", error)
            return _Response(error=f"the server failed at this; its log says why ({error!r})")

    async def _perform(self, request: _Request, reader: asyncio.StreamReader) -> Any:
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


async def ask(data_dir: Path, command: str, arguments: Mapping[str, Any], content: bytes = b"") -> Any:
    """Send one request to the running server. Raises NoServer, Refused, StoreUnavailable."""
    reader, writer = await _connect(data_dir / SOCKET)
    try:
        writer.write(msgspec.json.encode(_Request(command, dict(arguments), len(content))) + b"\n")
        writer.write(content)
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    if not line:
        raise StoreUnavailable("the server ended the connection without an answer; it may be stopping")
    response = msgspec.json.decode(line, type=_Response)
    if response.error:
        raise Refused(response.error) if response.refused else StoreUnavailable(response.error)
    return response.result


async def _connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        with _short(path) as name:
            return await asyncio.open_unix_connection(name, limit=64 * MAX_REQUEST)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NoServer from error


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """The path in a form that fits a socket address, however deep its folder lies."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
