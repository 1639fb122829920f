"""Logins: who has given the right name and password.

Argon2 takes 30 ms and 19 MiB, so at most `at_once` run together, in worker threads; a successful login is remembered
for an hour under a key that only this process has. After any change of tenants a remembered login is believed again
only once the account's row has been read: same credential version, not disabled. An unknown name costs the same time
as a wrong password. A right password whose hash is not ours (imported), or lacks SCRAM keys, gets both anew.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from postroad.accounts import passwords
from postroad.accounts.names import one_spelling
from postroad.accounts.salts import Salts
from postroad.mail.address import Address, AddressError
from postroad.observe import log
from postroad.observe.metrics import COUNTERS
from postroad.ports.clock import Clock
from postroad.ports.ids import AccountId
from postroad.ports.random import Random
from postroad.ports.signals import Signals
from postroad.ports.store import AccountRecord, Refused, Store, StoreUnavailable
from postroad.ports.workers import Workers

REMEMBERED_SECONDS = 3600.0
MAX_REMEMBERED = 10_000
MAX_WAITING = 200  # logins that wait for a turn at Argon2: six seconds' worth; more are told to come back


_log = log.get("logins")


@dataclass(slots=True)
class _Remembered:
    account: AccountRecord
    until: float
    generation: int  # of tenants: an older one has to be checked against the row


class Credentials:
    """One for a process, shared by every front end."""

    def __init__(
        self,
        store: Store,
        workers: Workers,
        clock: Clock,
        random: Random,
        signals: Signals,
        *,
        at_once: int,
        mechanisms: Sequence[str] = passwords.SCRAM_MECHANISMS,
    ) -> None:
        """`mechanisms` are those that new passwords get SCRAM keys for."""
        self.salts = Salts(store, random)
        self.mechanisms = tuple(mechanisms)
        self._store = store
        self._workers = workers
        self._clock = clock
        self._random = random
        self._turns = asyncio.Semaphore(at_once)
        self._key = random.token(32)
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._running: dict[bytes, asyncio.Task[AccountRecord | None]] = {}
        self._renewing: dict[AccountId, asyncio.Task[None]] = {}
        self.generation = 0  # of tenants: what was read in an older one has to be read anew
        self._checking = 0
        signals.listen("config", self._tenants_changed)

    def cached(self, name: str, password: str) -> AccountRecord | None:
        """The account, when this login is remembered and nothing has changed since; never waits."""
        entry = self._remembered.get(self.fingerprint(name, password))
        if entry is None or entry.generation != self.generation or entry.until <= self._clock.monotonic():
            return None
        COUNTERS.logins += 1
        return entry.account

    async def verify(self, name: str, password: str) -> AccountRecord | None:
        """The account, or None: the caller has one answer for every reason. Raises StoreUnavailable when too many wait.

        The same login tried on many connections at once is checked once.
        """
        if (known := self.cached(name, password)) is not None:
            return known
        account = await self._verify_once(name, password)
        if account is None:
            COUNTERS.logins_refused += 1
        else:
            COUNTERS.logins += 1
        return account

    async def _verify_once(self, name: str, password: str) -> AccountRecord | None:
        digest = self.fingerprint(name, password)
        running = self._running.get(digest)
        if running is None:
            if len(self._running) >= MAX_WAITING:
                raise StoreUnavailable("too many logins are waiting")
            running = asyncio.create_task(self._verify(digest, name, password))
            self._running[digest] = running
            running.add_done_callback(lambda _: self._running.pop(digest, None))
        return await asyncio.shield(running)

    async def make_secret(self, password: str, name: str = "") -> passwords.Secret:
        """Hash a new password, of the account `name`. Raises Refused for one that cannot be used."""
        salt = await self.salts.of(name) if name else self._random.token(16)
        async with self._turns:
            return await self._workers.run(lambda: passwords.make_secret(password, salt, self.mechanisms))

    async def make_keys(self, password: str, salt: bytes) -> bytes:
        """SCRAM keys alone, for a password that is kept otherwise."""
        async with self._turns:
            return await self._workers.run(
                lambda: passwords.scram_keys(passwords.prepare(password), salt, self.mechanisms)
            )

    async def _verify(self, digest: bytes, name: str, password: str) -> AccountRecord | None:
        generation = self.generation
        account = await self._account(name)
        right = account is not None and self._still_holds(digest, account)
        if not right:
            right = await self._matches(account, password)
        if account is None or not right or account.disabled:
            self._remembered.pop(digest, None)
            return None
        self._remember(digest, account, generation)
        if not passwords.is_current(passwords.Secret(account.password_hash, account.scram), self.mechanisms):
            self._renew(account, password)
        return account

    def _renew(self, account: AccountRecord, password: str) -> None:
        """Behind the login, which does not wait for it; the next one tries again where this fails."""
        if account.id not in self._renewing:
            self._renewing[account.id] = task = asyncio.create_task(self._make_anew(account, password))
            task.add_done_callback(lambda _: self._renewing.pop(account.id, None))

    async def _make_anew(self, account: AccountRecord, password: str) -> None:
        try:
            secret = await self.make_secret(password, account.address)
            await self._store.write(
                lambda tx: tx.accounts.renew_secret(
                    account.id, account.credential_version, secret.password_hash, secret.scram
                )
            )
        except (Refused, StoreUnavailable) as error:
            _log.info("a password was not hashed anew", account=account.address, error=str(error))

    async def close(self) -> None:
        """Wait for what is being hashed anew."""
        if self._renewing:
            await asyncio.wait(list(self._renewing.values()))

    async def _account(self, name: str) -> AccountRecord | None:
        try:
            key = Address.parse(name.strip()).key
        except AddressError:
            return None
        return await self._store.read(lambda tx: tx.accounts.by_address(key))

    def _still_holds(self, digest: bytes, account: AccountRecord) -> bool:
        """A remembered login needs no Argon2 as long as the password is the one that it was."""
        entry = self._remembered.get(digest)
        return (
            entry is not None
            and entry.until > self._clock.monotonic()
            and entry.account.id == account.id
            and entry.account.credential_version == account.credential_version
        )

    async def _matches(self, account: AccountRecord | None, password: str) -> bool:
        return await self.check(account.password_hash if account is not None else "", password)

    async def check(self, password_hash: str, password: str) -> bool:
        """Whether this is the password behind the hash; without a hash the same time passes. Raises StoreUnavailable
        when too many wait for their turn."""
        usable = password_hash != "" and len(password) <= passwords.MAX_PASSWORD
        compared = password_hash if usable else passwords.DUMMY_HASH
        tried = password[: passwords.MAX_PASSWORD]
        if self._checking >= MAX_WAITING:
            raise StoreUnavailable("too many logins are waiting")
        self._checking += 1
        try:
            async with self._turns:
                matches = await self._workers.run(lambda: passwords.matches(compared, tried))
        finally:
            self._checking -= 1
        return matches and usable

    def _remember(self, digest: bytes, account: AccountRecord, generation: int) -> None:
        until = self._clock.monotonic() + REMEMBERED_SECONDS
        previous = self._remembered.pop(digest, None)
        if previous is not None and previous.until > self._clock.monotonic():
            until = previous.until  # a check of the row does not make the hour longer
        self._remembered[digest] = _Remembered(account, until, generation)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)

    def fingerprint(self, name: str, password: str) -> bytes:
        """What only this process can make of a name, however it is spelt, and a password."""
        name = one_spelling(name)
        text = f"{len(name)}:{name}{password}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, text, "sha256")

    def _tenants_changed(self) -> None:
        self.generation += 1
