"""Throttles each client, as large providers do with senders that they do not know: so many messages in a time, and
421 with the connection closed beyond. The count begins full: the first try of a stranger is put off too."""

from __future__ import annotations

from postroad.lab.temper import GO, Move, Temper, Visit, refuse


class Throttling(Temper):
    """`messages` of each client in `per` seconds."""

    def __init__(self, messages: int = 1, per: float = 10.0) -> None:
        self._messages = messages
        self._per = per
        self._windows: dict[str, tuple[float, int]] = {}  # client: begin of the window, messages left in it

    def rcpt(self, visit: Visit, address: str) -> Move:  # noqa: ARG002
        begin, left = self._windows.setdefault(visit.client, (visit.now, 0))
        if visit.now - begin >= self._per:
            begin, left = visit.now, self._messages
        if visit.recipients:  # another recipient of a message that has been let in
            return GO
        self._windows[visit.client] = (begin, left - 1 if left else 0)
        if left:
            return GO
        return refuse(421, "4.7.0", "Messages from your address are temporarily deferred, try again later")
