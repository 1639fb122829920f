"""Who a token is: secrets made, their digests, and the memory that answers without waiting.

A secret is random, so SHA-256 is all that is kept of it. Secrets are compared by looking their digests up, the time of
which tells nothing of a secret: whoever guesses one chooses the secret, never the digest.
The memory is dropped whenever tenants change (signal `config`), and in any case after a minute, since another node may
have made the change.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from postroad.accounts.lastuse import LastUse
from postroad.ports.clock import Clock
from postroad.ports.ids import TokenId, parse_id
from postroad.ports.random import Random
from postroad.ports.sending import ServerRecord, StreamRecord, TokenRecord
from postroad.ports.signals import Signals
from postroad.ports.store import Refused, Store, Tx

KEY_PREFIX = "pr_"
_KEY_OCTETS = 30  # 40 characters
MAX_SECRET = 200  # characters: nothing longer is looked at
REMEMBERED_SECONDS = 60.0
MAX_REMEMBERED = 10_000

ANY_SCOPE = "*"
SCOPES = {  # what a key may be allowed, and what that means
    "messages:read": "search messages, read them and their history",
    "queue:read": "see what waits",
    "queue:write": "retry, hold, release and cancel",
    "tenants:read": "see domains, accounts, aliases, servers and tokens",
    "tenants:write": "change domains, accounts, aliases, servers and tokens",
    "statistics:read": "read figures",
    "audit:read": "read who changed what and who signed in",
}


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made: the only time that its secret is there to be seen."""

    record: TokenRecord
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Access:
    """What a right secret opens: the token, and for a server's token its server and streams (archived ones too)."""

    token: TokenRecord
    server: ServerRecord | None = None
    streams: Mapping[str, StreamRecord] = field(default_factory=dict)
    generation: int = 0  # of tenants, when it was read
    until: float = 0.0  # when it has to be read anew in any case


def digest_of(secret: str) -> bytes:
    """What a secret is kept and found by. A server's token means the same in capitals, as with Postmark."""
    text = secret if secret.startswith(KEY_PREFIX) else secret.lower()
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def make_token(random: Random) -> str:
    """A server's token: a UUID, which is what Postmark's clients check for."""
    return str(uuid.UUID(bytes=random.token(16), version=4))


def make_key(random: Random) -> str:
    return KEY_PREFIX + base64.urlsafe_b64encode(random.token(_KEY_OCTETS)).decode()


def read_scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """Scopes that exist, once each. Raises Refused."""
    if not scopes:
        raise Refused(f"a key needs at least one scope: {', '.join([*SCOPES, ANY_SCOPE])}")
    for scope in scopes:
        if scope not in SCOPES and scope != ANY_SCOPE:
            raise Refused(f"there is no scope “{scope}”; there are: {', '.join([*SCOPES, ANY_SCOPE])}")
    return (ANY_SCOPE,) if ANY_SCOPE in scopes else tuple(dict.fromkeys(scopes))


def allows(record: TokenRecord, scope: str) -> bool:
    """Whether a key reaches as far as `scope`."""
    return ANY_SCOPE in record.scopes or scope in record.scopes


def find_token(tx: Tx, text: str) -> TokenRecord:
    """By id, or by the last four characters of the secret where only one live token has them. Raises Refused."""
    number = parse_id(text)
    if number is not None and (token := tx.tokens.get(TokenId(number))):
        return token
    found = [token for token in tx.tokens.list() if token.hint == text.lstrip("….")]
    if len(found) == 1:
        return found[0]
    if found:
        raise Refused(f"{len(found)} tokens end in {text}; give the id of the one: postroad token list")
    raise Refused(f"there is no token {text}; `postroad token list` shows those there are")


class Tokens:
    """One for a process. `close` before the store closes."""

    def __init__(self, store: Store, clock: Clock, signals: Signals) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[bytes, Access] = {}
        self._generation = 0
        self._last_use: LastUse[TokenId] = LastUse(store, lambda tx, times: tx.tokens.used(times))
        signals.listen("config", self._tenants_changed)

    def cached(self, secret: str) -> TokenRecord | None:
        """The token, when it is remembered; never waits."""
        access = self.known(secret)
        return access.token if access else None

    async def verify(self, secret: str) -> TokenRecord | None:
        """The token, or None for a secret that is wrong or revoked. Raises StoreUnavailable."""
        access = await self.open(secret)
        return access.token if access else None

    def known(self, secret: str) -> Access | None:
        """What the secret opens, when it is remembered; never waits."""
        return self._known_by(digest_of(secret)) if len(secret) <= MAX_SECRET else None

    async def open(self, secret: str) -> Access | None:
        """What the secret opens, or None. Raises StoreUnavailable."""
        if not secret or len(secret) > MAX_SECRET:
            return None
        digest = digest_of(secret)
        access = self._known_by(digest)
        if access is not None:
            return access
        return self._keep(digest, await self._read(lambda tx: tx.tokens.by_digest(digest)))

    def is_current(self, access: Access) -> bool:
        """True when nothing can have changed since `access` was read; never waits. For whoever holds one for long."""
        return access.generation == self._generation and access.until > self._clock.monotonic()

    async def current(self, access: Access) -> Access | None:
        """The same as the rows are now; None once the token is revoked. Raises StoreUnavailable."""
        number = access.token.id
        return access if self.is_current(access) else await self._read(lambda tx: tx.tokens.get(number))

    async def _read(self, find: Callable[[Tx], TokenRecord | None]) -> Access | None:
        generation, until = self._generation, self._clock.monotonic() + REMEMBERED_SECONDS
        return await self._store.read(lambda tx: _access(tx, find(tx), generation, until))

    async def server_of(self, record: TokenRecord) -> ServerRecord | None:
        """The server that a token sends for."""
        number = record.server
        return None if number is None else await self._store.read(lambda tx: tx.servers.get(number))

    def _known_by(self, digest: bytes) -> Access | None:
        access = self._known.get(digest)
        if access is None or not self.is_current(access):
            return None
        self._used(access.token)
        return access

    def _keep(self, digest: bytes, access: Access | None) -> Access | None:
        if access is None:
            return None
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[digest] = access
        self._used(access.token)
        return access

    def _used(self, record: TokenRecord) -> None:
        self._last_use.note(record.id, record.last_used, self._clock.now())

    def _tenants_changed(self) -> None:
        self._generation += 1
        self._known.clear()

    async def close(self) -> None:
        """Wait for times of last use that are being written."""
        await self._last_use.close()


def _access(tx: Tx, token: TokenRecord | None, generation: int, until: float) -> Access | None:
    if token is None or token.revoked is not None:
        return None
    if token.server is None:
        return Access(token, generation=generation, until=until)
    server = tx.servers.get(token.server)
    if server is None:
        return None
    streams = {stream.id: stream for stream in tx.streams.list(server.id, archived=True)}
    return Access(token, server, streams, generation, until)
