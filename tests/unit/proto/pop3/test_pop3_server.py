"""The POP3 machine, where dialogues do not reach: patience, misuse, answers in pieces, pausing."""

import pytest

from postroad.mail.envelope import TlsInfo
from postroad.proto.pop3.commands import COMMANDS, Retr, Stat
from postroad.proto.pop3.server import CommandReceived, ConversationEnded, LoginReceived, Pop3Profile, Pop3Server
from postroad.proto.wire import Interruption, ProtocolMisuse, Signal

PROFILE = Pop3Profile("mail.example.com", secured=True, idle_timeout=600, unauthenticated_timeout=60)


def logged_in():
    machine = Pop3Server(PROFILE)
    machine.receive_data(b"USER alice\r\nPASS secret word \r\n")
    assert machine.next_event() == LoginReceived("alice", "secret word ")
    machine.authenticated("ready")
    machine.data_to_send()
    return machine


def test_patience_grows_with_the_login():
    assert Pop3Server(PROFILE).patience == 60
    assert logged_in().patience == 600


def test_nothing_more_is_read_while_an_answer_waits():
    machine = logged_in()
    machine.receive_data(b"STAT\r\nRETR 1\r\n")
    assert machine.next_event() == CommandReceived(Stat())
    assert machine.next_event() is Signal.PAUSED
    machine.ok("0 0")
    assert machine.next_event() == CommandReceived(Retr(1))


def test_answers_in_pieces():
    machine = logged_in()
    machine.receive_data(b"LIST\r\n")
    machine.next_event()
    machine.begin_lines("2 messages")
    assert machine.answer_open
    machine.more_lines(b"1 10\r\n")
    machine.end_lines()
    assert not machine.answer_open
    assert machine.data_to_send() == b"+OK 2 messages\r\n1 10\r\n.\r\n"
    assert machine.data_to_send() == b""


def test_an_interruption_inside_a_message_says_nothing():
    machine = logged_in()
    machine.receive_data(b"RETR 1\r\n")
    machine.next_event()
    machine.begin_body(100)
    machine.data_to_send()
    machine.interrupt(Interruption.SHUTDOWN)
    assert machine.data_to_send() == b""
    assert machine.next_event() == ConversationEnded("shutdown")
    assert machine.next_event() is Signal.NEED_DATA


def test_bytes_of_a_body_need_a_body():
    machine = logged_in()
    with pytest.raises(ProtocolMisuse):
        machine.body_chunk(b"x")
    with pytest.raises(ProtocolMisuse):
        machine.end_body()


def test_nothing_is_read_during_a_handshake():
    machine = Pop3Server(Pop3Profile("mail.example.com", starttls=True))
    machine.receive_data(b"STLS\r\n")
    machine.next_event()
    machine.accept_tls()
    machine.receive_data(b"CAPA\r\n")
    assert machine.next_event() is Signal.NEED_DATA
    machine.tls_established(TlsInfo("TLSv1.3", "x"))
    assert machine.next_event() is Signal.NEED_DATA
    assert machine.secured


def test_what_is_announced_is_in_the_table():
    words = {word.split()[0] for word in Pop3Server(PROFILE).capabilities()}
    assert {word for word in words if word.encode() in COMMANDS} == {"TOP", "UIDL", "USER"}
    assert "SASL" in words
    assert b"AUTH" in COMMANDS
