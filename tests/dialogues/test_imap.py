"""Every IMAP dialogue on the bare machine and on the whole front end: whole, byte by byte, at random cuts."""

from pathlib import Path

import pytest

from postroad.testing.dialogue import Cuts, Dialogue, agree, dialogue_files, each_byte, play, random_cuts, whole
from postroad.testing.imap import imap_peer, profile_for
from postroad.testing.mailboxes import IMAP, FrontPeer, open_post
from postroad.testing.network import MemoryNetwork

FILES = dialogue_files(Path(__file__).parent / "imap", ".imap")
WHOLE = [path for path in FILES if not Dialogue.load(path).machine_only]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_on_the_bare_machine(path: Path) -> None:
    dialogue = Dialogue.load(path)
    agree(dialogue, lambda: imap_peer(dialogue))


@pytest.mark.parametrize("cuts", [whole, each_byte, random_cuts(1)], ids=["whole", "bytes", "cuts"])
async def test_on_the_front_end(cuts: Cuts, tmp_path: Path) -> None:
    async with open_post(tmp_path) as post:
        await post.account()
        for path in WHOLE:
            dialogue = Dialogue.load(path)
            profile = profile_for(dialogue.facts)
            network = MemoryNetwork()
            network.listen(IMAP, lambda profile=profile: post.connect(profile))
            await play(dialogue, FrontPeer(await network.talk(IMAP), network), cuts)
            assert not network.bugs
