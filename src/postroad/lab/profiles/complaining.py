"""Takes every message, and calls it spam: a feedback report (RFC 5965) goes to abuse@ of the author's domain, where a
sender has registered for the reports of a provider."""

from __future__ import annotations

from collections.abc import Sequence

from postroad.lab.reactions import Reaction, header_of
from postroad.lab.receivers import Letter
from postroad.lab.temper import Temper
from postroad.mail.header import Header


class Complaining(Temper):
    """Reports go out `after` seconds; with `redacted` they do not name who complains."""

    def __init__(self, after: float = 0.0, *, redacted: bool = False) -> None:
        self._after = after
        self._redacted = redacted

    def afterwards(self, letter: Letter) -> Sequence[Reaction]:
        """One for each recipient."""
        header = header_of(letter)
        domain = Header.of(header).text(b"from").rpartition("@")[2].rstrip("> ") or letter.reverse_path
        return [
            Reaction(letter.receiver, f"abuse@{domain}", self._report(letter, recipient, header, domain),
                     f"feedback@{letter.receiver}", self._after)
            for recipient in letter.recipients
        ]  # fmt: skip

    def _report(self, letter: Letter, recipient: str, header: bytes, domain: str) -> bytes:
        whom = "" if self._redacted else f"Original-Rcpt-To: {recipient}\r\n"
        if self._redacted:
            header = header.replace(recipient.encode(), b"redacted")
        head = (
            f"From: <feedback@{letter.receiver}>\r\nTo: <abuse@{domain}>\r\nSubject: a complaint about your mail\r\n"
            "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=arf\r\n\r\n"
            "--arf\r\nContent-Type: text/plain\r\n\r\nThis is an abuse report for a message that came from you.\r\n\r\n"
            "--arf\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n"
            f"User-Agent: Laboratory/1.0\r\nVersion: 1\r\nOriginal-Mail-From: <{letter.reverse_path}>\r\n{whom}"
            f"Reporting-MTA: dns; {letter.receiver}\r\n\r\n--arf\r\nContent-Type: text/rfc822-headers\r\n\r\n"
        )
        return head.encode() + header + b"\r\n--arf--\r\n"
