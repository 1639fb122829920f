"""Simulated receiving servers: the real server machine and driver, with a temper in place of a policy.

They keep what they received, so that a test can count it and compare it octet by octet.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from postroad.adapters.clock import SystemClock
from postroad.adapters.net.hub import LARGE_READ
from postroad.lab.oddities import TlsOddity
from postroad.lab.reactions import Reaction
from postroad.lab.temper import Move, Temper, Visit
from postroad.mail.envelope import TlsInfo
from postroad.ports.clock import Clock
from postroad.ports.net import Connection, Session
from postroad.proto.smtp import reply as replies
from postroad.proto.smtp.content import BODY_REPLIES
from postroad.proto.smtp.extensions import BUILT
from postroad.proto.smtp.parameters import NO_PARAMETERS, MailParameters, RcptParameters
from postroad.proto.smtp.profile import ServerProfile, Standing
from postroad.proto.smtp.reply import Reply, reply
from postroad.proto.smtp.server import SmtpServer
from postroad.proto.smtp.server_events import (
    BodyChunk,
    BodyEnd,
    ConversationEnded,
    DataRequested,
    HelloReceived,
    MailReceived,
    Quit,
    RcptReceived,
    TlsRequested,
    TransactionReset,
)
from postroad.proto.wire import Machine

MAX_MESSAGE = 100 * 1024 * 1024
ACCEPTED = reply(250, "2.0.0", "OK, taken by the laboratory")


@dataclass(frozen=True, slots=True)
class Letter:
    """One message that a receiver took."""

    receiver: str
    client: str
    helo: str
    reverse_path: str
    recipients: tuple[str, ...]
    digest: str  # SHA-256 of the content, hexadecimal
    size: int
    content: bytes | None  # None where the receiver does not keep contents
    tls: TlsInfo | None
    answered: bool  # False: the connection was dropped, and the sender does not know that it was taken
    parameters: MailParameters = NO_PARAMETERS  # what MAIL FROM said
    wishes: Mapping[str, RcptParameters] = field(default_factory=dict)  # what RCPT TO said, by recipient


class Mailbag:
    """What one or several receivers took."""

    def __init__(self, *, keep_contents: bool = True, limit: int = 100_000) -> None:
        self.letters: deque[Letter] = deque(maxlen=limit)
        self.keep_contents = keep_contents
        self.connections = 0
        self.refusals = 0  # commands answered 4yz or 5yz
        self._arrived = asyncio.Event()

    def add(self, letter: Letter) -> None:
        self.letters.append(letter)
        self._arrived.set()

    def to(self, address: str) -> list[Letter]:
        """What was taken for one recipient."""
        return [letter for letter in self.letters if address in letter.recipients]

    async def wait(self, count: int) -> list[Letter]:
        """The letters, once there are `count`."""
        while len(self.letters) < count:
            self._arrived.clear()
            await self._arrived.wait()
        return list(self.letters)


class Receiver:
    """One receiving server; `make` is the factory for a listener."""

    def __init__(
        self,
        hostname: str,
        temper: Temper,
        *,
        bag: Mailbag | None = None,
        clock: Clock | None = None,
        starttls: bool = True,
        extensions: frozenset[str] = BUILT,
        oddity: TlsOddity | None = None,
    ) -> None:
        """`extensions` are what it announces of those that we know, `oddity` is what is wrong with its STARTTLS."""
        self.temper = temper
        self.listed = False  # whether its visitors are offered what is not for strangers (RFC 4865, 2852, 6710)
        self.oddity = oddity
        self.bag = bag or Mailbag()
        self.clock = clock or SystemClock()
        self.react: Callable[[Reaction], None] = lambda _: None  # brings what its temper sends back
        self.profile = ServerProfile(hostname, max_size=MAX_MESSAGE, starttls=starttls, extensions=extensions)

    def make(self) -> tuple[Machine, Session]:
        machine = SmtpServer(self.profile)
        return machine, ReceiverSession(self, machine)


class ReceiverSession:
    """Asks the temper at each step, and does what it says."""

    def __init__(self, receiver: Receiver, machine: SmtpServer) -> None:
        self._receiver = receiver
        self._temper = receiver.temper
        self._machine = machine
        self._connection: Connection
        self._visit: Visit
        self._let_in = False
        self._pieces: list[bytes] = []
        self._parameters = NO_PARAMETERS
        self._wishes: dict[str, RcptParameters] = {}

    # -- ports.net.Session -------------------------------------------------------------------------------------

    def connected(self, connection: Connection) -> Awaitable[None] | None:
        self._connection = connection
        self._receiver.bag.connections += 1
        self._visit = Visit(self._receiver.profile.hostname, connection.peer.host)
        return self._do(self._temper.connect(self._judged()), self._greet)

    def answer(self, event: Any) -> Awaitable[None] | None:
        handle = _HANDLERS.get(type(event))
        return handle(self, event) if handle is not None else None

    def secured(self, info: TlsInfo) -> None:
        self._visit.tls = info

    def failed(self, error: Exception) -> None:
        del error
        self._machine.end(replies.LOCAL_ERROR)

    def disconnected(self, error: Exception | None) -> None:
        del error
        self._pieces.clear()
        if self._let_in:
            self._let_in = False
            self._temper.left(self._visit)

    # -- moves -------------------------------------------------------------------------------------------------

    def _judged(self) -> Visit:
        self._visit.now = self._receiver.clock.monotonic()
        return self._visit

    def _do(self, move: Move, say: Callable[[Reply | None], None]) -> Awaitable[None] | None:
        if move.delay:
            return self._later(move, say)
        if move.drop:
            self._connection.abort()
        else:
            say(move.reply)
        return None

    async def _later(self, move: Move, say: Callable[[Reply | None], None]) -> None:
        await self._receiver.clock.sleep(move.delay)
        if not self._connection.closing:
            self._do(Move(move.reply, drop=move.drop), say)

    def _say(self, said: Reply) -> None:
        if not said.is_positive:
            self._receiver.bag.refusals += 1
        self._machine.answer(said)

    def _greet(self, refusal: Reply | None) -> None:
        if refusal is None:
            self._let_in = True
            self._machine.start()
        else:
            self._machine.end(refusal)

    # -- events ------------------------------------------------------------------------------------------------

    def hello(self, event: HelloReceived) -> None:
        self._visit.helo = event.name
        if self._receiver.listed:
            self._machine.standing = Standing(listed=True)
        self._machine.answer(replies.OK)

    def tls(self, _event: TlsRequested) -> None:
        oddity = self._receiver.oddity
        if oddity is not None and oddity.reply is not None:
            self._say(oddity.reply)
            return
        self._machine.accept_tls()
        if oddity is None:
            self._connection.start_tls()
            return
        self._connection.send(self._machine.data_to_send() + oddity.behind)
        if oddity.breaks:
            self._connection.close()
        else:
            self._connection.start_tls()

    def mail(self, event: MailReceived) -> Awaitable[None] | None:
        self._forget()
        self._visit.reverse_path = str(event.reverse_path)
        self._parameters = event.parameters
        return self._do(self._temper.mail(self._judged()), lambda said: self._say(said or replies.SENDER_OK))

    def rcpt(self, event: RcptReceived) -> Awaitable[None] | None:
        address = str(event.forward_path)

        def say(said: Reply | None) -> None:
            if said is None or said.is_positive:
                self._visit.recipients.append(address)
                self._wishes[address] = event.parameters
            self._say(said or replies.RECIPIENT_OK)

        return self._do(self._temper.rcpt(self._judged(), address), say)

    def data(self, _event: DataRequested) -> Awaitable[None] | None:
        def say(said: Reply | None) -> None:
            if said is None:
                self._connection.set_read_size(LARGE_READ)
                self._machine.accept_body()
            else:
                self._say(said)

        return self._do(self._temper.data(self._judged()), say)

    def chunk(self, event: BodyChunk) -> None:
        self._pieces.append(event.data)
        self._visit.octets += len(event.data)
        if self._temper.body(self._judged()).drop:
            self._connection.abort()

    def end(self, event: BodyEnd) -> Awaitable[None] | None:
        if event.fault is not None:
            self._say(BODY_REPLIES[event.fault])
            return None
        move = self._temper.message(self._judged())
        if move.drop:
            self._keep(answered=False)

        def say(said: Reply | None) -> None:
            if said is None or said.is_positive:
                self._keep(answered=True)
            self._say(said or ACCEPTED)
            self._forget()

        return self._do(move, say)

    def reset(self, _event: TransactionReset) -> None:
        self._forget()

    def leave(self, _event: Quit | ConversationEnded) -> None:
        self._connection.close()

    def _forget(self) -> None:
        self._pieces.clear()
        self._visit.reverse_path = ""
        self._visit.recipients = []
        self._visit.octets = 0
        self._wishes = {}

    def _keep(self, *, answered: bool) -> None:
        visit, bag = self._visit, self._receiver.bag
        content = b"".join(self._pieces)
        visit.messages += 1
        letter = Letter(
            visit.receiver,
            visit.client,
            visit.helo,
            visit.reverse_path,
            tuple(visit.recipients),
            hashlib.sha256(content).hexdigest(),
            len(content),
            content if bag.keep_contents else None,
            visit.tls,
            answered,
            self._parameters,
            self._wishes,
        )
        bag.add(letter)
        for reaction in self._temper.afterwards(letter):
            self._receiver.react(reaction)


_HANDLERS: dict[type, Callable[[ReceiverSession, Any], Awaitable[None] | None]] = {
    HelloReceived: ReceiverSession.hello,
    TlsRequested: ReceiverSession.tls,
    MailReceived: ReceiverSession.mail,
    RcptReceived: ReceiverSession.rcpt,
    DataRequested: ReceiverSession.data,
    BodyChunk: ReceiverSession.chunk,
    BodyEnd: ReceiverSession.end,
    TransactionReset: ReceiverSession.reset,
    Quit: ReceiverSession.leave,
    ConversationEnded: ReceiverSession.leave,
}
