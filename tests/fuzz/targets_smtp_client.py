"""The SMTP client machine: whatever a server says, only documented events come out, the same for every cut, and what we
say are whole commands and bodies that end once."""

import re
from random import Random
from typing import get_args

from postroad.mail.envelope import TlsInfo
from postroad.proto.smtp.client import (
    BodyWanted,
    ClientEvent,
    Command,
    CommandSkipped,
    ConversationEnded,
    ReplyReceived,
    SmtpClient,
)
from postroad.proto.smtp.parameters import MailParameters, RcptParameters
from postroad.proto.wire import Signal
from postroad.testing.fuzzing import Target

HANDSHAKE = b"\0TLS\0"  # what stands before it comes in the clear, what stands behind it through TLS
CONTENT = b"Subject: x\r\n\r\n.one\r\n..\r\nlast\r\n"
STARTTLS, LOGIN, CHUNK, STUFFED = 1, 2, 4, 8
MOST = 3  # transactions
_SAID = re.compile(rb"(?:(?:[A-Z]{4}[ -~]*|[A-Za-z0-9+/=]+|\*|\.)\r\n)*")


class Script:
    """What `delivery.smtp` would do, in short."""

    def __init__(self, machine: SmtpClient, plan: int) -> None:
        self.machine = machine
        self.plan = plan
        self.tls = False  # the server has agreed to it
        self.bodies = 0
        self._transactions = 0

    def answer(self, event: ClientEvent) -> None:
        match event:
            case ReplyReceived(Command.EHLO, reply):
                self._greeted() if reply.is_positive else self.machine.hello(extended=False)
            case ReplyReceived(Command.STARTTLS, reply) if reply.code == 220:
                self.tls = True
            case ReplyReceived(Command.STARTTLS | Command.AUTH | Command.HELO | Command.BODY, _):
                self._next()
            case ReplyReceived(Command.DATA, reply) if reply.code == 354:
                self._body()
            case BodyWanted():
                self._body()
            case ReplyReceived(Command.DATA, _) | CommandSkipped(Command.DATA | Command.BDAT):
                self._next()

    def _greeted(self) -> None:
        offered = self.machine.capabilities
        if self.plan & STARTTLS and offered.starttls and self.machine.tls is None:
            self.machine.start_tls()
        elif self.plan & LOGIN and {"PLAIN", "LOGIN"} & set(offered.auth_mechanisms):
            self.machine.authenticate("alice", "secret")
        else:
            self._next()

    def _next(self) -> None:
        self._transactions += 1
        if self._transactions > MOST:
            self.machine.quit()
            return
        machine = self.machine
        machine.mail("a@b.example", size=len(CONTENT), utf8=True, parameters=MailParameters(ret="HDRS", envid="x y"))
        machine.rcpt("c@d.example", RcptParameters(orcpt="rfc822;e@f.example"))
        machine.rcpt("g@h.example")
        chunk = len(CONTENT) if self.plan & CHUNK and machine.capabilities.chunking else None
        machine.start_body(stuff=True, chunk=chunk)

    def _body(self) -> None:
        half = self.plan >> 4
        self.machine.body_chunk(CONTENT[:half])
        self.machine.body_chunk(CONTENT[half:])
        self.machine.end_body()
        self.bodies += 1


def talk(plan: int, halves: list[list[bytes]]) -> tuple[list[ClientEvent], bytes]:
    machine = SmtpClient("client.example", idle_patience=10.0)
    script, events, said = Script(machine, plan), list[ClientEvent](), b""

    def run() -> None:
        nonlocal said
        while not isinstance(event := machine.next_event(), Signal):
            assert isinstance(event, get_args(ClientEvent)), f"not a documented event: {event!r}"
            events.append(event)
            script.answer(event)
        assert machine.patience > 0
        said += machine.data_to_send()

    machine.hello()
    for number, pieces in enumerate(halves):
        if number:
            if not script.tls:
                break
            machine.tls_established(TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384"))
            machine.hello()
        for piece in pieces:
            machine.receive_data(piece)
            run()
    machine.receive_eof()
    run()
    ends = [event for event in events if isinstance(event, ConversationEnded)]
    assert len(ends) <= 1
    assert ends or script.tls or machine.is_idle or said
    _look(said, script.bodies)
    return [_comparable(event) for event in events], said


def _look(said: bytes, bodies: int) -> None:
    """Take the bodies out; what is left are commands."""
    dotted = CONTENT.replace(b"\r\n.", b"\r\n..")
    assert said.count(dotted + b".\r\n") + said.count(CONTENT) == bodies
    rest = said.replace(dotted + b".\r\n", b"").replace(CONTENT, b"")
    assert _SAID.fullmatch(rest), rest


def _comparable(event: ClientEvent) -> ClientEvent:
    return ReplyReceived(event.command, event.reply.raw) if isinstance(event, ReplyReceived) else event  # type: ignore[arg-type]


def cut(data: bytes, seed: int) -> list[bytes]:
    random, pieces, start = Random(seed), [], 0
    while start < len(data):
        end = start + random.choice((1, 1, 2, 3, 5, 17, 200))
        pieces.append(data[start:end])
        start = end
    return pieces


def client(data: bytes) -> None:
    if len(data) < 3:
        return
    halves = data[2:].split(HANDSHAKE, 1)
    assert talk(data[0], [[half] for half in halves]) == talk(data[0], [cut(half, data[1]) for half in halves])


GREETING = b"220 mail.example.com ESMTP\r\n"
EHLO = b"250-mail.example.com\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-DSN\r\n250-SMTPUTF8\r\n250 8BITMIME\r\n"
CHUNKING = b"250-x\r\n250-CHUNKING\r\n250 PIPELINING\r\n"
SECURE = b"250-x\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n"
OKS = b"250 2.1.0 ok\r\n250 2.1.5 ok\r\n550 5.1.1 no\r\n"
SENT = OKS + b"354 go\r\n250 2.0.0 queued as 1\r\n"
SEEDS = (
    b"\x30\7" + GREETING + EHLO + SENT * 3 + b"221 2.0.0 bye\r\n",
    b"\x34\1" + GREETING + CHUNKING + (OKS + b"250 2.0.0 queued\r\n") * 3 + b"221 bye\r\n",
    b"\x53\2" + GREETING + SECURE + b"220 go\r\n" + HANDSHAKE + b"250-x\r\n250 AUTH PLAIN\r\n235 in\r\n" + SENT,
    b"\x03\3" + GREETING + SECURE + b"220 go\r\n250 injected\r\n" + HANDSHAKE
    + b"250-x\r\n250 AUTH LOGIN\r\n334 a\r\n334 b\r\n235 in\r\n",
    b"\x00\4" + GREETING + b"502 what\r\n250 x\r\n" + SENT,
    b"\x10\5" + GREETING + EHLO + b"250 ok\r\n550 no\r\n550 no\r\n354 go\r\n554 none\r\n421 bye\r\n",
)  # fmt: skip
WORDS = (
    b"220 ", b"250 ", b"250-", b"354 go\r\n", b"421 bye\r\n", b"550 5.1.1 no\r\n", b"334 \r\n", b"235 ok\r\n", b"\n",
    b"PIPELINING\r\n", b"CHUNKING\r\n", b"STARTTLS\r\n", b"AUTH=LOGIN\r\n", b"LIMITS RCPTMAX=1\r\n", b"SIZE", HANDSHAKE,
    b"503", b"250\r\n", b"199 x\r\n", b"600 x\r\n", b"2500 x\r\n",
)  # fmt: skip
TARGETS = {"smtp-client": Target(client, SEEDS, WORDS)}
