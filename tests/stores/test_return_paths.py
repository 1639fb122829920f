"""The domains of return addresses, and who gets nothing more on a stream because of an outcome."""

from datetime import timedelta

from msgspec.structs import replace

from postroad.mail.terms import RecipientTerms
from postroad.ports.ids import ServerId
from postroad.ports.sending import (
    ReturnPathRecord,
    ServerRecord,
    SuppressionOrigin,
    SuppressionReason,
    SuppressionRecord,
)
from postroad.ports.store import DeliveryState, Outcomes

SHOP = ServerId(3)


async def test_they_are_set_changed_and_taken_away(store, mail):
    of_domain = ReturnPathRecord("bounces.here.test", mail.now, "here.test")
    of_stream = ReturnPathRecord("news.here.test", mail.now, server=SHOP, stream="broadcast")

    def fill(tx):
        tx.return_paths.put(of_stream)
        tx.return_paths.put(of_domain)
        tx.return_paths.put(ReturnPathRecord("b.other.test", mail.now, "other.test"))

    await store.write(fill)
    listed = await store.read(lambda tx: tx.return_paths.list())
    assert [record.name for record in listed] == ["b.other.test", "bounces.here.test", "news.here.test"]
    assert listed[1:] == [of_domain, of_stream]
    changed = replace(of_domain, name="back.here.test", created=mail.now + timedelta(hours=1))
    await store.write(lambda tx: tx.return_paths.put(changed))
    assert changed in await store.read(lambda tx: tx.return_paths.list())
    assert await store.write(lambda tx: tx.return_paths.remove(domain="here.test"))
    assert not await store.write(lambda tx: tx.return_paths.remove(domain="here.test"))
    assert await store.write(lambda tx: tx.return_paths.remove(server=SHOP, stream="broadcast"))
    assert [record.domain for record in await store.read(lambda tx: tx.return_paths.list())] == ["other.test"]


async def test_a_servers_go_with_it(store, mail):
    def fill(tx):
        tx.servers.add(ServerRecord(SHOP, "Shop", mail.now))
        tx.return_paths.put(ReturnPathRecord("news.here.test", mail.now, server=SHOP, stream="broadcast"))
        tx.return_paths.put(ReturnPathRecord("bounces.here.test", mail.now, "here.test"))

    await store.write(fill)
    await store.write(lambda tx: tx.servers.remove(SHOP))
    assert [record.name for record in await store.read(lambda tx: tx.return_paths.list())] == ["bounces.here.test"]


async def test_an_outcome_suppresses_in_its_own_transaction(store, mail):
    acceptance = mail.remote()
    await store.accept(acceptance)
    first = SuppressionRecord(
        SHOP, "outbound", "bob@remote.test", SuppressionReason.HARD_BOUNCE, SuppressionOrigin.RECIPIENT, mail.now
    )
    again = replace(first, reason=SuppressionReason.SPAM_COMPLAINT)
    other = replace(first, address="carol@remote.test")
    outcome = mail.outcome(acceptance.deliveries[0], DeliveryState.BOUNCED)
    await store.outcomes(replace(outcome, suppressions=[first]))
    await store.outcomes(Outcomes([], suppressions=[other, again]))  # who is suppressed stays as it was
    assert await store.read(lambda tx: tx.suppressions.list(SHOP, "outbound")) == [first, other]


async def test_the_word_for_a_sender_is_kept_with_the_recipient(store, mail):
    acceptance = mail.remote()
    terms = RecipientTerms(reverse_path="SRS0=x=AA=far.test=a@here.test")
    acceptance.deliveries = [replace(each, terms=terms) for each in acceptance.deliveries]
    await store.accept(acceptance)
    found = await store.read(lambda tx: tx.deliveries.of_message(acceptance.message.id))
    assert [each.terms for each in found] == [terms]
