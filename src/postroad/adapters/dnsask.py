"""One question to one server: by UDP, and by TCP when the answer was cut (RFC 1035 §4.2, RFC 7766).

Each question leaves from a port of its own, which the kernel chooses at random, and a connected socket takes answers
from that server alone (RFC 5452 §9.2); so the little that this needs is a socket and a timer.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from postroad.adapters import dnswire
from postroad.adapters.dnswire import Malformed, Query, Reply

_LARGEST = 4096  # octets of a datagram that are looked at; we said that we take 1,232


async def ask(host: str, port: int, query: Query, timeout: float) -> Reply:
    """What the server says. Raises OSError (TimeoutError when it says nothing), EOFError, Malformed."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    reply = await _by_udp(loop, host, port, query, timeout)
    if not reply.is_cut:
        return reply
    async with asyncio.timeout(max(0.0, end - loop.time())):
        return await _by_tcp(host, port, query)


async def _by_udp(loop: asyncio.AbstractEventLoop, host: str, port: int, query: Query, timeout: float) -> Reply:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as link:
        link.connect((host, port))
        link.send(query.wire)
        heard: asyncio.Future[Reply] = loop.create_future()
        timer = loop.call_later(timeout, _tell, heard, TimeoutError("no answer"))
        loop.add_reader(link, _listen, link, query, heard)
        try:
            return await heard
        finally:
            timer.cancel()
            loop.remove_reader(link)


def _listen(link: socket.socket, query: Query, heard: asyncio.Future[Reply]) -> None:
    """A datagram has come. One that answers nothing is passed over: somebody may be guessing."""
    try:
        message = link.recv(_LARGEST)
    except BlockingIOError:
        return
    except OSError as error:  # nobody listens there (ICMP)
        _tell(heard, error)
        return
    with suppress(Malformed):
        reply = dnswire.read(message, query)
        if reply is not None and not heard.done():
            heard.set_result(reply)


def _tell(heard: asyncio.Future[Reply], error: Exception) -> None:
    if not heard.done():
        heard.set_exception(error)


async def _by_tcp(host: str, port: int, query: Query) -> Reply:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(len(query.wire).to_bytes(2) + query.wire)
        length = int.from_bytes(await reader.readexactly(2))
        reply = dnswire.read(await reader.readexactly(length), query)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    if reply is None or reply.is_cut:
        raise Malformed("not the answer")
    return reply
