"""How a client logs in, over SMTP, IMAP and POP3 alike: a SASL exchange, or a name and a password, to its end.

`Logins` is what a listener offers, `LoginDialogue` one connection's. The session is its `Speaker`: it says
challenges and outcomes in its protocol's words. A login that is remembered is answered at once; each refusal comes
after a wait that doubles, the same whatever was wrong.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from postroad.accounts.authenticator import Authenticator, Candidate, Login
from postroad.accounts.logins import TooManyLogins
from postroad.accounts.names import shown_name
from postroad.mail.status import Status, status
from postroad.observe import log
from postroad.ports.apppasswords import Scope
from postroad.ports.clock import Clock
from postroad.ports.net import Connection, Endpoint
from postroad.ports.random import Random
from postroad.ports.store import StoreUnavailable
from postroad.proto.sasl.exchange import (
    NO_BINDING,
    Bearer,
    Binding,
    Certified,
    Challenge,
    Credentials,
    Failure,
    KeysWanted,
    Proven,
    ServerExchange,
    Step,
)
from postroad.proto.sasl.mechanisms import NONCE_OCTETS, Channel, begin, offered
from postroad.proto.sasl.oauthbearer import OAuthBearerServer
from postroad.proto.sasl.scram import PLUS, ScramServer

WRONG: Final = status(535, "5.7.8", "Authentication credentials invalid")
LATER: Final = status(454, "4.7.0", "Temporary authentication failure")

Waiting = Awaitable[None] | None
_log = log.get("logins")


class Speaker(Protocol):
    """What a session says. 535 is a wrong login, 454 one to be tried again later."""

    def challenge(self, data: bytes) -> None: ...
    def admit(self, login: Login) -> Waiting: ...
    def turn_away(self, status: Status) -> Waiting: ...


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds before a refusal: the first one on a connection, and the most that it doubles to."""

    first: float = 2.0
    most: float = 16.0


@dataclass(frozen=True, slots=True)
class Logins:
    """What all connections of a listener share."""

    service: str  # for the log
    scope: Scope
    authenticator: Authenticator
    clock: Clock
    random: Random
    mechanisms: Collection[str] = ("PLAIN", "LOGIN")  # as the settings have them
    delays: Delays = Delays()

    def offered(self, *, certified: bool = False) -> tuple[str, ...]:
        """Mechanisms to announce on a connection over TLS; `certified`: with a client certificate that was checked."""
        return offered(self.mechanisms, Channel(binds=True, certified=certified))

    def dialogue(
        self, speaker: Speaker, connection: Connection, name: str = "", client: Endpoint | None = None
    ) -> LoginDialogue:
        """For a connection whose client begins to log in. `name` is what the log calls it; `client` whose tries these
        are, where it is not the peer's."""
        return LoginDialogue(self, speaker, connection, name, client or connection.peer)


class LoginDialogue:
    """One connection's logins, one after another until one is right."""

    __slots__ = (
        "_called", "_candidates", "_connection", "_exchange", "_failures", "_logins", "_mechanism", "_name", "_peer",
        "_speaker",
    )  # fmt: skip

    def __init__(self, logins: Logins, speaker: Speaker, connection: Connection, called: str, client: Endpoint) -> None:
        self._logins = logins
        self._speaker = speaker
        self._connection = connection
        self._peer = client
        self._called = called
        self._failures = 0
        self._forget()

    def _forget(self) -> None:
        self._mechanism = ""
        self._exchange: ServerExchange | None = None
        self._candidates: Sequence[Candidate] = ()  # while a SCRAM proof is awaited
        self._name = ""  # whom it would prove

    # --- what a session calls -----------------------------------------------------------------------------------------

    def begin(self, mechanism: str, initial: bytes | None) -> Waiting:
        """A new exchange."""
        self._forget()
        self._mechanism = mechanism
        nonce = base64.b64encode(self._logins.random.token(NONCE_OCTETS)).decode()
        self._exchange = begin(mechanism, nonce, self._binding())
        return self._step(initial)

    def respond(self, data: bytes | None) -> Waiting:
        """The client's answer to a challenge; None when it has given up."""
        if data is None:
            self._forget()
            return None
        return self._prove(data) if self._candidates else self._step(data)

    def password(self, name: str, password: str) -> Waiting:
        """A name and a password, from an exchange or a command."""
        logins = self._logins
        login = logins.authenticator.remembered(self._client, name, password, logins.scope)
        return self._verify(name, password) if login is None else self._admit(login)

    def refuse(self, cause: str) -> Waiting:
        """A login whose words make no sense."""
        return self._turn_away(WRONG.because(cause))

    # --- the exchange -------------------------------------------------------------------------------------------------

    @property
    def _client(self) -> str:
        """The address that failures count for; a Unix socket has none."""
        peer = self._peer
        return peer.host if peer.port else ""

    def _binding(self) -> Binding:
        """What a SCRAM exchange may be bound to. A client that chose another mechanism was offered to bind as well."""
        if not self._mechanism.startswith("SCRAM"):
            return NO_BINDING
        data = self._connection.channel_bindings() if self._mechanism.endswith(PLUS) else {}
        return Binding(data, offered=self._connection.tls is not None)

    def _step(self, response: bytes | None) -> Waiting:
        assert self._exchange is not None  # the machine hands out responses only in an exchange
        return self._take(self._exchange.step(response))

    def _take(self, step: Step) -> Waiting:
        match step:
            case Challenge(data):
                self._speaker.challenge(data)
                return None
            case Credentials(name, password):
                return self.password(name, password)
            case KeysWanted(name):
                return self._fetch_keys(name)
            case Bearer(name, token):
                return self._look_into(name, token)
            case Certified(name):
                return self._look_at_certificate(name)
            case Proven():
                return self._turn_away(WRONG.because("a proof that nobody asked for"))
            case Failure(cause):
                return self._turn_away(WRONG.because(cause))

    async def _verify(self, name: str, password: str) -> None:
        logins = self._logins
        try:
            login = await logins.authenticator.password(self._client, name, password, logins.scope)
        except (TooManyLogins, StoreUnavailable) as error:
            await self._put_off(error, name)
            return
        await self._end(login, name)

    async def _fetch_keys(self, name: str) -> None:
        assert isinstance(self._exchange, ScramServer)
        logins = self._logins
        try:
            self._candidates = await logins.authenticator.candidates(name, self._mechanism, logins.scope)
        except StoreUnavailable as error:
            await self._put_off(error, name)
            return
        self._name = name
        self._take(self._exchange.provide([candidate.keys for candidate in self._candidates]))

    async def _prove(self, response: bytes) -> None:
        """The second response of SCRAM holds the proof; the third, an empty one, ends the exchange."""
        assert isinstance(self._exchange, ScramServer)
        name = self._name
        if not name:
            await self._end_proof(self._exchange.step(response))
            return
        try:
            async with self._logins.authenticator.proof(self._client, name) as attempt:
                step = self._exchange.step(response)
                attempt.right = not isinstance(step, Failure)
        except (TooManyLogins, StoreUnavailable) as error:
            await self._put_off(error, name)
            return
        if isinstance(step, Failure):
            self._logins.authenticator.proved(None)
            await self._end(None, name, step.cause)
            return
        self._name = ""
        self._take(step)

    async def _end_proof(self, step: Step) -> None:
        if not isinstance(step, Proven):
            await self._turn_away(WRONG.because("SCRAM: something came behind the proof"))
            return
        login = self._candidates[step.key].login
        self._logins.authenticator.proved(login)
        await self._end(login, step.name)

    async def _look_into(self, name: str, token: str) -> None:
        assert isinstance(self._exchange, OAuthBearerServer)
        authenticator = self._logins.authenticator
        try:
            login = await authenticator.bearer(self._client, name, token)
        except (TooManyLogins, StoreUnavailable) as error:
            await self._put_off(error, name)
            return
        if login is None and authenticator.oauth is not None:
            self._take(self._exchange.refuse(authenticator.oauth.complaint))
        else:
            await self._end(login, name, "the token is not good")

    async def _look_at_certificate(self, name: str) -> None:
        try:
            login = await self._logins.authenticator.certified(self._connection.certified, name)
        except StoreUnavailable as error:
            await self._put_off(error, name)
            return
        await self._end(login, name, "the certificate does not prove it")

    # --- the end ------------------------------------------------------------------------------------------------------

    async def _end(self, login: Login | None, name: str, cause: str = "") -> None:
        if login is None:
            await self._turn_away(WRONG.because(_told(name, cause)))
        elif (waiting := self._admit(login)) is not None:
            await waiting

    def _admit(self, login: Login) -> Waiting:
        tls = self._connection.tls
        _log.debug(
            "logged in",
            service=self._logins.service,
            connection=self._called,
            client=self._client,
            mechanism=self._mechanism or "password",  # of a command: LOGIN of IMAP, PASS of POP3
            tls=tls.version if tls is not None else "",
        )
        self._forget()
        return self._speaker.admit(login)

    async def _put_off(self, error: Exception, name: str) -> None:
        """Not now: too many tries, or the store does not answer."""
        reply = status(454, "4.7.0", str(error)) if isinstance(error, TooManyLogins) else LATER
        await self._turn_away(reply.because(_told(name, str(error))))

    async def _turn_away(self, status: Status) -> None:
        self._forget()
        delays = self._logins.delays
        wait = min(delays.first * 2**self._failures, delays.most)
        self._failures += 1
        _log.info(
            "login refused",
            service=self._logins.service,
            connection=self._called,
            client=self._client,
            cause=status.cause,
        )
        await self._logins.clock.sleep(wait)
        waiting = self._speaker.turn_away(status)
        if waiting is not None:
            await waiting


def _told(name: str, why: str) -> str:
    """For the operator."""
    return f"login as {shown_name(name[:320])!r}" + (f": {why}" if why else "")
