"""A message while scanners may change it: fields by their numbers, bodies in memory and in files."""

import pytest

from postroad.adapters.blobs.segments import SegmentBlobs
from postroad.intake.drafts import Draft, DraftSpool, Fields, Hold, NewBody, folded
from postroad.intake.spool import CROWDED_LIMIT, MEMORY_LIMIT, Budget
from postroad.mail.envelope import BodyFlag
from postroad.ports.blobs import BlobWriteFailed
from postroad.ports.ids import BlobId
from postroad.testing.faults import NO_SPACE, FaultyFiles

TOP = b"Received: by us\r\n"


def fields(*lines: bytes, end: bytes = b"\r\n") -> Fields:
    return Fields(TOP, b"".join(line + b"\r\n" for line in lines) + end)


class TestFields:
    def test_unchanged_they_are_what_came(self):
        block = b"From old mbox\r\nA: 1\r\n\tmore\r\nb :2\r\n\r\n"
        made = Fields(TOP, block)
        assert made.final == TOP + block
        assert made.header.raw == block
        assert made.seen() == [(b"A", b" 1\r\n\tmore"), (b"b", b"2")]

    def test_places(self):
        made = fields(b"A: 1", b"B: 2")
        made.insert(0, b"Top", b" t")
        made.insert(1, b"First", b" f")
        made.insert(99, b"Last", b" l")
        made.add(b"End", b" e")
        assert made.final == b"Top: t\r\n" + TOP + b"First: f\r\nA: 1\r\nB: 2\r\nLast: l\r\nEnd: e\r\n\r\n"

    def test_numbers_stay_true_while_one_scanner_works(self):
        made = fields(b"A: 1", b"a: 2", b"A: 3")
        made.change(1, b"A", b"")
        made.change(3, b"A", b" x")
        assert made.final == TOP + b"a: 2\r\nA: x\r\n\r\n"
        made.begin()
        made.change(1, b"A", b"")
        assert made.final == TOP + b"A: x\r\n\r\n"

    def test_what_is_not_there_is_added_or_stays_away(self):
        made = fields(b"A: 1")
        made.change(2, b"A", b" 2")
        made.change(1, b"B", b" ")
        assert made.final == TOP + b"A: 1\r\nA: 2\r\n\r\n"

    @pytest.mark.parametrize(
        ("index", "left"), [(0, b""), (1, b"23"), (3, b"12"), (-1, b"12"), (-3, b"23"), (4, b"123"), (-4, b"123")]
    )
    def test_removing(self, index: int, left: bytes):
        made = fields(b"A: 1", b"A: 2", b"A: 3")
        made.remove(b"a", index)
        assert b"".join(value.strip() for _, value in made.seen()) == left

    def test_undone(self):
        made = fields(b"A: 1", b"B: 2")
        undo = made.snapshot()
        made.change(1, b"A", b" x")
        made.change(1, b"B", b"")
        made.insert(0, b"C", b" y")
        undo()
        assert made.final == TOP + b"A: 1\r\nB: 2\r\n\r\n"
        assert not made.added

    @pytest.mark.parametrize("end", [b"", b"\r\n"])
    def test_a_message_without_text(self, end: bytes):
        made = fields(b"A: 1", end=end)
        made.add(b"B", b" 2")
        assert made.final == TOP + b"A: 1\r\nB: 2\r\n" + end

    def test_a_message_without_fields(self):
        made = Fields(TOP, b"\r\n")
        assert made.final == TOP + b"\r\n"
        made.add(b"B", b" 2")
        assert made.final == TOP + b"B: 2\r\n\r\n"

    @pytest.mark.parametrize(
        ("value", "safe"),
        [
            (b" a", b" a"),
            (b" a\n\tb\n c", b" a\r\n\tb\r\n c"),
            (b" a\nEvil: b", b" a\r\n\tEvil: b"),
            (b" a\r\n\r\nbody", b" a\r\n\tbody"),
            (b" a\rb\0c", b" a\r\n\tbc"),
        ],
    )
    def test_no_value_begins_a_field_or_ends_the_block(self, value: bytes, safe: bytes):
        assert folded(value) == safe


@pytest.fixture
def files() -> FaultyFiles:
    return FaultyFiles()


@pytest.fixture
def blobs(tmp_path, files):
    store = SegmentBlobs(tmp_path, files=files)
    store.prepare()
    yield store
    store.close()


async def put(target: Hold | NewBody, content: bytes, piece: int = 10_000) -> None:
    for at in range(0, len(content), piece):
        waiting = target.write(content[at : at + piece])
        if waiting is not None:
            await waiting


class TestHold:
    @pytest.mark.parametrize("size", [0, 5, MEMORY_LIMIT, MEMORY_LIMIT + 1, 1_000_000])
    async def test_what_goes_in_comes_out(self, blobs, tmp_path, size: int):
        budget = Budget()
        hold = Hold(blobs.scratch, budget)
        content = b"0123456789abcdef\n" * (size // 17 + 1)
        await put(hold, content[:size])
        assert hold.is_small == (size <= MEMORY_LIMIT)
        for _ in range(2):
            pieces = [piece async for piece in hold.pieces(65_535)]
            assert b"".join(pieces) == content[:size]
            assert all(len(piece) <= 65_535 for piece in pieces)
        assert not list(tmp_path.rglob("*.part"))
        hold.discard()
        assert budget.used == 0

    async def test_in_a_crowd_it_leaves_memory_sooner(self, blobs):
        budget = Budget()
        budget.used = 1 << 40
        hold = Hold(blobs.scratch, budget)
        await put(hold, b"x" * (CROWDED_LIMIT + 1))
        assert not hold.is_small
        hold.discard()

    async def test_a_full_disk_is_told(self, blobs, files):
        files.fail("create", NO_SPACE)
        with pytest.raises(BlobWriteFailed):
            await put(Hold(blobs.scratch, Budget()), b"x" * (MEMORY_LIMIT + 10_000))


class TestNewBody:
    @pytest.mark.parametrize("piece", [1, 3, 1000])
    @pytest.mark.parametrize(
        ("content", "made"),
        [
            (b"a\nb", b"a\r\nb\r\n"),
            (b"a\r\n.\r\nb\r\n", b"a\r\n.\r\nb\r\n"),
            (b"a\rb\r", b"a\r\nb\r\n"),
            (b"", b""),
            (b"\r\r\n", b"\r\n\r\n"),
        ],
    )
    async def test_its_lines_are_whole(self, blobs, content: bytes, made: bytes, piece: int):
        body = NewBody(Hold(blobs.scratch, Budget()))
        await put(body, content, piece)
        body.end()
        assert body.hold.small_content() == made
        assert bool(body.flags & BodyFlag.DOT_LINES) == (b"\n." in made)

    async def test_its_facts(self, blobs):
        body = NewBody(Hold(blobs.scratch, Budget()))
        await put(body, b"\xc3\xa9" + b"x" * 1000 + b"\n\0.\n", 7)
        body.end()
        assert body.flags == BodyFlag.EIGHT_BIT | BodyFlag.LONG_LINES | BodyFlag.NUL | BodyFlag.BINARY


def spool(blobs, **more) -> DraftSpool:
    def make_header(header):
        return header, TOP + (header.raw or b"\r\n")

    limits = {"max_header": 100_000, "blob": BlobId(7), **more}
    return DraftSpool(blobs, Budget(), envelope=lambda: b"", make_header=make_header, **limits)


async def fill(into: DraftSpool, content: bytes, piece: int = 50_000) -> Draft:
    for at in range(0, len(content), piece):
        waiting = into.write(content[at : at + piece])
        if waiting is not None:
            await waiting
    into.end()
    return into.begin(BodyFlag.NONE)


class TestDraftSpool:
    @pytest.mark.parametrize("size", [10, 600_000])
    @pytest.mark.parametrize("piece", [7, 50_000])
    async def test_it_stores_what_the_scanners_leave(self, blobs, size: int, piece: int):
        made, body = spool(blobs), b"x" * size + b"\r\n"
        draft = await fill(made, b"A: 1\r\n\r\n" + body, piece if size < 100 else 50_000)
        draft.fields.add(b"B", "é".encode())
        assert draft.flags == BodyFlag.EIGHT_BIT
        spooled = await made.finish()
        stored = spooled.content if spooled.content is not None else await blobs.read(spooled.place)
        assert stored == TOP + b"A: 1\r\nB:\xc3\xa9\r\n\r\n" + body
        assert spooled.size == len(stored)
        assert spooled.header.raw == b"A: 1\r\nB:\xc3\xa9\r\n\r\n"
        made.discard()

    async def test_a_body_from_the_scanner_takes_the_place_of_the_one_that_came(self, blobs):
        made = spool(blobs)
        draft = await fill(made, b"A: 1\r\n\r\nold\r\n")
        draft.replace_body(b".new\n")
        await draft.settle_body()
        assert draft.flags & BodyFlag.DOT_LINES
        assert (await made.finish()).content == TOP + b"A: 1\r\n\r\n.new\r\n"

    async def test_a_broken_one_is_forgotten(self, blobs):
        made = spool(blobs)
        draft = await fill(made, b"A: 1\r\n\r\nold\r\n")
        draft.replace_body(b"new")
        await draft.settle_body(good=False)
        assert (await made.finish()).content == TOP + b"A: 1\r\n\r\nold\r\n"

    @pytest.mark.parametrize("content", [b"text at once\r\n", b"\r\ntext\r\n", b"A: 1\r\n", b""])
    async def test_odd_messages(self, blobs, content: bytes):
        made = spool(blobs)
        await fill(made, content)
        stored = (await made.finish()).content
        assert stored == TOP + (content if content[:1] in (b"\r", b"A") else b"\r\n" + content)

    async def test_a_header_block_without_end_is_refused(self, blobs):
        made = spool(blobs, max_header=20_000)
        made.write(b"A: 1\r\n" * 4000)
        assert made.end().reply_code == 552

    @pytest.mark.parametrize("operation", ["create", "write"])
    async def test_a_full_disk_is_said(self, blobs, files, operation: str):
        made = spool(blobs)
        files.fail(operation, NO_SPACE)
        for _ in range(20):
            waiting = made.write(b"A: 1\r\n\r\n" + b"x" * 50_000)
            if waiting is not None:
                await waiting
        assert made.end().reply_code == 452
        made.discard()

    async def test_a_disk_that_is_full_at_the_end(self, blobs, files):
        made = spool(blobs)
        await fill(made, b"A: 1\r\n\r\n" + b"x" * 600_000)
        files.fail("sync", NO_SPACE)
        assert (await made.finish()).reply_code == 452
