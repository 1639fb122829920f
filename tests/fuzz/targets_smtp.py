"""SMTP targets: whole conversations, bodies, chunks, parameters, the EHLO response, dot-stuffing.

The first octets choose profile and cuts, so that mutation reaches those too.
"""

from pathlib import Path
from random import Random

from postroad.mail.envelope import BodyFlag
from postroad.proto.dotstuff import DotReader, DotStuffer, unstuff
from postroad.proto.smtp.body import BodyReader, ChunkReader, hides_a_dot
from postroad.proto.smtp.extensions import parse_ehlo
from postroad.proto.smtp.grammar import Mail, Rcpt
from postroad.proto.smtp.lines import Unreadable, read_line
from postroad.proto.smtp.profile import Dialect, ServerProfile
from postroad.proto.smtp.server_events import ClientIntroduced
from postroad.testing.dialogue import Dialogue
from postroad.testing.fuzzing import Target
from postroad.testing.smtp import ALL, converse

PROFILES = (
    ServerProfile("mail.example.com", max_size=500, max_recipients=3, starttls=True),
    ServerProfile("mail.example.com", max_errors=1000),
    ServerProfile(
        "mail.example.com",
        Dialect.SUBMISSION,
        secured=True,
        auth_mechanisms=("PLAIN", "LOGIN"),
        require_auth=True,
        repair_bare_lf=True,
        max_errors=1000,
    ),
    ServerProfile("mail.example.com", Dialect.LMTP, max_errors=1000, extensions=ALL),
)


GATEWAY = ServerProfile(
    "mail.example.com", Dialect.SUBMISSION, secured=True, auth_mechanisms=("PLAIN",), max_errors=1000
)
CHUNKED = ServerProfile("mail.example.com", max_size=3000, max_errors=1000, max_idle_commands=1000)


def cut(data: bytes, seed: int) -> list[bytes]:
    random, pieces, start = Random(seed), [], 0
    while start < len(data):
        end = start + random.choice((1, 1, 2, 3, 5, 17, 200))
        pieces.append(data[start:end])
        start = end
    return pieces


def conversation(data: bytes) -> None:
    """Only documented events and well-formed replies; the same for every cut."""
    if len(data) < 2:
        return
    profile, seed, data = PROFILES[data[0] % len(PROFILES)], data[1], data[2:]
    whole = converse(profile, [data])
    assert converse(profile, cut(data, seed)) == whole


def lmtp(data: bytes) -> None:
    """Behind a final dot stand as many replies as recipients were accepted (RFC 2033 §4.2)."""
    if not data:
        return
    envelope = b"LHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<bob@example.com>\r\nRCPT TO:<alice@example.com>\r\n"
    _, said = whole = converse(PROFILES[3], [envelope + data[1:]])
    assert converse(PROFILES[3], cut(envelope + data[1:], data[0])) == whole
    if data[1:7] == b"DATA\r\n" and (end := data.find(b"\r\n.\r\n", 5)) > 0:
        behind = said.partition(b"\r\n354 ")[2].split(b"\r\n")[1:]
        wanted = b"250 2.0.0 " if behind[0].startswith(b"250") else b"55"
        assert all(line.startswith(wanted) for line in behind[:2]), (behind, data[: end + 5])


def bdat(data: bytes) -> None:
    """Chunks of any size, with anything between them, behind a good envelope."""
    if len(data) < 2:
        return
    binary = b" BODY=BINARYMIME" if data[1] & 1 else b""
    envelope = b"EHLO x\r\nMAIL FROM:<a@b.example>" + binary + b"\r\nRCPT TO:<bob@example.com>\r\n"
    whole = converse(CHUNKED, [envelope + data[2:]])
    assert converse(CHUNKED, cut(envelope + data[2:], data[0])) == whole


def xclient(data: bytes) -> None:
    """What a gateway says is read as it is written; and a conversation goes on, or not, whatever was said."""
    line = b"XCLIENT " + data.replace(b"\r", b"").replace(b"\n", b"") + b"\r\n"
    events, said = converse(GATEWAY, [b"EHLO x\r\n", line, b"NOOP\r\n"])
    assert said.endswith((b"250 2.0.0 OK\r\n", b"\r\n"))
    for event in events:
        if isinstance(event, ClientIntroduced):
            _, read = read_line(event.client.line())
            assert read == event.client


def body(data: bytes) -> None:
    """A repaired body has no bare line end and never ends early; what comes behind the end is untouched."""
    if not data:
        return
    results = []
    for pieces in ([data[1:]], cut(data[1:], data[0])):
        reader, content = BodyReader(2000, repair_bare_lf=bool(data[0] & 1)), b""
        for index, piece in enumerate(pieces):
            chunk, rest = reader.feed(piece)
            content += chunk
            if rest is not None:
                behind = rest + b"".join(pieces[index + 1 :])
                results.append((reader.fault, None if reader.fault else (content, reader.flags), behind))
                break
        else:
            results.append(None)
    assert results[0] == results[1]
    if results[0] and results[0][1]:
        content = results[0][1][0]
        assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")
        assert len(content) <= 2000


def chunks(data: bytes) -> None:
    """However a message is cut into chunks and reads, the same is made of it; what may go by DATA has whole lines."""
    if len(data) < 3:
        return
    results = set()
    for seed in (None, data[0], data[1]):
        settings = {"binary": bool(data[2] & 1), "repair_bare_lf": bool(data[2] & 2)}
        reader, content, left = ChunkReader(2000, **settings), b"", [data[3:]] if seed is None else cut(data[3:], seed)
        for number, chunk in enumerate(left or [b""], 1):
            reader.open(len(chunk), last=number == len(left or [b""]))
            for piece in cut(chunk, number) if seed else [chunk]:
                content += reader.feed(piece)
            if not chunk:
                content += reader.feed(b"")
            if reader.is_over:
                break
        results.add((None, 0) if reader.fault else (content, int(reader.flags)))
    assert len(results) == 1
    content, flags = results.pop()
    if content is not None and not flags & BodyFlag.BINARY:
        assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")
        assert not hides_a_dot(content)


def command(data: bytes) -> None:
    """MAIL and RCPT with all their parameters are read as they are written."""
    try:
        _, read = read_line(data.replace(b"\r", b"").replace(b"\n", b"") + b"\r\n")
    except Unreadable:
        return
    if isinstance(read, Mail | Rcpt):
        line = read.line()
        assert line.count(b"\r") == line.count(b"\n") == 1
        assert read_line(line)[1].parameters == read.parameters


def ehlo(data: bytes) -> None:
    capabilities = parse_ehlo(tuple(data.decode("utf-8", "backslashreplace").splitlines()))
    assert capabilities.max_size is None or capabilities.max_size > 0
    assert isinstance(capabilities.auth_mechanisms, tuple)


def dotstuff(data: bytes) -> None:
    """Written in pieces and read in others, content comes back, its last line ended."""
    if not data:
        return
    writer, reader, content, got = DotStuffer(), DotReader(), data[1:], b""
    wire = b"".join(writer.write(piece) for piece in cut(content, data[0])) + writer.finish()
    for piece in cut(wire, data[0] ^ 1):
        read = reader.feed(piece)
        got += unstuff(read)
    assert read.rest == b""
    assert got == (content if content.endswith(b"\r\n") or not content else content + b"\r\n")


def _dialogues() -> list[bytes]:
    """The client's side of every dialogue, under each profile in turn."""
    folder = Path(__file__).parent.parent / "dialogues" / "smtp"
    clients = [
        b"".join(step.data for step in Dialogue.load(path).steps)[:8000] for path in sorted(folder.glob("*.smtp"))
    ]
    return [bytes([index % 4, index]) + client for index, client in enumerate(clients)]


WORDS = (
    b"EHLO x\r\n", b"HELO x\r\n", b"LHLO x\r\n", b"MAIL FROM:<a@b.example>", b"RCPT TO:<bob@example.com>\r\n",
    b"DATA\r\n", b"RSET\r\n", b"QUIT\r\n", b"STARTTLS\r\n", b"AUTH PLAIN ", b"SIZE=", b"BODY=8BITMIME", b"AUTH=<>",
    b"AGFsaWNlQGV4YW1wbGUuY29tAHNlY3JldA==\r\n", b"*\r\n", b"<>", b"GET / HTTP/1.1\r\n", b"\r\n..", b"\r\n.\n",
    b"\n.\r\n", b"VRFY x\r\n", b"BDAT 3\r\na\r\n", b"BDAT 0 LAST\r\n", b"BDAT 9\r\n", b" LAST\r\n", b" SMTPUTF8",
    b"XCLIENT ADDR=192.0.2.7 HELO=x\r\n", b" LOGIN=alice@example.com", b" ADDR=IPV6:2001:db8::7", b"\x16\x03\x01",
    b" BODY=BINARYMIME", b" NOTIFY=NEVER", b" ORCPT=utf-8;a\\x{F6}", b" RET=HDRS", b" ENVID=a+20b", b" HOLDFOR=60",
    b" BY=60;R", b" MT-PRIORITY=-3", b" HOLDUNTIL=2027-01-01T00:00:00Z", b"\xc3\xb6",
)  # fmt: skip
COMMANDS = (
    b"MAIL FROM:<a@b.example> SIZE=1 BODY=BINARYMIME AUTH=<> SMTPUTF8 RET=FULL ENVID=x HOLDFOR=1 BY=9;NT MT-PRIORITY=3",
    b"MAIL FROM:<\xc3\xb6@b.example> SMTPUTF8 HOLDUNTIL=2027-01-01T00:00:00+01:00",
    b"RCPT TO:<bob@example.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;bob+2B@example.com",
    b'RCPT TO:<"b b"@example.com> ORCPT=utf-8;\\x{F6}@example.com',
)
BODIES = (
    b"\0Subject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n", b"\1a\nb\n.\nc\r\n..d\r\n.\r\n", b"\0x\r\n.\r\n.\r\n",
    b"\1" + b"y" * 1100 + b"\r\n.\r\n", b"\0\r\n\r\n..\r\n...\r\n.\r\nNOOP\r\n", b"\1\r\r\n.\r\n",
)  # fmt: skip

LMTP = (
    b"\1DATA\r\nSubject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n", b"\2DATA\r\na\nb\r\n.\r\nNOOP\r\n",
    b"\3BDAT 3\r\nabcBDAT 0 LAST\r\nRSET\r\n",
    b"\4DATA\r\n.\r\n" + b"MAIL FROM:<>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n",
)  # fmt: skip
CHUNKS = (
    b"\1\0BDAT 5\r\nab\r\ncBDAT 2 LAST\r\n\r\nNOOP\r\n", b"\2\1BDAT 9 LAST\r\na: b\r\n\r\n\n",
    b"\3\0BDAT 1\r\n\rBDAT 1\r\n\nBDAT 5 LAST\r\n\0.\r\nxQUIT\r\n", b"\4\1BDAT 2999\r\n" + b"x" * 400,
    b"\5\0BDAT 9999 LAST\r\n", b"\6\0BDAT 3\r\nabcRSET\r\nBDAT 3 LAST\r\nabc",
    b"\7\0BDAT 3\r\nabcDATA\r\nRCPT TO:<bob@example.com>\r\n",
)  # fmt: skip
GATEWAYS = (
    b"ADDR=192.0.2.7 PORT=25 HELO=x.example PROTO=SMTP NAME=x.example",
    b"ADDR=IPV6:2001:db8::7 LOGIN=alice@example.com",
    b"NAME=[UNAVAILABLE] REVERSE_NAME=[TEMPUNAVAIL] DESTADDR=192.0.2.1 DESTPORT=25 HELO=+C3+B6",
)  # fmt: skip
ATTRIBUTES = (
    b"ADDR=", b"IPV6:", b"NAME=", b"HELO=", b"LOGIN=", b"PROTO=ESMTP", b"+00", b"+C3+B6", b"[UNAVAILABLE]", b"+",
    b"::ffff:192.0.2.7", b"%eth0", b" ", b"=", b"+3D", b"DESTPORT=65536",
)  # fmt: skip

TARGETS = {
    "smtp-conversation": Target(conversation, _dialogues(), WORDS),
    "smtp-lmtp": Target(lmtp, LMTP, WORDS),
    "smtp-bdat": Target(bdat, CHUNKS, WORDS),
    "smtp-xclient": Target(xclient, GATEWAYS, ATTRIBUTES),
    "smtp-body": Target(body, BODIES, WORDS),
    "smtp-chunks": Target(chunks, [b"\0\7" + body for body in BODIES], WORDS),
    "smtp-command": Target(command, COMMANDS, WORDS),
    "smtp-ehlo": Target(
        ehlo, [b"mail.example.com\nPIPELINING\nSIZE 1000\nAUTH PLAIN LOGIN\nAUTH=LOGIN"], (b"SIZE ", b"AUTH ")
    ),
    "dotstuff": Target(dotstuff, BODIES),
}
