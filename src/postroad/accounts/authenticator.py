"""Who a client has proved to be, whatever it proved itself with: the one place that SMTP, IMAP and POP3 ask.

Passwords, app passwords and servers' tokens are verified; SCRAM keys handed out; tokens of an OpenID issuer and client
certificates mapped to accounts. Guesses are counted by `guesses`. Every reason for a no is the same no.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from postroad.accounts import passwords
from postroad.accounts.apppasswords import AppPasswords
from postroad.accounts.credentials import Credentials
from postroad.accounts.guesses import Attempt, Guesses
from postroad.accounts.logins import network_of
from postroad.accounts.names import one_spelling
from postroad.accounts.oauth import OAuth
from postroad.accounts.tokens import Access, Tokens
from postroad.mail.address import Address, AddressError
from postroad.observe.metrics import COUNTERS
from postroad.ports.apppasswords import AppPasswordRecord, Scope
from postroad.ports.clock import Clock
from postroad.ports.sending import TokenKind
from postroad.ports.store import AccountRecord, Store, Tx
from postroad.proto.sasl.scram import PLUS, ScramKeys, invented_keys

_KEPT_SECONDS = 60.0
_MAX_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Login:
    """Who has logged in: an account (perhaps by an app password), or a program by its server's token."""

    account: AccountRecord | None = None
    access: Access | None = None
    app_password: AppPasswordRecord | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """Keys that prove a client, and who it is then; None for nobody."""

    keys: ScramKeys
    login: Login | None


@dataclass(frozen=True, slots=True)
class _Kept:
    """Keys that were read lately: another node may have changed them since, so not for long."""

    candidates: Sequence[Candidate]
    generation: int  # of tenants
    until: float


class Authenticator:
    """One for a process. Its methods raise StoreUnavailable, and TooManyLogins where guesses are counted."""

    def __init__(
        self,
        store: Store,
        credentials: Credentials,
        guesses: Guesses,
        clock: Clock,
        *,
        app_passwords: AppPasswords | None = None,
        tokens: Tokens | None = None,
        oauth: OAuth | None = None,
    ) -> None:
        self._store = store
        self._credentials = credentials
        self._guesses = guesses
        self._app_passwords = app_passwords
        self._tokens = tokens
        self.oauth = oauth
        self._clock = clock
        self._kept: dict[tuple[str, str, Scope], _Kept] = {}

    # --- passwords ----------------------------------------------------------------------------------------------------

    def remembered(self, client: str, name: str, password: str, scope: Scope) -> Login | None:
        """Who this is, when the same has logged in lately; never waits. Not for an address that failures came from: it
        might be trying what others have remembered here."""
        if not self._guesses.is_clean(client):
            return None
        login = self._known(name, password, scope)
        if login is not None:
            self._guesses.crowd.note(network_of(client), one_spelling(name), right=True)
        return login

    def _known(self, name: str, password: str, scope: Scope) -> Login | None:
        account = self._credentials.cached(name, password)
        if account is not None:
            return Login(account)
        if self._tokens is not None and scope is Scope.SEND and _is_token(name, password):
            return _program(self._tokens.known(password))
        opened = self._app_passwords.known(name, password) if self._app_passwords is not None else None
        if opened is None or scope not in opened.record.scopes:
            return None
        COUNTERS.logins += 1
        return Login(opened.account, app_password=opened.record)

    async def password(self, client: str, name: str, password: str, scope: Scope) -> Login | None:
        """Who this is; None for any reason that is not told."""
        fingerprint = self._credentials.fingerprint(name, password)
        async with self._guesses.attempt(client, name, fingerprint) as attempt:
            login = await self._verify(name, password, scope)
            attempt.right = login is not None
        return login

    async def _verify(self, name: str, password: str, scope: Scope) -> Login | None:
        if self._tokens is not None and scope is Scope.SEND and _is_token(name, password):
            program = _program(await self._tokens.open(password))
            if program is not None:
                return program
        opened = await self._app_passwords.open(name, password) if self._app_passwords is not None else None
        if opened is not None and scope in opened.record.scopes:
            COUNTERS.logins += 1
            return Login(opened.account, app_password=opened.record)
        account = await self._credentials.verify(name, password)
        return None if account is None else Login(account)

    # --- SCRAM --------------------------------------------------------------------------------------------------------

    async def candidates(self, name: str, mechanism: str, scope: Scope) -> Sequence[Candidate]:
        """Keys that would prove a client to be `name`; invented ones where there are none."""
        base, key = mechanism.removesuffix(PLUS), _key(name)
        kept, generation = self._kept.get((key, base, scope)), self._credentials.generation
        if kept is not None and kept.generation == generation and kept.until > self._clock.monotonic():
            return kept.candidates
        salt, secret = await self._credentials.salts.of(key or name), await self._credentials.salts.secret()
        found = await self._store.read(lambda tx: _candidates(tx, key, base, scope)) if key else []
        if not found:
            return [Candidate(invented_keys(secret, base, name, salt, passwords.SCRAM_ITERATIONS), None)]
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        self._kept[key, base, scope] = _Kept(found, generation, self._clock.monotonic() + _KEPT_SECONDS)
        return found

    def proof(self, client: str, name: str) -> Attempt:
        """Around the look at a proof: `right` says how it went."""
        return self._guesses.attempt(client, name)

    def proved(self, login: Login | None) -> None:
        """A proof was right, or is known to be nobody's."""
        if login is None:
            COUNTERS.logins_refused += 1
            return
        COUNTERS.logins += 1
        if login.app_password is not None and self._app_passwords is not None:
            self._app_passwords.used(login.app_password)

    # --- tokens of others, and certificates ---------------------------------------------------------------------------

    async def bearer(self, client: str, name: str, token: str) -> Login | None:
        """Whom the token of the OpenID issuer is for; `name`, where it is given, must be the same."""
        if self.oauth is None:
            return None
        async with self._guesses.attempt(client, "") as attempt:
            address = await self.oauth.verify(token)
            login = await self._login_of({address} if address else (), name)
            attempt.right = login is not None
        self.proved(login)
        return login

    async def certified(self, addresses: Collection[str], name: str) -> Login | None:
        """Whom a certificate is for that has been checked: the account that it names, or the one of several that is
        asked for."""
        login = await self._login_of(addresses, name)
        self.proved(login)
        return login

    async def _login_of(self, addresses: Collection[str], name: str) -> Login | None:
        keys = {key for address in addresses if (key := _key(address))}
        if name:
            keys &= {_key(name)}

        def read(tx: Tx) -> list[AccountRecord]:
            records = [tx.accounts.by_address(key) for key in sorted(keys)]
            return [record for record in records if record is not None and not record.disabled]

        found = await self._store.read(read) if keys else []
        return Login(found[0]) if len(found) == 1 else None


def _candidates(tx: Tx, address: str, mechanism: str, scope: Scope) -> list[Candidate]:
    account = tx.accounts.by_address(address)
    if account is None or account.disabled:
        return []
    records = [one for one in tx.app_passwords.list(account.id) if scope in one.scopes]
    secrets = [(account.scram, Login(account)), *((one.scram, Login(account, app_password=one)) for one in records)]
    kept = ((passwords.read_scram(scram).get(mechanism), login) for scram, login in secrets)
    return [Candidate(keys, login) for keys, login in kept if keys is not None]


def _is_token(name: str, password: str) -> bool:
    """Programs give their server's token as user and as password."""
    return "@" not in name and len(name) == len(password) and hmac.compare_digest(_folded(name), _folded(password))


def _folded(text: str) -> bytes:
    return text.lower().encode("utf-8", "surrogatepass")


def _program(access: Access | None) -> Login | None:
    return Login(access=access) if access is not None and access.token.kind is TokenKind.SERVER else None


def _key(name: str) -> str:
    try:
        return Address.parse(name.strip()).key
    except AddressError:
        return ""
