"""Many messages from 50 parallel sessions, local and remote mixed: all arrive, once, and the ledger is clean."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.prove.proving import LOCAL, MESSAGES, PATIENCE, Stopwatch, parcels, proving, say


@pytest.mark.timeout(60 + 4 * PATIENCE)
async def test_everything_arrives_once(tmp_path: Path) -> None:
    sent = parcels(MESSAGES)
    async with proving(tmp_path) as proof:
        watch = Stopwatch()
        await proof.send(sent)
        accepted = watch.seconds
        await proof.drained()
        say(f"\n{MESSAGES} messages: acknowledged in {accepted:.1f} s, all delivered in {watch.seconds:.1f} s")

        tally = proof.tally
        assert not tally.refused
        assert not tally.broken
        assert set(tally.acknowledged) == {parcel.token for parcel in sent}
        assert set(tally.final_dots.values()) == {1}
        assert len(set(tally.acknowledged.values())) == len(sent), "each has an id of its own"

        wanted = {(parcel.token, recipient) for parcel in sent for recipient in parcel.recipients}
        arrived = await proof.local() + proof.remote()
        assert set(arrived) == wanted
        assert set(arrived.values()) == {1}
        contents = {parcel.token: parcel.content() for parcel in sent}
        for letter in proof.world.bag.letters:
            assert letter.content is not None
            assert letter.content.endswith(contents[letter.content.partition(b"Subject: ")[2].split()[0].decode()])
        assert {recipient for _, recipient in arrived} >= set(LOCAL)
