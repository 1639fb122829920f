"""Our client and our server talk to each other: two sides, one table of extensions."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.mail.envelope import Notify, TlsInfo
from postroad.proto.smtp.client import BodyWanted, Command, ReplyReceived, SmtpClient
from postroad.proto.smtp.parameters import DeliverBy, MailParameters, RcptParameters
from postroad.proto.smtp.profile import Standing
from postroad.proto.smtp.server import SmtpServer
from postroad.proto.wire import Signal
from postroad.testing.smtp import ScriptedIntake, profile_for

TLS = TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384")


class Talk:
    """Two machines and the bytes between them."""

    def __init__(self, **facts):
        self.server = SmtpServer(profile_for(facts))
        self.server.start()
        self.intake = ScriptedIntake(self.server)
        self.client = SmtpClient("client.test")
        self.replies = []
        self.wanted = False

    def run(self):
        """Until neither has anything to say; replies to the client since the last time."""
        self.replies, self.wanted = [], False
        while (said := self.server.data_to_send()) or (asked := self.client.data_to_send()):
            if said:
                self.client.receive_data(said)
                self._events(self.client, self._note)
            else:
                self.server.receive_data(asked)
                self._events(self.server, self.intake.answer)
        return [(reply.command, reply.reply.code) for reply in self.replies]

    def _events(self, machine, answer):
        while not isinstance(event := machine.next_event(), Signal):
            answer(event)

    def _note(self, event):
        if isinstance(event, ReplyReceived):
            self.replies.append(event)
        self.wanted = self.wanted or isinstance(event, BodyWanted)

    def hello(self):
        self.run()
        self.client.hello()
        assert self.run() == [(Command.EHLO, 250)]

    def send(self, content, *recipients, binary=False):
        client = self.client
        client.mail("a@client.test", size=len(content), eight_bit=not content.isascii(), binary=binary)
        for recipient in recipients:
            client.rcpt(recipient)
        client.start_body(chunk=len(content) if binary else None)
        found = self.run()
        if found[-1] == (Command.DATA, 354) or self.wanted:
            client.body_chunk(content)
            client.end_body()
            found += self.run()
        return [code for _, code in found]


def test_a_message_goes_through():
    talk = Talk()
    talk.hello()
    assert talk.client.pipelining
    assert talk.client.capabilities.max_size
    content = b"Subject: x\r\n\r\n.hidden\r\n..\r\n\r\nend\r\n"
    assert talk.send(content, "bob@example.com", "alice@example.com") == [250, 250, 250, 354, 250]
    assert talk.intake.messages == [("a@client.test", ["bob@example.com", "alice@example.com"], content)]


def test_no_recipient_is_taken_and_the_conversation_goes_on():
    talk = Talk()
    talk.hello()
    assert talk.send(b"x\r\n", "nobody@example.com")[:2] == [250, 550]
    talk.client.reset()
    talk.run()
    assert talk.send(b"x\r\n", "bob@example.com") == [250, 250, 354, 250]
    assert len(talk.intake.messages) == 1


def test_starttls_and_hello_again():
    talk = Talk()
    talk.hello()
    assert talk.client.capabilities.starttls
    talk.client.start_tls()
    assert talk.run() == [(Command.STARTTLS, 220)]
    talk.server.tls_established(TLS)
    talk.client.tls_established(TLS)
    talk.hello()
    assert not talk.client.capabilities.starttls


@pytest.mark.parametrize("password", ["secret", "wrong"])
def test_auth(password):
    talk = Talk(listener="submissions")
    talk.hello()
    assert set(talk.client.capabilities.auth_mechanisms) >= {"PLAIN", "LOGIN"}
    talk.client.authenticate("alice@example.com", password)
    assert talk.run() == [(Command.AUTH, 235 if password == "secret" else 535)]


@given(st.lists(st.sampled_from([b".", b"..", b"x", b".x", b"", b"\xff y", b"QUIT"]), max_size=8))
def test_any_lines_arrive_as_they_were(lines):
    talk = Talk()
    talk.hello()
    content = b"".join(line + b"\r\n" for line in lines)
    assert talk.send(content, "bob@example.com")[-1] == 250
    assert talk.intake.messages[0][2] == content


HEADER = b"Subject: x\r\n\r\n"


@given(st.lists(st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"\0", b"\xff", b"QUIT"]), max_size=8).map(b"".join))
def test_any_octets_arrive_as_they_were_by_chunk(octets):
    talk = Talk(extensions="all")
    talk.hello()
    assert talk.send(HEADER + octets, "bob@example.com", binary=True) == [250, 250, 250]
    assert talk.intake.messages[0][2] == HEADER + octets
    assert talk.send(HEADER, "alice@example.com") == [250, 250, 354, 250]


def test_what_a_sender_asks_for_arrives():
    asked = MailParameters(ret="HDRS", envid="a b", hold_for=60, deliver_by=DeliverBy(60, "R"), priority=-3)
    wanted = RcptParameters(Notify.SUCCESS | Notify.DELAY, "utf-8;j\u00f6rg@client.test")
    talk = Talk(listener="submissions", extensions="all", max_hold="60")
    talk.server.standing = Standing(horizon="2027-01-01T00:00:00Z")
    talk.hello()
    talk.client.authenticate("alice@example.com", "secret")
    talk.run()
    talk.hello()
    talk.client.mail("j\u00f6rg@client.test", utf8=True, parameters=asked)
    talk.client.rcpt("bob@example.com", wanted)
    assert [code for _, code in talk.run()] == [250, 250]
    mail, rcpt = talk.intake.asked
    assert mail == msgspec.structs.replace(asked, utf8=True)
    assert rcpt == wanted
