"""Mailboxes on a real store: names, flags, copies, moves, removal, and what views learn of it."""

import pytest

from postroad.mailbox import service as service_module
from postroad.mailbox.names import BadName
from postroad.mailbox.quota import OverQuota
from postroad.mailbox.service import FlagChange, NameTaken, NoSuchMailbox, NotPossible
from postroad.mailbox.view import Changed, Count, Gone
from postroad.ports.store import Lane, StoreUnavailable

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


async def names(post, account):
    return [record.name for record in await post.mailboxes.mailboxes(account)]


async def flags(post, mailbox, uids, change):
    return [found async for part in post.mailboxes.change_flags(mailbox, uids, change) for found in part]


async def test_inbox_is_always_there(post):
    account = await post.account()
    assert await names(post, account) == ["INBOX"]
    assert (await post.mailboxes.find(account, "inbox")).name == "INBOX"


async def test_create(post):
    account = await post.account()
    await post.mailboxes.create(account, "a/b/c/")
    assert await names(post, account) == ["INBOX", "a", "a/b", "a/b/c"]
    for taken in ("a", "a/b/c", "inbox"):
        with pytest.raises(NameTaken):
            await post.mailboxes.create(account, taken)
    with pytest.raises(BadName):
        await post.mailboxes.create(account, "a//b")


async def test_number_of_mailboxes_is_limited(post, monkeypatch):
    monkeypatch.setattr(service_module, "MAX_MAILBOXES", 2)
    account = await post.account()
    await names(post, account)
    await post.mailboxes.create(account, "a")
    with pytest.raises(NotPossible):
        await post.mailboxes.create(account, "b")


async def test_uid_validity_grows_when_a_name_is_used_again(post):
    account = await post.account()
    await post.mailboxes.create(account, "a")
    first = await post.mailboxes.find(account, "a")
    await post.mailboxes.delete(account, "a")
    with pytest.raises(NoSuchMailbox):
        await post.mailboxes.find(account, "a")
    await post.mailboxes.create(account, "a")
    second = await post.mailboxes.find(account, "a")
    assert second.uid_validity > first.uid_validity


async def test_delete(post):
    account = await post.account()
    await post.mailboxes.create(account, "a/b")
    await post.mailboxes.delete(account, "a")
    assert await names(post, account) == ["INBOX", "a/b"]
    with pytest.raises(NotPossible):
        await post.mailboxes.delete(account, "inbox")
    with pytest.raises(NoSuchMailbox):
        await post.mailboxes.delete(account, "a")


async def test_rename_takes_inferiors_along(post):
    account = await post.account()
    await post.mailboxes.create(account, "a/b/c")
    await post.mailboxes.create(account, "ab")
    await post.mailboxes.rename(account, "a", "x/y")
    assert await names(post, account) == ["INBOX", "ab", "x", "x/y", "x/y/b", "x/y/b/c"]
    with pytest.raises(NotPossible):
        await post.mailboxes.rename(account, "x", "x/z")
    with pytest.raises(NameTaken):
        await post.mailboxes.rename(account, "x", "ab")
    with pytest.raises(NoSuchMailbox):
        await post.mailboxes.rename(account, "nowhere", "b")


async def test_rename_of_inbox_moves_its_messages(post):
    account = await post.account()
    await post.put(account, MESSAGE)
    await post.mailboxes.create(account, "INBOX/below")
    await post.mailboxes.rename(account, "INBOX", "old")
    assert await names(post, account) == ["INBOX", "INBOX/below", "old"]
    assert (await post.mailboxes.find(account, "INBOX")).total == 0
    assert (await post.mailboxes.find(account, "old")).total == 1


async def test_subscriptions(post):
    account = await post.account()
    await post.mailboxes.find(account, "INBOX")
    await post.mailboxes.subscribe(account, "inbox", subscribed=False)
    assert not (await post.mailboxes.find(account, "INBOX")).subscribed
    with pytest.raises(NoSuchMailbox):
        await post.mailboxes.subscribe(account, "a", subscribed=True)


async def test_a_view_learns_what_others_do(post):
    account = await post.account()
    for _ in range(3):
        await post.put(account, MESSAGE)
    record, view = await post.mailboxes.open(account, "INBOX")
    told = []
    leave = post.mailboxes.listen(record.id, lambda: told.append(1))
    await post.put(account, MESSAGE)
    await flags(post, record.id, [1, 99], FlagChange(1, ("Done",)))
    await flags(post, record.id, [2], FlagChange(8))
    assert await post.mailboxes.expunge(record.id, [1, 2, 99]) == [2]
    assert len(told) == 4
    leave()
    await post.mailboxes.refresh(view)
    updates = view.updates(expunge=True)
    assert [update for update in updates if isinstance(update, Gone | Count | Changed)] == [
        Gone(2), Count(3), Changed(1, 1, 1, ("Done",)),
    ]  # fmt: skip
    assert len(told) == 4


async def test_pages(post, monkeypatch):
    monkeypatch.setattr(service_module, "PAGE", 2)
    monkeypatch.setattr(service_module, "SLICE", 2)
    account = await post.account()
    for _ in range(5):
        await post.put(account, MESSAGE)
    record, view = await post.mailboxes.open(account, "INBOX")
    assert list(view.uids) == [1, 2, 3, 4, 5]
    assert len(await flags(post, record.id, [1, 2, 3, 4, 5], FlagChange(8))) == 5
    await post.mailboxes.refresh(view)
    assert len(view.updates(expunge=True)) == 5
    assert await post.mailboxes.expunge(record.id, [1, 2, 3]) == [1, 2, 3]
    await post.mailboxes.refresh(view)
    assert view.updates(expunge=True) == [Gone(3), Gone(2), Gone(1)]


async def test_ways_to_change_flags(post):
    account = await post.account()
    await post.put(account, MESSAGE)
    record = await post.mailboxes.find(account, "INBOX")
    (change,) = await flags(post, record.id, [1], FlagChange(3, ("a", "b")))
    assert (change.flags, change.keywords) == (3, ("a", "b"))
    (change,) = await flags(post, record.id, [1], FlagChange(2, ("a",), remove=True))
    assert (change.flags, change.keywords) == (1, ("b",))
    (change,) = await flags(post, record.id, [1], FlagChange(4, ("c",), replace=True))
    assert (change.flags, change.keywords) == (4, ("c",))


async def test_bulk_work_lets_others_go_first(post, monkeypatch):
    lanes = []
    write = post.store.write

    async def watched(function, *, lane=Lane.NORMAL):
        lanes.append(lane)
        return await write(function, lane=lane)

    monkeypatch.setattr(post.store, "write", watched)
    monkeypatch.setattr(service_module, "SLICE", 2)
    account = await post.account()
    for _ in range(3):
        await post.put(account, MESSAGE)
    record = await post.mailboxes.find(account, "INBOX")
    lanes.clear()
    await flags(post, record.id, [1, 2], FlagChange(1))
    await flags(post, record.id, [1, 2, 3], FlagChange(1))
    assert lanes == [Lane.NORMAL, Lane.LOW, Lane.LOW]


async def test_copy_and_move(post):
    account = await post.account()
    for _ in range(3):
        await post.put(account, MESSAGE, flags=1)
    await post.mailboxes.create(account, "a")
    inbox, target = await post.mailboxes.find(account, "INBOX"), await post.mailboxes.find(account, "a")
    assert (await post.mailboxes.transfer(inbox.id, [1, 3, 9], target)).pairs == ((1, 1), (3, 2))
    assert (await post.mailboxes.transfer(inbox.id, [2], target, move=True)).pairs == ((2, 3),)
    assert [(await post.mailboxes.find(account, name)).total for name in ("INBOX", "a")] == [2, 3]
    await post.mailboxes.delete(account, "a")
    with pytest.raises(NoSuchMailbox):
        await post.mailboxes.transfer(inbox.id, [1], target)


async def test_a_copy_that_fails_half_way_is_taken_back(post, monkeypatch):
    monkeypatch.setattr(service_module, "SLICE", 2)
    account = await post.account()
    for _ in range(3):
        await post.put(account, MESSAGE)
    await post.mailboxes.create(account, "a")
    inbox, target = await post.mailboxes.find(account, "INBOX"), await post.mailboxes.find(account, "a")
    transfer, calls = service_module._transfer, []

    def breaks(*args, **words):
        calls.append(1)
        if len(calls) > 1:
            raise StoreUnavailable("broken")
        return transfer(*args, **words)

    monkeypatch.setattr(service_module, "_transfer", breaks)
    with pytest.raises(StoreUnavailable):
        await post.mailboxes.transfer(inbox.id, [1, 2, 3], target)
    assert (await post.mailboxes.find(account, "a")).total == 0


async def test_quota(post):
    account = await post.account(quota=50)
    await post.put(account, MESSAGE)
    await post.put(account, MESSAGE)
    with pytest.raises(OverQuota):
        await post.appender.target(account, "INBOX", len(MESSAGE))
    inbox = await post.mailboxes.find(account, "INBOX")
    with pytest.raises(OverQuota):
        await post.mailboxes.transfer(inbox.id, [1], inbox)
    await post.mailboxes.create(account, "a")
    target = await post.mailboxes.find(account, "a")
    assert (await post.mailboxes.transfer(inbox.id, [1], target, move=True)).pairs  # moving needs no room
    await post.mailboxes.expunge(target.id, [1], marked=False)
    assert await post.appender.target(account, "INBOX", len(MESSAGE))


async def test_refresh_of_a_deleted_mailbox(post):
    account = await post.account()
    await post.mailboxes.create(account, "a")
    _, view = await post.mailboxes.open(account, "a")
    await post.mailboxes.delete(account, "a")
    with pytest.raises(NoSuchMailbox):
        await post.mailboxes.refresh(view)
