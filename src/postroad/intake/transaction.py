"""One SMTP transaction on its way in: the envelope as it grows, and where its mail will go (RFC 5321 §3.3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from postroad.mail.address import ForwardPath, ReversePath
from postroad.mail.envelope import Origin
from postroad.mail.status import Status, status
from postroad.ports.ids import MessageId, ServerId
from postroad.ports.store import Acceptance, AccountRecord
from postroad.proto.smtp.parameters import NO_PARAMETERS, MailParameters, RcptParameters
from postroad.routing.aliases import Target
from postroad.routing.routes import LOCAL_DEST

if TYPE_CHECKING:
    from postroad.accounts.tokens import Access
    from postroad.intake.programs import Asked
    from postroad.intake.scanners import Scan
    from postroad.intake.verdicts import Verdict
    from postroad.intake.visit import Visit

API_SERVICE = "api"  # programs that send by HTTP, each with the token of its server
SUBMISSION_SERVICES = frozenset(("submission", "submissions", API_SERVICE))
TRUSTED_SERVICE = "local"  # sendmail, send and our own bounces: they come through the control socket or from inside
SANDBOX_DEST = "sandbox"
DISCARDED_DEST = "discarded"  # a scanner wants it to reach nobody

_NOTHING: Mapping[str, str] = {}
_SANDBOXED = status(250, "2.0.0", "sandbox: accepted, and sent nowhere")


class PlannedDelivery:
    """One delivery to be: a target, and the recipients that led to it. With `end` it is over when it is born."""

    __slots__ = ("end", "held", "recipients", "target")

    def __init__(self, target: Target, recipient: str, end: Status | None = None) -> None:
        self.target = target
        self.recipients = [recipient]
        self.end = end
        self.held = ""  # why it is not to be tried before somebody releases it

    @property
    def orig(self) -> str:
        """The recipients as the client named them, where that is not simply the target; merged ones side by side."""
        if len(self.recipients) == 1 and self.recipients[0] == self.target.forward_path:
            return ""
        changed = [name for name in self.recipients if name.lower() != self.target.forward_path.lower()]
        return ", ".join(self.recipients if changed and len(self.recipients) > 1 else changed)


class MailTransaction:
    """Made at MAIL, dropped at its end. The session holds it; `intake` fills it."""

    __slots__ = (
        "acceptance",
        "access",
        "account",
        "asked",
        "authors",
        "body",
        "doubt",
        "expanded",
        "gone",
        "message",
        "metadata",
        "missed_answer",
        "notes",
        "origin",
        "parameters",
        "planned",
        "received",
        "recipients",
        "reverse_path",
        "sandbox",
        "scan",
        "server",
        "size",
        "stream",
        "tag",
        "tracking",
        "visit",
        "wishes",
    )

    def __init__(
        self,
        origin: Origin,
        reverse_path: ReversePath,
        size: int | None = None,
        body: str = "",
        account: AccountRecord | None = None,
    ) -> None:
        self.origin = origin
        self.parameters: MailParameters = NO_PARAMETERS  # what MAIL FROM said beside SIZE and BODY
        self.wishes: dict[str, RcptParameters] = {}  # by recipient as the client named it; those alone that said any
        self.reverse_path = reverse_path
        self.size = size  # SIZE= of MAIL FROM (RFC 1870)
        self.body = body  # BODY= of MAIL FROM (RFC 6152)
        self.account = account  # the authenticated submitter
        self.expanded: tuple[str, ...] = ()  # of these: the aliases of several
        self.recipients: list[str] = []  # as the client named them, accepted ones only
        self.planned: dict[str, PlannedDelivery] = {}  # by mailbox or remote address: duplicates are merged
        self.message = MessageId(0)
        self.received: datetime | None = None
        self.acceptance: Acceptance | None = None
        self.gone = False
        self.missed_answer: Callable[[MailTransaction], None] | None = None  # told who missed it: no cycle
        self.access: Access | None = None  # of a program that has logged in with its server's token
        self.asked: Asked | None = None  # by such a program, in its header fields
        self.authors: Sequence[bytes] = ()  # the From fields of what an account submits
        self.doubt: Awaitable[Status | None] | None = None  # whether From is the submitter's own
        self.server: ServerId | None = None  # the sending project whose token submits it
        self.sandbox = False  # that server's mail is shown as delivered, and goes nowhere
        self.stream = ""
        self.tag = ""
        self.metadata: Mapping[str, str] = _NOTHING
        self.visit: Visit | None = None  # of a stranger, at the front door
        self.scan: Scan | None = None  # the scanners of its session, where there are any
        self.notes: tuple[Verdict, ...] = ()  # what steps said of this message alone
        self.tracking: Mapping[str, str] = _NOTHING  # what was asked for (`track_opens`, `track_links`), for the event

    @property
    def is_submission(self) -> bool:
        """It came by a listener that is for our own people alone (RFC 6409)."""
        return self.origin.service in SUBMISSION_SERVICES

    @property
    def is_trusted(self) -> bool:
        """From an authenticated submitter, or from this machine's own tools: may send to the world."""
        origin = self.origin
        return origin.service == TRUSTED_SERVICE or (origin.account != "" and origin.service in SUBMISSION_SERVICES)

    @property
    def is_report(self) -> bool:
        """Our own word about other mail: made here, with the null reverse-path (RFC 5321 §6.1)."""
        return self.reverse_path.null and self.origin.service == TRUSTED_SERVICE

    def add(self, path: ForwardPath, targets: tuple[Target, ...]) -> None:
        """Take a recipient that was accepted."""
        name = str(path)
        self.recipients.append(name)
        if self.wishes and len(targets) > 1 and name in self.wishes:
            self.expanded += (name,)
        for target in targets:
            key = target.forward_path
            planned = self.planned.get(key)
            if planned is None:
                self.planned[key] = PlannedDelivery(target, name)
            elif name not in planned.recipients:
                planned.recipients.append(name)

    def end(self, path: ForwardPath, status: Status) -> None:
        """Take a recipient whose fate is known now: bounced, with what our own rules say of it."""
        self._end(path, LOCAL_DEST, status)

    def drop(self, name: str) -> None:
        """A recipient that was taken is refused after all, before the message is ours: it was never one."""
        self.recipients = [each for each in self.recipients if each != name]
        self.expanded = tuple(each for each in self.expanded if each != name)
        self._unplan(name)

    def _unplan(self, name: str) -> None:
        for key, planned in list(self.planned.items()):
            if name in planned.recipients:
                planned.recipients.remove(name)
                if not planned.recipients:
                    del self.planned[key]

    def suppress(self, name: str, status: Status) -> None:
        """A recipient that was taken gets nothing after all: bounced, with what our own rules say of it."""
        self._unplan(name)
        self.planned[name] = PlannedDelivery(Target(name, LOCAL_DEST), name, status)

    def discard(self, by: str) -> None:
        """Nobody gets it, and its sender hears nothing of that: it is on record."""
        end = Status(250, None, "discarded", by)
        names = list(self.planned) or self.recipients
        self.planned = {name: PlannedDelivery(Target(name, DISCARDED_DEST), name, end) for name in names}

    def hold(self, why: str) -> None:
        """It is ours, and tried by nobody until it is released."""
        for planned in self.planned.values():
            if planned.end is None:
                planned.held = why

    def add_to_sandbox(self, path: ForwardPath) -> None:
        """Take a recipient who is shown as having got it."""
        self._end(path, SANDBOX_DEST, _SANDBOXED)

    def _end(self, path: ForwardPath, dest: str, status: Status) -> None:
        name = str(path)
        self.recipients.append(name)
        if name not in self.planned:
            self.planned[name] = PlannedDelivery(Target(name, dest), name, status)

    def abandoned(self) -> None:
        """The client has gone. Before the commit nothing is kept; after it, its next try is known as a repeat."""
        self.gone = True
        if self.acceptance is not None:
            self.acceptance.abandoned = True
        if self.missed_answer is not None:
            self.missed_answer(self)
            self.missed_answer = None
