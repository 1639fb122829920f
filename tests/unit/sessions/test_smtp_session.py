"""The SMTP session over a bare machine, a fake connection and an intake that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any

import pytest

from postroad.accounts.authenticator import Login
from postroad.adapters.random import SystemRandomness
from postroad.intake.transaction import MailTransaction
from postroad.mail.address import ForwardPath, ReversePath
from postroad.mail.envelope import BodyFlag, Origin
from postroad.mail.status import Status, status
from postroad.ports.apppasswords import Scope
from postroad.ports.ids import AccountId
from postroad.ports.net import Endpoint
from postroad.ports.store import AccountRecord, Refusal
from postroad.proto.smtp.parameters import NO_PARAMETERS, NO_RCPT_PARAMETERS, MailParameters, RcptParameters
from postroad.proto.smtp.profile import Dialect, ServerProfile
from postroad.proto.wire import Signal
from postroad.sessions.login import Logins
from postroad.sessions.smtp import SmtpFront, SmtpSession
from postroad.testing.smtp import TLS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALICE = AccountRecord(AccountId(1), "alice@example.com", NOW)


class FakeSpool:
    def __init__(self) -> None:
        self.content = b""
        self.discarded = 0
        self.gate: asyncio.Event | None = None
        self.error: Exception | None = None

    def write(self, chunk: bytes) -> Awaitable[Any] | None:
        if self.error:
            raise self.error
        self.content += chunk
        return self.gate.wait() if self.gate else None

    def discard(self) -> None:
        self.discarded += 1


class FakeIntake:
    def __init__(self) -> None:
        self.refusals: list[Refusal] = []
        self.origins: list[Origin] = []
        self.transactions: list[MailTransaction] = []
        self.accounts: list[AccountRecord | None] = []
        self.spools: list[FakeSpool] = []
        self.flags = BodyFlag.NONE
        self.sender: Status | None = None
        self.admission: Status | Awaitable[Status | None] | None = None  # of a program's MAIL
        self.verdict: Status | Awaitable[Status] | Exception = status(250, "2.1.5", "OK")
        self.result: Status | Exception = status(250, "2.0.0", "queued as x")
        self.gate: asyncio.Event | None = None
        self.spool_setup: Any = None

    def begin(
        self,
        origin: Origin,
        reverse_path: ReversePath,
        size: int | None = None,
        body: str = "",
        *,
        account: Any = None,
        access: Any = None,
        parameters: MailParameters = NO_PARAMETERS,
        visit: Any = None,
    ) -> MailTransaction | Status:
        self.origins.append(origin)
        self.accounts.append(account)
        begun = MailTransaction(origin, reverse_path, size, body, account)
        begun.parameters = parameters
        begun.access = access
        return self.sender or begun

    def admit_submitter(self, transaction: MailTransaction) -> Any:
        return self.admission

    def recipient(
        self, transaction: MailTransaction, path: ForwardPath, parameters: RcptParameters = NO_RCPT_PARAMETERS
    ) -> Any:
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict

    def spool(self, transaction: MailTransaction) -> FakeSpool:
        self.transactions.append(transaction)
        self.spools.append(FakeSpool())
        if self.spool_setup:
            self.spool_setup(self.spools[-1])
        return self.spools[-1]

    async def finish(self, transaction: MailTransaction, spool: FakeSpool, flags: BodyFlag) -> Status:
        self.flags = flags
        if self.gate:
            await self.gate.wait()
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def refuse(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)


class FakeAuthenticator:
    """Remembers nobody, and knows Alice."""

    def remembered(self, client: str, name: str, password: str, scope: Scope) -> None:
        return None

    async def password(self, client: str, name: str, password: str, scope: Scope) -> Login | None:
        return Login(ALICE) if (name, password) == ("alice@example.com", "secret") else None


class FakeClock:
    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class FakeIds:
    def new(self) -> int:
        return 7


PEER = Endpoint("192.0.2.9", 4321)


class Talk:
    """The driver's part: feeds the machine, lets the session answer, waits where it must."""

    def __init__(
        self, *, submission: bool = False, unknown: int = 50, max_errors: int = 20, peer: Endpoint = PEER
    ) -> None:
        self.intake, self.clock = FakeIntake(), FakeClock()
        profile = ServerProfile(
            "mail.example.com",
            Dialect.SUBMISSION if submission else Dialect.MX,
            starttls=not submission,
            secured=submission,
            auth_mechanisms=("PLAIN", "LOGIN") if submission else (),
            require_auth=submission,
            max_errors=max_errors,
        )
        front = SmtpFront(
            "submissions" if submission else "mx",
            profile,
            self.intake,  # type: ignore[arg-type]
            self.clock,
            FakeIds(),
            unknown,
            Logins("submissions", Scope.SEND, FakeAuthenticator(), self.clock, SystemRandomness()),  # type: ignore[arg-type]
        )
        self.machine, self.session = front.connect()
        self.peer, self.local = peer, Endpoint("192.0.2.1", 25)
        self.tls = TLS if submission else None
        self.closed = False
        self.sizes: list[int] = []
        self.handshakes = 0
        self.session.connected(self)  # type: ignore[arg-type]

    def start_tls(self, client: Any = None) -> None:
        self.handshakes += 1

    def set_read_size(self, size: int) -> None:
        self.sizes.append(size)

    def close(self) -> None:
        self.closed = True

    async def say(self, data: bytes) -> bytes:
        self.machine.receive_data(data)
        return await self.run()

    async def run(self) -> bytes:
        while not isinstance(event := self.machine.next_event(), Signal):
            waiting = self.session.answer(event)
            if waiting is not None:
                await waiting
        return self.machine.data_to_send()


ENVELOPE = b"MAIL FROM:<ann@client.example> SIZE=100\r\nRCPT TO:<bob@example.com>\r\n"
MESSAGE = b"DATA\r\nSubject: x\r\n\r\n..hello\r\n.\r\n"


async def greeted(**settings: Any) -> Talk:
    talk = Talk(**settings)
    said = await talk.say(b"EHLO client.example\r\n")
    assert said.startswith(b"220 mail.example.com ESMTP")
    return talk


async def test_a_message_goes_to_the_spool_and_is_finished() -> None:
    talk = await greeted()
    said = await talk.say(ENVELOPE + MESSAGE + b"QUIT\r\n")
    assert [line[:9] for line in said.splitlines()] == [
        b"250 2.1.0", b"250 2.1.5", b"354 End d", b"250 2.0.0", b"221 2.0.0",
    ]  # fmt: skip
    assert talk.intake.spools[0].content == b"Subject: x\r\n\r\n.hello\r\n"
    assert talk.intake.flags == BodyFlag.DOT_LINES
    assert talk.closed
    origin = talk.intake.origins[0]
    assert origin == Origin("mx", "0000000000007", "192.0.2.9", 4321, "client.example")
    assert talk.intake.transactions[0].size == 100
    assert talk.intake.refusals == []


async def test_helo_is_no_esmtp() -> None:
    talk = Talk()
    await talk.say(b"HELO old.example\r\n" + ENVELOPE)
    assert talk.intake.origins[0].protocol == "SMTP"
    assert talk.intake.origins[0].helo == "old.example"


async def test_only_what_must_wait_waits() -> None:
    talk = await greeted()
    talk.machine.receive_data(b"NOOP\r\n" + ENVELOPE + b"DATA\r\nx\r\n.\r\n")
    waited = []
    while not isinstance(event := talk.machine.next_event(), Signal):
        waiting = talk.session.answer(event)
        if waiting is not None:
            waited.append(type(event).__name__)
            await waiting
    assert waited == ["BodyEnd"]


async def test_a_directory_miss_is_awaited() -> None:
    talk = await greeted()

    async def look() -> Status:
        return status(550, "5.1.1", "no such user")

    talk.intake.verdict = look()
    said = await talk.say(ENVELOPE)
    assert said.endswith(b"550 5.1.1 no such user\r\n")
    refused = talk.intake.refusals[0]
    assert (refused.stage, refused.recipient, refused.reverse_path) == ("rcpt", "bob@example.com", "ann@client.example")
    assert (refused.reply_code, refused.enhanced, refused.helo) == (550, "5.1.1", "client.example")


async def test_a_refused_sender_is_recorded() -> None:
    talk = await greeted()
    talk.intake.sender = status(452, "4.3.1", "no room", "disk")
    said = await talk.say(ENVELOPE)
    assert said.startswith(b"452 4.3.1 no room\r\n503 ")
    assert (talk.intake.refusals[0].stage, talk.intake.refusals[0].cause) == ("mail", "disk")


@pytest.mark.parametrize(("body", "code"), [(b"a\nb\r\n.\r\n", 550), (b"x" * 60_000_000 + b"\r\n.\r\n", 552)])
async def test_a_faulty_body_is_refused_recorded_and_discarded(body: bytes, code: int) -> None:
    talk = await greeted()
    said = await talk.say(ENVELOPE + b"DATA\r\n" + body)
    assert said.splitlines()[-1].startswith(str(code).encode())
    assert [refused.stage for refused in talk.intake.refusals] == ["message"]
    assert talk.intake.spools[0].discarded
    assert (await talk.say(ENVELOPE + MESSAGE)).splitlines()[-1] == b"250 2.0.0 queued as x"


async def test_a_refused_message_is_recorded() -> None:
    talk = await greeted()
    talk.intake.result = status(554, "5.4.6", "loop", "50 hops")
    assert (await talk.say(ENVELOPE + MESSAGE)).endswith(b"554 5.4.6 loop\r\n")
    assert [(refused.stage, refused.reverse_path) for refused in talk.intake.refusals] == [
        ("message", "ann@client.example")
    ]


async def test_rset_forgets_the_transaction() -> None:
    talk = await greeted()
    await talk.say(ENVELOPE + b"RSET\r\n" + ENVELOPE + MESSAGE)
    assert len(talk.intake.spools) == 1


async def test_backpressure_is_the_spools() -> None:
    talk = await greeted()
    gate = asyncio.Event()
    talk.intake.spool_setup = lambda spool: setattr(spool, "gate", gate)
    talking = asyncio.create_task(talk.say(ENVELOPE + MESSAGE))
    await asyncio.sleep(0)
    assert talk.intake.spools[0].content
    assert not talking.done()
    gate.set()
    assert (await talking).endswith(b"250 2.0.0 queued as x\r\n")


async def test_large_reads_for_a_body_that_was_announced_as_large() -> None:
    talk = await greeted()
    await talk.say(b"MAIL FROM:<> SIZE=1000000\r\nRCPT TO:<bob@example.com>\r\n" + MESSAGE)
    assert talk.sizes == [65536, 16384]
    await talk.say(ENVELOPE + MESSAGE)
    assert talk.sizes == [65536, 16384]


async def test_a_client_that_goes_before_the_commit_is_abandoned() -> None:
    talk = await greeted()
    talk.intake.gate = asyncio.Event()
    talking = asyncio.create_task(talk.say(ENVELOPE + MESSAGE))
    await asyncio.sleep(0)
    talk.session.disconnected(ConnectionResetError())
    assert talk.intake.transactions[0].gone
    talk.intake.gate.set()
    await talking


async def test_a_client_that_goes_in_its_body_leaves_nothing() -> None:
    talk = await greeted()
    await talk.say(ENVELOPE + b"DATA\r\nhalf a")
    talk.session.disconnected(None)
    assert talk.intake.spools[0].discarded
    assert talk.intake.transactions[0].gone


@pytest.mark.parametrize(
    ("error", "more", "gone"),
    [(ConnectionResetError(), b"", True), (None, b"", False), (ConnectionResetError(), b"NOOP\r\n", False)],
)
async def test_a_250_that_may_be_lost_is_remembered(error: Exception | None, more: bytes, gone: bool) -> None:
    talk = await greeted()
    await talk.say(ENVELOPE + MESSAGE)
    await talk.say(more)
    talk.session.disconnected(error)
    assert talk.intake.transactions[0].gone is gone


async def test_an_exception_is_a_451_and_the_conversation_goes_on() -> None:
    talk = await greeted()
    talk.intake.verdict = RuntimeError("boom")
    assert (await talk.say(ENVELOPE)).endswith(b"451 4.3.0 Local error, try again later\r\n")
    talk.intake.verdict = status(250, "2.1.5", "OK")
    talk.intake.result = RuntimeError("boom")
    assert (await talk.say(b"RCPT TO:<bob@example.com>\r\n" + MESSAGE)).endswith(
        b"\r\n451 4.3.0 Local error, try again later\r\n"
    )
    assert talk.intake.spools[0].discarded
    talk.intake.result = status(250, "2.0.0", "ok")
    assert (await talk.say(ENVELOPE + MESSAGE)).endswith(b"250 2.0.0 ok\r\n")


async def test_an_exception_in_the_spool_refuses_the_message_at_its_end() -> None:
    talk = await greeted()
    talk.intake.spool_setup = lambda spool: setattr(spool, "error", OSError("disk"))
    said = await talk.say(ENVELOPE + b"DATA\r\nfirst\r\n")
    assert said.endswith(b"<CR><LF>.<CR><LF>\r\n")
    assert await talk.say(b"second\r\n.\r\n") == b"451 4.3.0 Local error, try again later\r\n"


async def test_too_many_unknown_recipients_end_the_session() -> None:
    talk = await greeted(unknown=3)
    talk.intake.verdict = status(550, "5.1.1", "no such user")
    said = await talk.say(
        ENVELOPE + b"RCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nRCPT TO:<d@example.com>\r\n"
    )
    assert [line[:3] for line in said.splitlines()] == [b"250", b"550", b"550", b"421"]
    assert talk.closed
    assert [refused.reply_code for refused in talk.intake.refusals] == [550, 550, 421]


async def test_starttls_forgets_who_said_hello() -> None:
    talk = await greeted()
    await talk.say(b"STARTTLS\r\n")
    assert talk.handshakes == 1
    talk.tls = TLS
    talk.machine.tls_established(TLS)
    talk.session.secured(TLS)
    await talk.say(b"EHLO again.example\r\n" + ENVELOPE)
    assert talk.intake.origins[-1].helo == "again.example"
    assert talk.intake.origins[-1].protocol == "ESMTPS"


LOGIN = b"AUTH PLAIN AGFsaWNlQGV4YW1wbGUuY29tAHNlY3JldA==\r\n"
WRONG = b"AUTH PLAIN AGFsaWNlQGV4YW1wbGUuY29tAHdyb25n\r\n"


async def test_login_makes_a_submitter() -> None:
    talk = await greeted(submission=True)
    said = await talk.say(LOGIN + ENVELOPE)
    assert said.startswith(b"235 2.7.0")
    assert talk.intake.accounts == [ALICE]
    assert talk.intake.origins[0].account == "alice@example.com"
    assert talk.intake.origins[0].protocol == "ESMTPSA"
    assert talk.clock.slept == []


async def test_failed_logins_wait_longer_each_time_and_end_at_last() -> None:
    talk = await greeted(submission=True, max_errors=6)
    said = await talk.say(WRONG * 4 + b"AUTH PLAIN =\r\n")
    assert [line[:9] for line in said.splitlines()] == [b"535 5.7.8"] * 5
    assert talk.clock.slept == [2, 4, 8, 16, 16]
    assert [refused.stage for refused in talk.intake.refusals] == ["auth"] * 5
    assert (await talk.say(WRONG)).startswith(b"421 4.7.0")
    assert talk.closed


async def test_login_by_steps_and_cancelled() -> None:
    talk = await greeted(submission=True)
    said = await talk.say(b"AUTH LOGIN\r\nYWxpY2VAZXhhbXBsZS5jb20=\r\n*\r\n")
    assert said.splitlines()[-1].startswith(b"501 5.7.0")
    said = await talk.say(b"AUTH LOGIN\r\nYWxpY2VAZXhhbXBsZS5jb20=\r\nc2VjcmV0\r\n")
    assert said.splitlines()[-1].startswith(b"235")


async def test_what_the_machine_refuses_is_recorded_too() -> None:
    talk = await greeted()
    await talk.say(b"GET / HTTP/1.1\r\n")
    assert [(refused.stage, refused.reply_code, refused.cause) for refused in talk.intake.refusals] == [
        ("connect", 554, "GET")
    ]
    assert talk.closed


async def test_a_unix_peer_has_no_address() -> None:
    talk = Talk(peer=Endpoint("/run/x", 0))
    await talk.say(b"EHLO x\r\n" + ENVELOPE)
    assert talk.intake.origins[0].client == ""


async def test_a_login_that_ends_after_the_client_has_gone_harms_nobody() -> None:
    talk = await greeted(submission=True)
    talk.machine.receive_data(WRONG)
    waiting = talk.session.answer(talk.machine.next_event())  # type: ignore[arg-type]
    assert waiting is not None
    talk.session.disconnected(ConnectionResetError())
    await waiting
    assert talk.intake.refusals[0].client == "192.0.2.9"


def test_a_session_has_no_dict() -> None:
    assert not hasattr(Talk().session, "__dict__")
    assert isinstance(Talk().session, SmtpSession)
