"""What is given to a browser to be brought back unchanged: the step between password and code, a passkey's challenge.

Nothing is kept meanwhile, so that no stranger can fill a memory, and any node that shares the store can go on. A seal
holds for one purpose, one browser and some minutes.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from typing import Any

import msgspec

from postroad.ports.clock import Clock
from postroad.ports.random import Random
from postroad.ports.store import Store, Tx

VALID = timedelta(minutes=10)
_KEY = "console key"  # its name among the facts of the installation
_MAC = 32
_MAX_TAKEN = 10_000


class Seals:
    """One for a process; the key is read with the first use, and made where there is none."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._key = b""
        self._taken: dict[bytes, float] = {}

    async def seal(self, purpose: str, browser: str, data: Any = None) -> bytes:
        """`browser` is the secret of a cookie of the browser that this is for."""
        body = msgspec.msgpack.encode((self._clock.now().timestamp(), self._random.token(12), data))
        return await self._mac(purpose, browser, body) + body

    async def open(self, purpose: str, browser: str, sealed: bytes) -> Any | None:
        """What was sealed, or None when it is not ours, not theirs, not for this, or too old."""
        mac, body = sealed[:_MAC], sealed[_MAC:]
        if not browser or not hmac.compare_digest(mac, await self._mac(purpose, browser, body)):
            return None
        at, _, data = msgspec.msgpack.decode(body)
        return data if 0 <= self._clock.now().timestamp() - at < VALID.total_seconds() else None

    def take(self, sealed: bytes) -> bool:
        """Use it up, where it may be used once only; False when it was used before."""
        now = self._clock.monotonic()
        if len(self._taken) >= _MAX_TAKEN:
            self._taken = {mac: until for mac, until in self._taken.items() if until > now}
        mac = sealed[:_MAC]
        if self._taken.get(mac, 0.0) > now:
            return False
        self._taken[mac] = now + VALID.total_seconds()
        return True

    async def _mac(self, purpose: str, browser: str, body: bytes) -> bytes:
        key = self._key or await self._read_key()
        scope = hashlib.sha256(f"{purpose}\0{browser}".encode("utf-8", "surrogatepass")).digest()
        return hmac.digest(key, scope + body, "sha256")

    async def _read_key(self) -> bytes:
        fresh = self._random.token(32).hex()

        def find(tx: Tx) -> str:
            known = tx.meta.get(_KEY)
            if known is None:
                tx.meta.put(_KEY, fresh)
            return known or fresh

        self._key = bytes.fromhex(await self._store.write(find))
        return self._key
