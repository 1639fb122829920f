"""Every POP3 dialogue on the bare machine: whole, byte by byte, at random cuts."""

from pathlib import Path

import pytest

from postroad.testing.dialogue import Dialogue, agree, dialogue_files
from postroad.testing.pop3 import pop3_peer

FILES = dialogue_files(Path(__file__).parent / "pop3", ".pop3")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_dialogue(path: Path) -> None:
    dialogue = Dialogue.load(path)
    agree(dialogue, lambda: pop3_peer(dialogue))
