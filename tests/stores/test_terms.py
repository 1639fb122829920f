"""What senders asked for is kept with message and delivery, and NULL for all the others."""

from datetime import timedelta

from msgspec import structs

from postroad.mail.terms import ByMode, RecipientTerms, Terms
from postroad.ports.store import DeliveryState, Outcomes


def asking(mail, *, of_message=None, of_recipient=None):
    """An acceptance for one recipient elsewhere, with what was asked for."""
    acceptance = mail.remote()
    acceptance.message = structs.replace(acceptance.message, terms=of_message)
    acceptance.deliveries = [structs.replace(each, terms=of_recipient) for each in acceptance.deliveries]
    return acceptance


async def kept(store, acceptance):
    message = acceptance.message.id
    return await store.read(lambda tx: (tx.messages.get(message), tx.deliveries.of_message(message)))


async def test_they_come_back_as_they_went_in(store, mail):
    terms = Terms("FULL", "a b\u00e9\u2028+", mail.now, mail.now + timedelta(hours=1), ByMode.RETURN, True, -3)
    wish = RecipientTerms(6, "utf-8;b\u00fccher@\u00fc.test")
    acceptance = asking(mail, of_message=terms, of_recipient=wish)
    await store.accept(acceptance)
    message, (delivery,) = await kept(store, acceptance)
    assert (message.terms, delivery.terms) == (terms, wish)


async def test_messages_with_and_without_share_a_group(store, mail):
    """Whatever a group is made of, each gets its own."""
    made = [
        mail.remote(),
        asking(mail, of_message=Terms("HDRS")),
        asking(mail, of_recipient=RecipientTerms(1)),
        mail.remote("a@b.test", "c@d.test"),
    ]
    for commit in store.accept_all(made):
        await commit
    found = [await kept(store, acceptance) for acceptance in made]
    assert [message.terms for message, _ in found] == [None, Terms("HDRS"), None, None]
    assert [[each.terms for each in deliveries] for _, deliveries in found] == [
        [None],
        [None],
        [RecipientTerms(1)],
        [None, None],
    ]


async def test_a_control_character_of_a_stranger_breaks_nothing(store, mail):
    acceptance = asking(mail, of_message=Terms(envid="a\0b"))
    await store.accept(acceptance)
    message, _ = await kept(store, acceptance)
    assert message.terms.envid.startswith("a")


async def test_what_was_done_of_them_is_kept_with_the_outcome(store, mail):
    await store.write(lambda tx: tx.nodes.join("here", now=mail.now, lease=timedelta(minutes=1)))
    acceptance = asking(mail, of_recipient=RecipientTerms(8, "rfc822;a@b"))
    await store.accept(acceptance)
    told = RecipientTerms(8, "rfc822;a@b", told_late=True)
    outcome = mail.outcome(acceptance.deliveries[0], DeliveryState.QUEUED, due=timedelta(minutes=5))
    result = structs.replace(outcome.results[0], terms=told)
    assert await store.outcomes(Outcomes([result], outcome.attempt, outcome.events)) == 1
    _, (delivery,) = await kept(store, acceptance)
    assert delivery.terms == told
    stale = structs.replace(result, epoch=99, terms=RecipientTerms(1))
    assert await store.outcomes(Outcomes([stale])) == 0
    _, (delivery,) = await kept(store, acceptance)
    assert delivery.terms == told, "who does not own the row changes nothing of it"
