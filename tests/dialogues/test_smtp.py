"""Every SMTP dialogue on the bare machine: whole, byte by byte, at random cuts.

The same files run against the whole server in `tests/flows`; those that need a bare machine say so.
"""

from pathlib import Path

import pytest

from postroad.testing.dialogue import Dialogue, agree, dialogue_files
from postroad.testing.smtp import smtp_peer

FILES = dialogue_files(Path(__file__).parent / "smtp", ".smtp")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_dialogue(path: Path) -> None:
    dialogue = Dialogue.load(path)
    agree(dialogue, lambda: smtp_peer(dialogue))
