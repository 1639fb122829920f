"""POP3 target: any bytes in, well-formed answers out, the same for every cut."""

import re
from pathlib import Path
from random import Random

from postroad.proto.pop3.server import Pop3Profile, Pop3Server
from postroad.proto.wire import Signal
from postroad.testing.dialogue import Dialogue
from postroad.testing.fuzzing import Target
from postroad.testing.pop3 import ScriptedMaildrop

PROFILES = (
    Pop3Profile("mail.example.com", secured=True, max_errors=1000, max_logins=1000),
    Pop3Profile("mail.example.com", plaintext_login=True),
    Pop3Profile("mail.example.com", starttls=True),
)
FIRST_LINE = re.compile(rb"(\+OK|-ERR|\+ )[^\r\n]*")


def converse(profile: Pop3Profile, pieces: list[bytes]) -> bytes:
    machine = Pop3Server(profile)
    drop = ScriptedMaildrop(machine)
    said = machine.data_to_send()
    for piece in pieces:
        machine.receive_data(piece)
        while not isinstance(event := machine.next_event(), Signal):
            drop.answer(event)
        said += machine.data_to_send()
    return said


def conversation(data: bytes) -> None:
    if len(data) < 2:
        return
    profile, random, data = PROFILES[data[0] % len(PROFILES)], Random(data[1]), data[2:]
    pieces, start = [], 0
    while start < len(data):
        end = start + random.choice((1, 1, 2, 3, 5, 17, 200))
        pieces.append(data[start:end])
        start = end
    said = converse(profile, [data])
    assert converse(profile, pieces) == said
    assert said.count(b"\n") == said.count(b"\r\n")
    assert FIRST_LINE.match(said)


def seeds() -> list[bytes]:
    folder = Path(__file__).parent.parent / "dialogues" / "pop3"
    dialogues = [Dialogue.load(path) for path in sorted(folder.glob("*.pop3"))]
    return [b"\0\1" + b"".join(step.data for step in dialogue.steps) for dialogue in dialogues]


WORDS = [
    b"USER alice@example.com\r\n",
    b"PASS secret\r\n",
    b"RETR 3\r\n",
    b"TOP 1 1\r\n",
    b"AUTH PLAIN\r\n",
    b"STLS\r\n",
    b"*\r\n",
]
TARGETS = {"pop3-conversation": Target(conversation, seeds(), WORDS)}
