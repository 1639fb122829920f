"""A command's end of the control socket, `data_dir/control.sock`, and what is said on it.

One request to a connection: a line of JSON `{"command": ..., "arguments": {...}, "content": N}`, then N octets; one
line of JSON comes back, `{"result": ...}` or `{"error": ..., "refused": ...}`. It imports nothing of the server, so
that `sendmail` is quick.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from postroad.ports.store import Refused, StoreUnavailable

SOCKET = "control.sock"
MAX_REQUEST = 1 << 20  # octets of the JSON line; content comes behind it
_LONGEST_PATH = 100  # sun_path has 108 octets


class NoServer(Exception):  # noqa: N818
    """Nobody listens on the control socket."""


class Request(msgspec.Struct):
    command: str
    arguments: dict[str, Any] = {}
    content: int = 0


class Response(msgspec.Struct, omit_defaults=True):
    result: Any = None
    error: str = ""
    refused: bool = False


async def ask(data_dir: Path, command: str, arguments: Mapping[str, Any], content: bytes = b"") -> Any:
    """Send one request to the running server. Raises NoServer, Refused, StoreUnavailable."""
    try:
        line = msgspec.json.encode(Request(command, dict(arguments), len(content))) + b"\n"
    except UnicodeEncodeError:
        raise Refused("what was typed is not valid UTF-8") from None
    reader, writer = await _connect(data_dir / SOCKET)
    try:
        writer.write(line)
        writer.write(content)
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    if not line:
        raise StoreUnavailable("the server ended the connection without an answer; it may be stopping")
    response = msgspec.json.decode(line, type=Response)
    if response.error:
        raise Refused(response.error) if response.refused else StoreUnavailable(response.error)
    return response.result


async def _connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        with short_path(path) as name:
            return await asyncio.open_unix_connection(name, limit=64 * MAX_REQUEST)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NoServer from error


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """The path in a form that fits a socket address, however deep its folder lies."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
