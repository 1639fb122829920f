"""Segments: groups, rotation, zeros ahead, faults, and what a scan finds afterwards."""

import errno
import os
import random

import pytest

from postroad.adapters.blobs.files import IOV_MAX
from postroad.adapters.blobs.record import FIXED_SIZE, MAGIC, VOID, scan, start
from postroad.adapters.blobs.segments import QUARANTINE, SegmentBlobs
from postroad.adapters.ids import NodeIds
from postroad.ports.blobs import BlobRecord, BlobWriteFailed
from postroad.ports.ids import BlobId
from postroad.testing.faults import BROKEN, NO_SPACE, FaultyFiles


@pytest.fixture
def files():
    return FaultyFiles()


@pytest.fixture
def blobs(tmp_path, files):
    blobs = SegmentBlobs(tmp_path, node=3, files=files, segment_size=100_000, fill_ahead=0)
    blobs.prepare()
    yield blobs
    files.heal()
    blobs.close()


def records(first, number, size=100):
    return [BlobRecord(BlobId(n), b"envelope %d" % n, b"%d" % n * (size // len(b"%d" % n)))
            for n in range(first, first + number)]  # fmt: skip


def segments(blobs):
    return sorted(blobs.segments.glob("*.seg"))


async def read(blobs, place):
    return await blobs.read(place)


async def test_a_group_is_one_write_and_one_sync(blobs, files):
    group = records(1, 50)
    places = blobs.append_group(group)
    assert files.calls == ["create", "sync_directory", "write", "sync"]
    assert [await blobs.read(place) for place in places] == [record.content for record in group]
    blobs.append_group(records(100, 3))
    assert files.calls[4:] == ["write", "sync"]


async def test_a_group_longer_than_one_call_takes(blobs, files):
    group = records(1, IOV_MAX)
    places = blobs.append_group(group)
    assert files.calls.count("write") == 3 * IOV_MAX // IOV_MAX
    assert await blobs.read(places[-1]) == group[-1].content


@pytest.mark.parametrize("most", [1, 7, 33, 34, 35, 1000])
async def test_short_writes_are_gone_on_with(blobs, files, most):
    files.most_per_write = most
    group = records(1, 5, size=40)
    places = blobs.append_group(group)
    assert [await blobs.read(place) for place in places] == [record.content for record in group]


async def test_empty_content_and_envelope(blobs):
    (place,) = blobs.append_group([BlobRecord(BlobId(1), b"", b"")])
    assert await blobs.read(place) == b""
    assert [record.blob for record in scan(segments(blobs)[0])] == [1]


async def test_segments_are_rotated_and_named_for_their_node(blobs):
    places = [blobs.append_group(records(n, 1, size=40_000))[0] for n in range(1, 6)]
    names = [path.name for path in segments(blobs)]
    assert len(names) == 3
    assert all(name.startswith("003-") for name in names)
    assert [place.segment for place in places] == sorted(names[n // 2] for n in range(5))
    assert blobs.writing_to == names[-1]
    assert [await blobs.read(place) for place in places] == [b"%d" % n * 40_000 for n in range(1, 6)]


def test_every_start_opens_another_segment(tmp_path):
    for number in range(3):
        blobs = SegmentBlobs(tmp_path, fill_ahead=0)
        blobs.prepare()
        assert blobs.writing_to == ""
        blobs.append_group(records(number + 1, 1))
        blobs.close()
    assert [[record.blob for record in scan(path)] for path in segments(blobs)] == [[1], [2], [3]]


def test_a_clock_set_back_meets_no_older_segment(tmp_path):
    for number in range(3):
        blobs = SegmentBlobs(tmp_path, fill_ahead=0)
        blobs._names = NodeIds(0, lambda: 1_800_000_000_000)
        blobs.prepare()
        blobs.append_group(records(number + 1, 1))
        blobs.close()
    assert [[record.blob for record in scan(path)] for path in segments(blobs)] == [[1], [2], [3]]


def test_zeros_lie_ahead_and_are_given_back(tmp_path):
    blobs = SegmentBlobs(tmp_path, fill_ahead=1024 * 1024)
    blobs.prepare()
    for n in range(1, 40):
        blobs.append_group(records(n * 100, 20, size=2000))
    (path,) = segments(blobs)
    while blobs._open.wants_filling:
        os.sched_yield()
    size = path.stat().st_size
    assert size > blobs._open.end
    found = list(scan(path))
    assert len(found) == 39 * 20
    assert not any(record.damaged for record in found)
    end = blobs._open.end
    blobs.close()
    assert path.stat().st_size == end


@pytest.mark.parametrize(("operation", "error"), [("write", NO_SPACE), ("sync", BROKEN), ("sync", NO_SPACE)])
def test_a_failure_is_fatal_to_its_segment(blobs, files, operation, error):
    blobs.append_group(records(1, 1))
    files.fail(operation, error)
    with pytest.raises(BlobWriteFailed) as raised:
        blobs.append_group(records(2, 2))
    assert raised.value.no_space == (error == NO_SPACE)
    files.heal()
    blobs.append_group(records(4, 1))
    first, second = segments(blobs)
    assert first.with_name(first.name + QUARANTINE).read_text().strip()
    void, kept = scan(second)
    assert (void.flags, void.voids) == (VOID, (2, 3))
    assert kept.blob == 4


def test_a_segment_that_never_held_anything_is_removed(blobs, files):
    files.fail("write", NO_SPACE)
    for _ in range(5):
        with pytest.raises(BlobWriteFailed):
            blobs.append_group(records(1, 1))
    assert list(blobs.segments.iterdir()) == []


def test_voids_wait_for_a_segment_that_works(blobs, files):
    blobs.append_group(records(1, 1))
    files.fail("sync", BROKEN)
    blobs.void([BlobId(1)])
    files.heal()
    blobs.void([BlobId(9)])
    blobs.append_group(records(2, 1))
    voids = [voided for path in segments(blobs)[1:] for record in scan(path) for voided in record.voids]
    assert voids == [1, 9]


def test_voids_that_wait_are_written_at_the_end(tmp_path, files):
    blobs = SegmentBlobs(tmp_path, files=files, fill_ahead=0)
    blobs.append_group(records(1, 1))
    files.fail("write", NO_SPACE)
    blobs.void([BlobId(n) for n in range(2500)])
    files.heal()
    blobs.close()
    voids = [voided for record in scan(segments(blobs)[-1]) for voided in record.voids]
    assert voids == list(range(2500))


def test_a_reader_makes_nothing(tmp_path):
    blobs = SegmentBlobs(tmp_path, read_only=True)
    blobs.prepare()
    blobs.close()
    assert list(tmp_path.iterdir()) == []


async def test_a_removed_segment_can_still_be_read_by_who_reads_it(blobs):
    (place,) = blobs.append_group(records(1, 1, size=90_000))
    stream = blobs.stream(place)
    first = await anext(stream)
    blobs.seal()
    blobs.remove(place.segment)
    with pytest.raises(OSError):
        await blobs.read(place)
    assert len(first) == 65536


# --- torn tails and damage ---


def whole(path):
    return [record.blob for record in scan(path) if not record.damaged]


def test_a_torn_tail_of_any_length_costs_the_torn_record_alone(blobs):
    blobs.append_group(records(1, 4, size=50))
    (path,) = segments(blobs)
    data = path.read_bytes()
    ends = [record.offset + record.length for record in scan(path)]
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        found = list(scan(path))
        kept = sum(end <= cut for end in ends)
        assert [record.blob for record in found if not record.damaged] == list(range(1, kept + 1))
        assert any(record.damaged for record in found) == (cut not in (0, *ends))


def test_a_torn_tail_in_zeros_filled_ahead(blobs):
    """What a power cut leaves: the head of a group, then zeros where its rest would be."""
    blobs.append_group(records(1, 4, size=50))
    (path,) = segments(blobs)
    data = path.read_bytes()
    for cut in random.Random(1).sample(range(len(data)), 60):
        path.write_bytes(data[:cut] + bytes(len(data) - cut + 5000))
        assert whole(path) == list(range(1, len(whole(path)) + 1))


def test_damage_in_the_middle_leaves_the_rest(blobs):
    blobs.append_group(records(1, 5, size=50))
    (path,) = segments(blobs)
    data = bytearray(path.read_bytes())
    second = list(scan(path))[1]
    for at in range(second.start, second.offset + second.length):
        damaged = bytearray(data)
        damaged[at] ^= 0x40
        path.write_bytes(damaged)
        found = list(scan(path))
        assert [record.blob for record in found if not record.damaged] == [1, 3, 4, 5]
        (stretch,) = [record for record in found if record.damaged]
        assert (stretch.start, stretch.length) == (second.start, second.offset + second.length - second.start)


def test_a_magic_inside_content_is_not_a_record(blobs):
    inner = start(BlobId(7), b"", b"inner") + b"inner"
    content = b"before" + inner + MAGIC + b"after"
    blobs.append_group([BlobRecord(BlobId(1), b"", content), BlobRecord(BlobId(2), b"", b"x")])
    assert whole(segments(blobs)[0]) == [1, 2]


def test_an_absurd_length_is_damage(tmp_path):
    path = tmp_path / "x.seg"
    good = start(BlobId(1), b"", b"abc") + b"abc"
    absurd = bytearray(start(BlobId(2), b"", b""))
    absurd[6:14] = b"\xff" * 8
    path.write_bytes(bytes(absurd) + good)
    damaged, record = scan(path)
    assert damaged.damaged
    assert damaged.length == FIXED_SIZE
    assert record.blob == 1


def test_a_failure_says_what_the_system_said(blobs, files):
    files.fail("create", errno.EDQUOT)
    with pytest.raises(BlobWriteFailed, match="quota") as raised:
        blobs.append_group(records(1, 1))
    assert raised.value.no_space
