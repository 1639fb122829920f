"""Laws of IMAP: sequence sets round trip; no cut changes a conversation; a view is the replay of its changes."""

from itertools import pairwise
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from postroad.mailbox.view import Changed, Count, Gone, View
from postroad.ports.store import MailboxChange
from postroad.proto.imap import utf7
from postroad.proto.imap.sequence import SequenceSet, compact
from postroad.testing.dialogue import Dialogue, dialogue_files, random_cuts
from postroad.testing.imap import converse, profile_for

NUMBERS = st.integers(1, 4294967295)
FILES = dialogue_files(Path(__file__).parent.parent / "dialogues" / "imap", ".imap")


@given(st.lists(st.tuples(NUMBERS | st.just(0), NUMBERS | st.just(0)), min_size=1, max_size=20))
def test_sets_round_trip(ranges):
    numbers = SequenceSet(tuple(ranges))
    again = SequenceSet.parse(bytes(numbers))
    assert again.ranges == numbers.ranges
    resolved = again.resolve(1000)
    assert all(low <= high for low, high in resolved)
    assert all(first[1] + 1 < second[0] for first, second in pairwise(resolved))


@given(st.lists(st.integers(1, 50), unique=True))
def test_compact_spells_every_number(numbers):
    text = compact(numbers)
    spelled = SequenceSet.parse(text).ranges if text else ()
    assert [number for low, high in spelled for number in range(low, high + 1)] == numbers


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_names_round_trip(name):
    wire = utf7.encode(name)
    assert wire.isascii()
    assert utf7.decode(wire) == name


COMMANDS = [step.data for path in FILES for step in Dialogue.load(path).steps if step.kind == "C"]
PIECES = (
    st.sampled_from(COMMANDS)
    | st.binary(max_size=20)
    | st.sampled_from([b"\r\n", b"{3}\r\n", b"{3+}\r\n", b'"', b" ("])
)


@given(st.lists(PIECES, max_size=12), st.integers(0, 1000))
def test_cuts_change_nothing(pieces, seed):
    data = b"a1 LOGIN alice@example.test wonderland\r\n" * (seed % 2) + b"".join(pieces)
    profile = profile_for({"max_command_before_login": "300", "max_append": "2000"})
    whole = converse(profile, [data])
    assert converse(profile, random_cuts(seed)(data)) == whole


class Model:
    """A mailbox as plain lists, and a client that believes what it is told."""

    def __init__(self, uids):
        self.rows = dict.fromkeys(uids, 0)
        self.client = list(uids)
        self.flags = dict.fromkeys(uids, 0)
        self.next_uid = max(uids, default=0) + 1

    def change(self, random):
        roll = random.random()
        if roll < 0.4 or not self.rows:
            uid, self.next_uid = self.next_uid, self.next_uid + random.randint(1, 3)
            self.rows[uid] = random.randint(0, 31)
            return MailboxChange(uid, 0, flags=self.rows[uid])
        uid = random.choice(list(self.rows))
        if roll < 0.7:
            self.rows[uid] = random.randint(0, 31)
            return MailboxChange(uid, 0, flags=self.rows[uid])
        del self.rows[uid]
        return MailboxChange(uid, 0, vanished=True)

    def hear(self, update, view):
        match update:
            case Gone(seq):
                self.flags.pop(self.client.pop(seq - 1))
            case Count(total):
                assert total >= len(self.client)
                for at in range(len(self.client), total):
                    self.client.append(view.uids[at])
                    self.flags[view.uids[at]] = view.flags[at]
            case Changed(seq, uid, flags, _):
                assert self.client[seq - 1] == uid
                self.flags[uid] = flags


@given(st.integers(0, 100_000), st.integers(0, 120))
def test_view_is_the_replay_of_changes(seed, steps):
    random = Random(seed)
    model = Model(sorted(random.sample(range(1, 50), random.randint(0, 8))))
    view = View(1, 1)
    view.load([(uid, 0, ()) for uid in model.client])
    view.loaded()
    for _ in range(steps):
        view.apply([model.change(random) for _ in range(random.randint(0, 3))])
        if random.random() < 0.5:
            expunge = random.random() < 0.5
            before = list(model.client)
            for update in view.updates(expunge=expunge):
                assert expunge or not isinstance(update, Gone)
                model.hear(update, view)
            if not expunge:
                assert model.client[: len(before)] == before
            assert model.client == list(view.uids)
    for update in view.updates(expunge=True):
        model.hear(update, view)
    assert model.client == sorted(model.rows)
    assert model.flags == model.rows
