"""What other people's servers and their DNS make of our mail: each temper ends as it should, and is on record."""

from __future__ import annotations

from pathlib import Path

from postroad.lab.profiles.dropping import Dropping
from postroad.lab.profiles.greylisting import Greylisting
from postroad.lab.profiles.refusing import reply_for
from postroad.lab.profiles.scripted import Scripted
from postroad.lab.temper import DROP, Move
from postroad.ports.store import DeliveryState
from postroad.testing.site import ALICE, Site, delivery_to, kinds, running_site, states

IMPATIENT = {"delivery": {"expire_after": 1}}


async def test_a_host_that_is_down_leads_to_the_next(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        site.world.dns.put("two.test", "MX", "10 mx.down.test.", "20 onlya.test.")
        story = await site.settled(await site.submit("someone@two.test"))
        assert states(story) == {"someone@two.test": DeliveryState.DELIVERED}
        ((attempt, _),) = story.attempts
        assert attempt.host == "onlya.test"
        assert "mx.down.test" in attempt.dialogue, "the host that was passed over is on record"


async def test_a_domain_without_mx_is_its_own_host(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        story = await site.settled(await site.submit("someone@onlya.test", "someone@plain.test"))
        assert set(states(story).values()) == {DeliveryState.DELIVERED}
        assert {letter.receiver: letter.tls is not None for letter in site.world.bag.letters} == {
            "onlya.test": True,
            "mx.plain.test": False,
        }


async def test_domains_that_take_no_mail(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        codes = {"someone@nullmx.test": "5.1.10", "someone@nowhere.test": "5.1.2"}
        story = await site.settled(await site.submit(*codes))
        for address, code in codes.items():
            delivery = delivery_to(story, address)
            assert (delivery.state, delivery.tries) == (DeliveryState.BOUNCED, 1)
            assert delivery.last_status
            assert str(delivery.last_status.enhanced) == code
        assert not site.world.bag.connections, "nobody was dialled"
        told = "".join(report.as_string() for report in await site.inbox(ALICE))
        assert "Status: 5.1.10" in told
        assert "Status: 5.1.2" in told


async def test_greylisted_then_taken(tmp_path: Path) -> None:
    async with running_site(tmp_path, tempers={"mx.greylist.test": Greylisting(0.1)}) as site:
        story = await site.settled(await site.submit("someone@greylist.test"))
        assert kinds(story, "someone@greylist.test") == ["queued", "deferred", "delivered"]
        assert delivery_to(story, "someone@greylist.test").tries == 2
        assert [attempt.dialogue.count("451 4.7.1 Greylisted") for attempt, _ in story.attempts] == [1, 0]
        assert len(site.world.bag.letters) == 1
        assert await site.inbox(ALICE) == []


BREAKS = {  # where the connection breaks once -> the domain whose host does that
    "connect": "refuse.test",
    "mail": "greylist.test",
    "rcpt": "throttle.test",
    "data": "slow.test",
    "body": "drop.test",
    "message": "plain.test",
}


async def test_a_connection_that_breaks_is_tried_again(tmp_path: Path) -> None:
    """At `message` the receiver has taken it and we cannot know: then, and only then, it comes twice (RFC 1047)."""
    tempers = {f"mx.{domain}": Scripted(**{point: [DROP]}) for point, domain in BREAKS.items()}
    async with running_site(tmp_path, tempers=tempers) as site:
        story = await site.settled(await site.submit(*(f"someone@{domain}" for domain in BREAKS.values())))
        for domain in BREAKS.values():
            assert kinds(story, f"someone@{domain}") == ["queued", "deferred", "delivered"]
        taken = [(letter.receiver, letter.answered) for letter in site.world.bag.letters]
        assert sorted(taken) == sorted(
            [*((f"mx.{domain}", True) for domain in BREAKS.values()), (f"mx.{BREAKS['message']}", False)]
        )


REASONS = {
    "451@remote.test": "4.3.0",
    "someone@down.test": "4.4.1",
    "someone@servfail.test": "4.4.3",
    "someone@nohost.test": "4.4.4",
    "someone@drop.test": "4.4.2",
}


async def test_given_up_when_their_time_has_run_out(tmp_path: Path) -> None:
    async with running_site(tmp_path, IMPATIENT, tempers={"mx.drop.test": Dropping("connect")}) as site:
        story = await site.settled(await site.submit(*REASONS))
        for address, reason in REASONS.items():
            delivery = delivery_to(story, address)
            assert delivery.state is DeliveryState.EXPIRED
            assert delivery.tries > 1
            assert delivery.last_status
            assert str(delivery.last_status.enhanced) == reason
            assert kinds(story, address)[-2:] == ["expired", "report-sent"]
        told = "".join(report.as_string() for report in await site.inbox(ALICE))
        for address in REASONS:
            assert told.count(f"Final-Recipient: rfc822; {address}") == 1


async def test_one_host_takes_some_recipients_and_not_others(tmp_path: Path) -> None:
    """One transaction for all of them; each has a fate of its own."""
    async with running_site(tmp_path, IMPATIENT) as site:
        addresses = ["accept@remote.test", "550@remote.test", "451@remote.test", "other@remote.test"]
        story = await site.settled(await site.submit(*addresses))
        assert [states(story)[address] for address in addresses] == [
            DeliveryState.DELIVERED,
            DeliveryState.BOUNCED,
            DeliveryState.EXPIRED,
            DeliveryState.DELIVERED,
        ]
        assert [set(letter.recipients) for letter in site.world.bag.letters] == [{addresses[0], addresses[3]}]
        (attempt, statuses), *later = story.attempts
        assert len(statuses) == 4
        assert attempt.dialogue.count("> MAIL FROM") == 1
        assert later
        assert all(len(again) == 1 for _, again in later), "only the one that was put off is tried again"


async def test_a_server_that_takes_few_recipients_at_once(tmp_path: Path) -> None:
    """RFC 5321 §4.5.3.1.10: what is beyond its limit goes in another transaction at once."""
    few = Scripted(rcpt=[Move(), Move(), Move(reply_for(452)), Move(reply_for(452))])
    async with running_site(tmp_path, tempers={"mx.slow.test": few}) as site:
        story = await site.settled(await site.submit(*(f"u{number}@slow.test" for number in range(4))))
        assert set(states(story).values()) == {DeliveryState.DELIVERED}
        taken = sorted(sum((letter.recipients for letter in site.world.bag.letters), ()))
        assert taken == [f"u{number}@slow.test" for number in range(4)]


async def test_many_messages_go_over_few_connections(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await many(site, 40)
        await site.world.bag.wait(40)
        assert site.world.bag.connections <= 10
        assert len({letter.content for letter in site.world.bag.letters}) == 40


async def many(site: Site, count: int) -> None:
    async with site.client("submissions") as client:
        await client.login(ALICE, "secret")
        for number in range(count):
            await client.sendmail(ALICE, ["accept@remote.test"], f"From: {ALICE}\r\nSubject: {number}\r\n\r\nHello\r\n")
    for message in await site.messages():
        await site.settled(message.id)
