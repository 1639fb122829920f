"""The SCRAM salt of every name, whether somebody has it or not: the same at every try, and after a restart.

It comes from the name and a secret of the installation. So nobody learns from a salt whether there is such an account,
and all passwords of an account have one salt, which has to be told before it is known which of them a client has.
"""

from __future__ import annotations

import hmac

from postroad.ports.random import Random
from postroad.ports.store import Store, Tx

_META = "scram_secret"


class Salts:
    """One for a process."""

    def __init__(self, store: Store, random: Random) -> None:
        self._store = store
        self._random = random
        self._secret = b""

    async def secret(self) -> bytes:
        """The installation's, made at its first use. Raises StoreUnavailable."""
        if not self._secret:
            fresh = self._random.token(32).hex()
            kept = await self._store.read(lambda tx: tx.meta.get(_META))
            if kept is None:
                kept = await self._store.write(lambda tx: _kept(tx, fresh))
            self._secret = bytes.fromhex(kept)
        return self._secret

    async def of(self, name: str) -> bytes:
        """16 octets. Raises StoreUnavailable."""
        text = name.strip().lower().encode("utf-8", "surrogatepass")
        return hmac.digest(await self.secret(), b"salt\0" + text, "sha256")[:16]


def _kept(tx: Tx, fresh: str) -> str:
    kept = tx.meta.get(_META)
    if kept is None:
        tx.meta.put(_META, fresh)
    return kept or fresh
