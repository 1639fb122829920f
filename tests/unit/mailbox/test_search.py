"""SEARCH over a real mailbox: each key by the cheapest means that settle it."""

import tracemalloc

import pytest

from postroad.mailbox import search as search_module
from postroad.mailbox.search import Search
from postroad.mailbox.service import FlagChange
from postroad.mailbox.view import NoSuchMessage, View
from postroad.ports.ids import MailboxId, ModSeq, Uid
from postroad.proto.imap.search import parse_search
from postroad.proto.imap.tokens import Cursor

LONG = "x" * 250
MESSAGES = [
    "From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: First\r\nDate: Mon, 7 Feb 1994 21:52:25 +0000\r\n"
    "\r\nApples\r\n",
    "From: Ben <ben@example.org>\r\nCc: cat@example.org\r\nSubject: =?utf-8?q?Stra=C3=9Fe?=\r\nX-Flag:\r\n"
    "\r\nBananas and apples\r\n",
    f"From: Cat <cat@example.org>\r\nSubject: {LONG} tail\r\nDate: Tue, 8 Feb 1994 21:52:25 +0000\r\n\r\ncherries\r\n",
    "From: Dan <dan@example.org>\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"
    "\r\nRMOpamEgdnU=\r\n",
]


@pytest.fixture
async def look(post):
    account = await post.account()
    for message in MESSAGES:
        await post.put(account, message.encode())
    record = await post.mailboxes.find(account, "INBOX")
    async for _ in post.mailboxes.change_flags(record.id, [2, 3], FlagChange(1, ("Done",))):
        pass
    _, view = await post.mailboxes.open(account, "INBOX")

    async def run(text):
        looking = Search(view, post.reader, parse_search(Cursor(text.encode())))
        quick = looking.quick()
        if not quick:
            await looking.finish()
        return [at + 1 for at in looking.places], quick

    return run


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ALL", [1, 2, 3, 4]), ("SEEN", [2, 3]), ("UNSEEN", [1, 4]), ("KEYWORD done", [2, 3]), ("2:* UNSEEN", [4]),
        ("UID 1:2", [1, 2]), ("NOT 1:2", [3, 4]), ("OR 1 SEEN", [1, 2, 3]), ("RECENT", []), ("OLD SEEN", [2, 3]),
        ("NOT NEW", [1, 2, 3, 4]), ("UID 99", []),
    ],
)  # fmt: skip
async def test_from_the_view_alone(look, text, found):
    assert await look(text) == (found, True)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FROM ann", [1]), ("FROM example.org", [1, 2, 3, 4]), ("TO bob", [1]), ("CC CAT@", [2]), ("BCC x", []),
        ("SUBJECT first", [1]), ("SUBJECT strasse", [2]), ("SUBJECT tail", [3]), ("SUBJECT xxx", [3]),
        ('SUBJECT ""', [1, 2, 3]), ("HEADER X-Flag \"\"", [2]), ("HEADER X-Flag y", []), ("BODY apples", [1, 2]),
        ("BODY ann", []), ("TEXT ann", [1]), ("TEXT apples", [1, 2]), ('BODY "déja vu"', [4]), ("BODY rmop", []),
        ("SENTON 7-Feb-1994", [1]), ("SENTSINCE 8-Feb-1994", [3]), ("SENTBEFORE 8-Feb-1994", [1]),
        ("NOT SENTBEFORE 8-Feb-1994", [2, 3, 4]), ("SINCE 1-Jan-2020", [1, 2, 3, 4]), ("BEFORE 1-Jan-2020", []),
        ("LARGER 250", [3]), ("SMALLER 250", [1, 2, 4]), ("SEEN BODY apples", [2]), ("OR SEEN BODY apples", [1, 2, 3]),
        ("NOT (SEEN BODY apples)", [1, 3, 4]), ("OR FROM ann BODY cherries", [1, 3]),
        ("OR BODY nothing NOT TEXT ann", [2, 3, 4]),
    ],
)  # fmt: skip
async def test_from_rows_and_contents(look, text, found):
    assert await look(text) == (found, False)


async def test_what_flags_settle_is_not_read(look, monkeypatch):
    read = []
    original = search_module._batches
    monkeypatch.setattr(
        search_module, "_batches", lambda part, *rest: (read.append(len(part)), original(part, *rest))[1]
    )
    assert (await look("SEEN BODY apples"))[0] == [2]
    assert read == [2, 2]


async def test_small_batches(look, monkeypatch):
    monkeypatch.setattr(search_module, "BATCH", 1)
    assert (await look("TEXT apples"))[0] == [1, 2]


@pytest.mark.parametrize("text", ["SEEN", "OR SEEN 4", "SEEN UNDELETED KEYWORD done 1:3", "SUBJECT first"])
async def test_others_have_their_turn(look, text, monkeypatch):
    """A search of a large mailbox by many keys would else hold the loop for seconds."""
    whole, _ = await look(text)
    monkeypatch.setattr(search_module, "TESTS", 1)
    assert await look(text) == (whole, False)


def test_sets_cost_nothing_but_their_ranges():
    """A command holds hundreds of them; with a set of places for each this would take 4 GB."""
    view = View(MailboxId(1), ModSeq(1))
    view.load([(Uid(number), 0, ()) for number in range(1, 100_001)])
    keys = parse_search(Cursor(b" ".join([b"1:*,5:7"] * 400)))
    tracemalloc.start()
    Search(view, None, keys)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


async def test_no_such_number(look):
    with pytest.raises(NoSuchMessage):
        await look("5")


async def test_expunged_meanwhile(post, look):
    account = (await post.store.read(lambda tx: tx.accounts.list()))[0]
    record = await post.mailboxes.find(account.id, "INBOX")
    await post.mailboxes.expunge(record.id, [1], marked=False)
    assert (await look("BODY apples"))[0] == [2]
