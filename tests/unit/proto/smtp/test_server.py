"""The server machine where a dialogue cannot see it: events, answers, misuse, memory, patience."""

import sys

import pytest

from postroad.mail.envelope import BodyFlag
from postroad.mail.status import status
from postroad.proto.smtp import reply as replies
from postroad.proto.smtp.body import BodyFault
from postroad.proto.smtp.parameters import MailParameters
from postroad.proto.smtp.profile import Dialect, ServerProfile
from postroad.proto.smtp.server import SmtpServer
from postroad.proto.smtp.server_events import (
    AuthResponse,
    AuthStarted,
    BodyChunk,
    BodyEnd,
    CommandAnswered,
    CommandRefused,
    ConversationEnded,
    DataRequested,
    EndReason,
    HelloReceived,
    MailReceived,
    Quit,
    RcptReceived,
    Stage,
    TlsRequested,
    TransactionReset,
)
from postroad.proto.wire import Interruption, ProtocolMisuse, Signal
from postroad.testing.smtp import TLS, ScriptedIntake

PROFILE = ServerProfile("mail.example.com", max_size=1000, command_timeout=300, data_timeout=180, starttls=True)
SUBMISSIONS = ServerProfile(
    "mail.example.com", Dialect.SUBMISSION, secured=True, auth_mechanisms=("PLAIN", "LOGIN"), require_auth=True
)


def talk(machine: SmtpServer, data: bytes) -> list[object]:
    """Feed, answer as the scripted intake does, return the events."""
    intake, events = ScriptedIntake(machine), []
    machine.receive_data(data)
    while not isinstance(event := machine.next_event(), Signal):
        events.append(event)
        intake.answer(event)
    return events


def greeted(profile: ServerProfile = PROFILE) -> SmtpServer:
    machine = SmtpServer(profile)
    machine.start()
    talk(machine, b"EHLO client.example\r\n")
    machine.data_to_send()
    return machine


ENVELOPE = b"MAIL FROM:<ann@client.example> SIZE=20 BODY=8BITMIME\r\nRCPT TO:<bob@example.com>\r\n"


def test_the_events_of_a_message() -> None:
    machine = greeted()
    events = talk(machine, ENVELOPE + b"DATA\r\n..x\r\n.\r\nQUIT\r\n")
    assert [type(event) for event in events] == [
        MailReceived, RcptReceived, DataRequested, BodyChunk, BodyEnd, Quit,
    ]  # fmt: skip
    assert str(events[0].reverse_path) == "ann@client.example"
    assert events[0].parameters == MailParameters(20, "8BITMIME", None)
    assert str(events[1].forward_path) == "bob@example.com"
    assert events[3] == BodyChunk(b".x\r\n")
    assert events[4] == BodyEnd(None, 4, BodyFlag.DOT_LINES)


def test_a_group_is_answered_in_one_piece() -> None:
    machine = greeted()
    talk(machine, ENVELOPE + b"NOOP\r\n")
    assert machine.data_to_send() == b"250 2.1.0 OK\r\n250 2.1.5 OK\r\n250 2.0.0 OK\r\n"
    assert machine.data_to_send() == b""


def test_nothing_goes_on_while_an_answer_is_awaited() -> None:
    machine = greeted()
    machine.receive_data(b"MAIL FROM:<ann@client.example>\r\nNOOP\r\n")
    assert isinstance(machine.next_event(), MailReceived)
    assert machine.waits
    assert machine.next_event() is Signal.PAUSED
    machine.answer_status(status(250, "2.1.0", "OK"))
    assert machine.next_event() == CommandAnswered("NOOP")
    assert machine.next_event() is Signal.NEED_DATA
    assert not machine.waits


def test_a_faulty_body_is_told_once() -> None:
    machine = greeted()
    events = talk(machine, ENVELOPE + b"DATA\r\n" + b"x\n" * 3000 + b"\r\n.\r\n")
    assert [event.fault for event in events if isinstance(event, BodyEnd)] == [BodyFault.TOO_LARGE]
    assert not [event for event in events if isinstance(event, BodyChunk)]


def test_refusals_are_told_with_their_stage_and_without_secrets() -> None:
    machine = greeted(SUBMISSIONS)
    events = talk(machine, b"MAIL FROM:<a@b.example>\r\nAUTH PLAIN secret!\r\nAUTH NONE c2VjcmV0\r\nDATA\r\nXYZZY\r\n")
    assert [(event.stage, event.reply.code, event.line) for event in events] == [
        (Stage.MAIL, 530, "MAIL FROM:<a@b.example>"),
        (Stage.AUTH, 501, "AUTH PLAIN"),
        (Stage.AUTH, 504, "AUTH NONE"),
        (Stage.DATA, 503, "DATA"),
        (Stage.CONNECT, 500, "XYZZY"),
    ]


def test_rset_ehlo_and_tls_tell_that_the_transaction_is_gone() -> None:
    machine = greeted()
    assert TransactionReset() in talk(machine, ENVELOPE + b"RSET\r\n")
    assert [type(event) for event in talk(machine, ENVELOPE + b"EHLO x\r\n")][-2:] == [HelloReceived, TransactionReset]
    events = talk(machine, ENVELOPE + b"STARTTLS\r\n")
    assert isinstance(events[-1], TlsRequested)
    machine.tls_established(TLS)
    assert machine.next_event() == TransactionReset()


def test_bytes_in_the_handshake_are_nobodys() -> None:
    machine = greeted()
    talk(machine, b"STARTTLS\r\nNOOP\r\n")
    machine.receive_data(b"NOOP\r\n")
    assert machine.next_event() is Signal.PAUSED
    machine.tls_established(TLS)
    assert machine.next_event() is Signal.NEED_DATA


def test_starttls_may_be_refused() -> None:
    machine = greeted()
    machine.receive_data(b"STARTTLS\r\n")
    machine.next_event()
    machine.answer(replies.reply(454, "4.7.0", "TLS not available"))
    assert machine.data_to_send() == b"454 4.7.0 TLS not available\r\n"
    assert machine.next_event() is Signal.NEED_DATA


def test_auth_events() -> None:
    machine = greeted(SUBMISSIONS)
    machine.receive_data(b"AUTH LOGIN\r\nYQ==\r\n*\r\n")
    assert machine.next_event() == AuthStarted("LOGIN", None)
    machine.challenge(b"Username:")
    assert machine.next_event() == AuthResponse(b"a")
    machine.challenge(b"Password:")
    assert isinstance(machine.next_event(), CommandRefused)
    assert machine.next_event() == AuthResponse(None)
    assert machine.next_event() is Signal.NEED_DATA


def test_a_421_ends_the_conversation() -> None:
    machine = greeted()
    machine.receive_data(b"MAIL FROM:<>\r\nNOOP\r\n")
    machine.next_event()
    machine.answer(replies.TOO_MANY_ERRORS)
    assert machine.next_event() == ConversationEnded(EndReason.REFUSED)
    machine.receive_data(b"NOOP\r\n")
    assert machine.next_event() is Signal.NEED_DATA
    machine.answer(replies.OK)  # too late, and no harm
    assert machine.data_to_send() == b"421 4.7.0 Too many errors\r\n"


def test_a_connection_may_be_refused_instead_of_a_banner() -> None:
    machine = SmtpServer(PROFILE)
    machine.end(replies.reply(554, "5.7.1", "not you"))
    machine.end(replies.OVERLOADED)
    assert machine.data_to_send() == b"554 5.7.1 not you\r\n"
    assert machine.next_event() == ConversationEnded(EndReason.REFUSED)


@pytest.mark.parametrize("reason", list(Interruption))
def test_an_interruption_waits_for_the_answer(reason: Interruption) -> None:
    machine = greeted()
    machine.receive_data(ENVELOPE + b"DATA\r\nx\r\n.\r\n")
    machine.next_event(), machine.answer(replies.SENDER_OK)
    machine.next_event(), machine.answer(replies.RECIPIENT_OK)
    machine.next_event(), machine.accept_body()
    machine.next_event(), machine.next_event()
    machine.data_to_send()
    machine.interrupt(reason)
    assert machine.data_to_send() == b""
    machine.answer(replies.OK)
    said = machine.data_to_send()
    assert said.startswith(b"250 2.0.0 OK\r\n421 4.")
    assert isinstance(machine.next_event(), ConversationEnded)
    machine.interrupt(reason)
    assert machine.data_to_send() == b""


def test_patience_follows_the_state() -> None:
    machine = greeted()
    assert machine.patience == 300
    talk(machine, ENVELOPE + b"DATA\r\n")
    assert machine.patience == 180
    talk(machine, b".\r\n")
    assert machine.patience == 300


def test_our_misuse_raises() -> None:
    machine = greeted()
    for misuse in (
        lambda: machine.answer(replies.OK),
        machine.accept_body,
        machine.accept_tls,
        machine.authenticated,
        lambda: machine.challenge(b""),
        lambda: machine.answer_each([]),
    ):
        with pytest.raises(ProtocolMisuse):
            misuse()
    machine.receive_data(ENVELOPE + b"DATA\r\n")
    machine.next_event(), machine.answer(replies.SENDER_OK)
    machine.next_event(), machine.answer(replies.RECIPIENT_OK)
    machine.next_event()
    with pytest.raises(ProtocolMisuse):
        machine.answer(replies.OK)


def test_lmtp_answers_each_recipient_and_no_other_number() -> None:
    machine = SmtpServer(ServerProfile("mail.example.com", Dialect.LMTP))
    talk(machine, b"LHLO x\r\n" + ENVELOPE + b"RCPT TO:<alice@example.com>\r\nDATA\r\n")
    machine.receive_data(b".\r\n")
    assert isinstance(machine.next_event(), BodyEnd)
    machine.data_to_send()
    with pytest.raises(ProtocolMisuse):
        machine.answer_each([replies.OK])
    machine.answer_each([replies.OK, replies.LOCAL_ERROR])
    assert machine.data_to_send() == replies.OK.wire + replies.LOCAL_ERROR.wire


def test_an_idle_machine_is_small() -> None:
    machine = greeted()
    slots = [getattr(machine, name) for name in machine.__slots__ if name != "profile"]
    assert sys.getsizeof(machine) + sum(sys.getsizeof(value) for value in slots) < 2048
