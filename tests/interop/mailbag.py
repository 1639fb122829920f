"""Messages that foreign programs carry, and how a test finds them again."""

from __future__ import annotations

import imaplib
import ssl

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


def fetch_by_subject(port: int, ca: str, user: str, password: str, token: str) -> bytes:
    """The one message whose subject holds `token`, by imaplib over TLS."""
    with imaplib.IMAP4_SSL("localhost", port, ssl_context=ssl.create_default_context(cafile=ca)) as box:
        box.login(user, password)
        box.select("INBOX", readonly=True)
        _, (found,) = box.uid("SEARCH", "SUBJECT", f'"{token}"')
        uids = found.split()
        assert len(uids) == 1, f"{len(uids)} messages with the subject {token}"
        _, data = box.uid("FETCH", uids[0].decode(), "(BODY.PEEK[])")
        return bytes(data[0][1])
