"""Messages that foreign programs carry, and how a test finds them again."""

from __future__ import annotations

import imaplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

from tests.interop.site import BOB, PASSWORD, Site

HARD_BODY = (
    b"A line that begins with nothing special.\r\n"
    b".A line that begins with a dot.\r\n"
    b"..\r\n"
    b"From here on mbox writers quote.\r\n"
    b"Trailing space \r\n"
    b"\tTab and \xc3\xa9 in UTF-8\r\n"
    b"\r\n\r\n"
    b"The last line.\r\n"
)


def message(token: str, sender: str, recipient: str, body: bytes = HARD_BODY) -> bytes:
    """A message whose header is deliberately unusual: folding, odd case, odd order, repeated fields."""
    return (
        b"X-Odd:   two  spaces\r\n"
        b"FROM: Alice <" + sender.encode() + b">\r\n"
        b"to: <" + recipient.encode() + b">\r\n"
        b"Subject: " + token.encode() + b"\r\n\tfolded with a tab\r\n"
        b"Date: Mon, 23 Nov 2026 09:00:00 +0000\r\n"
        b"Message-ID: <" + token.encode() + b"@example.test>\r\n"
        b"X-Odd: again\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n"
        b"\r\n" + body
    )


def added_fields(stored: bytes, original: bytes) -> list[bytes]:
    """The names of the fields in front of the original; fails unless the rest is the original, octet for octet."""
    assert stored.endswith(original), (stored, original)
    front = stored[: len(stored) - len(original)]
    return [line.partition(b":")[0] for line in front.split(b"\r\n") if line and line[:1] not in b" \t"]


def letter(subject: str) -> bytes:
    """A short message of alice's."""
    return f"From: <alice@example.test>\r\nSubject: {subject}\r\n\r\nHallo\r\n".encode()


@contextmanager
def open_inbox(site: Site, user: str) -> Iterator[imaplib.IMAP4]:
    """By imaplib over TLS, to look only."""
    context = ssl.create_default_context(cafile=str(site.ca))
    with imaplib.IMAP4_SSL("localhost", site.port("imaps"), ssl_context=context) as box:
        box.login(user, PASSWORD)
        box.select("INBOX", readonly=True)
        yield box


def found_by_subject(site: Site, token: str, user: str = BOB) -> list[bytes]:
    """The messages whose subjects hold `token`."""
    with open_inbox(site, user) as box:
        _, (found,) = box.uid("SEARCH", "SUBJECT", f'"{token}"')
        if not found:
            return []
        _, data = box.uid("FETCH", found.replace(b" ", b",").decode(), "(BODY.PEEK[])")
        return [bytes(row[1]) for row in data if isinstance(row, tuple)]


def fetch_by_subject(site: Site, token: str, user: str = BOB) -> bytes:
    """The one message whose subject holds `token`."""
    found = found_by_subject(site, token, user)
    assert len(found) == 1, f"{len(found)} messages with the subject {token}"
    return found[0]


def reports(site: Site, user: str, word: str) -> list[EmailMessage]:
    """The reports in an INBOX that hold `word`."""
    with open_inbox(site, user) as box:
        _, data = box.uid("FETCH", "1:*", "(BODY.PEEK[])")
        texts = [row[1] for row in data if isinstance(row, tuple) and word.encode() in row[1]]
    found = [message_from_bytes(text, policy=policy.default) for text in texts]
    return [each for each in found if each.get_content_type() == "multipart/report"]
