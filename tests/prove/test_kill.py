"""The same load while the server is killed again and again: nothing acknowledged is lost, and a message comes twice
only where nobody could know: its final dot had gone out and the outcome was not committed (RFC 5321 §4.5.3.2.6)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest
from tests.prove.proving import KILLS, MESSAGES, PATIENCE, SEED, Proof, Stopwatch, ident, parcels, proving, say, token


def moments(sent: int, letters: int) -> list[int]:
    """One moment in each of as many equal stretches of the whole way, drawn from SEED."""
    drawn = random.Random(SEED)
    stretch = (sent + letters) / KILLS
    return [int(stretch * (number + drawn.uniform(0.05, 0.95))) for number in range(KILLS)]


@pytest.mark.timeout(60 + 4 * PATIENCE)
async def test_killed_again_and_again(tmp_path: Path) -> None:
    sent = parcels(MESSAGES)
    remote = [parcel for parcel in sent if any(not name.endswith("@prove.test") for name in parcel.recipients)]
    say(f"\nseed {SEED} (set POSTROAD_PROVE_SEED to repeat): {KILLS} kills, {MESSAGES} messages")
    async with proving(tmp_path) as proof:
        watch = Stopwatch()
        async with asyncio.TaskGroup() as group:
            group.create_task(proof.send(sent))
            for moment in moments(len(sent), len(remote)):
                await proof.reaches(moment)
                before = len(proof.tally.acknowledged), len(proof.world.bag.letters)
                doubtful = await proof.kill()
                say(f"killed at {moment}: {before[0]} acknowledged, {before[1]} taken; {doubtful} may come twice")
                await proof.start()
        await proof.drained()
        nothing_lost(proof, sent, await proof.local())
        doubled = doubles_are_excused(proof)
        say(
            f"{watch.seconds:.1f} s; {proof.tally.broken} connections cut; remote: {doubled} came twice of "
            f"{sum(proof.allowed.values())} that might; {proof.released} released"
        )


def nothing_lost(proof: Proof, sent: list, local: Counter) -> None:
    """Each acknowledged message is with each of its recipients; twice only when it was submitted twice, which a client
    does that never saw its 250."""
    tally = proof.tally
    assert set(tally.acknowledged) == {parcel.token for parcel in sent}
    remote = proof.remote()
    again = 0
    for parcel in sent:
        for recipient in parcel.recipients:
            is_local = recipient.endswith("@prove.test")
            copies = (local if is_local else remote)[parcel.token, recipient]
            assert copies >= 1, f"{parcel.token} was acknowledged as {tally.acknowledged[parcel.token]} and is lost"
            if is_local:
                assert copies <= tally.final_dots[parcel.token], f"{parcel.token} came {copies} times"
                again += copies - 1
    unseen = sum(tally.final_dots.values()) - len(sent)
    say(f"local: {again} came twice, of {unseen} whose client never saw its 250")


def doubles_are_excused(proof: Proof) -> int:
    """For the receivers: no copy came more often than kills allow."""
    letters = proof.letters()
    for copy, count in letters.items():
        assert count <= 1 + proof.allowed[copy], f"{copy} came {count} times, with {proof.allowed[copy]} doubtful kills"
    submitted: dict[tuple[str, str], set[str]] = {}
    for letter in proof.world.bag.letters:
        for recipient in letter.recipients:
            submitted.setdefault((token(letter), recipient), set()).add(ident(letter))
    for (name, _), idents in submitted.items():
        assert len(idents) <= proof.tally.final_dots[name]
    return sum(letters.values()) - len(letters)
