"""POP3 dialogues on a bare machine: the profile that a file asks for, and a small sure maildrop.

The facts of a file (`listener: pop3s`, `tls: no`, `plaintext: yes`, `max_errors: 3`) choose the profile. There is
alice@example.com with the password `secret` and three messages.
"""

from __future__ import annotations

from typing import Any

from postroad.proto.pop3 import commands
from postroad.proto.pop3.body import NO_LIMIT, BodyCutter
from postroad.proto.pop3.commands import Command
from postroad.proto.pop3.server import (
    AuthResponse,
    AuthStarted,
    CommandReceived,
    ConversationEnded,
    LoginReceived,
    Pop3Profile,
    Pop3Server,
    TlsRequested,
)
from postroad.proto.sasl.exchange import Challenge, Credentials, ServerExchange
from postroad.proto.sasl.mechanisms import begin
from postroad.testing.dialogue import Dialogue, MachinePeer

HOSTNAME = "mail.example.com"
LOGIN = ("alice@example.com", "secret")
MESSAGES = (
    b"Subject: one\r\n\r\nfirst line\r\n.second line\r\nthird line\r\n",
    b"Subject: two\r\n\r\n",
    b"Subject: three\n\nended by bare\n.\nline feeds",
)


def profile_for(facts: dict[str, str]) -> Pop3Profile:
    """The profile of a dialogue."""
    return Pop3Profile(
        HOSTNAME,
        starttls=facts.get("tls", "yes") == "yes",
        secured=facts.get("listener") == "pop3s",
        plaintext_login=facts.get("plaintext") == "yes",
        max_errors=int(facts.get("max_errors", 20)),
        max_logins=int(facts.get("max_logins", 5)),
    )


class ScriptedMaildrop:
    """Answers a machine's events from MESSAGES. `deleted` is what QUIT would remove."""

    def __init__(self, machine: Pop3Server) -> None:
        self.machine = machine
        self.deleted: set[int] = set()
        self._exchange: ServerExchange | None = None
        machine.greet()

    def answer(self, event: Any) -> bool:
        """Returns True when a session would close the connection."""
        match event:
            case LoginReceived(name, password):
                self._log_in(name, password)
            case AuthStarted(mechanism, initial):
                self._exchange = begin(mechanism)
                self._step(initial)
            case AuthResponse(data):
                self._step(data)
            case TlsRequested():
                self.machine.accept_tls()
            case CommandReceived(command):
                self._command(command)
            case ConversationEnded():
                return True
        return False

    def _log_in(self, name: str, password: str) -> None:
        if (name, password) == LOGIN:
            self.machine.authenticated(f"{len(MESSAGES)} messages")
        else:
            self.machine.refuse_login()

    def _step(self, response: bytes | None) -> None:
        assert self._exchange is not None
        match self._exchange.step(response):
            case Challenge(data):
                self.machine.challenge(data)
            case Credentials(name, password):
                self._log_in(name, password)
            case _:
                self.machine.refuse_login()

    def _command(self, command: Command) -> None:
        match command:
            case commands.Stat():
                self.machine.ok(f"{len(self._left())} {sum(len(MESSAGES[n - 1]) for n in self._left())}")
            case commands.List(None):
                self.machine.lines("listing", b"".join(b"%d %d\r\n" % (n, len(MESSAGES[n - 1])) for n in self._left()))
            case commands.Uidl(None):
                self.machine.lines("listing", b"".join(b"%d 7-%d\r\n" % (n, n) for n in self._left()))
            case commands.Rset():
                self.deleted.clear()
                self.machine.ok()
            case commands.Quit():
                self.machine.ok("bye")
                self.machine.end("quit")
            case _:
                self._on_message(command)

    def _on_message(self, command: Any) -> None:
        number: int = command.number
        if number not in self._left():
            self.machine.error("no such message")
            return
        match command:
            case commands.List():
                self.machine.ok(f"{number} {len(MESSAGES[number - 1])}")
            case commands.Uidl():
                self.machine.ok(f"{number} 7-{number}")
            case commands.Dele():
                self.deleted.add(number)
                self.machine.ok()
            case commands.Retr():
                self._send(number, NO_LIMIT)
            case commands.Top(_, lines):
                self._send(number, lines)

    def _send(self, number: int, lines: int) -> None:
        """In small pieces, as a large message goes."""
        content, cutter = MESSAGES[number - 1], BodyCutter(lines)
        self.machine.begin_body(len(content))
        for start in range(0, len(content), 5):
            self.machine.body_chunk(cutter.cut(content[start : start + 5]))
            if cutter.done:
                break
        self.machine.body_chunk(cutter.finish())
        self.machine.end_body()

    def _left(self) -> list[int]:
        return [number for number in range(1, len(MESSAGES) + 1) if number not in self.deleted]


def pop3_peer(dialogue: Dialogue) -> MachinePeer:
    """A fresh machine with its maildrop, for one run of the dialogue."""
    machine = Pop3Server(profile_for(dialogue.facts))
    return MachinePeer(machine, ScriptedMaildrop(machine).answer)
