"""MIME targets: any octets have an index, and IMAP texts that a strict client reads; address lists, types, dates."""

import email

from postroad.mail.addresses import MAX_TOKENS, parse_addresses
from postroad.mail.dates import parse_date
from postroad.mail.mime import Part, find_section, index, pack_sections
from postroad.mail.parameters import parse_content_type, parse_disposition
from postroad.mail.render import render
from postroad.testing.fuzzing import Target
from postroad.testing.imap_text import parse_imap

NESTED = (
    b'From: Ann <a@b.test>\r\nTo: Group: c@d.test, "E, F" <e@f.test>;\r\nSubject: =?utf-8?q?h=C3=A9?=\r\n'
    b"Date: Tue, 1 Jul 2025 10:00:00 +0000\r\nContent-Type: multipart/mixed; boundary=out\r\n\r\npreamble\r\n--out\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: inline; filename*0=a; b*1*=c\r\n\r\none\r\n"
    b"--out\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\nContent-Type: multipart/digest; boundary=in\r\n\r\n"
    b"--in\r\n\r\nSubject: x\r\n\r\ny\r\n--in--\r\n--out--\r\nepilogue\r\n"
)
ADDRESSES = b'Ann <a@b.test>, "E \\" F" <@r.test:e@f.test>, g (c (d)) @ h . test, Group: i@j.test, k;, <l@[192.0.2.1]>'


def message(data: bytes) -> None:
    """Never an exception; offsets inside their parents; texts that parse; what is found again is what was meant."""
    rendering = render(data)
    assert len(parse_imap(rendering.envelope)) == 10
    parse_imap(rendering.bodystructure)
    parse_imap(rendering.body)
    root = index(data)
    assert (root.header_start, root.body_end) == (0, len(data))
    check(root)
    assert find_section(pack_sections(root), ()).body_start == rendering.header_size
    for path in ((1,), (2, 1), (1, 1, 1)):
        find_section(rendering.sections, path)


def check(part: Part) -> None:
    assert part.header_start <= part.body_start <= part.body_end
    position = part.body_start
    for child in part.children:
        assert position <= child.header_start
        assert child.body_end <= part.body_end
        position = child.body_end
        check(child)


def values(data: bytes) -> None:
    found = parse_addresses(data)
    assert len(found) <= MAX_TOKENS + 1
    assert all(mailbox.local_part is not None or mailbox == (None, None, None, None) for mailbox in found)
    for read in (parse_content_type, parse_disposition, parse_date):
        read(data)


def seeds() -> list[bytes]:
    python = email.message_from_bytes(NESTED)
    python["X-Folded"] = "word " * 30
    return [NESTED, NESTED.replace(b"\r\n", b"\n"), python.as_bytes(), b"", b"Subject: x\r\n\r\nbody"]


WORDS = [
    b"--out",
    b"--out--",
    b"--in",
    b"\r\n\r\n",
    b"Content-Type: multipart/mixed; boundary=",
    b"message/rfc822",
    b"\r\n ",
]
TARGETS = {
    "mime-message": Target(message, seeds(), WORDS),
    "mime-values": Target(
        values,
        [ADDRESSES, b'text/plain; charset="utf-8"; a*0*=b; a*1=c (d)', b"Tue, 1 Jul 2025 10:00:00 +0000 (UTC)"],
        [b"(", b")", b"<", b">", b'"', b"\\", b",", b";", b":", b"@", b"*0*=", b"=?utf-8?b?"],
    ),
}
