"""Large content in files of its own, and reading in ranges, pieces and numbers."""

import asyncio
import errno
import os

import pytest

from postroad.adapters.blobs.reading import PIECE
from postroad.adapters.blobs.record import scan
from postroad.adapters.blobs.segments import SegmentBlobs
from postroad.ports.blobs import BlobPlace, BlobRecord, BlobWriteFailed
from postroad.ports.ids import BlobId, id_text
from postroad.testing.faults import BROKEN, NO_SPACE, FaultyFiles


@pytest.fixture
def files():
    return FaultyFiles()


@pytest.fixture
def blobs(tmp_path, files):
    blobs = SegmentBlobs(tmp_path, files=files, fill_ahead=0)
    blobs.prepare()
    yield blobs
    files.heal()
    blobs.close()


def pattern(size):
    return (bytes(range(256)) * (size // 256 + 1))[:size]


async def test_large_content_is_whole_synced_and_scanned(blobs, files):
    content = pattern(700_000)
    writer = blobs.create(BlobId(5), b"the envelope")
    for at in range(0, len(content), 50_000):
        await writer.write(content[at : at + 50_000])
    place = await writer.finish()
    assert place == BlobPlace(f"{id_text(5)}.blob", place.offset, len(content))
    assert files.calls[-2:] == ["sync", "sync_directory"]
    (record,) = scan(blobs.path(place.segment))
    assert (record.blob, record.header, record.offset, record.length) == (5, b"the envelope", place.offset, 700_000)
    assert b"".join([piece async for piece in blobs.stream(place)]) == content


async def test_content_that_turns_out_small_or_empty(blobs):
    writer = blobs.create(BlobId(6), b"e")
    await writer.write(b"")
    place = await writer.finish()
    assert await blobs.read(place) == b""
    assert len(list(scan(blobs.path(place.segment)))) == 1


@pytest.mark.parametrize(
    ("operation", "error"), [("create", NO_SPACE), ("write", NO_SPACE), ("sync", BROKEN), ("sync_directory", BROKEN)]
)
async def test_a_failure_refuses_and_leaves_no_part(blobs, files, operation, error):
    files.fail(operation, error)
    writer = blobs.create(BlobId(5), b"")
    with pytest.raises(BlobWriteFailed) as raised:
        await writer.write(b"x" * 300_000)
        await writer.finish()
    assert raised.value.no_space == (error == NO_SPACE)
    assert list(blobs.large.glob("*.part")) == []


async def test_what_is_discarded_leaves_nothing(blobs):
    writer = blobs.create(BlobId(5), b"")
    writer.discard()
    await writer.write(b"x" * 10)
    writer.discard()
    writer = blobs.create(BlobId(6), b"")
    await writer.write(b"x" * 300_000)
    assert list(blobs.large.glob("*.part")) != []
    writer.discard()
    async with asyncio.timeout(10):  # a thread takes it away
        while list(blobs.large.iterdir()):
            await asyncio.sleep(0)


async def test_what_is_discarded_behind_the_end_leaves_nothing(blobs):
    writer = blobs.create(BlobId(6), b"")
    await writer.write(b"x" * 300_000)
    blobs.close()
    writer.discard()
    assert list(blobs.large.iterdir()) == []


async def test_discarding_while_a_thread_writes_closes_after_it(blobs, files):
    """The descriptor must not be given to another file while the thread still writes to it."""
    go_on, entered = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    real = files.write

    def slow(fd, buffers, offset):
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)
        return real(fd, buffers, offset)

    files.write = slow
    writer = blobs.create(BlobId(5), b"")
    writing = asyncio.ensure_future(writer.write(b"x" * 300_000))
    await entered.wait()
    writer.discard()
    os.fstat(writer._fd)  # still open
    go_on.set()
    await writing
    assert writer._fd == -1
    assert list(blobs.large.iterdir()) == []


async def test_what_an_unfinished_write_left_is_cleared_at_the_start(blobs, tmp_path):
    (blobs.large / "old.part").write_bytes(b"x")
    again = SegmentBlobs(tmp_path)
    again.prepare()
    again.close()
    assert list(blobs.large.iterdir()) == []


# --- reading ---


@pytest.fixture
def place(blobs):
    return blobs.append_group([BlobRecord(BlobId(1), b"envelope", pattern(200_000))])[0]


@pytest.fixture(params=["asks the cache", "cannot ask", "is not cached"])
def way(request, blobs, monkeypatch):
    """The three ways that a read can go."""
    if request.param == "cannot ask":
        monkeypatch.setattr(os, "preadv", fails(errno.EOPNOTSUPP))
    elif request.param == "is not cached":
        monkeypatch.setattr(os, "preadv", fails(errno.EAGAIN))


def fails(number):
    def preadv(*_):
        raise OSError(number, os.strerror(number))

    return preadv


@pytest.mark.parametrize(
    ("start", "length"), [(0, None), (10, 20), (199_990, 50), (200_000, 5), (300_000, None), (5, 0), (0, 10**9)]
)
async def test_ranges(blobs, place, way, start, length):
    expected = pattern(200_000)[start:][: length if length is not None else None]
    assert await blobs.read(place, start, length) == expected
    assert await blobs.read_many([(place, start, length), (place, 0, 3)]) == [expected, b"\0\1\2"]
    pieces = [piece async for piece in blobs.stream(place, start, length)]
    assert b"".join(pieces) == expected
    assert all(len(piece) <= PIECE for piece in pieces)


async def test_a_place_beyond_the_file_is_an_error(blobs, place, way):
    with pytest.raises(OSError, match="ends before"):
        await blobs.read(BlobPlace(place.segment, place.offset, 300_000))


async def test_another_error_is_told(blobs, place, monkeypatch):
    monkeypatch.setattr(os, "preadv", fails(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        await blobs.read(place, 0, 10)


async def test_few_files_stay_open(blobs, monkeypatch):
    monkeypatch.setattr("postroad.adapters.blobs.reading._OPEN_FILES", 2)
    places = []
    for number in range(5):
        places += blobs.append_group([BlobRecord(BlobId(number + 1), b"", b"%d" % number)])
        blobs.seal()
    for _ in range(2):
        assert [await blobs.read(place) for place in places] == [b"%d" % number for number in range(5)]
    assert len(blobs._reader._files) == 2
