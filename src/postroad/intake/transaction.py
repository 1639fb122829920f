"""One SMTP transaction on its way in: the envelope as it grows, and where its mail will go (RFC 5321 §3.3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from postroad.mail.address import ForwardPath, ReversePath
from postroad.mail.envelope import Origin
from postroad.ports.ids import MessageId
from postroad.ports.store import Acceptance, AccountRecord
from postroad.routing.aliases import Target

SUBMISSION_SERVICES = frozenset(("submission", "submissions"))
TRUSTED_SERVICE = "local"  # sendmail, send and our own bounces: they come through the control socket or from inside


class PlannedDelivery:
    """One delivery to be: a target, and the recipients that led to it."""

    __slots__ = ("recipients", "target")

    def __init__(self, target: Target, recipient: str) -> None:
        self.target = target
        self.recipients = [recipient]

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
        "account",
        "body",
        "gone",
        "message",
        "missed_answer",
        "origin",
        "planned",
        "received",
        "recipients",
        "reverse_path",
        "size",
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
        self.reverse_path = reverse_path
        self.size = size  # SIZE= of MAIL FROM (RFC 1870)
        self.body = body  # BODY= of MAIL FROM (RFC 6152)
        self.account = account  # the authenticated submitter
        self.recipients: list[str] = []  # as the client named them, accepted ones only
        self.planned: dict[str, PlannedDelivery] = {}  # by mailbox or remote address: duplicates are merged
        self.message = MessageId(0)
        self.received: datetime | None = None
        self.acceptance: Acceptance | None = None
        self.gone = False
        self.missed_answer: Callable[[MailTransaction], None] | None = None  # told who missed it: no cycle

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
        for target in targets:
            key = target.forward_path
            planned = self.planned.get(key)
            if planned is None:
                self.planned[key] = PlannedDelivery(target, name)
            elif name not in planned.recipients:
                planned.recipients.append(name)

    def abandoned(self) -> None:
        """The client has gone. Before the commit nothing is kept; after it, its next try is known as a repeat."""
        self.gone = True
        if self.acceptance is not None:
            self.acceptance.abandoned = True
        if self.missed_answer is not None:
            self.missed_answer(self)
            self.missed_answer = None
