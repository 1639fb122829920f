"""Messages that come by APPEND, small and large, and how their octets are read back."""

from datetime import UTC, datetime

import pytest

from postroad.mail.render import render
from postroad.mailbox import append
from postroad.mailbox.append import AppendOrder
from postroad.mailbox.reading import to_content
from postroad.mailbox.sections import Span
from postroad.ports.store import StoreUnavailable

SMALL = b"Subject: small\r\n\r\nbody\r\n"


@pytest.mark.parametrize("limit", [10, 1000])
async def test_octet_for_octet(post, monkeypatch, limit):
    """In a shared segment, and in a file of its own."""
    monkeypatch.setattr(append, "SMALL", limit)
    monkeypatch.setattr(append, "PIECE", 7)
    account = await post.account()
    record = await post.mailboxes.find(account, "INBOX")
    when = datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)
    appending = post.appender.open(AppendOrder(record, len(SMALL), 1, ("Done",), when))
    for start in range(0, len(SMALL), 5):
        waiting = appending.write(SMALL[start : start + 5])
        if waiting is not None:
            await waiting
    uid = await appending.finish()
    (source,) = await post.reader.sources(record.id, [uid], layout=True)
    assert source.text.internal_date == int(when.timestamp())
    _, view = await post.mailboxes.open(account, "INBOX")
    assert (view.flags[0], view.keywords(uid)) == (1, ("Done",))
    assert b"".join([piece async for piece in post.reader.stream(source, Span(0, len(SMALL)))]) == SMALL
    assert await post.reader.read_many([(source, Span(9, 14)), (source, Span(3, 3))]) == [b"small", b""]
    (row,) = await post.reader.texts(record.id, 1, 9, envelope=True, structure=True, body=False)
    assert (row.size, row.internal_date) == (len(SMALL), int(when.timestamp()))
    assert b'"small"' in row.envelope
    assert row.body == b""


async def test_what_is_discarded_leaves_nothing(post, monkeypatch):
    monkeypatch.setattr(append, "SMALL", 10)
    account = await post.account()
    record = await post.mailboxes.find(account, "INBOX")
    appending = post.appender.open(AppendOrder(record, 100))
    appending.write(b"x" * 50)
    appending.discard()
    assert (await post.mailboxes.find(account, "INBOX")).total == 0


async def test_a_full_disk(post, monkeypatch):
    account = await post.account()
    record = await post.mailboxes.find(account, "INBOX")
    monkeypatch.setattr(post.store, "has_room", lambda size: False)
    with pytest.raises(StoreUnavailable):
        post.appender.open(AppendOrder(record, 100))


async def test_an_old_rendering_is_made_anew(post):
    account = await post.account()
    await post.put(account, SMALL)
    record = await post.mailboxes.find(account, "INBOX")
    (source,) = await post.reader.sources(record.id, [1], layout=True)
    (content,) = (await post.reader.contents([source.text.blob])).values()
    old = to_content(source.text.blob, content.size, render(b"Subject: old\r\n\r\n"), renderer=0)
    await post.store.write(lambda tx: tx.mailbox_messages.put_content(old))
    assert await post.reader.sources(record.id, [1], layout=True) == [source]
    await post.store.write(lambda tx: tx.mailbox_messages.put_content(old))
    (row,) = await post.reader.texts(record.id, 1, 1, envelope=True, structure=False, body=False)
    assert row.envelope == content.envelope
    assert await post.reader.contents([source.text.blob]) == {source.text.blob: content}


async def test_prefix_stands_in_front(post):
    account = await post.account()
    await post.put(account, SMALL)
    record = await post.mailboxes.find(account, "INBOX")
    (source,) = await post.reader.sources(record.id, [1], layout=True)
    prefix = b"Return-Path: <>\r\n"
    layout = source.layout._replace(prefix=len(prefix), size=source.layout.size + len(prefix))
    source = source._replace(prefix=prefix, layout=layout)
    whole = prefix + SMALL
    for span in (Span(0, len(whole)), Span(3, 9), Span(10, 30), Span(20, 25)):
        assert await post.reader.read_many([(source, span)]) == [whole[span.start : span.end]]
        assert b"".join([piece async for piece in post.reader.stream(source, span)]) == whole[span.start : span.end]
