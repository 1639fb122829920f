"""Recovery codes: ten of them, each good for one sign-in where the second factor is lost. Kept as SHA-256 alone."""

from __future__ import annotations

import hashlib

from postroad.accounts.audit import Action, Actor, Changes, Told
from postroad.ports.admins import AdminRecord
from postroad.ports.clock import Clock
from postroad.ports.ids import IdSource
from postroad.ports.random import Random
from postroad.ports.signals import Signals
from postroad.ports.store import Store, Tx

COUNT = 10
LENGTH = 12  # characters of 5 bits: as much as nobody guesses in any time
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # without letters that look like others
_LIKE = str.maketrans({"i": "1", "l": "1", "o": "0", "-": "", " ": ""})


class RecoveryCodes:
    """One for a process."""

    def __init__(self, store: Store, *, clock: Clock, ids: IdSource, signals: Signals, random: Random) -> None:
        self._store = store
        self._random = random
        self._changes = Changes(store, clock, ids, signals)

    async def renew(self, admin: AdminRecord, *, by: Actor) -> list[str]:
        """New codes, in words to show once; the old ones are worth nothing any more."""
        codes = [_code(self._random) for _ in range(COUNT)]
        await self._put(admin, [digest(code) for code in codes], Action.RECOVERY_MADE, by)
        return codes

    async def drop(self, admin: AdminRecord, *, by: Actor) -> None:
        """None are needed any more."""
        await self._put(admin, [], Action.RECOVERY_DROPPED, by)

    async def _put(self, admin: AdminRecord, digests: list[bytes], action: Action, by: Actor) -> None:
        def put(tx: Tx) -> None:
            tx.admins.set_recovery(admin.id, digests)

        await self._changes.make(by, action, put, lambda _: Told(admin.email), signal=False)

    async def take(self, admin: AdminRecord, typed: str) -> bool:
        """Use up a code; False when it is none of theirs."""
        wanted = digest(typed)
        return await self._store.write(lambda tx: tx.admins.take_recovery(admin.id, wanted))

    async def left(self, admin: AdminRecord) -> int:
        return await self._store.read(lambda tx: tx.admins.recovery_left(admin.id))


def digest(code: str) -> bytes:
    """What a code is kept by, however it was typed."""
    return hashlib.sha256(code.lower().translate(_LIKE).encode("utf-8", "surrogatepass")).digest()


def _code(random: Random) -> str:
    letters = "".join(_ALPHABET[octet & 31] for octet in random.token(LENGTH))
    return "-".join(letters[at : at + 4] for at in range(0, LENGTH, 4))
