"""Drops the connection at a chosen point."""

from __future__ import annotations

from postroad.lab.temper import DROP, GO, Move, Temper, Visit

POINTS = ("connect", "mail", "rcpt", "data", "body", "message")


class Dropping(Temper):
    """`point` is a step; in the body after `octets`; at `message` after the final dot, when it has been kept."""

    def __init__(self, point: str = "body", octets: int = 1) -> None:
        if point not in POINTS:
            raise ValueError(f"no such point: {point}; one of {', '.join(POINTS)}")
        self._point = point
        self._octets = octets

    def connect(self, visit: Visit) -> Move:  # noqa: ARG002
        return self._at("connect")

    def mail(self, visit: Visit) -> Move:  # noqa: ARG002
        return self._at("mail")

    def rcpt(self, visit: Visit, address: str) -> Move:  # noqa: ARG002
        return self._at("rcpt")

    def data(self, visit: Visit) -> Move:  # noqa: ARG002
        return self._at("data")

    def body(self, visit: Visit) -> Move:
        return self._at("body") if visit.octets >= self._octets else GO

    def message(self, visit: Visit) -> Move:  # noqa: ARG002
        return self._at("message")

    def _at(self, point: str) -> Move:
        return DROP if point == self._point else GO
