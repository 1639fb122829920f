"""Every SMTP dialogue on the bare machine: whole, byte by byte, at random cuts.

The same files run against the whole server in `tests/flows`; those that need a bare machine say so.
"""

import re
from pathlib import Path

import pytest

from postroad.proto.smtp import reply
from postroad.proto.smtp.extensions import EXTENSIONS
from postroad.proto.smtp.grammar import VERBS
from postroad.testing.dialogue import Dialogue, agree, at_once, dialogue_files, play
from postroad.testing.smtp import smtp_peer

# What only the driver or a session in trouble says; their own tests have it.
NOT_IN_DIALOGUES = {"OVERLOADED", "LOCAL_ERROR"}
FILES = dialogue_files(Path(__file__).parent / "smtp", ".smtp")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_dialogue(path: Path) -> None:
    dialogue = Dialogue.load(path)
    agree(dialogue, lambda: smtp_peer(dialogue))


def test_every_reply_command_and_extension_has_its_dialogue() -> None:
    said: set[str] = set()
    sent: list[bytes] = []
    for path in FILES:
        dialogue = Dialogue.load(path)
        said |= set(at_once(play(dialogue, smtp_peer(dialogue))))
        sent += [step.data for step in dialogue.steps]
    standard = {
        name: one.wire.decode().splitlines() for name, one in vars(reply).items() if isinstance(one, reply.Reply)
    }
    assert {name for name, lines in standard.items() if not said.issuperset(lines)} == NOT_IN_DIALOGUES
    words = {word.upper() for word in re.findall(r"(?m)^[A-Za-z]+", b"".join(sent).decode("utf-8", "replace"))}
    assert set(VERBS) <= words
    keywords = {line[4:].split(" ")[0] for line in said if line.startswith("250")}
    assert {extension.keyword for extension in EXTENSIONS} <= keywords
