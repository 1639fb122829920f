"""IMAP targets: whole conversations, one command, mailbox names, sequence sets."""

from pathlib import Path
from random import Random

from postroad.proto.imap import utf7
from postroad.proto.imap.commands import COMMANDS, lookup
from postroad.proto.imap.profile import ImapProfile
from postroad.proto.imap.search import BadCharset
from postroad.proto.imap.sequence import SequenceError, SequenceSet
from postroad.proto.imap.tokens import Cursor, SyntaxFault
from postroad.testing.dialogue import Dialogue
from postroad.testing.fuzzing import Target
from postroad.testing.imap import converse

PROFILES = (
    ImapProfile(
        "mail.example.test", plaintext_login=True, max_command_before_login=200, max_append=500, max_errors=1000
    ),
    ImapProfile("mail.example.test", plaintext_login=True, max_errors=1000),
    ImapProfile("mail.example.test", starttls=True, max_errors=3),
    ImapProfile("mail.example.test", secured=True, max_command=300, max_errors=1000),
)
LOGIN = b"x LOGIN alice@example.test wonderland\r\nx SELECT INBOX\r\n"


def cut(data: bytes, seed: int) -> list[bytes]:
    random, pieces, start = Random(seed), [], 0
    while start < len(data):
        end = start + random.choice((1, 1, 2, 3, 5, 17, 200))
        pieces.append(data[start:end])
        start = end
    return pieces


def conversation(data: bytes) -> None:
    """Only documented events and well-formed lines; the same for every cut."""
    if len(data) < 2:
        return
    profile, seed = PROFILES[data[0] % len(PROFILES)], data[1]
    data = (LOGIN if seed % 2 else b"") + data[2:]
    whole = converse(profile, [data])
    assert converse(profile, cut(data, seed)) == whole


def command(data: bytes) -> None:
    """A command is read to its end, or refused with words."""
    cursor = Cursor(data)
    try:
        lookup(cursor)[1].parse(cursor)
        cursor.end()
        return
    except BadCharset:
        return
    except SyntaxFault as fault:
        words = str(fault)
    assert words.isascii()
    assert words.isprintable()


def name(data: bytes) -> None:
    try:
        text = utf7.decode(data)
    except utf7.NameEncodingError:
        return
    assert utf7.decode(utf7.encode(text)) == text


def sequence(data: bytes) -> None:
    try:
        numbers = SequenceSet.parse(data)
    except SequenceError:
        return
    assert SequenceSet.parse(bytes(numbers)).ranges == numbers.ranges
    assert numbers.resolve(7)


def _clients() -> list[bytes]:
    """The client's side of every dialogue."""
    folder = Path(__file__).parent.parent / "dialogues" / "imap"
    return [
        b"".join(step.data for step in Dialogue.load(path).steps if step.kind == "C")
        for path in sorted(folder.glob("*.imap"))
    ]


WORDS = (
    *COMMANDS, b"{3}\r\n", b"{3+}\r\n", b"{0+}\r\n", b"\r\n", b" (", b")", b'"', b"\\", b"NIL", b"1:*", b"BODY[",
    b"]<0.1>", b"HEADER.FIELDS (", b"CHARSET UTF-8 ", b"DONE\r\n", b"*", b"UID ", b"+FLAGS.SILENT ", b"\\Seen",
    b"1-Feb-1994", b"OR ", b"NOT ",
)  # fmt: skip

TARGETS = {
    "imap-conversation": Target(
        conversation, [bytes([at % 4, at]) + client for at, client in enumerate(_clients())], WORDS
    ),
    "imap-command": Target(
        command, [line[3:] for client in _clients() for line in client.split(b"\r\n") if line[3:]], WORDS
    ),
    "imap-name": Target(name, [b"INBOX", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-", b"a&-b"], (b"&", b"-", b"&-", b"&AA")),
    "imap-sequence": Target(sequence, [b"1:*", b"2,4:7,9,12:*"], (b",", b":", b"*")),
}
