"""The greylist port: who was asked to come again, and who did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct


class GreyRecord(Struct, frozen=True, gc=False):
    """A triplet; or, with neither sender nor recipient, what has been learned of a network."""

    network: str
    sender: str  # the domain of the reverse-path; "<>" for the null one
    recipient: str
    first: datetime  # when it was first put off
    last: datetime  # when mail of it was last let in, or put off
    passes: int  # 0: it has not come again yet; of a network: how many did
    expires: datetime

    @property
    def key(self) -> tuple[str, str, str]:
        return self.network, self.sender, self.recipient


class GreyRows(Protocol):
    """`tx.greylist`."""

    def get(self, keys: Sequence[tuple[str, str, str]]) -> list[GreyRecord]:
        """Those that are there, whatever their age."""

    def put(self, records: Sequence[GreyRecord]) -> None:
        """At most 500. Where a row is there: the earlier `first`, the later `last`, the more `passes`; unless the row
        has expired, which is as if it were not there."""

    def forget(self, now: datetime, limit: int = 500) -> int:
        """Delete what has expired, one slice; how much."""
