"""Mailboxes: names, numbers, flags, changes, copies, what is gone."""

import asyncio
import random

import pytest
from msgspec.structs import replace

from postroad.ports.ids import MailboxId, MessageId
from postroad.ports.store import MailboxChange, NewMailboxMessage, Refused, SystemFlag

SEEN, FLAGGED, DELETED = SystemFlag.SEEN, SystemFlag.FLAGGED, SystemFlag.DELETED


@pytest.fixture
async def inbox(store, mail):
    return await store.write(mail.inbox)


async def fill(store, mail, mailbox, number):
    return await asyncio.gather(*(store.append(mail.append(mailbox)) for _ in range(number)))


async def box(store, mailbox):
    return await store.read(lambda tx: tx.mailboxes.get(mailbox))


async def flags(store, mailbox):
    view = await store.read(lambda tx: tx.mailbox_messages.view(mailbox, after=None, limit=100))
    return {uid: (bits, keywords) for uid, bits, keywords in view}


async def test_names(store, mail):
    account = await store.write(mail.account)
    inbox, work = [await store.write(lambda tx, n=n: mail.mailbox(tx, account, n)) for n in ("INBOX", "Work")]
    assert [m.name for m in await store.read(lambda tx: tx.mailboxes.list(account))] == ["INBOX", "Work"]
    assert (await store.read(lambda tx: tx.mailboxes.by_name(account, "Work"))).id == work
    assert await store.read(lambda tx: tx.mailboxes.by_name(account, "work")) is None
    with pytest.raises(Refused, match="Work"):
        await store.write(lambda tx: mail.mailbox(tx, account, "Work"))
    with pytest.raises(Refused, match="INBOX"):
        await store.write(lambda tx: tx.mailboxes.rename(work, "INBOX"))
    await store.write(lambda tx: tx.mailboxes.rename(work, "Work"))
    await store.write(lambda tx: tx.mailboxes.rename(work, "Äpfel/1"))
    await store.write(lambda tx: tx.mailboxes.subscribe(work, False))
    found = await box(store, work)
    assert (found.name, found.subscribed) == ("Äpfel/1", False)
    with pytest.raises(Refused):
        await store.write(lambda tx: tx.mailboxes.rename(MailboxId(999), "x"))
    assert (await box(store, inbox)).uid_validity < found.uid_validity


async def test_a_deleted_name_is_free_at_once_with_a_new_uid_validity(store, mail):
    account = await store.write(mail.account)
    first = await store.write(lambda tx: mail.mailbox(tx, account, "Work"))
    await fill(store, mail, first, 2)
    old = await box(store, first)
    await store.write(lambda tx: tx.mailboxes.delete(first))
    await store.write(lambda tx: tx.mailboxes.delete(first))
    assert await box(store, first) is None
    second = await store.write(lambda tx: mail.mailbox(tx, account, "Work"))
    assert (await box(store, second)).uid_validity > old.uid_validity
    assert (await store.read(lambda tx: tx.accounts.get(account))).used_bytes == 0
    with pytest.raises(Refused):
        await store.append(mail.append(first))
    with pytest.raises(Refused):
        await store.write(lambda tx: tx.mailboxes.next_uid_validity(999))


async def test_messages_enter_and_are_paged(store, mail, inbox):
    new = NewMailboxMessage(
        inbox, mail.ids.new(), 50, mail.now, SEEN | FLAGGED, ("$Forwarded", "work"), b"Return-Path: <>\r\n"
    )
    uids = await store.write(lambda tx: tx.mailbox_messages.add([new, replace(new, flags=0, keywords=())]))
    assert uids == [1, 2]
    rows = await store.read(lambda tx: tx.mailbox_messages.page(inbox))
    assert (rows[0].flags, rows[0].keywords, rows[0].prefix) == (5, ("$Forwarded", "work"), b"Return-Path: <>\r\n")
    assert rows[0].internal_date == mail.now
    assert await store.read(lambda tx: tx.mailbox_messages.page(inbox, after=1, limit=1)) == rows[1:]
    assert await store.read(lambda tx: tx.mailbox_messages.get(inbox, [2, 7])) == rows[1:]
    assert await flags(store, inbox) == {1: (5, ("$Forwarded", "work")), 2: (0, ())}
    found = await box(store, inbox)
    assert (found.total, found.unseen, found.size) == (2, 1, 100)


async def test_a_local_delivery_done_twice_finds_the_first(store, mail, inbox):
    new = NewMailboxMessage(inbox, mail.ids.new(), 50, mail.now, message=MessageId(77))

    def add(tx):
        return tx.mailbox_messages.add([new, new])

    assert await store.write(add) == [1, 1]
    assert await store.write(add) == [1, 1]
    assert (await box(store, inbox)).total == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"add": SEEN}, {1: (1, ()), 2: (1, ()), 3: (5, ("a", "b"))}),
        ({"remove": SEEN | FLAGGED}, {1: (0, ()), 2: (0, ()), 3: (0, ("a", "b"))}),
        ({"replace": DELETED}, {1: (8, ()), 2: (8, ()), 3: (8, ("a", "b"))}),
        ({"replace": 0, "replace_keywords": ("z",)}, {1: (0, ("z",)), 2: (0, ("z",)), 3: (0, ("z",))}),
        ({"add_keywords": ("b", "c")}, {1: (0, ("b", "c")), 2: (1, ("b", "c")), 3: (5, ("a", "b", "c"))}),
        ({"remove_keywords": ("a",), "add": DELETED}, {1: (8, ()), 2: (9, ()), 3: (13, ("b",))}),
    ],
)
async def test_flags_are_stored(store, mail, inbox, change, expected):
    units = [mail.append(inbox, flags=bits) for bits in (0, SEEN, SEEN | FLAGGED)]
    units[2].local = replace(units[2].local, keywords=("a", "b"))
    for unit in units:
        await store.append(unit)
    before = (await box(store, inbox)).highest_modseq
    changes = await store.write(lambda tx: tx.mailbox_messages.store(inbox, [1, 2, 3, 9], **change))
    assert {c.uid: (c.flags, c.keywords) for c in changes} == expected
    assert await flags(store, inbox) == expected
    found = await box(store, inbox)
    assert found.unseen == sum(not bits & SEEN for bits, _ in expected.values())
    assert {c.modseq for c in changes} == {before + 1} == {found.highest_modseq}


async def test_storing_on_nothing_changes_nothing(store, mail, inbox):
    before = await box(store, inbox)
    assert await store.write(lambda tx: tx.mailbox_messages.store(inbox, [5], add=SEEN)) == []
    assert await store.write(lambda tx: tx.mailbox_messages.expunge(inbox, [5])) == []
    assert await store.write(lambda tx: tx.mailbox_messages.copy(inbox, [5], inbox)) == []
    assert await box(store, inbox) == before


async def test_copies_keep_flags_and_date(store, mail, inbox):
    await store.append(mail.append(inbox, flags=FLAGGED))
    await fill(store, mail, inbox, 2)
    target = await store.write(lambda tx: mail.inbox(tx, "bob@local.test"))
    await fill(store, mail, target, 4)
    pairs = await store.write(lambda tx: tx.mailbox_messages.copy(inbox, [3, 1], target))
    assert pairs == [(1, 5), (3, 6)]
    (original,) = await store.read(lambda tx: tx.mailbox_messages.get(inbox, [1]))
    (copy,) = await store.read(lambda tx: tx.mailbox_messages.get(target, [5]))
    assert copy == replace(original, mailbox=target, uid=5, modseq=copy.modseq)
    assert (await store.read(lambda tx: tx.ledger.totals())).findings == ()


async def test_a_local_delivery_can_be_copied_within_its_mailbox(store, mail, inbox):
    await store.accept(mail.local(inbox))
    assert await store.write(lambda tx: tx.mailbox_messages.copy(inbox, [1], inbox)) == [(1, 2)]


async def test_what_is_expunged_leaves_ranges(store, mail, inbox):
    await fill(store, mail, inbox, 10)
    before = (await box(store, inbox)).highest_modseq
    assert await store.write(lambda tx: tx.mailbox_messages.expunge(inbox, [2, 3, 4, 8, 42])) == [2, 3, 4, 8]
    found = await box(store, inbox)
    assert (found.total, found.unseen, found.highest_modseq) == (6, 6, before + 1)
    changes = await store.read(lambda tx: tx.mailbox_messages.changes(inbox, before, 100))
    assert changes == [MailboxChange(uid, before + 1, vanished=True) for uid in (2, 3, 4, 8)]
    assert (await store.read(lambda tx: tx.ledger.totals())).findings == ()
    assert await fill(store, mail, inbox, 1) == [11]


async def test_changes_come_in_order_and_a_page_never_splits_a_mod_sequence(store, mail, inbox):
    await fill(store, mail, inbox, 6)
    start = (await box(store, inbox)).highest_modseq
    await store.write(lambda tx: tx.mailbox_messages.store(inbox, [1, 2, 3], add=SEEN))
    await store.write(lambda tx: tx.mailbox_messages.expunge(inbox, [5]))
    await store.write(lambda tx: tx.mailbox_messages.store(inbox, [2], add=FLAGGED))

    async def changes(since, limit):
        found = await store.read(lambda tx: tx.mailbox_messages.changes(inbox, since, limit))
        return [(c.uid, c.modseq - start, c.vanished) for c in found]

    assert await changes(start, 100) == [(1, 1, False), (3, 1, False), (5, 2, True), (2, 3, False)]
    assert await changes(start, 1) == [(1, 1, False), (3, 1, False)]
    assert await changes(start + 1, 1) == [(5, 2, True)]
    assert await changes(start + 3, 10) == []


async def test_changes_are_those_of_a_replay(store, mail, inbox):
    """Whatever happens, paging on from a mod-sequence tells all that came after it, in pages of any size."""
    numbers = random.Random(7)
    known: dict[int, int] = {}
    model: dict[int, int] = {}
    since = 0
    for _ in range(40):
        present = sorted(model)
        some = numbers.sample(present, min(len(present), 3))
        match numbers.randrange(4):
            case 0 | 1:
                for uid in await fill(store, mail, inbox, numbers.randrange(1, 5)):
                    model[uid] = 0
            case 2:
                bits = numbers.choice([SEEN, FLAGGED])
                await store.write(lambda tx, some=some, bits=bits: tx.mailbox_messages.store(inbox, some, add=bits))
                model.update({uid: model[uid] | bits for uid in some})
            case 3:
                await store.write(lambda tx, some=some: tx.mailbox_messages.expunge(inbox, some[:1]))
                for uid in some[:1]:
                    del model[uid]
        if numbers.random() < 0.5:
            limit = numbers.randrange(1, 8)
            while True:
                page = await store.read(
                    lambda tx, since=since, limit=limit: tx.mailbox_messages.changes(inbox, since, limit)
                )
                for change in page:
                    if change.vanished:
                        known.pop(change.uid, None)
                    else:
                        known[change.uid] = change.flags
                since = page[-1].modseq if page else since
                if len(page) < limit:
                    break
            assert known == model


async def test_texts_bring_only_what_is_asked(store, mail, inbox):
    units = [mail.append(inbox) for _ in range(4)]
    for unit in units:
        await store.append(unit)

    def texts(low, high, limit, **wanted):
        columns = {"envelope": False, "structure": False, "body": False} | wanted
        return lambda tx: tx.mailbox_messages.texts(inbox, low=low, high=high, limit=limit, **columns)

    rows = await store.read(texts(2, 9, 2, envelope=True))
    assert [(row.uid, row.envelope, row.bodystructure, row.body) for row in rows] == [
        (2, b'("envelope")', b"", b""),
        (3, b'("envelope")', b"", b""),
    ]
    (row,) = await store.read(texts(1, 1, 9, structure=True, body=True))
    assert (row.envelope, row.bodystructure, row.body) == (b"", b'("structure")', b'("body")')
    assert (row.blob, row.size, row.renderer) == (units[0].blob, units[0].local.size, 1)
    assert row.internal_date == int(mail.now.timestamp())


async def test_content_is_rendered_anew(store, mail, inbox):
    unit = mail.append(inbox)
    await store.append(unit)
    newer = replace(unit.rendered, renderer=2, envelope=b"(new)", sent=None)
    await store.write(lambda tx: tx.mailbox_messages.put_content(newer))
    found = await store.read(lambda tx: tx.mailbox_messages.contents([unit.blob, mail.ids.new()]))
    assert found == {unit.blob: newer}


async def test_blobs_can_be_named_by_hand(store, mail):
    unit = mail.remote()
    await store.accept(unit)
    place = await store.read(lambda tx: tx.messages.place(unit.message.blob))
    other = mail.ids.new()
    await store.write(lambda tx: tx.mailbox_messages.add_blob(other, replace(place, length=3)))
    assert await store.read(lambda tx: tx.messages.place(other)) == replace(place, length=3)
