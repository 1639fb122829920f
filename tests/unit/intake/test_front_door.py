import asyncio
from types import SimpleNamespace

import pytest

from postroad.config.schema import DnsList, FrontDoor, Limits
from postroad.intake.checks import Policy
from postroad.intake.checks.dnsbl import query_name
from postroad.intake.checks.rates import HOUR
from postroad.intake.door_assembly import assemble_door
from postroad.intake.pipeline import Intake
from postroad.intake.transaction import MailTransaction
from postroad.intake.verdicts import in_words
from postroad.mail.address import parse_forward_path, parse_reverse_path
from postroad.mail.envelope import Origin
from postroad.observe.metrics import Counters
from postroad.testing.clock import JumpingClock, settle
from postroad.testing.dns import TableResolver

GOOD, BAD = "192.0.2.7", "198.51.100.9"
BOB = parse_forward_path("bob@here.test")


class NoStore:
    """Nothing is on record, and nothing is kept."""

    async def read(self, function):
        return {}

    async def write(self, function, *, lane=None):
        return None


class World:
    """A door in a small DNS, and clients that knock at it as `sessions.smtp` and `intake.pipeline` have them do."""

    def __init__(self, *lists, exempt=("127.0.0.0/8",), **settings):
        self.clock = JumpingClock()
        self.dns = TableResolver()
        self.dns.host("mail.far.test", GOOD)
        self.door = assemble_door(
            FrontDoor(**settings),
            lists,
            Limits(exempt=exempt),
            hostname="mx.here.test",
            addresses=["203.0.113.1"],
            store=NoStore(),
            clock=self.clock,
            resolver=self.dns,
        )
        for zone in self.door.zones:
            zone.switch_on(has_ipv6=True)

    def knock(self, address=GOOD, helo="mail.far.test"):
        visit = self.door.arrive(address, local="203.0.113.1", connection="0c1")
        if visit is not None and visit.welcome is None:
            visit.hello(helo)
        return visit

    def mail(self, visit, sender="a@far.test"):
        refused = visit.mail()
        if refused is not None:
            return refused
        transaction = MailTransaction(Origin("mx", "0c1", visit.client.address), parse_reverse_path(sender))
        transaction.visit = visit
        return transaction

    async def rcpt(self, transaction, path=BOB):
        visit = transaction.visit
        if not visit.is_ready(transaction, path):
            await visit.prepare(transaction, path)
        return visit.before(transaction, path) or visit.after(transaction, path)

    async def judge(self, address=GOOD, helo="mail.far.test", path=BOB):
        """All of it for one message to one recipient: the refusal, or None; and the visit."""
        visit = self.knock(address, helo)
        return await self.rcpt(self.mail(visit), path), visit


async def test_with_the_defaults_a_good_server_is_let_in_and_its_verdicts_are_kept():
    refused, visit = await World().judge()
    assert refused is None
    assert visit.kept == (("rdns", "pass", 0.0, "mail.far.test"), ("helo", "pass", 0.0, "mail.far.test"))


async def test_with_the_defaults_all_bad_signs_together_are_noted_and_refuse_nobody():
    world = World()
    visit = world.knock(BAD, "localhost")
    visit.early("the banner")
    assert await world.rcpt(world.mail(visit)) is None
    assert visit.total == 7.0
    assert in_words(visit.kept) == (
        "rdns: 198.51.100.9 has no name (+2); helo: localhost is no name of a host (+2);"
        " early: it talked before the banner (+3)"
    )


async def test_with_the_defaults_the_plainly_forged_is_refused_at_rcpt():
    refused, _ = await World().judge(helo="mx.here.test")
    assert (refused.reply_code, str(refused.enhanced)) == (550, "5.7.1")
    assert refused.text == (
        "you are not this server: say your own name in EHLO; if this is wrong, write to postmaster@here.test with"
        " reference 0c1"
    )
    assert "helo: mx.here.test is our own name (refuse)" in refused.cause


async def test_who_is_exempt_meets_no_door():
    assert World().knock("127.0.0.1") is None
    assert World(exempt=()).knock("127.0.0.1") is not None


async def test_who_has_logged_in_is_spared():
    world = World(messages_per_minute=1)
    policy = Policy(1 << 20, 100, 50, 1 << 20, lambda _: True)
    intake = Intake(SimpleNamespace(directory=None, clock=world.clock, scanning=None), policy, "mx.here.test")
    visit, sender = world.knock(helo="mx.here.test"), parse_reverse_path("a@far.test")
    origin = Origin("mx", "0c1", GOOD, account="alice@here.test")
    begun = [intake.begin(origin, sender, visit=visit) for _ in range(5)]
    assert [transaction.visit for transaction in begun] == [None] * 5
    stranger = [intake.begin(Origin("mx", "0c1", GOOD), sender, visit=visit) for _ in range(2)]
    assert stranger[0].visit is visit
    assert stranger[1].reply_code == 451


async def test_notes_that_weigh_enough_together_refuse_and_say_why():
    world = World(DnsList("bl.test", 5.0, help="https://bl.test/?{client}"), DnsList("b2.test", 4.0), helo_weight=1.0)
    world.dns.hosts |= {query_name(BAD, zone): ("127.0.0.2",) for zone in ("bl.test", "b2.test")}
    refused, visit = await world.judge(BAD)
    assert visit.total == 11.0
    assert refused.text == (
        "198.51.100.9 is listed by bl.test: see https://bl.test/?198.51.100.9; 198.51.100.9 is listed by b2.test; its"
        " address has no host name; if this is wrong, write to postmaster@here.test with reference 0c1"
    )
    assert refused.cause.startswith("11 of 10: ")
    assert "198.51.100.9 is listed by bl.test (127.0.0.2) (+5)" in refused.cause


@pytest.mark.parametrize(("weight", "refuses"), [(7.9, False), (8.0, True)])
async def test_the_threshold(weight, refuses):
    world = World(DnsList("bl.test", weight))
    world.dns.hosts[query_name(BAD, "bl.test")] = ("127.0.0.2",)
    assert ((await world.judge(BAD))[0] is not None) == refuses


async def test_a_list_of_good_ones_speaks_for_a_client():
    world = World(DnsList("bl.test", 12.0), DnsList("wl.test", -5.0))
    world.dns.hosts |= {query_name(GOOD, zone): ("127.0.0.2",) for zone in ("bl.test", "wl.test")}
    refused, visit = await world.judge()
    assert (refused, visit.total) == (None, 7.0)


@pytest.mark.parametrize("name", ["postmaster@here.test", "Abuse@here.test", "postmaster"])
async def test_postmaster_and_abuse_are_spared(name):
    world = World(greylist="all", unknown_per_hour=1)
    visit = world.knock(helo="mx.here.test")
    transaction = world.mail(visit)
    visit.unknown()
    visit.unknown()
    path = parse_forward_path(name)
    assert await world.rcpt(transaction, path) is None
    transaction.add(path, ())
    assert visit.message(transaction) is None
    assert await world.rcpt(transaction) is not None


async def test_what_is_seen_behind_the_last_recipient_can_still_refuse():
    world = World(early="refuse")
    visit = world.knock()
    transaction = world.mail(visit)
    assert await world.rcpt(transaction) is None
    transaction.add(BOB, ())
    assert visit.message(transaction) is None
    visit.early("the answer to DATA")
    refused = visit.message(transaction)
    assert refused is not None
    assert refused.text.startswith("you talk before it is your turn")
    assert "early: it talked before the answer to DATA (refuse)" in refused.cause


async def test_only_the_last_ehlo_counts():
    world = World()
    visit = world.knock(helo="mx.here.test")
    visit.hello("mail.far.test")
    assert await world.rcpt(world.mail(visit)) is None
    assert [step for step, *_ in visit.kept] == ["rdns", "helo"]


@pytest.mark.parametrize("switch", ["rdns", "helo", "early"])
async def test_what_is_off_is_not_there(switch):
    world = World(**{switch: "off"})
    visit = world.knock(BAD, "mx.here.test" if switch == "helo" else "localhost")
    visit.early("the banner")
    assert await world.rcpt(world.mail(visit)) is None
    assert switch not in {step for step, *_ in visit.kept}
    assert len(visit.kept) == 2
    assert (BAD in world.dns.asked) == (switch != "rdns")


async def test_everything_off_takes_no_step_at_all():
    world = World(
        rdns="off", helo="off", early="off", connections_per_minute=0, connections_per_minute_network=0,
        messages_per_minute=0, messages_per_minute_network=0, unknown_per_hour=0,
    )  # fmt: skip
    door = world.door
    assert (door.connect_steps, door.helo_steps, door.mail_steps, door.taking_steps) == ((), (), (), ())
    refused, visit = await world.judge(BAD, "mx.here.test")
    assert (refused, visit.kept, world.dns.asked) == (None, (), [])


async def test_too_many_connections_are_turned_away_before_the_banner():
    world = World(connections_per_minute=2)
    assert [world.knock().welcome for _ in range(2)] == [None, None]
    visit = world.knock()
    assert str(visit.welcome).startswith("421 4.7.0 too many connections")
    assert world.knock(BAD).welcome is None
    await world.clock.advance(30)
    assert world.knock().welcome is None


async def test_too_many_messages_are_put_off_whoever_they_are_for():
    world = World(messages_per_minute=2)
    visit = world.knock()
    assert [isinstance(world.mail(visit), MailTransaction) for _ in range(2)] == [True, True]
    assert str(world.mail(visit)).startswith("451 4.7.1 too many messages")


async def test_who_tries_names_is_put_off_over_all_its_connections():
    world = World(unknown_per_hour=2)
    for _ in range(2):
        refused, visit = await world.judge()
        assert refused is None
        visit.unknown()
    refused, _ = await world.judge()
    assert str(refused).startswith("451 4.7.1 too many unknown recipients")
    assert (await world.judge(BAD))[0] is None
    await world.clock.advance(HOUR / 2)
    assert (await world.judge())[0] is None


async def test_strangers_wait_for_the_banner_and_those_whose_mail_was_taken_do_not():
    world = World(banner_wait=2.5)
    visit = world.knock()
    assert visit.wait == 2.5
    visit.taken()
    assert world.knock().wait == 0.0
    assert world.knock(BAD).wait == 2.5
    assert World().knock().wait == 0.0


async def test_early_talk_is_noted_once():
    world = World()
    visit = world.knock()
    visit.early("the banner")
    visit.early("the answer to DATA")
    await world.rcpt(world.mail(visit))
    assert visit.total == 3.0


async def test_a_first_recipient_waits_for_the_look_ups_but_not_for_long():
    world = World(rdns="refuse")
    gate = world.dns.gate = asyncio.Event()
    visit = world.knock(BAD)
    transaction = world.mail(visit)
    assert not visit.is_ready(transaction, BOB)
    waiting = asyncio.ensure_future(world.rcpt(transaction))
    await world.clock.advance(2.9)
    assert not waiting.done()
    gate.set()
    await settle()
    assert waiting.result().enhanced == (5, 7, 25)

    world.dns.gate = asyncio.Event()
    slow = world.knock("198.51.100.10")
    waiting = asyncio.ensure_future(world.rcpt(world.mail(slow)))
    await world.clock.advance(3.1)
    assert waiting.result() is None, "what is not known in time refuses nobody"


async def test_a_dns_that_fails_refuses_nobody():
    world = World(DnsList("bl.test", 20.0), rdns="refuse")
    world.dns.failing |= {BAD, query_name(BAD, "bl.test")}
    refused, visit = await world.judge(BAD)
    assert (refused, visit.total) == (None, 0.0)


async def test_a_list_that_goes_mad_refuses_nobody():
    world = World(DnsList("bl.test", 20.0))
    world.dns.hosts[query_name(GOOD, "bl.test")] = ("127.255.255.254",)
    assert (await world.judge())[0] is None
    assert not world.door.zones[0].is_on


async def test_what_a_mad_list_said_is_forgotten():
    world = World(DnsList("bl.test", 20.0))
    world.dns.hosts[query_name(GOOD, "bl.test")] = ("127.0.0.2",)
    assert (await world.judge())[0] is not None
    world.door.zones[0].switch_off("mad")
    assert (await world.judge())[0] is None


async def test_what_is_refused_is_counted_by_step(monkeypatch):
    counters = Counters()
    monkeypatch.setattr("postroad.intake.visit.COUNTERS", counters)
    world = World(DnsList("bl.test", 20.0), connections_per_minute=3, greylist="all")
    world.dns.hosts[query_name(BAD, "bl.test")] = ("127.0.0.2",)
    await world.judge(helo="mx.here.test")
    await world.judge(BAD)
    await world.judge()
    await world.judge()
    world.knock()
    assert counters.door == {"helo": 1, "weight": 1, "greylist": 2, "connection-rate": 1}


# --- greylisting ---


async def test_strangers_come_again_and_are_learned():
    world = World(greylist="all", greylist_learn=2)
    for number in range(2):
        path = parse_forward_path(f"n{number}@here.test")
        refused, _ = await world.judge(path=path)
        assert str(refused) == "450 4.7.1 greylisted: please try again in 300 seconds"
        await world.clock.advance(300)
        visit = world.knock()
        transaction = world.mail(visit)
        assert await world.rcpt(transaction, path) is None
        assert [note.reason for note in transaction.notes] == ["it came again after 5 minutes"]
        visit.taken()
        visit.taken()  # the second message had not been put off
    refused, visit = await world.judge(path=parse_forward_path("other@here.test"))
    assert refused is None


async def test_only_suspicious_ones_come_again_where_the_settings_say_so():
    world = World(greylist="suspicious")
    assert (await world.judge(GOOD))[0] is None
    assert (await world.judge(BAD))[0].reply_code == 450


async def test_those_that_a_list_speaks_for_need_not_come_again():
    world = World(DnsList("wl.test", -1.0), greylist="all")
    world.dns.hosts[query_name(GOOD, "wl.test")] = ("127.0.0.2",)
    assert (await world.judge(GOOD))[0] is None


async def test_bounces_are_greylisted_as_a_sender_of_their_own():
    world = World(greylist="all")
    visit = world.knock()
    assert (await world.rcpt(world.mail(visit, sender=""))).reply_code == 450
    await world.clock.advance(300)
    assert await world.rcpt(world.mail(visit, sender="")) is None
    assert (await world.rcpt(world.mail(visit))).reply_code == 450


async def test_many_recipients_make_one_note():
    world = World(greylist="all")
    visit = world.knock()
    paths = [parse_forward_path(f"n{number}@here.test") for number in range(5)]
    for path in paths:
        await world.rcpt(world.mail(visit), path)
    await world.clock.advance(301)
    transaction = world.mail(visit)
    for path in paths:
        assert await world.rcpt(transaction, path) is None
    assert len(transaction.notes) == 1
    await world.door.close()
