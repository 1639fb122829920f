"""The process ends at a write or sync, one after the other; restart; nothing acknowledged is lost, the ledger is clean.

A child runs a fixed scenario and ends without warning at the n-th operation; what it acknowledged it told by a pipe.
"""

import subprocess
import sys

from postroad.ports.ids import MessageId
from postroad.testing.stores import open_store

SCENARIO = '''
"""Forks one child for each point, so that the interpreter starts once."""
import asyncio, os, sys
from pathlib import Path
from postroad.testing.faults import FaultyFiles, FaultyVfs
from postroad.testing.stores import Mail, faulty_engine, open_store

async def scenario(directory, point):
    operations = 0

    def count(*_):
        nonlocal operations
        operations += 1
        if operations == point:
            os._exit(9)

    class Files(FaultyFiles):
        def _note(self, operation):
            count()

    mail, vfs = Mail(), FaultyVfs()
    async with open_store(directory, faulty_engine(directory, vfs.name), files=Files()) as store:
        inbox = await store.write(mail.inbox)
        vfs.on_write = vfs.on_sync = count
        for number in range(2):
            units = [mail.local(inbox), mail.remote(content=b"x" * 5000)]
            for unit, done in zip(units, await asyncio.gather(*map(store.accept, units))):
                os.write(1, b"%d %d\\n" % (point, unit.message.id))
            await store.outcomes(mail.outcome(units[1].deliveries[0]))
            os.write(1, b"%d done %d\\n" % (point, units[1].deliveries[0].id))

for point in range(1, 1000, 2):
    directory = Path(sys.argv[1]) / str(point)
    directory.mkdir()
    child = os.fork()
    if child == 0:
        asyncio.run(scenario(directory, point))
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
'''


def acknowledged(tmp_path):
    """By point: messages that were accepted, and deliveries whose outcome was committed."""
    ran = subprocess.run([sys.executable, "-c", SCENARIO, tmp_path], capture_output=True, text=True, check=True)
    assert not ran.stderr
    points = {int(path.name): ([], []) for path in tmp_path.iterdir()}
    for line in ran.stdout.splitlines():
        point, *words = line.split()
        points[int(point)][len(words) - 1].append(int(words[-1]))
    return points


async def test_no_point_loses_what_was_acknowledged(tmp_path):
    points = acknowledged(tmp_path)
    assert len(points) > 20
    for point, (accepted, ended) in points.items():
        async with open_store(tmp_path / str(point)) as store:
            for number in accepted:
                message = await store.read(lambda tx, number=number: tx.messages.get(MessageId(number)))
                place = await store.read(lambda tx, message=message: tx.messages.place(message.blob))
                assert len(await store.blobs.read(place)) == message.size
            for number in ended:
                delivery = await store.read(lambda tx, number=number: tx.deliveries.get(number))
                assert delivery.state == "delivered"
            assert (await store.read(lambda tx: tx.ledger.totals())).findings == (), point
            assert await store.deep_check() == []
