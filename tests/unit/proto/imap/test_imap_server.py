"""What dialogues cannot show of the machine: misuse, patience, events, half-sent literals."""

import pytest

from postroad.mail.envelope import TlsInfo
from postroad.proto.imap import events
from postroad.proto.imap.profile import ImapProfile
from postroad.proto.imap.responses import no, ok
from postroad.proto.imap.server import ImapServer
from postroad.proto.wire import Interruption, ProtocolMisuse, Signal

PROFILE = ImapProfile("mail.example.test", plaintext_login=True)


def started(data=b"", profile=PROFILE):
    machine = ImapServer(profile)
    machine.receive_data(data)
    return machine


def test_paused_while_an_event_is_answered():
    machine = started(b"a NOOP\r\nb NOOP\r\n")
    assert machine.next_event().tag == b"a"
    assert machine.next_event() is Signal.PAUSED
    machine.finish(ok("done"))
    assert machine.next_event().tag == b"b"


def test_misuse_raises():
    machine = started()
    for wrong in (
        lambda: machine.finish(ok("done")),
        machine.accept_literal,
        lambda: machine.refuse_literal(no("no")),
        lambda: machine.literal_data(b"x"),
    ):
        with pytest.raises(ProtocolMisuse):
            wrong()


def test_fail_where_nothing_is_under_way():
    machine = started()
    machine.fail(no("no"))
    assert machine.data_to_send() == b""


def test_patience_follows_the_state():
    machine = started()
    assert machine.patience == PROFILE.unauthenticated_timeout
    machine.authenticated()
    assert machine.patience == PROFILE.idle_timeout
    machine.receive_data(b"a APPEND x {5}\r\n")
    machine.next_event()
    machine.accept_literal()
    assert machine.patience == PROFILE.literal_timeout


def test_append_refused_while_it_comes():
    machine = started()
    machine.authenticated()
    machine.receive_data(b"a APPEND x {5}\r\n")
    assert isinstance(machine.next_event(), events.AppendStarted)
    machine.accept_literal()
    machine.receive_data(b"ab")
    assert machine.next_event() == events.LiteralChunk(b"ab")
    machine.fail(no("the disk is full", b"UNAVAILABLE"))
    machine.receive_data(b"cde\r\nb NOOP\r\n")
    assert machine.next_event().tag == b"b"
    assert machine.data_to_send() == b"+ send it\r\na NO [UNAVAILABLE] the disk is full\r\n"


def test_no_last_words_inside_a_literal():
    machine = started(b"a NOOP\r\n")
    machine.next_event()
    machine.begin_literal(b"* 1 FETCH (BODY[] ", 5)
    machine.literal_data(b"ab")
    assert machine.literal_open
    machine.data_to_send()
    machine.interrupt(Interruption.SHUTDOWN)
    assert machine.data_to_send() == b""
    assert isinstance(machine.next_event(), events.ConversationEnded)
    assert machine.next_event() is Signal.NEED_DATA


def test_longer_commands_after_login():
    machine = started(profile=ImapProfile("h", plaintext_login=True, max_command_before_login=50, max_command=500))
    machine.receive_data(b"a NOOP " + b"x" * 60 + b"\r\n")
    assert isinstance(machine.next_event(), events.CommandRefused)
    machine.authenticated()
    machine.receive_data(b"b SELECT " + b"x" * 60 + b"\r\n")
    assert machine.next_event().command.mailbox == "x" * 60


def test_implicit_tls_needs_no_starttls():
    machine = ImapServer(ImapProfile("h", secured=True, starttls=True))
    assert b"STARTTLS" not in machine.capabilities()
    assert b"AUTH=PLAIN" in machine.capabilities()


def test_tls_forgets_what_came_before():
    machine = started(b"a STARTTLS\r\nb NOOP\r\n", ImapProfile("h", starttls=True))
    assert machine.next_event() == events.TlsRequested(b"a")
    machine.accept_tls()
    assert machine.next_event() is Signal.NEED_DATA
    machine.receive_data(b"c NOOP\r\n")
    machine.tls_established(TlsInfo("TLSv1.3", "x"))
    assert machine.next_event() is Signal.NEED_DATA
    machine.receive_data(b"d NOOP\r\n")
    assert machine.next_event().tag == b"d"


def test_a_huge_unasked_literal_ends_the_conversation():
    machine = started(profile=ImapProfile("h", plaintext_login=True, max_append=1000))
    machine.authenticated()
    machine.receive_data(b"a APPEND x {1500+}\r\n" + b"m" * 1500 + b"\r\nb APPEND x {2001+}\r\n")
    assert isinstance(machine.next_event(), events.CommandRefused)
    assert isinstance(machine.next_event(), events.ConversationEnded)
    assert machine.data_to_send().startswith(b"a NO [TOOBIG] ")
