"""The SMTP session where somebody else says who the client is, and for those who are listed; and LMTP."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any

import pytest

from postroad.accounts.authenticator import Login
from postroad.config.networks import NOBODY, Networks
from postroad.intake.transaction import MailTransaction
from postroad.mail.address import ForwardPath, ReversePath
from postroad.mail.envelope import BodyFlag, Origin
from postroad.mail.status import Status, status
from postroad.ports.ids import AccountId
from postroad.ports.net import Endpoint
from postroad.ports.store import AccountRecord, Refusal, StoreUnavailable
from postroad.proto.smtp.parameters import MailParameters, RcptParameters
from postroad.proto.smtp.profile import Dialect, ServerProfile
from postroad.proto.wire import Signal
from postroad.routing.aliases import Target
from postroad.sessions.smtp import SmtpFront

NOW = datetime(2026, 12, 1, 12, 30, 15, tzinfo=UTC)
ALICE = AccountRecord(AccountId(1), "alice@example.com", NOW)
GATEWAY, LISTED = Endpoint("192.0.2.9", 4321), Networks(("192.0.2.9",))


class Clock:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


class Ids:
    def new(self) -> int:
        return 7


class Spool:
    def write(self, chunk: bytes) -> None: ...
    def discard(self) -> None: ...


class Intake:
    """Takes everything, and answers for each recipient as `results` has it."""

    def __init__(self) -> None:
        self.origins: list[Origin] = []
        self.refusals: list[Refusal] = []
        self.visits: list[Any] = []
        self.parameters: list[Any] = []
        self.results: list[Status] = []

    def begin(
        self,
        origin: Origin,
        reverse_path: ReversePath,
        size: int | None,
        body: str,
        *,
        account: Any,
        access: Any,
        parameters: MailParameters,
        visit: Any,
    ) -> MailTransaction:
        self.origins.append(origin)
        self.visits.append(visit)
        self.parameters.append(parameters)
        return MailTransaction(origin, reverse_path, size, body, account)

    def admit_submitter(self, transaction: MailTransaction) -> None: ...

    def recipient(self, transaction: MailTransaction, path: ForwardPath, parameters: RcptParameters) -> Status:
        self.parameters.append(parameters)
        transaction.add(path, (Target(str(path), "local"),))
        return status(250, "2.1.5", "OK")

    def spool(self, transaction: MailTransaction) -> Spool:
        return Spool()

    async def finish_each(self, transaction: MailTransaction, spool: Spool, flags: BodyFlag) -> list[Status]:
        return self.results

    def refuse(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)


class Visit:
    """What the front door makes of a stranger."""

    def __init__(self, door: Door, address: str, local: str) -> None:
        self.address, self.local, self.names, self.earliness = address, local, [], []
        self.welcome = door.welcome
        self.wait = 0.0

    def hello(self, name: str) -> None:
        self.names.append(name)

    def early(self, before: str) -> None:
        self.earliness.append(before)


class Door:
    def __init__(self) -> None:
        self.visits: list[Visit] = []
        self.welcome: Status | None = None

    def arrive(self, address: str, *, local: str, connection: str) -> Visit | None:
        self.visits.append(Visit(self, address, local))
        return self.visits[-1]


class Authenticator:
    broken = False

    async def certified(self, addresses: tuple[str, ...], name: str) -> Login | None:
        if self.broken:
            raise StoreUnavailable("no rows today")
        assert addresses == (name,)
        return Login(ALICE) if name == "alice@example.com" else None


class Logins:
    def __init__(self) -> None:
        self.authenticator = Authenticator()
        self.clients: list[Endpoint] = []

    def dialogue(self, speaker: Any, connection: Any, name: str, client: Endpoint) -> Any:
        self.clients.append(client)
        return self

    def begin(self, mechanism: str, initial: bytes | None) -> None: ...


class Talk:
    def __init__(
        self, dialect: Dialect = Dialect.MX, *, gateways: Networks = NOBODY, partners: Networks = NOBODY
    ) -> None:
        self.intake, self.door, self.logins = Intake(), Door(), Logins()
        submission = dialect is Dialect.SUBMISSION
        profile = ServerProfile(
            "mail.example.com", dialect, secured=submission, auth_mechanisms=("PLAIN",) if submission else (),
            require_auth=submission, max_hold=3600,
        )  # fmt: skip
        front = SmtpFront(
            dialect.value, profile, self.intake, Clock(), Ids(), 50,  # type: ignore[arg-type]
            logins=self.logins if submission else None,  # type: ignore[arg-type]
            door=self.door if dialect is Dialect.MX else None,  # type: ignore[arg-type]
            gateways=gateways, partners=partners,
        )  # fmt: skip
        self.machine, self.session = front.connect()
        self.peer, self.local, self.tls, self.closed = GATEWAY, Endpoint("192.0.2.1", 25), None, False
        self.session.connected(self)  # type: ignore[arg-type]
        self.machine.data_to_send()

    def close(self) -> None:
        self.closed = True

    async def say(self, *lines: str) -> list[str]:
        self.machine.receive_data("".join(f"{line}\r\n" for line in lines).encode())
        while not isinstance(event := self.machine.next_event(), Signal):
            waiting: Awaitable[None] | None = self.session.answer(event)
            if waiting is not None:
                await waiting
        return self.machine.data_to_send().decode().splitlines()


# --- XCLIENT ----------------------------------------------------------------------------------------------------------


async def test_mail_comes_from_whom_the_gateway_names() -> None:
    talk = Talk(gateways=LISTED)
    assert any(line.startswith("250-XCLIENT NAME ") for line in await talk.say("EHLO gateway.example"))
    said = await talk.say("XCLIENT ADDR=198.51.100.7 PORT=77 DESTADDR=203.0.113.1 PROTO=ESMTP HELO=client.example")
    assert said == ["220 mail.example.com ESMTP ready"]
    await talk.say("MAIL FROM:<ann@client.example>")
    (origin,) = talk.intake.origins
    assert (origin.client, origin.client_port, origin.helo, origin.esmtp) == (
        "198.51.100.7",
        77,
        "client.example",
        True,
    )
    first, second = talk.door.visits
    assert (first.address, first.local) == ("192.0.2.9", "192.0.2.1")
    assert (second.address, second.local, second.names) == ("198.51.100.7", "203.0.113.1", ["client.example"])
    assert talk.intake.visits == [second]


async def test_an_address_without_its_port_is_still_no_unix_socket() -> None:
    talk = Talk(gateways=LISTED)
    await talk.say("XCLIENT ADDR=IPV6:2001:db8::7 PORT=[UNAVAILABLE] PROTO=SMTP", "HELO old.example", "MAIL FROM:<>")
    (origin,) = talk.intake.origins
    assert (origin.client, bool(origin.client_port), origin.protocol) == ("2001:db8::7", True, "SMTP")
    assert talk.door.visits[-1].address == "2001:db8::7"


async def test_whom_the_gateway_does_not_know_stays_the_gateway() -> None:
    talk = Talk(gateways=LISTED)
    await talk.say("XCLIENT ADDR=[UNAVAILABLE] NAME=[TEMPUNAVAIL]", "EHLO x.example", "MAIL FROM:<>")
    assert talk.intake.origins[0].client == "192.0.2.9"


async def test_the_front_door_may_refuse_whom_a_gateway_brings() -> None:
    talk = Talk(gateways=LISTED)
    talk.door.welcome = status(421, "4.7.0", "too many of you")
    assert await talk.say("XCLIENT ADDR=198.51.100.7") == ["421 4.7.0 too many of you"]
    assert talk.closed
    assert talk.intake.refusals[-1].client == "198.51.100.7"


async def test_nobody_else_may_introduce_anybody() -> None:
    talk = Talk(gateways=Networks(("198.51.100.0/24",)))
    assert (await talk.say("XCLIENT ADDR=198.51.100.7"))[0].startswith("550 5.7.0")
    assert len(talk.door.visits) == 1


async def test_a_login_that_a_gateway_tells_is_an_account_here() -> None:
    talk = Talk(Dialect.SUBMISSION, gateways=LISTED)
    assert (await talk.say("XCLIENT LOGIN=nobody@example.com"))[0].startswith("550 5.7.8")
    assert (await talk.say("XCLIENT ADDR=198.51.100.7 LOGIN=alice@example.com"))[0].startswith("220 ")
    await talk.say("EHLO client.example", "MAIL FROM:<alice@example.com>")
    assert (talk.intake.origins[0].account, talk.intake.origins[0].client) == ("alice@example.com", "198.51.100.7")
    await talk.say("RSET", "XCLIENT LOGIN=[UNAVAILABLE]", "EHLO client.example")
    assert (await talk.say("MAIL FROM:<alice@example.com>"))[0].startswith("530 ")
    await talk.say("AUTH PLAIN AGEAYg==")
    assert talk.logins.clients == [Endpoint("198.51.100.7", 1)]  # whose tries they are


async def test_a_login_cannot_be_told_where_nobody_logs_in_or_rows_are_away() -> None:
    talk = Talk(gateways=LISTED)
    assert (await talk.say("XCLIENT LOGIN=alice@example.com"))[0].startswith("550 5.7.0")
    talk = Talk(Dialect.SUBMISSION, gateways=LISTED)
    talk.logins.authenticator.broken = True
    assert (await talk.say("XCLIENT LOGIN=alice@example.com"))[0].startswith("454 4.7.0")


# --- partners ---------------------------------------------------------------------------------------------------------


async def test_partners_are_offered_more() -> None:
    for partners, offered in ((LISTED, True), (Networks(("198.51.100.0/24",)), False)):
        talk = Talk(partners=partners)
        said = await talk.say("EHLO partner.example")
        assert ("250-FUTURERELEASE 3600 2026-12-01T13:30:00Z" in said) is offered
        assert ("250-MT-PRIORITY" in said) is offered
        code = "250" if offered else "555"
        assert (await talk.say("MAIL FROM:<a@b.example> MT-PRIORITY=3"))[0].startswith(code)


async def test_who_a_gateway_brings_is_a_partner_in_his_own_right() -> None:
    talk = Talk(gateways=LISTED, partners=LISTED)
    assert "250-MT-PRIORITY" in await talk.say("EHLO x.example")
    await talk.say("XCLIENT ADDR=198.51.100.7")
    said = await talk.say("EHLO x.example")
    assert "250-MT-PRIORITY" not in said
    assert any(line.startswith("250-XCLIENT") for line in said)


@pytest.mark.parametrize(("time", "code"), [("2026-12-01T13:30:15Z", "250"), ("2026-12-01T13:30:16Z", "501")])
async def test_a_message_is_not_held_for_ever(time: str, code: str) -> None:
    talk = Talk(partners=LISTED)
    await talk.say("EHLO partner.example")
    assert (await talk.say(f"MAIL FROM:<a@b.example> HOLDUNTIL={time}"))[0].startswith(code)
    assert len(talk.intake.refusals) == (code == "501")


async def test_what_was_asked_for_goes_to_intake() -> None:
    talk = Talk()
    await talk.say("EHLO x.example", "MAIL FROM:<> RET=HDRS", "RCPT TO:<bob@example.com> NOTIFY=NEVER")
    mail, rcpt = talk.intake.parameters
    assert (mail.ret, rcpt.notify.name) == ("HDRS", "NEVER")


async def test_a_chunk_behind_its_command_is_not_early() -> None:
    talk = Talk()
    await talk.say("EHLO x.example")
    await talk.say("MAIL FROM:<>", "RCPT TO:<bob@example.com>", "BDAT 3", "x")
    assert talk.door.visits[0].earliness == []
    talk = Talk()
    await talk.say("EHLO x.example")
    await talk.say("MAIL FROM:<>", "RCPT TO:<bob@example.com>", "DATA", "x")
    assert len(talk.door.visits[0].earliness) == 1


# --- LMTP -------------------------------------------------------------------------------------------------------------


async def test_each_recipient_hears_its_own_answer() -> None:
    talk = Talk(Dialect.LMTP)
    talk.intake.results = [status(250, "2.0.0", "taken"), status(452, "4.2.2", "full"), status(250, "2.0.0", "taken")]
    recipients = [f"RCPT TO:<{name}@example.com>" for name in ("bob", "carol", "bob")]
    await talk.say("LHLO x.example", "MAIL FROM:<>", *recipients, "DATA")
    assert await talk.say("x", ".") == ["250 2.0.0 taken", "452 4.2.2 full", "250 2.0.0 taken"]
    (refused,) = talk.intake.refusals
    assert (refused.stage, refused.recipient, refused.enhanced) == ("message", "carol@example.com", "4.2.2")
    assert (await talk.say("MAIL FROM:<>"))[0].startswith("250 ")


async def test_a_fault_is_everybodys() -> None:
    talk = Talk(Dialect.LMTP)
    await talk.say("LHLO x.example", "MAIL FROM:<>", "RCPT TO:<a@example.com>", "RCPT TO:<b@example.com>", "DATA")
    assert [line[:9] for line in await talk.say("x\ny", ".")] == ["550 5.6.0"] * 2
