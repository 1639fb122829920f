"""Greylists: a client, sender and recipient not seen before are asked to come back later (RFC 6647)."""

from __future__ import annotations

from postroad.lab.temper import GO, Move, Temper, Visit, refuse


class Greylisting(Temper):
    """Takes a triplet once `wait` seconds have passed since its first try."""

    def __init__(self, wait: float = 10.0) -> None:
        self._wait = wait
        self._first_seen: dict[tuple[str, str, str], float] = {}

    def rcpt(self, visit: Visit, address: str) -> Move:
        triplet = (visit.client, visit.reverse_path, address)
        left = self._first_seen.setdefault(triplet, visit.now) + self._wait - visit.now
        if left <= 0:
            return GO
        return refuse(451, "4.7.1", f"Greylisted, please try again in {left:.0f} seconds")
