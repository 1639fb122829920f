"""SMTP dialogues on a bare machine: the profile that a file asks for, and a scripted intake.

The facts of a file (`listener`, `tls`, `max_size` ...) choose the profile; local-parts choose the fate, as in a server
that has the mailboxes bob@example.com and alice@example.com (password `secret`) and nobody else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, get_args

from postroad.mail.envelope import BodyFlag, TlsInfo
from postroad.proto.sasl.exchange import Challenge, Credentials, ServerExchange
from postroad.proto.sasl.mechanisms import begin
from postroad.proto.smtp import reply as replies
from postroad.proto.smtp.content import BODY_REPLIES
from postroad.proto.smtp.extensions import BUILT, EXTENSIONS
from postroad.proto.smtp.parameters import MailParameters, RcptParameters
from postroad.proto.smtp.profile import Dialect, ServerProfile, Standing
from postroad.proto.smtp.reply import Reply, reply
from postroad.proto.smtp.server import SmtpServer
from postroad.proto.smtp.server_events import (
    AuthResponse,
    AuthStarted,
    BodyChunk,
    BodyEnd,
    ClientIntroduced,
    ConversationEnded,
    DataRequested,
    Event,
    HelloReceived,
    MailReceived,
    Quit,
    RcptReceived,
    TlsRequested,
    TransactionReset,
)
from postroad.proto.smtp.xclient import Xclient
from postroad.proto.wire import Signal
from postroad.testing.dialogue import Dialogue, MachinePeer

HOSTNAME = "mail.example.com"
TLS = TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384")
ALL = frozenset(extension.keyword for extension in EXTENSIONS)
MAX_HOLD = 30 * 86400
HORIZON = "2099-01-01T00:00:00Z"
NETWORKS = ("partners", "xclient")  # settings that a dialogue may set to networks
LIMITS = (
    "max_command_line",
    "max_size",
    "max_recipients",
    "max_refused_recipients",
    "max_errors",
    "max_hold",
    "max_transactions",
    "max_idle_commands",
)
MECHANISMS = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN")  # as the settings have them by default
MAILBOXES = ("bob", "alice", "postmaster")
UNKNOWN = reply(550, "5.1.1", "no such user")
NOT_KNOWN = reply(550, "5.7.8", "Nobody of that name logs in here")
DENIED = reply(550, "5.7.1", "relaying denied")
QUEUED = reply(250, "2.0.0", "queued")
_REPLIES: Final = re.compile(rb"(?:[2-5][0-9]{2}[ -][ -~]*\r\n)*")


def profile_for(facts: dict[str, str]) -> ServerProfile:
    """The profile of a dialogue: `listener: mx`, `tls: no`, any number by its name; `extensions: all` for those too
    that are not announced yet, `without: CHUNKING` for one less."""
    listener = facts.get("listener", "mx")
    submission = listener in ("submission", "submissions")
    dialect = Dialect.SUBMISSION if submission else Dialect(listener)
    numbers: dict[str, Any] = {name: int(facts[name]) for name in LIMITS if name in facts and name != "max_hold"}
    without = frozenset(facts.get("without", "").split(","))
    return ServerProfile(
        HOSTNAME,
        dialect,
        starttls=facts.get("tls", "yes") == "yes",
        secured=listener == "submissions",
        auth_mechanisms=MECHANISMS if submission else (),
        require_auth=submission,
        repair_bare_lf=submission,
        max_hold=int(facts.get("max_hold", MAX_HOLD)),
        extensions=(ALL if facts.get("extensions") == "all" else BUILT) - without,
        **numbers,
    )


class ScriptedIntake:
    """Answers a machine's events as a small, sure server would. `messages` holds what it took."""

    def __init__(self, machine: SmtpServer) -> None:
        self.machine = machine
        self.messages: list[tuple[str, list[str], bytes]] = []
        self.asked: list[MailParameters | RcptParameters] = []  # in the transaction that was begun last
        self._sender = ""
        self._recipients: list[str] = []
        self._body: list[bytes] = []
        self._exchange: ServerExchange | None = None

    def answer(self, event: Any) -> bool:
        """Returns True when a session would close the connection."""
        match event:
            case HelloReceived():
                self.machine.answer(replies.OK)
            case MailReceived(reverse_path, parameters):
                self._sender, self._recipients = str(reverse_path), []
                self.asked = [parameters]
                self.machine.answer(reply(550, "5.7.1", "not you") if "banned@" in self._sender else replies.SENDER_OK)
            case RcptReceived():
                self.machine.answer(self._recipient(event))
            case DataRequested():
                self._body = []
                self.machine.accept_body()
            case BodyChunk(data):
                self._body.append(data)
            case BodyEnd():
                self._end(event)
            case TlsRequested():
                self.machine.accept_tls()
            case AuthStarted(mechanism, initial):
                self._exchange = begin(mechanism)
                self._step(initial)
            case AuthResponse(data) if data is not None:
                self._step(data)
            case ClientIntroduced(client):
                self._meet(client)
            case TransactionReset():
                self._recipients = []
        return isinstance(event, Quit | ConversationEnded)

    def _recipient(self, event: RcptReceived) -> Reply:
        path = event.forward_path
        if path.domain is not None and path.domain.ascii != "example.com" and not self.machine.profile.require_auth:
            return DENIED
        if path.local_part.lower() not in MAILBOXES and (path.domain is None or path.domain.ascii == "example.com"):
            return UNKNOWN
        self.asked.append(event.parameters)
        self._recipients.append(str(path))
        return replies.RECIPIENT_OK

    def _end(self, event: BodyEnd) -> None:
        if event.fault is not None:
            self.machine.answer(BODY_REPLIES[event.fault])
            return
        self.messages.append((self._sender, self._recipients, b"".join(self._body)))
        if self.machine.profile.dialect is Dialect.LMTP:
            self.machine.answer_each([QUEUED] * len(self._recipients))
        else:
            self.machine.answer(QUEUED)

    def _meet(self, client: Xclient) -> None:
        if client.login not in (None, "", "alice@example.com") or (client.login and not self._has_logins):
            self.machine.answer(NOT_KNOWN)
            return
        verb = "HELO" if client.proto == "SMTP" else "EHLO"
        self.machine.accept_client(hello=verb if client.helo else "", authenticated=bool(client.login))

    @property
    def _has_logins(self) -> bool:
        return bool(self.machine.profile.auth_mechanisms)

    def _step(self, data: bytes | None) -> None:
        assert self._exchange is not None
        match self._exchange.step(data):
            case Challenge(challenge):
                self.machine.challenge(challenge)
            case Credentials("alice@example.com", "secret"):
                self.machine.authenticated()
            case _:
                self.machine.answer(replies.AUTH_FAILED)


def smtp_peer(dialogue: Dialogue) -> MachinePeer:
    """A bare machine with its scripted intake, for `testing.dialogue.play` and `agree`."""
    machine = SmtpServer(profile_for(dialogue.facts))
    machine.standing = Standing(
        listed="partners" in dialogue.facts, may_introduce="xclient" in dialogue.facts, horizon=HORIZON
    )
    machine.start()
    return MachinePeer(machine, ScriptedIntake(machine).answer)


def converse(profile: ServerProfile, pieces: Iterable[bytes]) -> tuple[list[Event], bytes]:
    """Give a machine these bytes and an end; returns its events and what it said.

    Holds the law of every machine: any bytes in, only documented events and well-formed replies out. Chunks are joined,
    and those of a faulty or unfinished body left out, so that two cuts of the same bytes give equal events.
    """
    machine = SmtpServer(profile)
    machine.standing = Standing(listed=True, may_introduce=True, horizon=HORIZON)
    machine.start()
    intake, events, said = ScriptedIntake(machine), list[Event](), b""
    for piece in (*pieces, None):
        if piece is None:
            machine.receive_eof()
        else:
            machine.receive_data(piece)
        while not isinstance(event := machine.next_event(), Signal):
            assert isinstance(event, get_args(Event)), f"not a documented event: {event!r}"
            _append(events, event)
            intake.answer(event)
        said += machine.data_to_send()
    assert _REPLIES.fullmatch(said), f"not replies: {said!r}"
    while events and isinstance(events[-1], BodyChunk | ConversationEnded):
        events.pop()
    return events, said


def _append(events: list[Event], event: Event) -> None:
    last = events[-1] if events else None
    if isinstance(last, BodyChunk) and isinstance(event, BodyChunk):
        events[-1] = BodyChunk(last.data + event.data)
        return
    if isinstance(last, BodyChunk) and isinstance(event, BodyEnd) and event.fault is not None:
        events.pop()
    # Size and flags of a faulty body are those of what was handed out, which depends on the cuts.
    events.append(BodyEnd(event.fault, 0, BodyFlag.NONE) if isinstance(event, BodyEnd) and event.fault else event)
