"""A disk that fills, under a whole server: new mail is put off with 452, nothing acknowledged is lost, and service
returns by itself when there is room again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import patch

import aiosmtplib
import pytest

from postroad.adapters.blobs.segments import SegmentBlobs
from postroad.adapters.sql.database import Database, open_database
from postroad.adapters.sql.reserve import Reserve
from postroad.app import services
from postroad.lab.profiles.refusing import reply_for
from postroad.lab.profiles.scripted import Scripted
from postroad.lab.temper import Move
from postroad.ports.store import DeliveryState
from postroad.queue import bounces
from postroad.testing.faults import BROKEN, NO_SPACE, FaultyFiles, FaultyVfs
from postroad.testing.load import Parcel, Submitter, Tally
from postroad.testing.site import ALICE, BOB, PASSWORD, Site, kinds, running_site, states, trusting, until
from postroad.testing.stores import faulty_engine

FULL, FAILED = "452 4.3.1", "451 4.3.0"


class Disk:
    """What the server's disk can be told to do."""

    def __init__(self) -> None:
        self.files = FaultyFiles()
        self.vfs = FaultyVfs()

    def open(self, storage, data_dir, clock, limits, *, read_only: bool = False) -> Database:
        """In place of adapters.sql.database.open_database."""
        if read_only:
            return open_database(storage, data_dir, clock, limits, read_only=True)
        blobs = SegmentBlobs(data_dir, files=self.files)
        monotonic = clock.monotonic
        reserve = Reserve(data_dir, self.files, min_free=limits.min_free, ballast=1 << 20, monotonic=monotonic)
        return Database(faulty_engine(data_dir, self.vfs.name), blobs, clock, reserve, recover_every=0.02)

    def heal(self) -> None:
        self.files.heal()
        self.files.free_octets = None
        self.vfs.heal()


FAULTS: dict[str, tuple[Callable[[Disk], None], str]] = {
    "no room for content": (lambda disk: disk.files.fail("write", NO_SPACE), FULL),
    "no room at the sync": (lambda disk: disk.files.fail("sync", NO_SPACE), FULL),
    "no room for another file": (lambda disk: disk.files.fail("create", NO_SPACE), FULL),
    "no room for rows": (lambda disk: disk.vfs.full(), FULL),
    "no room above min_free": (lambda disk: setattr(disk.files, "free_octets", 0), FULL),
    "content cannot be synced": (lambda disk: disk.files.fail("sync", BROKEN), FAILED),
    "rows cannot be synced": (lambda disk: disk.vfs.broken(), FAILED),
}
UNDER_LOAD = ("no room for content", "no room for rows", "content cannot be synced", "rows cannot be synced")
LARGE = "a line of it\r\n" * 25_000  # a file of its own


@asynccontextmanager
async def site_on(folder: Path, disk: Disk, **options) -> AsyncIterator[Site]:
    with (
        patch.object(services, "open_database", disk.open),
        patch("postroad.adapters.sql.reserve._REMEMBER", 0.02),
        patch.object(bounces, "RETRY_SECONDS", 0.05),
    ):
        async with running_site(folder, **options) as site:
            yield site
            disk.heal()
    disk.vfs.unregister()


@pytest.fixture
def disk() -> Disk:
    return Disk()


async def submitted(site: Site, recipient: str, subject: str, text: str = "Hello") -> str:
    """What the client is told."""
    try:
        await site.submit(recipient, subject=subject, text=text)
    except aiosmtplib.SMTPResponseException as refused:
        return f"{refused.code} {refused.message}"
    return "250"


async def test_refused_and_taken_again(tmp_path: Path, disk: Disk) -> None:
    async with site_on(tmp_path, disk) as site:
        taken = []
        for fault, (fail, answer) in FAULTS.items():
            text = LARGE if "file" in fault else "Hello"
            await until(lambda fault=fault: submitted(site, BOB, f"before {fault}"), lambda told: told == "250")
            fail(disk)
            refused = await until(lambda text=text: submitted(site, BOB, "refused", text), lambda told: told != "250")
            assert refused.startswith(answer), (fault, refused)
            subjects = [mail["Subject"] for mail in await site.inbox(BOB)]
            taken.append(f"before {fault}")
            assert [subject for subject in subjects if subject != "refused"] == taken, "reading goes on"
            disk.heal()
        assert await until(lambda: submitted(site, BOB, "at the end", LARGE), lambda told: told == "250")


@pytest.mark.parametrize("fault", UNDER_LOAD)
async def test_a_load_while_the_disk_comes_and_goes(tmp_path: Path, disk: Disk, fault: str) -> None:
    fail, answer = FAULTS[fault]
    parcels = [Parcel(f"token-{n}", ALICE, ((BOB,), (f"u{n}@onlya.test",))[n % 2], 2000) for n in range(100)]
    tally = Tally()
    async with site_on(tmp_path, disk) as site:
        port = site.node.endpoints["submissions"][0].port
        load = Submitter("127.0.0.1", lambda: port, ALICE, PASSWORD, trusting())
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run(parcels, 12, tally))
            for share in (10, 40, 70):
                await reaches(lambda: len(tally.acknowledged), share)
                fail(disk)
                await reaches(lambda: tally.refusals, tally.refusals + 1)
                disk.heal()
        for message in await site.messages():
            await site.settled(message.id)
        here = Counter(mail["Subject"] for mail in await site.inbox(BOB))
        there = Counter((letter.content or b"").split(b"Subject: ")[1].split()[0] for letter in site.world.bag.letters)
    assert all(reply.startswith(answer) for reply in tally.refused.values()), tally.refused
    assert set(tally.acknowledged) == {parcel.token for parcel in parcels}
    assert here == {parcel.token: 1 for parcel in parcels[::2]}
    assert there == {parcel.token.encode(): 1 for parcel in parcels[1::2]}


async def reaches(number: Callable[[], int], wanted: int) -> None:
    async def read() -> int:
        return number()

    await until(read, lambda now: now >= wanted)


async def test_outcomes_wait_for_room_and_are_not_tried_twice(tmp_path: Path, disk: Disk) -> None:
    """The other server took it while our disk was full: that is kept in memory until it can be written."""
    slow = Scripted(message=[Move(delay=0.5)])
    async with site_on(tmp_path, disk, tempers={"mx.slow.test": slow}) as site:
        message = await site.submit("someone@slow.test")
        await reaches(lambda: site.world.bag.connections, 1)
        disk.vfs.full()
        await site.world.bag.wait(1)
        assert (await submitted(site, BOB, "full")).startswith(FULL)
        disk.heal()
        story = await site.settled(message)
        assert kinds(story, "someone@slow.test") == ["queued", "delivered"]
        assert len(site.world.bag.letters) == 1


async def test_a_report_waits_for_room(tmp_path: Path, disk: Disk) -> None:
    late = Scripted(rcpt=[Move(reply_for(550), delay=0.3)])
    async with site_on(tmp_path, disk, tempers={"mx.slow.test": late}) as site:
        message = await site.submit("someone@slow.test")
        disk.files.free_octets = 0
        await reaches(lambda: site.world.bag.refusals, 1)
        assert (await submitted(site, BOB, "full")).startswith(FULL)
        assert await site.inbox(ALICE) == []
        disk.heal()
        story = await site.settled(message)
        assert states(story) == {"someone@slow.test": DeliveryState.BOUNCED}
        (report,) = await site.inbox(ALICE)
        assert report["Auto-Submitted"] == "auto-replied"
