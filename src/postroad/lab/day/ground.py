"""What a day stands on: the store and services of a server that does not run yet, and the day's own clock and wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from postroad.accounts.credentials import Credentials
from postroad.accounts.sending import Sending
from postroad.accounts.tokens import Tokens
from postroad.config.schema import Settings
from postroad.lab.day.past import Past, PastClock, SeededRandomness
from postroad.ports.blobs import BlobStore
from postroad.ports.ids import IdSource
from postroad.ports.signals import Signals
from postroad.ports.store import Store
from postroad.ports.workers import Workers

PORT = 25  # of every mail server of the day


@dataclass(frozen=True, slots=True)
class Base:
    """The server's own things."""

    settings: Settings
    store: Store
    blobs: BlobStore
    workers: Workers
    signals: Signals
    credentials: Credentials
    tokens: Tokens
    sending: Sending


@dataclass(frozen=True, slots=True)
class Logins:
    """Who may log in, and with what."""

    passwords: Mapping[str, str]  # by address
    token: str = ""  # of the shop's server; without one the shop is closed today


@dataclass(frozen=True, slots=True)
class Ground:
    """Base, past, ids of the past, and the same randomness each time."""

    base: Base
    past: Past
    ids: IdSource
    random: SeededRandomness
    clock: PastClock = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "clock", PastClock(self.past))
