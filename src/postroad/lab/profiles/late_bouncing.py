"""Takes every message, and tells by mail what became of it. Each recipient chooses by its local-part: `bounce@` exists
no more, `full@` has no room, `delay@` is late, `prose@` is reported in words that no standard knows, `away@` has a
robot that answers, `challenge@` a filter that wants to see a person. All others are simply taken."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from postroad.lab.reactions import Reaction, header_of
from postroad.lab.receivers import Letter
from postroad.lab.temper import Temper
from postroad.mail.dsn import Action, DeliveryReport, RecipientReport, ReturnedMessage, write
from postroad.mail.header import Header
from postroad.mail.status import Status, status

REPORTS = {
    "bounce": (Action.FAILED, status(550, "5.1.1", "The email account that you tried to reach does not exist")),
    "full": (Action.FAILED, status(552, "5.2.2", "The recipient's mailbox is full")),
    "delay": (Action.DELAYED, status(451, "4.4.1", "No answer from the mailbox server")),
}
_WHEN = datetime(2026, 1, 1, tzinfo=UTC)


class LateBouncing(Temper):
    """Reports go out `after` seconds."""

    def __init__(self, after: float = 0.0) -> None:
        self._after = after
        self._count = 0

    def afterwards(self, letter: Letter) -> Sequence[Reaction]:
        """One for each recipient that has something to say; nothing for what is itself a report."""
        if not letter.reverse_path:
            return ()
        made = []
        for recipient in letter.recipients:
            content = self._content(letter, recipient)
            if content:
                sender = recipient if _name(recipient) == "challenge" else ""
                made.append(Reaction(letter.receiver, letter.reverse_path, content, sender, self._after))
        return made

    def _content(self, letter: Letter, recipient: str) -> bytes:
        self._count += 1
        name = _name(recipient)
        if name in REPORTS:
            return self._report(letter, recipient, *REPORTS[name])
        return _WORDS[name](letter, recipient) if name in _WORDS else b""

    def _report(self, letter: Letter, recipient: str, action: Action, said: Status) -> bytes:
        """RFC 3464, with all that the sender has said of message and recipient."""
        wish = letter.wishes.get(recipient)
        told = Status(said.reply_code, said.enhanced, said.text, diagnostic=str(said))
        one = RecipientReport(recipient, action, told, orcpt=(wish.orcpt or "") if wish is not None else "")
        report = DeliveryReport(letter.receiver, [one], envid=letter.parameters.envid or "")
        return write(
            report,
            ReturnedMessage(header_of(letter), whole=False),
            to=letter.reverse_path,
            now=_WHEN,
            message_id=f"{self._count}.report@{letter.receiver}",
            boundary=f"late-{self._count}",
        )


def _name(recipient: str) -> str:
    return recipient.partition("@")[0].lower()


def _prose(letter: Letter, recipient: str) -> bytes:
    """As qmail writes it."""
    return (
        f"From: MAILER-DAEMON@{letter.receiver}\r\nTo: {letter.reverse_path}\r\nSubject: failure notice\r\n\r\n"
        f"Hi. This is the qmail-send program at {letter.receiver}.\r\n"
        "I'm afraid I wasn't able to deliver your message to the following addresses.\r\n"
        "This is a permanent error; I've given up. Sorry it didn't work out.\r\n\r\n"
        f"<{recipient}>:\r\nSorry, no mailbox here by that name. (#5.1.1)\r\n\r\n"
        "--- Below this line is a copy of the message.\r\n\r\n"
    ).encode() + header_of(letter)


def _robot(letter: Letter, recipient: str) -> bytes:
    """RFC 3834."""
    known = Header.of(header_of(letter)).text(b"message-id")
    return (
        f"From: <{recipient}>\r\nTo: <{letter.reverse_path}>\r\nSubject: Out of office: back on Monday\r\n"
        f"Auto-Submitted: auto-replied\r\nIn-Reply-To: {known}\r\n\r\nI am away until Monday.\r\n"
    ).encode()


def _challenge(letter: Letter, recipient: str) -> bytes:
    known = Header.of(header_of(letter)).text(b"message-id")
    return (
        f"From: <{recipient}>\r\nTo: <{letter.reverse_path}>\r\nSubject: Please confirm your message\r\n"
        f"Auto-Submitted: auto-replied\r\nIn-Reply-To: {known}\r\n\r\n"
        "Your message is being held. Please reply to this message to confirm that you are a person, and it will be"
        " delivered.\r\nYou only have to do this once.\r\n"
    ).encode()


_WORDS = {"prose": _prose, "away": _robot, "challenge": _challenge}
