import pytest

from postroad.mailbox.view import Changed, Count, Gone, NewKeywords, NoSuchMessage, View
from postroad.ports.store import MailboxChange
from postroad.proto.imap.sequence import SequenceSet


def view(*uids, flags=0):
    made = View(1, 10)
    made.load([(uid, flags, ()) for uid in uids])
    made.loaded()
    return made


def change(uid, modseq=11, flags=0, keywords=(), *, vanished=False):
    return MailboxChange(uid, modseq, vanished, flags, keywords)


def ranges(made, text, *, uid=False):
    return [(part.start, part.stop) for part in made.resolve(SequenceSet.parse(text), uid=uid)]


def test_new_message():
    made = view(3, 5)
    made.apply([change(7, flags=1), change(6)])
    assert len(made) == 2  # until the client is told
    assert made.updates(expunge=False) == [Count(4)]
    assert list(made.uids) == [3, 5, 6, 7]
    assert made.updates(expunge=True) == []


def test_expunge_waits_until_it_may_be_told():
    made = view(3, 5, 7, 9)
    made.apply([change(5, vanished=True), change(9, vanished=True), change(5, flags=1), change(11)])
    assert made.updates(expunge=False) == [Count(5)]
    assert made.changed(1).uid == 5
    assert made.updates(expunge=True) == [Gone(4), Gone(2)]
    assert list(made.uids) == [3, 7, 11]


def test_expunge_of_many():
    made = view(*range(1, 301))
    made.apply([change(uid, vanished=True) for uid in range(1, 301, 2)])
    updates = made.updates(expunge=True)
    assert updates == [Gone(seq) for seq in range(299, 0, -2)]
    assert list(made.uids) == list(range(2, 301, 2))
    assert len(made.flags) == 150


def test_flags():
    made = view(3, 5)
    made.apply([change(5, flags=1), change(3)])
    assert made.updates(expunge=False) == [Changed(2, 5, 1, ())]
    made.apply([change(5, flags=1)])
    assert made.updates(expunge=False) == []


def test_keywords_are_told_before_they_are_met():
    made = view(3)
    made.apply([change(3, keywords=("Done",))])
    assert made.has_pending
    assert made.updates(expunge=False) == [NewKeywords(("Done",)), Changed(1, 3, 0, ("Done",))]
    made.apply([change(3)])
    assert made.updates(expunge=False) == [Changed(1, 3, 0, ())]
    assert made.known == {"done": "Done"}


def test_own_changes_are_silent_and_others_are_not_lost():
    made = view(3, 5)
    made.apply([change(3, flags=8)])
    made.apply([change(3, flags=9), change(5, flags=9)], silent=True)
    assert made.updates(expunge=True) == [Changed(1, 3, 9, ())]


def test_told_is_not_told_again():
    made = view(3)
    made.apply([change(3, flags=8)])
    made.tell([3])
    assert not made.has_pending


def test_arrived_and_gone_before_anybody_looked():
    made = view(3)
    made.apply([change(5), change(5, 12, vanished=True), change(2, vanished=True)])
    assert made.updates(expunge=True) == []


def test_made_knows_when_nobody_else_changed_anything():
    made = view(3)
    assert made.made([change(3, 11)])
    assert made.modseq == 11
    assert not made.made([change(3, 13)])
    assert not made.made([])
    assert made.modseq == 11


def test_resolve():
    made = view(3, 5, 9, 10)
    assert ranges(made, b"1:2,4") == [(0, 2), (3, 4)]
    assert ranges(made, b"*") == [(3, 4)]
    assert ranges(made, b"4:9", uid=True) == [(1, 3)]
    assert ranges(made, b"11:*", uid=True) == [(3, 4)]
    assert ranges(made, b"1:2,6:8", uid=True) == []
    assert made.uids_of(made.resolve(SequenceSet.parse(b"2:3"), uid=False)) == [5, 9]
    with pytest.raises(NoSuchMessage):
        made.resolve(SequenceSet.parse(b"1:5"), uid=False)


def test_resolve_in_an_empty_mailbox():
    made = view()
    assert ranges(made, b"1:*", uid=True) == []
    assert ranges(made, b"*") == []
    assert ranges(made, b"1:*") == []  # clients ask it
    with pytest.raises(NoSuchMessage):
        made.resolve(SequenceSet.parse(b"1:2"), uid=False)


def test_figures():
    made = view(3, 5, flags=1)
    made.apply([change(9, flags=8)])
    assert made.first_unseen() == 0
    made.updates(expunge=True)
    assert made.first_unseen() == 3
    assert made.with_flag(8) == [9]
    assert made.place(9) == 2
    assert made.place(4) == -1
