"""Which addresses are ours to come back to, and what they lead to."""

from datetime import UTC, datetime, timedelta

import pytest

from postroad.config.schema import Returns
from postroad.mail.address import Address, ForwardPath, parse_forward_path, parse_reverse_path
from postroad.mail.envelope import BodyFlag, Origin
from postroad.mail.terms import RecipientTerms
from postroad.observe.metrics import COUNTERS
from postroad.ports.ids import BlobId, DeliveryId, MessageId, ServerId
from postroad.ports.sending import ReturnPathRecord
from postroad.ports.store import Delivery, DeliveryState, Message
from postroad.routing.aliases import Resolution, Rules, Target
from postroad.routing.directory import Directory
from postroad.routing.returns import FORGED, TOO_OLD, ReturnAddresses
from postroad.routing.routes import FEEDBACK_DEST
from postroad.testing.clock import JumpingClock
from postroad.testing.tenants import MemoryStore

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
SHOP = ServerId(3)


class Signals:
    def __init__(self):
        self.listeners = []

    def listen(self, topic, listener):
        assert topic == "config"
        self.listeners.append(listener)


class Random:
    def token(self, n):
        return b"t" * n


class Messages:
    def __init__(self):
        self.rows = {}

    def get(self, message):
        return self.rows.get(message)


class Place:
    def __init__(self, **settings):
        self.clock = JumpingClock(NOW)
        self.store, self.signals = MemoryStore(), Signals()
        self.store.tx.messages = Messages()
        self.returns = ReturnAddresses(
            self.store, self.signals, self.clock, random=Random(), settings=Returns(**settings), hostname="mx.here.test"
        )
        self.directory = Directory(self.store, self.signals, self.clock, Rules("mx.here.test"))
        self.directory.returns = self.returns

    async def resolve(self, address):
        found = self.directory.resolve(parse_forward_path(address))
        return found if isinstance(found, Resolution) else await found

    def sender(self, *recipients, created=NOW, stream="outbound", server=SHOP, reverse_path="app@here.test"):
        message = Message(
            MessageId(1), created, Origin("api", ""), reverse_path, 9, BodyFlag.NONE, BlobId(1), server=server,
            stream=stream,
        )  # fmt: skip
        return self.returns.sender(message, [delivery(each) for each in recipients])


def delivery(forward_path, terms=None):
    return Delivery(DeliveryId(1), MessageId(1), "mx:x", forward_path, DeliveryState.QUEUED, terms=terms)


@pytest.fixture
async def place():
    made = Place()
    await made.returns.load()
    return made


# --- going out ---


async def test_a_stream_has_one_for_each_domain_and_day(place):
    first = place.sender("bob@remote.test")
    assert first.endswith("-outbound@mx.here.test")
    assert place.sender("carol@remote.test", created=NOW + timedelta(hours=11)) == first
    assert place.sender("bob@other.test") != first
    assert place.sender("bob@remote.test", created=NOW + timedelta(hours=12)) != first
    assert place.sender("bob@remote.test", stream="broadcast") != first
    assert place.sender("bob@remote.test", "bob@other.test") == place.sender("x@a.test", "y@b.test")


async def test_what_is_not_of_a_stream_keeps_its_sender(place):
    assert place.sender("bob@remote.test", server=None) == "app@here.test"
    assert place.sender("bob@remote.test", reverse_path="") == ""
    message = Message(MessageId(1), NOW, Origin("mx", ""), "x@far.test", 9, BodyFlag.NONE, BlobId(1))
    terms = RecipientTerms(reverse_path="SRS0=x@here.test")
    assert place.returns.sender(message, [delivery("bob@remote.test", terms)]) == "SRS0=x@here.test"


async def test_the_owners_domain_is_said_where_it_has_one(place):
    rows = place.store.tx.return_paths
    rows.put(ReturnPathRecord("bounces.here.test", NOW, "here.test"))
    await place.returns.load()
    assert place.sender("bob@remote.test").endswith("@bounces.here.test")
    assert place.sender("bob@remote.test", reverse_path="app@else.test").endswith("@mx.here.test")
    rows.put(ReturnPathRecord("news.here.test", NOW, server=ServerId(3), stream="broadcast"))
    await place.returns.load()
    assert place.sender("bob@remote.test", stream="broadcast").endswith("@news.here.test")
    assert place.sender("bob@remote.test").endswith("@bounces.here.test")


async def test_a_domain_of_the_settings_stands_in_for_the_hostname():
    place = Place(domain="back.here.test")
    assert place.sender("bob@remote.test") == "app@here.test"  # until the key is there
    await place.returns.load()
    assert place.sender("bob@remote.test").endswith("@back.here.test")
    assert (await place.resolve(place.sender("bob@remote.test"))).targets[0].dest == FEEDBACK_DEST


async def test_the_key_stays(place):
    again = ReturnAddresses(
        place.store, place.signals, place.clock, random=Random(), settings=Returns(), hostname="mx.here.test"
    )
    await again.load()
    assert again.read(place.sender("bob@remote.test")) is not None


async def test_a_change_of_tenants_is_heard(place):
    place.store.tx.return_paths.put(ReturnPathRecord("bounces.here.test", NOW, "here.test"))
    for listener in place.signals.listeners:
        listener()
    await place.returns._loading
    assert place.sender("bob@remote.test").endswith("@bounces.here.test")
    await place.returns.close()


# --- coming back ---


async def test_one_of_ours_is_taken_from_anyone(place):
    made = place.sender("bob@remote.test")
    found = place.directory.resolve(parse_forward_path(made))
    assert found == Resolution(True, (Target(made, FEEDBACK_DEST),))
    tag = place.returns.read(made.upper())
    assert (tag.server, tag.stream) == (3, "outbound")
    assert place.returns.fits(tag, "remote.test")
    assert not place.returns.fits(tag, "other.test")


@pytest.mark.parametrize(("days", "good"), [(-1, True), (30, True), (31, False)])
async def test_an_old_one_is_refused_and_counted(place, days, good):
    made = place.sender("bob@remote.test")
    before = COUNTERS.returned.get("old", 0)
    place.clock._elapsed += days * 86400
    found = place.directory.resolve(parse_forward_path(made))
    assert (found.refusal is None) is good
    assert (place.returns.read(made) is not None) is good
    if not good:
        assert found.refusal is TOO_OLD
        assert COUNTERS.returned["old"] == before + 1


async def test_a_forged_one_is_refused_and_counted(place):
    made = place.sender("bob@remote.test")
    before = COUNTERS.returned.get("forged", 0)
    forged = made.replace("b-3-", "b-4-")
    assert (await place.resolve(forged)).refusal is FORGED
    assert COUNTERS.returned["forged"] == before + 1
    assert place.returns.read(forged) is None


async def test_the_domain_has_to_be_ours(place):
    local_part = place.sender("bob@remote.test").partition("@")[0]
    found = await place.resolve(f"{local_part}@far.test")
    assert not found.is_ours
    assert place.returns.read(f"{local_part}@far.test") is None


@pytest.mark.parametrize("local_part", ["b-ob", "f-rank", "srsly", "SRS-fan", "bob"])
async def test_other_names_are_looked_up_as_ever(place, local_part):
    assert place.returns.resolve(parse_forward_path(f"{local_part}@mx.here.test"), place.directory.resolve) is None


# --- forwarded mail ---


async def test_a_rewritten_sender_leads_back_for_bounces_alone(place):
    made = place.returns.rewritten(parse_reverse_path("Someone@far.test"), MessageId(5), NOW)
    assert made.startswith("SRS0=")
    assert made.endswith("=far.test=Someone@mx.here.test")
    found = await place.resolve(made)
    assert found.is_ours
    assert found.bounces_only
    assert found.targets == (Target("Someone@far.test", "mx:far.test"),)
    forged = await place.resolve(made.replace("Someone", "Victim"))
    assert forged.refusal == FORGED
    place.clock._elapsed += 22 * 86400
    assert (await place.resolve(made)).refusal == TOO_OLD


async def test_a_long_sender_is_named_by_its_message(place):
    sender = f"{'v' * 60}@far.test"
    made = place.returns.rewritten(parse_reverse_path(sender), MessageId(5), NOW)
    assert made.startswith("f-")
    assert (await place.resolve(made)).refusal.reply_code == 550  # the message is not kept
    place.store.tx.messages.rows[MessageId(5)] = Message(
        MessageId(5), NOW, Origin("mx", ""), sender, 9, BodyFlag.NONE, BlobId(5)
    )
    found = await place.resolve(made)
    assert found.bounces_only
    assert found.targets[0].forward_path == sender
    assert (await place.resolve(made[:-20] + "x" + made[-19:])).refusal is not None


async def test_a_sender_of_two_rewritings_is_found_in_one_step(place):
    first = place.returns.rewritten(parse_reverse_path("a@far.test"), MessageId(5), NOW)
    second = place.returns.rewritten(parse_reverse_path(first), MessageId(6), NOW)
    found = await place.resolve(second)
    assert found.targets[0].forward_path == "a@far.test"


async def test_nothing_is_rewritten_without_a_sender_or_against_the_settings(place):
    assert place.returns.rewritten(parse_reverse_path(""), MessageId(5), NOW) == ""
    off = Place(srs=False)
    await off.returns.load()
    assert off.returns.rewritten(parse_reverse_path("a@far.test"), MessageId(5), NOW) == ""


async def test_quoted_senders_are_named_by_their_message(place):
    made = place.returns.rewritten(parse_reverse_path('"a b"@far.test'), MessageId(5), NOW)
    assert made.startswith("f-")
    assert Address.parse(made)


async def test_postmaster_alone_is_no_return_address(place):
    assert place.returns.resolve(ForwardPath("postmaster", None), place.directory.resolve) is None
