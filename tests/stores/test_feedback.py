"""What comes back is recorded once, in one transaction, and believed only as far as it is proven."""

import pytest
from msgspec.structs import replace

from postroad.config.schema import Returns
from postroad.delivery import feedback
from postroad.delivery.feedback import Feedback
from postroad.observe.metrics import COUNTERS
from postroad.ports.ids import ServerId, id_text
from postroad.ports.sending import SuppressionReason
from postroad.ports.store import Delivery, DeliveryState, StoreUnavailable
from postroad.routing.returns import ReturnAddresses

SHOP = ServerId(3)


class Signals:
    def listen(self, topic, listener):
        pass


class Random:
    def token(self, n):
        return b"r" * n


class Place:
    """A stream's mail that has been sent, and what comes back of it."""

    def __init__(self, store, mail):
        self.store, self.mail = store, mail
        self.returns = ReturnAddresses(
            store, Signals(), mail.clock, random=Random(), settings=Returns(), hostname="mx.here.test"
        )
        self.told = []
        self.feedback = Feedback(
            store, store.blobs, self.returns, clock=mail.clock, ids=mail.ids, suppressed=lambda: self.told.append(1)
        )

    async def sent(self, *recipients, stream="outbound"):
        acceptance = self.mail.remote(*recipients, reverse_path="app@here.test")
        acceptance.message = replace(acceptance.message, server=SHOP, stream=stream)
        await self.store.accept(acceptance)
        return acceptance

    def back_to(self, acceptance, domain="remote.test"):
        some = [each for each in acceptance.deliveries if each.forward_path.endswith(f"@{domain}")]
        return self.returns.sender(acceptance.message, some)

    async def comes_back(self, to, content, again=None):
        """The message is taken and read; what is said of it, and the acceptance."""
        came = again or self.mail.remote(to, dest="feedback", content=content, reverse_path="")
        if again is None:
            await self.store.accept(came)
        ((_, told),) = await self.feedback.deliver(came.message, came.deliveries, content, None)
        return told, came

    async def events(self, acceptance):
        rows = await self.store.read(lambda tx: tx.events.of_message(acceptance.message.id))
        return [event for event in rows if event.kind not in ("received", "queued")]

    async def off(self, stream="outbound"):
        return await self.store.read(lambda tx: tx.suppressions.list(SHOP, stream))


@pytest.fixture
async def place(store, mail):
    made = Place(store, mail)
    await made.returns.load()
    return made


def bounce(recipient, ident="", status="5.1.1", words="550 5.1.1 no such user"):
    envid = f"Original-Envelope-Id: {ident}\r\n" if ident else ""
    return (
        "From: MAILER-DAEMON@far.test\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=x\r\n"
        "MIME-Version: 1.0\r\n\r\n--x\r\n\r\nsorry\r\n--x\r\nContent-Type: message/delivery-status\r\n\r\n"
        f"Reporting-MTA: dns; far.test\r\n{envid}\r\nFinal-Recipient: rfc822; {recipient}\r\nAction: failed\r\n"
        f"Status: {status}\r\nDiagnostic-Code: smtp; {words}\r\n\r\n--x--\r\n"
    ).encode()


def complaint(kind, back_to, ident):
    return (
        "From: fbl@far.test\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=feedback-report; boundary=x\r\n\r\n--x\r\n\r\nspam\r\n"
        f"--x\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: {kind}\r\nUser-Agent: x\r\nVersion: 1\r\n"
        f"Original-Mail-From: <{back_to}>\r\n\r\n--x\r\nContent-Type: text/rfc822-headers\r\n\r\n"
        f"Received: by mx.here.test id {ident}; Mon\r\nSubject: x\r\n\r\n--x--\r\n"
    ).encode()


async def test_a_hard_bounce_is_told_once_however_often_it_is_read(place):
    sent = await place.sent("bob@remote.test", "carol@remote.test")
    content = bounce("bob@remote.test", id_text(sent.message.id))
    told, came = await place.comes_back(place.back_to(sent), content)
    assert told.is_success
    assert told.text == (
        f"read: bounce of bob@remote.test, message {id_text(sent.message.id)}; no more to bob@remote.test"
    )
    first = await place.events(sent)
    assert [(event.kind, event.delivery) for event in first] == [
        ("returned", sent.deliveries[0].id),
        ("suppressed", sent.deliveries[0].id),
    ]
    assert first[0].detail["type"] == "HardBounce"
    assert first[0].detail["report"] == id_text(came.message.id)
    (record,) = await place.off()
    assert (record.address, record.reason) == ("bob@remote.test", SuppressionReason.HARD_BOUNCE)
    assert await place.off("broadcast") == []
    assert place.told == [1]
    await place.comes_back("", content, again=came)  # after a crash
    assert await place.events(sent) == first
    assert place.told == [1]


async def test_soft_ones_suppress_nobody(place):
    sent = await place.sent("bob@remote.test")
    content = bounce("bob@remote.test", id_text(sent.message.id), "5.2.2", "552 5.2.2 mailbox full")
    await place.comes_back(place.back_to(sent), content)
    (event,) = await place.events(sent)
    assert event.detail["type"] == "SoftBounce"
    assert await place.off() == []


async def test_a_report_without_our_id_is_found_but_suppresses_nobody(place):
    """Whoever knows a return address could name anybody of that domain."""
    sent = await place.sent("bob@remote.test")
    await place.comes_back(place.back_to(sent), bounce("bob@remote.test"))
    (event,) = await place.events(sent)
    assert event.kind == "returned"
    assert await place.off() == []


async def test_another_days_or_streams_or_domains_address_proves_nothing(place, clock):
    sent = await place.sent("bob@remote.test")
    other = await place.sent("spy@remote.test", stream="broadcast")
    third = await place.sent("spy@other.test")
    await clock.advance(86400)
    later = await place.sent("spy@remote.test")
    content = bounce("bob@remote.test", id_text(sent.message.id))
    for acceptance, domain in ((other, "remote.test"), (third, "other.test"), (later, "remote.test")):
        told, _ = await place.comes_back(place.back_to(acceptance, domain), content)
        assert told.is_success
    assert await place.events(sent) == []
    assert await place.off() == []


async def test_guessing_ends(place, monkeypatch):
    monkeypatch.setattr(feedback, "MAX_MISSES", 2)
    sent = await place.sent("bob@remote.test", "spy@remote.test")
    back = place.back_to(sent)
    for number in range(3):
        told, _ = await place.comes_back(back, bounce("victim@remote.test", id_text(sent.message.id + 1 + number)))
        assert "of no message that is kept" in told.text
    await place.comes_back(back, bounce("bob@remote.test", id_text(sent.message.id)))
    assert [event.kind for event in await place.events(sent)] == ["returned"]
    assert await place.off() == []


async def test_the_next_id_is_easily_guessed_but_suppresses_nobody(place, monkeypatch):
    """Whoever has had a message of the stream knows its id, and its neighbours'."""
    monkeypatch.setattr(feedback, "MAX_MISSES", 3)
    own = await place.sent("spy@remote.test")
    others = [await place.sent(f"victim{number}@remote.test") for number in range(8)]
    back = place.back_to(own)
    for victim in others[:4]:
        await place.comes_back(back, bounce("nobody@elsewhere.test", id_text(victim.message.id)))
    assert await place.off() == []
    await place.comes_back(back, bounce("victim7@remote.test", id_text(others[7].message.id)))
    assert await place.off() == [], "and whoever goes on so is believed no more"


async def test_few_ids_at_once(place):
    sent = await place.sent("victim@remote.test")
    guesses = " ".join(id_text(sent.message.id - back) for back in range(feedback.MAX_GUESSES, -1, -1))
    await place.comes_back(place.back_to(sent), bounce("victim@remote.test", guesses))
    assert await place.off() == []


@pytest.mark.parametrize(("kind", "off"), [("abuse", True), ("fraud", True), ("not-spam", False)])
async def test_complaints(place, kind, off):
    sent = await place.sent("bob@remote.test")
    content = complaint(kind, place.back_to(sent), id_text(sent.message.id))
    came = place.mail.remote("abuse@here.test", content=content, reverse_path="fbl@far.test")
    await place.store.accept(came)
    place.feedback.look(came.message, ["abuse@here.test"], content)
    await place.feedback.close()
    assert "complained" in [event.kind for event in await place.events(sent)]
    assert [record.reason for record in await place.off()] == [SuppressionReason.SPAM_COMPLAINT] * off


async def test_what_is_no_report_is_ignored_and_counted(place, clock):
    sent = await place.sent("bob@remote.test")
    before = COUNTERS.returned.get("none", 0)
    told, came = await place.comes_back(place.back_to(sent), b"Subject: buy this\r\n\r\nnow\r\n")
    assert told.text == "ignored: neither a bounce nor a complaint"
    assert COUNTERS.returned["none"] == before + 1
    await clock.advance(32 * 86400)
    told, _ = await place.comes_back("", b"Subject: x\r\n\r\n", again=came)
    assert told.text == "ignored: this return address is too old"
    assert await place.events(sent) == []


async def test_it_is_read_again_when_the_store_is_back(place, monkeypatch):
    sent = await place.sent("bob@remote.test")

    async def write(function, **_):
        raise StoreUnavailable("the disk is full")

    content = bounce("bob@remote.test", id_text(sent.message.id))
    with monkeypatch.context() as patched:
        patched.setattr(place.store, "write", write)
        told, came = await place.comes_back(place.back_to(sent), content)
        assert told.is_temporary
    told, _ = await place.comes_back("", content, again=came)
    assert told.is_success
    assert len(await place.off()) == 1


async def test_content_that_is_not_at_hand_is_read(place):
    sent = await place.sent("bob@remote.test")
    content = bounce("bob@remote.test", id_text(sent.message.id))
    came = place.mail.remote(place.back_to(sent), dest="feedback", content=content, reverse_path="")
    came.message = replace(came.message, size=len(content))
    await place.store.accept(came)
    ((_, told),) = await place.feedback.deliver(came.message, came.deliveries, None, None)
    assert told.is_success
    assert len(await place.off()) == 1
    lost = replace(came.message, blob=came.message.blob + 1)
    row = Delivery(came.deliveries[0].id, lost.id, "feedback", came.deliveries[0].forward_path, DeliveryState.QUEUED)
    ((_, told),) = await place.feedback.deliver(lost, [row], None, None)
    assert told.is_temporary


async def test_a_persons_message_is_found_by_the_message_id_that_her_program_made(place):
    sent = place.mail.remote("bob@remote.test", reverse_path="alice@here.test")
    sent.message = replace(sent.message, message_id="<Her.Own-ID.77@laptop.test>")
    await place.store.accept(sent)
    content = bounce("bob@remote.test").replace(
        b"\r\n--x--",
        b"--x\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <Her.Own-ID.77@laptop.test>\r\n\r\n--x--",
    )
    for to, kinds in ((["bob@here.test"], []), (["alice@here.test"], ["returned"])):  # it has to come back to her
        came = place.mail.remote(*to, content=content, reverse_path="")
        await place.store.accept(came)
        place.feedback.look(came.message, to, content)
        await place.feedback.close()
        assert [event.kind for event in await place.events(sent)] == kinds
    (event,) = await place.events(sent)
    assert event.detail["unproven"] == "yes"
