"""The same load while the server is stopped by SIGTERM and started again: nothing is lost, and nothing comes twice at
the receivers, for a server that is asked to end finishes what it has begun."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.prove.proving import MESSAGES, PATIENCE, parcels, proving, say


@pytest.mark.timeout(60 + 4 * PATIENCE)
async def test_stopped_in_the_middle(tmp_path: Path) -> None:
    sent = parcels(MESSAGES)
    async with proving(tmp_path) as proof:
        async with asyncio.TaskGroup() as group:
            group.create_task(proof.send(sent))
            for moment in (MESSAGES // 2, MESSAGES):
                await proof.reaches(moment)
                await asyncio.to_thread(proof.server.stop)
                await proof.start()
        await proof.drained()
        tally = proof.tally
        assert set(tally.acknowledged) == {parcel.token for parcel in sent}
        arrived = await proof.local() + proof.remote()
        wanted = {(parcel.token, recipient) for parcel in sent for recipient in parcel.recipients}
        assert set(arrived) == wanted
        assert set(proof.letters().values()) == {1}
        again = [copy for copy, count in arrived.items() if count > 1]
        say(f"{tally.refusals} refusals, {tally.broken} connections cut, {len(again)} came twice")
        assert all(tally.final_dots[token] > 1 for token, _ in again), "only what a client sent twice"
        assert all(reply.startswith("421") for reply in tally.refused.values()), tally.refused
