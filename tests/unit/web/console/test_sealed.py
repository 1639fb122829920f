"""What a browser brings back must be ours, theirs, for this, and fresh."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from postroad.testing.console import Console
from postroad.web.console.sealed import VALID, Seals


class Later:
    """The clock, some time on."""

    def __init__(self, clock: Any, by: timedelta) -> None:
        self._clock, self._by = clock, by

    def now(self) -> Any:
        return self._clock.now() + self._by

    def monotonic(self) -> float:
        return float(self._clock.monotonic() + self._by.total_seconds())


def seals(console: Console, later: timedelta = timedelta(0)) -> Seals:
    services = console.services
    return Seals(services.store, Later(services.clock, later), services.random)  # type: ignore[arg-type]


async def test_for_one_purpose_one_browser_and_some_minutes(console: Console) -> None:
    ours = seals(console)
    sealed = await ours.seal("step", "browser", [7, "x"])
    assert await ours.open("step", "browser", sealed) == [7, "x"]
    assert await ours.open("other", "browser", sealed) is None
    assert await ours.open("step", "another", sealed) is None
    assert await ours.open("step", "", await ours.seal("step", "", 1)) is None
    assert await seals(console, VALID - timedelta(seconds=1)).open("step", "browser", sealed) == [7, "x"]
    assert await seals(console, VALID).open("step", "browser", sealed) is None
    assert await seals(console, -timedelta(minutes=1)).open("step", "browser", sealed) is None


async def test_every_octet_counts(console: Console) -> None:
    ours = seals(console)
    sealed = await ours.seal("step", "browser", 7)
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        assert await ours.open("step", "browser", changed) is None
    for nonsense in (b"", b"x", sealed[:32], sealed + b"x"):
        assert await ours.open("step", "browser", nonsense) is None


async def test_another_process_over_the_same_store_can_go_on(console: Console) -> None:
    sealed = await seals(console).seal("step", "browser", 7)
    assert await seals(console).open("step", "browser", sealed) == 7


async def test_once_only(console: Console) -> None:
    ours = seals(console)
    sealed = await ours.seal("step", "browser")
    assert ours.take(sealed)
    assert not ours.take(sealed)
