"""IMAP on a bare machine: the profile that a dialogue asks for, scripted mailboxes, and whole conversations for laws.

The script is a server with one account (alice@example.test, `wonderland`) whose every mailbox can be selected and
appended to, but for those called `missing`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, get_args

from postroad.proto.imap import commands, events
from postroad.proto.imap.profile import ImapProfile
from postroad.proto.imap.responses import no, ok
from postroad.proto.imap.server import ImapServer
from postroad.proto.sasl.exchange import Challenge, Credentials, ServerExchange
from postroad.proto.sasl.mechanisms import begin
from postroad.proto.wire import Signal
from postroad.testing.dialogue import Dialogue, MachinePeer

HOSTNAME = "mail.example.test"
ADDRESS = "alice@example.test"
PASSWORD = "wonderland"  # noqa: S105 - of a test's account
DENIED = no("the name or the password is wrong", b"AUTHENTICATIONFAILED")
MISSING = no("there is no such mailbox", b"TRYCREATE")
_LINES: Final = re.compile(rb"(?:(?:\*|\+|[!-~]+) [^\r\n]*\r\n)*")


def profile_for(facts: dict[str, str]) -> ImapProfile:
    """`tls: no|offered|needed|on` (no by default) and any number of the profile by its name."""
    tls = facts.get("tls", "no")
    names = ("max_command", "max_command_before_login", "max_append", "max_errors")
    numbers: dict[str, Any] = {name: int(facts[name]) for name in names if name in facts}
    profile = ImapProfile(
        HOSTNAME,
        starttls=tls in ("offered", "needed"),
        secured=tls == "on",
        plaintext_login=tls in ("no", "offered"),
    )
    return replace(profile, **numbers)


class ScriptedMailboxes:
    """Answers a machine's events as a small, sure server would. `appended` holds what it took."""

    def __init__(self, machine: ImapServer) -> None:
        self.machine = machine
        self.appended: list[bytes] = []
        self._body = b""
        self._exchange: ServerExchange | None = None

    def answer(self, event: Any) -> bool:
        """Returns True when a session would close the connection."""
        machine = self.machine
        match event:
            case events.CommandReceived(_, command):
                self._command(command)
            case events.AuthStarted(_, mechanism, initial):
                self._exchange = begin(mechanism)
                self._step(initial)
            case events.AuthResponse(data) if data is not None:
                self._step(data)
            case events.TlsRequested():
                machine.accept_tls()
            case events.AppendStarted(_, mailbox):
                self._body = b""
                machine.fail(MISSING) if mailbox == "missing" else machine.accept_literal()
            case events.LiteralChunk(data):
                self._body += data
            case events.AppendEnd():
                self.appended.append(self._body)
                machine.finish(ok("appended"))
            case events.IdleEnded():
                machine.finish(ok("IDLE ended"))
        return isinstance(event, events.ConversationEnded)

    def _command(self, command: commands.Command) -> None:
        machine = self.machine
        match command:
            case commands.Login(user, password):
                self._log_in(user.decode("utf-8", "replace"), password.decode("utf-8", "replace"))
                return
            case commands.Select(mailbox):
                if mailbox == "missing":
                    machine.unselected()
                    machine.finish(no("there is no such mailbox", b"NONEXISTENT"))
                    return
                machine.selected()
            case commands.Close():
                machine.unselected()
            case commands.Idle():
                machine.start_idle()
                return
            case commands.Logout():
                machine.bye("until next time")
        machine.finish(ok("done"))

    def _step(self, data: bytes | None) -> None:
        assert self._exchange is not None
        match self._exchange.step(data):
            case Challenge(challenge):
                self.machine.challenge(challenge)
            case Credentials(name, password):
                self._log_in(name, password)
            case _:
                self.machine.finish(DENIED)

    def _log_in(self, name: str, password: str) -> None:
        if (name, password) != (ADDRESS, PASSWORD):
            self.machine.finish(DENIED)
            return
        self.machine.authenticated()
        self.machine.finish(ok("logged in"))


def imap_peer(dialogue: Dialogue) -> MachinePeer:
    """A bare machine with its scripted mailboxes, for `testing.dialogue.play` and `agree`."""
    machine = ImapServer(profile_for(dialogue.facts))
    machine.greet()
    return MachinePeer(machine, ScriptedMailboxes(machine).answer)


def converse(profile: ImapProfile, pieces: Iterable[bytes]) -> tuple[bytes, list[Any], list[bytes]]:
    """A whole conversation, with its laws checked: documented events only, well-formed lines only, and at the end
    nothing kept. Returns what was said, the events (chunks of a literal joined) and what was appended."""
    machine = ImapServer(profile)
    machine.greet()
    mailboxes = ScriptedMailboxes(machine)
    met: list[Any] = []
    for piece in [*pieces, None]:
        if piece is None:
            machine.receive_eof()
        else:
            machine.receive_data(piece)
        while not isinstance(event := machine.next_event(), Signal):
            assert isinstance(event, get_args(events.Event)), event
            if not isinstance(event, events.LiteralChunk):
                met.append(event)
            mailboxes.answer(event)
        assert event is Signal.NEED_DATA, "every event was answered"
        assert machine.patience > 0
    said = machine.data_to_send()
    assert _LINES.fullmatch(said), said
    assert isinstance(met[-1], events.ConversationEnded)
    return said, met, mailboxes.appended
