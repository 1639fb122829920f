"""A wire between a foreign program and a server that keeps what passes: a test can tell what was really said."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Tap:
    """`asked` is what clients said, `answered` what the server did, in pieces as they came."""

    port: int
    asked: list[bytes] = field(default_factory=list)
    answered: list[bytes] = field(default_factory=list)

    @property
    def client(self) -> bytes:
        return b"".join(self.asked)

    @property
    def server(self) -> bytes:
        return b"".join(self.answered)


@contextmanager
def tapped(port: int) -> Iterator[Tap]:
    """Listen on a port of its own until the block ends, and pass each connection on to `port`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tap = Tap(listener.getsockname()[1])
        accepting = threading.Thread(target=_accept, args=(listener, port, tap), daemon=True)
        accepting.start()
        try:
            yield tap
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(10)


def _accept(listener: socket.socket, port: int, tap: Tap) -> None:
    threads = []
    with suppress(OSError):
        while True:
            near, _ = listener.accept()
            threads.append(threading.Thread(target=_carry, args=(near, port, tap), daemon=True))
            threads[-1].start()
    for thread in threads:
        thread.join(10)


def _carry(near: socket.socket, port: int, tap: Tap) -> None:
    """One connection, to its end."""
    with near, socket.create_connection(("127.0.0.1", port)) as far:
        back = threading.Thread(target=_pass_on, args=(far, near, tap.answered), daemon=True)
        back.start()
        _pass_on(near, far, tap.asked)
        back.join(10)


def _pass_on(source: socket.socket, target: socket.socket, kept: list[bytes]) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            kept.append(piece)
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
