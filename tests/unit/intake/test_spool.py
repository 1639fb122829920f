import hashlib
import tracemalloc

import pytest

from postroad.intake import spool as module
from postroad.intake.spool import Budget, Spool, Spooled
from postroad.mail.header import Header
from postroad.mail.status import Status
from postroad.ports.blobs import BlobPlace, BlobWriteFailed
from postroad.ports.ids import BlobId

HEADER = b"Subject: x\r\n\r\n"
TRACE = b"Received: y\r\n"


class Writer:
    def __init__(self, fail=None):
        self.data = b""
        self.fail = fail
        self.discarded = False
        self.finished = False

    async def write(self, chunk):
        if self.fail:
            raise self.fail
        self.data += chunk

    async def finish(self):
        if self.fail:
            raise self.fail
        self.finished = True
        return BlobPlace("large", 0, len(self.data))

    def discard(self):
        self.discarded = True


class Blobs:
    def __init__(self):
        self.writers = []
        self.envelopes = []
        self.fail = None

    def create(self, blob, envelope):
        self.writers.append(Writer(self.fail))
        self.envelopes.append(envelope)
        return self.writers[-1]


@pytest.fixture
def blobs():
    return Blobs()


def spool_of(blobs, budget=None, max_header=1024 * 1024):
    return Spool(
        blobs,
        budget or Budget(),
        blob=BlobId(7),
        envelope=lambda: b"envelope",
        make_header=lambda header: (header, TRACE + header.raw),
        max_header=max_header,
    )


async def fill(spool, *chunks):
    for chunk in chunks:
        waiting = spool.write(chunk)
        if waiting is not None:
            await waiting


async def test_a_small_body_stays_in_memory(blobs):
    budget = Budget()
    spool = spool_of(blobs, budget)
    await fill(spool, HEADER[:5], HEADER[5:], b"body\r\n")
    assert budget.used == len(HEADER) + 6
    assert spool.end().raw == HEADER
    assert spool.is_small
    done = spool.finish_small()
    assert done == Spooled(
        done.header, TRACE + HEADER, len(TRACE + HEADER) + 6, done.digest, TRACE + HEADER + b"body\r\n"
    )
    assert done.digest.value() == hashlib.sha256(HEADER + b"body\r\n").digest()
    assert budget.used == 0
    assert blobs.writers == []


@pytest.mark.parametrize("extra", [0, 1])
async def test_the_edge_of_memory(blobs, extra):
    spool = spool_of(blobs)
    await fill(spool, HEADER, b"x" * (module.MEMORY_LIMIT - len(HEADER) + extra))
    assert len(blobs.writers) == extra
    spool.discard()


async def test_a_large_body_has_a_file_that_begins_with_the_final_header(blobs):
    budget = Budget()
    spool = spool_of(blobs, budget)
    body = [bytes([n]) * 40_000 for n in range(30)]
    await fill(spool, HEADER, *body)
    assert 0 < budget.used < module.FILE_PIECE, "what is gathered for the file counts as well"
    assert spool.end().raw == HEADER
    done = await spool.finish()
    assert budget.used == 0
    assert blobs.envelopes == [b"envelope"]
    assert blobs.writers[0].data == TRACE + HEADER + b"".join(body)
    assert blobs.writers[0].finished
    assert done.content is None
    assert done.place.length == done.size == len(TRACE) + spool.size
    assert done.digest.value() == hashlib.sha256(HEADER + b"".join(body)).digest()


async def test_bodies_leave_memory_sooner_when_it_is_crowded(blobs):
    budget = Budget()
    budget.used = module.BUDGET + 1
    spool = spool_of(blobs, budget)
    await fill(spool, HEADER, b"x" * module.CROWDED_LIMIT)
    assert len(blobs.writers) == 1
    spool.discard()
    assert blobs.writers[0].discarded
    assert budget.used == module.BUDGET + 1


async def test_a_file_is_written_in_smaller_pieces_when_it_is_crowded(blobs):
    """Thousands who stop in the middle of a body hold no more than a few KiB each."""
    budget = Budget()
    budget.used = module.BUDGET + 1
    spool = spool_of(blobs, budget)
    await fill(spool, HEADER, b"x" * module.CROWDED_LIMIT, *[b"y" * 1000] * 20)
    assert budget.used - module.BUDGET - 1 < module.CROWDED_LIMIT
    spool.discard()


async def test_a_header_block_without_end_is_refused_and_not_kept(blobs):
    budget = Budget()
    spool = spool_of(blobs, budget, max_header=300_000)
    await fill(spool, *[b"A: b\r\n" * 5000] * 20)
    answer = spool.end()
    assert isinstance(answer, Status)
    assert str(answer).startswith("552 5.3.4")
    assert budget.used == 0
    assert blobs.writers == []


async def test_a_header_block_without_end_is_refused_sooner_when_it_is_crowded(blobs):
    budget = Budget()
    budget.used = module.BUDGET
    spool = spool_of(blobs, budget)
    await fill(spool, *[b"A: b\r\n" * 1000] * 20)
    assert spool.end().reply_code == 451


async def test_a_body_that_comes_in_crumbs_costs_what_it_holds(blobs):
    """Two octets a time: each would be an object of its own, twenty times as large as they are."""
    spool = spool_of(blobs)
    crumbs = [HEADER, *[b"%02d" % (n % 100) for n in range(100_000)]]
    tracemalloc.start()
    for crumb in crumbs:
        assert spool.write(crumb) is None
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 600_000
    spool.end()
    assert spool.finish_small().content == TRACE + b"".join(crumbs)


async def test_a_header_block_that_comes_in_crumbs_is_not_joined_for_each(blobs, monkeypatch):
    looks = []
    monkeypatch.setattr(module, "header_length", lambda came: looks.append(len(came)))
    spool = spool_of(blobs)
    for _ in range(4000):
        spool.write(b"X-Long: " + b"x" * 90 + b"\r\n")
    assert spool.size == 400_000
    assert len(looks) <= 5


async def test_text_without_a_header_block(blobs):
    spool = Spool(
        blobs, Budget(), blob=BlobId(7), envelope=bytes, max_header=99,
        make_header=lambda header: (header, TRACE + (header.raw or b"\r\n")),
    )  # fmt: skip
    await fill(spool, b"just text\r\n\r\nmore\r\n")
    assert spool.end().raw == b""
    assert spool.finish_small().content == TRACE + b"\r\njust text\r\n\r\nmore\r\n"


@pytest.mark.parametrize(("no_space", "answer"), [(True, "452 4.3.1"), (False, "451 4.3.0")])
async def test_a_failed_write_is_an_answer_and_the_rest_is_swallowed(blobs, no_space, answer):
    blobs.fail = BlobWriteFailed("shim", no_space=no_space)
    spool = spool_of(blobs)
    await fill(spool, HEADER, *[b"x" * 100_000] * 5)
    assert str(spool.end()).startswith(answer)
    assert blobs.writers[0].discarded
    assert len(blobs.writers) == 1


async def test_a_failed_finish_is_an_answer(blobs):
    spool = spool_of(blobs)
    await fill(spool, HEADER, b"x" * 300_000)
    blobs.writers[0].fail = BlobWriteFailed("shim", no_space=True)
    assert isinstance(spool.end(), Header)
    assert (await spool.finish()).reply_code == 452


async def test_a_discarded_spool_takes_no_harm(blobs):
    spool = spool_of(blobs)
    await fill(spool, HEADER)
    spool.end()
    spool.discard()
    assert isinstance(spool.finish_small(), Status)


async def test_an_empty_body(blobs):
    spool = spool_of(blobs)
    assert spool.end().raw == b""
    assert spool.finish_small().size == len(TRACE)
