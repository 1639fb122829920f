"""A milter's part in an SMTP session: `proto.milter` over a connection, asked at every stage.

The conversation begins with the session's first message, so that clients who bring none cost a milter nothing; what it
says of the connection or the greeting is then said to MAIL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from postroad.config.schema import Scanner as Settings
from postroad.intake import macros
from postroad.intake.drafts import Draft
from postroad.intake.scanners import Changes, Circuit, ScannerFailed, Slots
from postroad.intake.transaction import MailTransaction
from postroad.mail.address import ForwardPath
from postroad.mail.envelope import Origin
from postroad.mail.status import Status, status
from postroad.ports.net import Connection, Endpoint
from postroad.proto import milterwire as wire
from postroad.proto.milter import Answered, Broken, Changed, Event, MilterClient, Negotiated
from postroad.proto.milterwire import Answer, Verdict
from postroad.proto.smtp.parameters import MAIL_PARAMETERS, RCPT_PARAMETERS, RcptParameters, written

_REFUSED = status(550, "5.7.1", "refused by this server's rules")
_LATER = status(451, "4.7.1", "not now, try again later")
_AWAY = status(421, "4.7.0", "this server does not talk to you now")


class MilterDialer(Protocol):
    """Makes connections with one milter."""

    async def dial(self, machine: MilterClient, session: MilterLink, *, timeout: float) -> Connection:
        """Raises OSError or TimeoutError."""


class MilterLink:
    """One connection with a milter. Implements ports.net.Session: the machine's events become answers."""

    def __init__(self, machine: MilterClient, ended: Callable[[MilterLink], None]) -> None:
        """`ended` is called once, when the connection is gone."""
        self.machine = machine
        self.connection: Connection | None = None
        self.is_dead = False
        self.changed: Callable[[wire.Change], Awaitable[None] | None] = lambda _: None
        self._ended = ended
        self._waiting: asyncio.Future[Answer] | None = None
        self._why = "the connection was lost"

    # --- ports.net.Session --------------------------------------------------------------------------------------------

    def connected(self, connection: Connection) -> None:
        self.connection = connection

    def answer(self, event: Event) -> Awaitable[None] | None:
        if isinstance(event, Answered):
            self._resolve(event.answer)
        elif isinstance(event, Changed):
            return self.changed(event.change)
        elif isinstance(event, Negotiated):
            self._resolve(Answer(Verdict.CONTINUE))
        elif isinstance(event, Broken):
            self._break(ScannerFailed(event.reason))
        return None

    def secured(self, info: Any) -> None: ...

    def failed(self, error: Exception) -> None:
        """A change could not be made."""
        self._break(error)

    def disconnected(self, error: Exception | None) -> None:
        self._break(ScannerFailed(str(error or self._why)))
        self._ended(self)

    # --- for the talk -------------------------------------------------------------------------------------------------

    async def answered(self) -> Answer:
        """What the milter says to what the machine was told last. Raises ScannerFailed."""
        if self.is_dead or self.connection is None:
            raise ScannerFailed(self._why)
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting = waiting
        self.connection.wake()
        return await waiting

    def say(self) -> None:
        """Send what is not answered."""
        if self.connection is not None and not self.is_dead:
            self.connection.wake()

    @property
    def is_busy(self) -> bool:
        return self._waiting is not None

    def close(self) -> None:
        if not self.is_dead:
            self.is_dead = True
            if self.connection is not None:
                if not self.is_busy:
                    self.machine.quit()
                self.connection.close()

    def _resolve(self, answer: Answer) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _break(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)
        if not self.is_dead:
            self.is_dead, self._why = True, str(error)
            if self.connection is not None:
                self.connection.close()


class MilterScanner:
    """One configured milter. Implements intake.scanners.Scanner."""

    def __init__(self, settings: Settings, dialer: MilterDialer, slots: Slots, circuit: Circuit, hostname: str) -> None:
        self.settings = settings
        self.dialer = dialer
        self.slots = slots
        self.circuit = circuit
        self.hostname = hostname

    def talk(self, local: Endpoint) -> MilterTalk:
        return MilterTalk(self, local)

    async def open(self) -> MilterLink:
        """A conversation, negotiated. In a task. Raises ScannerFailed."""
        settings = self.settings
        try:
            async with asyncio.timeout(settings.connect_timeout):
                await self.slots.take()
        except TimeoutError:
            raise ScannerFailed("limits.max_scans conversations with scanners are under way") from None
        machine = MilterClient(command_timeout=settings.command_timeout, message_timeout=settings.message_timeout)
        link = MilterLink(machine, self._ended)
        try:
            await self.dialer.dial(machine, link, timeout=settings.connect_timeout)
        except (OSError, TimeoutError) as error:
            self.slots.give()
            raise ScannerFailed(str(error) or type(error).__name__) from error
        except BaseException:
            self.slots.give()
            raise
        try:
            async with asyncio.timeout(settings.connect_timeout):
                await link.answered()
        except BaseException as error:
            link.close()
            if isinstance(error, TimeoutError):
                raise ScannerFailed(f"it says nothing within {settings.connect_timeout:g} seconds") from None
            raise
        return link

    def _ended(self, link: MilterLink) -> None:
        self.slots.idle.pop(link, None)
        self.slots.give()


class MilterTalk:
    """Implements intake.scanners.Talk."""

    def __init__(self, scanner: MilterScanner, local: Endpoint) -> None:
        self.scanner = scanner
        self.words: list[str] = []
        self._local = local
        self._link: MilterLink | None = None
        self._greeted: Origin | None = None  # what it was told of the client
        self._refusal: Status | None = None  # of connection or greeting: for every message
        self._accepted = False  # it wants to hear nothing more of this client
        self._discards = False  # and nobody else shall
        self._discarded = False
        self._over = True  # nor of this message
        self._begun = False  # it has been told of a message, and not of its end

    # --- stages -------------------------------------------------------------------------------------------------------

    async def mail(self, mail: MailTransaction) -> Status | None:
        self.reset()
        self.words, self._over, self._discarded = [], False, False
        link = await self._greet(mail)
        if self._refusal is not None:
            return self._refusal
        if self._accepted:
            self._over, self._discarded = True, self._discards
            return None
        self._begun = True
        words = [f"<{mail.reverse_path}>", *written(mail.parameters, MAIL_PARAMETERS).split()]
        link.machine.mail(words, macros.of_sender(mail) | macros.of_message(mail))
        return self._judge(await link.answered())

    async def rcpt(self, mail: MailTransaction, path: ForwardPath, parameters: RcptParameters) -> Status | None:
        return await self._rcpt(path, parameters, macros.of_recipient(mail, str(path)))

    async def rejected(self, path: ForwardPath, refusal: Status) -> None:
        if self._link is not None and not self._over and self._link.machine.wants_rejected():
            symbols = {
                "{rcpt_mailer}": "error",
                "{rcpt_host}": str(refusal.enhanced or ""),
                "{rcpt_addr}": f"{refusal.reply_code} {refusal.text}",
            }
            await self._rcpt(path, None, symbols)

    async def _rcpt(
        self, path: ForwardPath, parameters: RcptParameters | None, symbols: dict[str, str]
    ) -> Status | None:
        link = self._current
        if link is None:
            return None
        more = written(parameters, RCPT_PARAMETERS).split() if parameters is not None else []
        link.machine.rcpt([f"<{path}>", *more], symbols)
        return self._judge(await link.answered())

    async def data(self, mail: MailTransaction) -> Status | None:
        link = self._current
        if link is None:
            return None
        link.machine.data(macros.of_message(mail))
        return self._judge(await link.answered())

    async def message(self, mail: MailTransaction, draft: Draft, changes: Changes) -> Status | None:
        if self._discarded:
            changes.discard = self.scanner.settings.name
        link = self._current
        if link is None:
            return None
        if draft.size > self.scanner.settings.max_size:
            self.words.append(f"too large for it: {draft.size} octets")
            return None
        refused = await self._show(link, mail, draft)
        if refused is None and self._current is not None:
            link.changed = lambda change: self._change(change, draft, changes)
            link.machine.end_of_message(macros.of_message(mail))
            answer = await link.answered()
            self._begun = False
            refused = self._judge(answer)
        if self._discarded:
            changes.discard = self.scanner.settings.name
        return refused

    async def _show(self, link: MilterLink, mail: MailTransaction, draft: Draft) -> Status | None:
        """Header and body, until it has seen enough."""
        machine, symbols = link.machine, macros.of_message(mail)
        steps: tuple[Callable[[], None], ...] = (
            lambda: machine.headers(draft.fields.seen()),
            lambda: machine.end_of_header(symbols),
        )
        for step in steps:
            step()
            refused = self._judge(await link.answered())
            if refused is not None or self._over:
                return refused
        pieces: AsyncIterator[bytes] = draft.body.pieces(wire.MAX_PIECE)
        async for piece in pieces if machine.wants_body() else _nothing():
            machine.body(piece)
            answer = await link.answered()
            if answer.verdict is Verdict.SKIP:
                break
            refused = self._judge(answer)
            if refused is not None or self._over:
                return refused
        return None

    async def unknown(self, line: str) -> Status | None:
        link = self._link
        if link is not None and not link.is_dead and not link.is_busy and not self._accepted:
            self._wake()
            link.machine.unknown(line)
            await link.answered()
            if self._over:
                self._rest()
        return None

    def reset(self) -> None:
        link, self._over = self._link, True
        if link is None or link.is_dead:
            return
        if link.is_busy:  # its answer is no longer waited for
            self.close()
            return
        if self._begun:
            self._begun = False
            link.machine.abort()
            link.say()
        self._rest()

    def close(self) -> None:
        link, self._link = self._link, None
        self._begun, self._over = False, True
        if link is not None:
            self.scanner.slots.idle.pop(link, None)
            link.close()

    # --- inside -------------------------------------------------------------------------------------------------------

    @property
    def _current(self) -> MilterLink | None:
        """The conversation, while this message is still of interest."""
        if self._over:
            return None
        if self._link is None:
            raise ScannerFailed("the conversation was lost")
        return self._link

    def _rest(self) -> None:
        """Between messages a conversation may be ended to make room for another one."""
        if self._link is not None:
            self.scanner.slots.idle[self._link] = self.close

    def _wake(self) -> None:
        if self._link is not None:
            self.scanner.slots.idle.pop(self._link, None)

    async def _greet(self, mail: MailTransaction) -> MilterLink:
        """Open the conversation where there is none, and say who the client is where that is news."""
        origin, link = mail.origin, self._link
        self._wake()
        if link is None or link.is_dead:
            self.scanner.circuit.check()
            self._link = link = await asyncio.create_task(self.scanner.open())
            self._greeted, self._refusal, self._accepted, self._discards = None, None, False, False
            address = macros.client_address(origin)
            symbols = macros.of_connection(mail, self.scanner.hostname, self._local)
            link.machine.connect(macros.client_name(mail), macros.family(address), address, origin.client_port, symbols)
            self._refusal = self._judge(await link.answered(), connection=True)
        greeting = (origin.helo, origin.tls)
        if self._refusal is None and not self._accepted and greeting != self._said:
            self._greeted = origin
            link.machine.helo(origin.helo or "localhost", macros.of_greeting(origin))
            self._refusal = self._judge(await link.answered(), connection=True)
        return link

    @property
    def _said(self) -> tuple[str, Any] | None:
        return (self._greeted.helo, self._greeted.tls) if self._greeted is not None else None

    def _judge(self, answer: Answer, *, connection: bool = False) -> Status | None:
        """What an answer comes to; of connection and greeting it holds for all that follows."""
        verdict = answer.verdict
        if verdict in (Verdict.ACCEPT, Verdict.DISCARD):
            self._over, self._discarded = True, verdict is Verdict.DISCARD
            if connection:
                self._accepted, self._discards = True, self._discarded
            self.words.append("accepted" if verdict is Verdict.ACCEPT else "discarded")
            return None
        if verdict is Verdict.REPLY:
            enhanced = answer.enhanced or f"{answer.code // 100}.7.1"
            return status(answer.code, enhanced, answer.text)
        return _ANSWERS.get(verdict)

    def _change(self, change: wire.Change, draft: Draft, changes: Changes) -> Awaitable[None] | None:
        """What it wants at the end of a message."""
        if isinstance(change, wire.BodyPiece):
            if "replaced the body" not in self.words:
                self.words.append("replaced the body")
            return draft.replace_body(change.data)
        _CHANGES[type(change)](self, change, draft, changes)
        return None

    def _value(self, value: bytes) -> bytes:
        assert self._link is not None
        assert self._link.machine.offer is not None
        return value if self._link.machine.offer.steps & wire.Step.LEADING_SPACE else b" " + value

    def _add(self, change: wire.AddHeader, draft: Draft, _: Changes) -> None:
        draft.fields.add(change.name, self._value(change.value))
        self.words.append(f"added {change.name.decode()}")

    def _insert(self, change: wire.InsertHeader, draft: Draft, _: Changes) -> None:
        draft.fields.insert(change.index, change.name, self._value(change.value))
        self.words.append(f"added {change.name.decode()}")

    def _alter(self, change: wire.ChangeHeader, draft: Draft, _: Changes) -> None:
        draft.fields.change(change.index, change.name, self._value(change.value) if change.value else b"")
        self.words.append(f"{'changed' if change.value else 'removed'} {change.name.decode()}")

    def _sender(self, change: wire.ChangeSender, _: Draft, changes: Changes) -> None:
        changes.sender = change
        self.words.append(f"sender is now {_shown(change.path)}")

    def _added(self, change: wire.AddRecipient, _: Draft, changes: Changes) -> None:
        changes.added.append(change)
        self.words.append(f"added recipient {_shown(change.path)}")

    def _removed(self, change: wire.DeleteRecipient, _: Draft, changes: Changes) -> None:
        changes.removed.append(change.path)
        self.words.append(f"removed recipient {_shown(change.path)}")

    def _quarantined(self, change: wire.Quarantine, _: Draft, changes: Changes) -> None:
        changes.quarantine = f"{self.scanner.settings.name}: {change.reason or 'quarantined'}"
        self.words.append(f"quarantined: {change.reason}")


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "replace")[:200]


_ANSWERS = {
    Verdict.REJECT: _REFUSED,
    Verdict.TEMPFAIL: _LATER,
    Verdict.SHUTDOWN: _AWAY,
    Verdict.FAIL: _AWAY,
}
_CHANGES: dict[type, Callable[[MilterTalk, Any, Draft, Changes], None]] = {
    wire.AddHeader: MilterTalk._add,
    wire.InsertHeader: MilterTalk._insert,
    wire.ChangeHeader: MilterTalk._alter,
    wire.ChangeSender: MilterTalk._sender,
    wire.AddRecipient: MilterTalk._added,
    wire.DeleteRecipient: MilterTalk._removed,
    wire.Quarantine: MilterTalk._quarantined,
}
