"""SIGKILL under load: what was acknowledged is there with its content, and the ledger is clean."""

import os
import random
import signal
import subprocess
import sys

import pytest

from postroad.ports.ids import MessageId
from postroad.testing.stores import open_store

LOAD = """
import asyncio, os, sys
from pathlib import Path
from postroad.adapters.blobs.segments import SegmentBlobs
from postroad.testing.stores import Mail, open_store

async def main(directory):
    mail = Mail()
    async with open_store(directory) as store:
        inbox = await store.write(lambda tx: mail.inbox(tx, f"{os.getpid()}@local.test"))

        async def session(number):
            while True:
                unit = mail.local(inbox) if number % 2 else mail.remote()
                unit.content = b"Subject: %d" % unit.message.id
                await store.accept(unit)
                os.write(1, b"%d\\n" % unit.message.id)
                if number % 3 == 0 and not unit.local:
                    await store.outcomes(mail.outcome(unit.deliveries[0]))

        await asyncio.gather(*(session(number) for number in range(12)))

asyncio.run(main(Path(sys.argv[1])))
"""


def run_and_kill(directory, acknowledged):
    """Kill the process once it has acknowledged that many."""
    with subprocess.Popen([sys.executable, "-c", LOAD, directory], stdout=subprocess.PIPE) as process:
        seen = [process.stdout.readline() for _ in range(acknowledged)]
        os.kill(process.pid, signal.SIGKILL)
        seen += process.stdout.read().splitlines(keepends=True)
    return [MessageId(int(line)) for line in seen if line.endswith(b"\n")]


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_was_acknowledged_survives(tmp_path, seed):
    numbers = random.Random(seed)
    acknowledged = []
    for _ in range(2):
        acknowledged += run_and_kill(tmp_path, numbers.randrange(20, 400))
    async with open_store(tmp_path) as store:
        for message in acknowledged:
            record = await store.read(lambda tx, message=message: tx.messages.get(message))
            place = await store.read(lambda tx, record=record: tx.messages.place(record.blob))
            assert await store.blobs.read(place) == b"Subject: %d" % message
        assert (await store.read(lambda tx: tx.ledger.totals())).findings == ()
        assert await store.deep_check() == []
        assert not list(store.blobs.segments.glob("*.quarantine"))
