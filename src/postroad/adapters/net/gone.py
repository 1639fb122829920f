"""What stands in for machine and session once a connection is gone, so that both are freed at once, not by the
garbage collector."""

from __future__ import annotations

from math import inf
from typing import Any

from postroad.mail.envelope import TlsInfo
from postroad.proto.wire import Interruption, Signal


class Gone:
    """A machine without bytes and a session without a say."""

    patience = inf

    def receive_data(self, data: bytes) -> None: ...

    def receive_eof(self) -> None: ...

    def next_event(self) -> Any:
        return Signal.NEED_DATA

    def data_to_send(self) -> bytes:
        return b""

    def interrupt(self, reason: Interruption) -> None: ...

    def connected(self, connection: Any) -> None: ...

    def answer(self, event: Any) -> None: ...

    def secured(self, info: TlsInfo) -> None: ...

    def failed(self, error: Exception) -> None: ...

    def disconnected(self, error: Exception | None) -> None: ...


GONE = Gone()
