"""Searching messages: whatever the index has seen, the rows decide."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, timedelta

import msgspec
import pytest

from postroad.content.words import begins
from postroad.mail.status import Status, status
from postroad.ports.ids import MessageId, ServerId, id_text
from postroad.ports.search import MessageQuery, SearchField, SearchIndex, Walk
from postroad.ports.sending import ServerRecord
from postroad.ports.store import Acceptance, Delivery, DeliveryState, Message, Outcomes
from postroad.reports import search as searching
from postroad.reports.search import Search, parse
from postroad.testing.search import catch_up, small_index

PEOPLE = (
    "alice@example.com",
    "bob@example.net",
    "carol.jones@far.test",
    "dave+news@sub.example.com",
    "müller@example.org",
)
SUBJECTS = (
    "Your invoice 42",
    "Re: invoice for Müller",
    "reinvest now",
    "🎉sale today",
    "Hello",
    "",
    "Daily-report: 7/11",
)
TAGS = ("", "welcome", "password-reset")
REPLIES = (
    status(250, "2.0.0", "Ok: queued as 4F2A9"),
    status(451, "4.7.1", "Greylisted, try again in 5 minutes"),
    Status(550, None, 'mailbox "bob" is full', "over quota", "mx.far.test", "550 mailbox full\nsorry"),
)
STATES = (DeliveryState.DELIVERED, DeliveryState.QUEUED, DeliveryState.BOUNCED, DeliveryState.EXPIRED)
QUERIES = (
    "", "inv", "invoice", "invoice 42", '"your inv"', "alice", "alice@example.com", "@example.com", "example", "sub.ex",
    "from:alice", "to:bob@", "address:carol", "to:jones@far", "subject:hello", "subject:re", "sale", "müll", "daily-re",
    "tag:wel", "tag:reset", "reply:queued", 'reply:"451 4.7.1 grey"', 'reply:"mailbox full"', "reply:sorry",
    "reply:4f2", 'reply:"over quota"', "state:bounced", "state:failed", "state:deferred", "state:queued state:expired",
    "from:alice to:bob state:delivered", "stream:outbound", "server:shop invoice", "server:2", "server:nobody",
    "server:99999999999999999999", "zzz", "since:1m", "until:1m inv", "on:today reinvest", "id:0", "/11", '"7/11"',
    'reply:"bob"', "example to:bob", "from:hello subject:alice", "id:0 invoice", "since:9999-01-01", "until:9999-12-30",
    "since:0001-01-01",
)  # fmt: skip


@pytest.fixture
async def index(store, tmp_path) -> AsyncIterator[SearchIndex]:
    index = small_index(store, tmp_path)
    yield index
    await index.close()


async def write(store, mail, choose: random.Random, sender: str = "") -> Message:
    """One message of many kinds, with what became of its recipients."""
    to = choose.sample(PEOPLE, choose.choice((1, 1, 2, 3)))
    acceptance: Acceptance = mail.remote(
        *to, reverse_path=sender or choose.choice(PEOPLE), subject=choose.choice(SUBJECTS)
    )
    server = choose.choice((None, ServerId(1), ServerId(2)))
    acceptance.message = msgspec.structs.replace(
        acceptance.message,
        server=server,
        stream=choose.choice(("outbound", "broadcast")) if server else "",
        tag=choose.choice(TAGS) if server else "",
        header_from=f"{choose.choice(('Alice', 'Hello There'))} <{acceptance.message.reverse_path}>",
    )
    await store.accept(acceptance)
    for delivery in acceptance.deliveries:
        await store.outcomes(ending(mail, delivery, choose.choice(STATES), choose.choice(REPLIES)))
    return acceptance.message


def ending(mail, delivery: Delivery, state: DeliveryState, reply: Status) -> Outcomes:
    due = None if state.is_final else timedelta(minutes=5)
    outcomes: Outcomes = mail.outcome(delivery, state, due=due, attempt=False)
    (result,) = outcomes.results
    return Outcomes([msgspec.structs.replace(result, status=reply, keep_owner=True)], None, outcomes.events)


def expected(query: MessageQuery, rows: list[tuple[Message, list[Delivery]]]) -> list[MessageId]:
    """What ought to be found, newest first, said in another way than the code does."""
    return [message.id for message, deliveries in rows if fits(query, message, deliveries)]


def fits(query: MessageQuery, message: Message, deliveries: list[Delivery]) -> bool:
    server = {"": message.server, "shop": 1, "2": 2}.get(query.server, -1)
    replies = [one.last_status for one in deliveries if one.last_status]
    texts = {
        SearchField.SENDER: [message.reverse_path, message.header_from],
        SearchField.RECIPIENT: [text for one in deliveries for text in (one.forward_path, one.orig)],
        SearchField.SUBJECT: [message.subject],
        SearchField.IDENT: [message.message_id],
        SearchField.TAG: [message.tag],
        SearchField.REPLY: [f"{one} {one.cause} {one.remote} {one.diagnostic} {one.reason}" for one in replies],
    }
    in_state = not (query.states or query.deferred) or any(
        one.state in query.states or (query.deferred and one.state == "queued") for one in deliveries
    )
    return (
        in_state
        and message.server == server
        and query.stream in ("", message.stream)
        and (query.since is None or message.created >= query.since)
        and (query.until is None or message.created < query.until)
        and (query.ids is None or query.ids[0] <= message.id < query.ids[1])
        and all(any(begins(text, term.text) for field in term.fields for text in texts[field]) for term in query.terms)
    )


async def everything(store) -> list[tuple[Message, list[Delivery]]]:
    found = await store.read(
        lambda tx: tx.search.walk(MessageQuery(), below=None, above=MessageId(0), limit=500, window=500)
    )
    return await store.read(lambda tx: [(tx.messages.get(one), tx.deliveries.of_message(one)) for one in found.ids])


async def all_pages(search: Search, query: MessageQuery, limit: int) -> list[MessageId]:
    found: list[MessageId] = []
    after: MessageId | None = None
    while True:
        page = await search.messages(query, after, limit)
        found += [row.message.id for row in page.rows]
        if page.next is None:
            return found
        assert len(page.rows) == limit
        after = page.next


async def add_servers(store, mail) -> None:
    await store.write(
        lambda tx: [tx.servers.add(ServerRecord(ServerId(n), name, mail.now)) for n, name in ((1, "shop"), (2, "post"))]
    )


async def test_results_are_what_the_rows_say_however_far_the_index_has_come(store, mail, clock, index) -> None:
    choose = random.Random(5)
    await add_servers(store, mail)
    plain, indexed = Search(store, clock), Search(store, clock, index)
    written = []
    for round_ in range(4):
        for _ in range(7):
            written.append(await write(store, mail, choose))
            await clock.advance(2)
        if round_ == 1:  # begun, and not come to the end
            await index.advance(mail.now)
            await index.advance(mail.now)
        elif round_ == 2:
            await catch_up(index, mail.now - timedelta(seconds=10))
            one = (await everything(store))[15][1][0]
            if not one.state.is_final:  # an old message changes behind the index
                await store.outcomes(ending(mail, one, DeliveryState.BOUNCED, REPLIES[2]))
        elif round_ == 3:
            await catch_up(index, mail.now + timedelta(seconds=1))
        rows = await everything(store)
        assert len(rows) == len(written)
        for text in choose.sample(QUERIES, 24):
            query = parse(text, mail.now, UTC)
            wanted = expected(query, rows)
            limit = choose.choice((9, 50))
            assert await all_pages(plain, query, limit) == wanted, f"{text} by the rows in round {round_}"
            assert await all_pages(indexed, query, limit) == wanted, f"{text} by the index in round {round_}"


async def test_the_index_finds_what_nobody_walks_to(store, mail, clock, index) -> None:
    """Not by luck: with the index, no row that does not fit is looked at."""
    choose = random.Random(7)
    for _ in range(30):
        await write(store, mail, choose)
        await clock.advance(1)
    await catch_up(index, mail.now)
    rows = await everything(store)
    for text in QUERIES:
        query = parse(text, mail.now, UTC)
        if query.wants_index and not query.server:
            walk = await index.find(query, below=None, above=MessageId(0), limit=100, patience=1)
            assert walk, text
            wanted = expected(query, rows)
            assert set(walk.ids) >= set(wanted), text
            assert walk.ids == sorted(walk.ids, reverse=True), text
            assert len(walk.ids) <= len(wanted) + 12, f"{text} proposes too much"


async def test_a_page_has_the_first_recipients_and_counts_all(store, mail, clock) -> None:
    acceptance = mail.remote(*(f"r{number}@far.test" for number in range(30)))
    await store.accept(acceptance)
    for delivery in acceptance.deliveries[:4]:
        await store.outcomes(mail.outcome(delivery, attempt=False))
    (row,) = (await Search(store, clock).messages(MessageQuery())).rows
    assert [one.forward_path for one in row.deliveries] == [f"r{number}@far.test" for number in range(20)]
    assert row.recipients == 30
    assert dict(row.states) == {DeliveryState.DELIVERED: 4, DeliveryState.QUEUED: 26}


async def test_a_recipient_is_found_behind_many_others(store, mail, clock, index) -> None:
    await store.accept(mail.remote(*(f"r{number}@far.test" for number in range(300)), "zoe@last.test"))
    await store.accept(mail.remote("r0@far.test"))
    await catch_up(index, mail.now + timedelta(seconds=1))
    for search in (Search(store, clock), Search(store, clock, index)):
        page = await search.messages(parse("to:zoe@last", mail.now, UTC))
        assert [row.recipients for row in page.rows] == [301]


async def test_an_id_is_that_of_the_message_or_of_a_recipient(store, mail, clock) -> None:
    first, second = mail.remote("a@far.test"), mail.remote("b@far.test")
    for acceptance in (first, second):
        await store.accept(acceptance)
    search = Search(store, clock)
    for number in (first.message.id, first.deliveries[0].id):
        page = await search.messages(parse(f"id:{id_text(number)}", mail.now, UTC))
        assert [row.message.id for row in page.rows] == [first.message.id]
    assert not (await search.messages(parse(f"id:{id_text(MessageId(12345))}", mail.now, UTC))).rows


class _Impatient:
    """A clock on which every look is a second later."""

    def __init__(self, clock) -> None:
        self._clock = clock
        self._seconds = 0.0

    def now(self):
        return self._clock.now()

    def monotonic(self) -> float:
        self._seconds += 1.0
        return self._seconds


async def test_a_long_search_stops_and_says_where_to_go_on(store, mail, clock, monkeypatch) -> None:
    monkeypatch.setattr(searching, "WINDOW", 2)
    acceptances = [mail.remote("a@far.test", subject="needle" if number == 0 else "hay") for number in range(7)]
    for acceptance in acceptances:
        await store.accept(acceptance)
    search = Search(store, _Impatient(clock))
    query = parse("needle", mail.now, UTC)
    page = await search.messages(query)
    assert (page.rows, page.next) == ([], acceptances[5].message.id)
    pages = 1
    while not page.rows:
        page = await search.messages(query, page.next)
        pages += 1
    assert [row.message.subject for row in page.rows] == ["needle"]
    assert pages == 4


class _Stale:
    """An index that knows nothing and says so, or that proposes nonsense."""

    def __init__(self, walk: Walk | None) -> None:
        self._walk = walk

    async def coverage(self):
        return searching.Coverage(MessageId(1 << 62), 1 << 62) if self._walk is None else None

    async def find(self, query, *, below, above, limit, patience):
        return self._walk


async def test_an_index_that_cannot_help_is_done_without(store, mail, clock) -> None:
    await store.accept(mail.remote("a@far.test", subject="needle"))
    for index in (_Stale(None), _Stale(Walk([], None))):
        page = await Search(store, clock, index).messages(parse("needle", mail.now, UTC))
        assert len(page.rows) == 1
