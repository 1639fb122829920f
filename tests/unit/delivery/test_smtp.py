"""Conversations with remote servers, on a network in memory: who gets which Status, what is on record."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace

import pytest
from tests.unit.delivery.test_policy import World as Secured

from postroad.delivery import pool as pool_module
from postroad.delivery.agent import AttemptRequest
from postroad.delivery.mx import Hosts
from postroad.delivery.pool import Pool
from postroad.delivery.rewriting import Rewriter
from postroad.delivery.target import Craft
from postroad.mail.envelope import BodyFlag
from postroad.routing.routes import RouteSettings, Transport, TransportKind, transport
from postroad.testing.clock import JumpingClock, settle
from postroad.testing.network import MemoryNetwork, server_tls
from postroad.testing.remote import CLOSE, SILENCE, Remote
from postroad.testing.sending import CONTENT, CountingIds, MemoryZone, SeededRandom, make_delivery, make_message

NO_PIPELINING = "250-mx.test\n250 8BITMIME"
WITH_TLS = "250-mx.test\n250-PIPELINING\n250 STARTTLS"


class Basket:
    """A feed that a test fills and reads."""

    def __init__(self, *requests):
        self.requests = list(requests)
        self.outcomes, self.came_back, self.dots = [], [], []
        self.carriers, self.idle_carriers, self.over = [], [], 0

    def began(self, carrier):
        self.carriers.append(carrier)

    def next(self):
        return self.requests.pop(0) if self.requests else None

    def dot_out(self, request):
        self.dots.append(request)

    def done(self, outcome):
        self.outcomes.append(outcome)

    def untried(self, request):
        request.put_back += 1
        self.came_back.append(request)

    def idle(self, carrier):
        self.idle_carriers.append(carrier)

    def ended(self, carrier):
        self.over += 1

    def statuses(self):
        return [
            (delivery.forward_path, status.reply_code, str(status.enhanced or ""))
            for outcome in self.outcomes
            for delivery, status in outcome.statuses
        ]


class World:
    def __init__(self, messages_per_connection=100):
        self.clock = JumpingClock()
        self.network = MemoryNetwork(timers=self.clock)
        self.zone = MemoryZone()
        self.remote = Remote()
        self.zone.mx_records["mx.test"] = [(10, "one.mx.test")]
        self.zone.address_records["one.mx.test"] = ["192.0.2.10"]
        self.remote.listen(self.network, "192.0.2.10")
        self.craft = Craft("mail.ours.test", self.clock, CountingIds(), messages_per_connection, 10.0)
        self.hosts = Hosts(self.zone, SeededRandom(), ("mail.ours.test",))
        self.pool = Pool(self.network, self.hosts, self.craft, connect_timeout=30)

    def use(self, **craft):
        self.craft = replace(self.craft, **craft)
        self.pool = Pool(self.network, self.hosts, self.craft, connect_timeout=30)

    async def send(self, *requests, hop=None):
        basket = Basket(*requests)
        self.failure = await self.pool.open(hop or transport("mx.test", None, RouteSettings()), basket)
        await settle(60)
        assert self.network.bugs == []
        return basket


@pytest.fixture
async def world():
    return World()


def request(number=1, *recipients, content=CONTENT, **more):
    message = make_message(number, size=len(content), **more)
    deliveries = [make_delivery(number * 100 + i, message, path) for i, path in enumerate(recipients or ("b@mx.test",))]
    return AttemptRequest("mx:mx.test", message, deliveries, content)


def dialogue(basket, number=0):
    return basket.outcomes[number].attempt.dialogue


async def test_delivers_and_records_the_attempt(world):
    basket = await world.send(request())
    assert basket.statuses() == [("b@mx.test", 250, "2.0.0")]
    attempt = basket.outcomes[0].attempt
    assert (attempt.host, attempt.address, attempt.tls) == ("one.mx.test", "192.0.2.10:25", "no TLS: not offered")
    assert set(attempt.timings) == {"connect", "greeting", "ehlo", "mail", "rcpt", "data"}
    assert attempt.dialogue.splitlines() == [
        "* one.mx.test 192.0.2.10:25",
        "< 220 mx.test ready",
        "> EHLO mail.ours.test",
        "< 250-mx.test",
        "< 250-PIPELINING",
        "< 250-SIZE 1000000",
        "< 250 8BITMIME",
        f"> MAIL FROM:<a@ours.test> SIZE={len(CONTENT)}",
        "> RCPT TO:<b@mx.test>",
        "> DATA",
        "< 250 2.1.0 OK",
        "< 250 2.1.5 OK",
        "< 354 go on",
        f"> [{len(CONTENT)} octets of message]",
        "> .",
        "< 250 2.0.0 taken",
    ]
    (taken,) = world.remote.taken
    assert (taken.reverse_path, taken.recipients, taken.content) == ("a@ours.test", ["b@mx.test"], CONTENT)
    assert basket.idle_carriers == basket.carriers


async def test_carries_message_after_message_on_one_connection(world):
    basket = await world.send(*(request(number) for number in range(1, 6)))
    assert len(basket.statuses()) == len(world.remote.taken) == 5
    assert world.remote.connections == 1
    chained = b".\r\nMAIL FROM"
    client = world.network.pairs[0][0]
    assert any(chained in write for write in client.written)  # the next message goes in the body's write
    assert dialogue(basket, 1).startswith("* message 2 here\n> MAIL")


async def test_a_slow_server_gets_no_message_chained(world):
    world.remote.answers["."] = SILENCE
    basket = await world.send(request(1), request(2))
    await world.clock.advance(1)
    assert len(basket.requests) == 1  # the second waits: another connection may be quicker
    assert len(basket.dots) == 1


@pytest.mark.parametrize("ehlo", ["", NO_PIPELINING], ids=["pipelining", "lockstep"])
@pytest.mark.parametrize(
    ("answers", "expected", "temporary"),
    [
        ({"MAIL": "550 5.7.1 not you"}, (550, "5.7.1"), False),
        ({"MAIL": "451 later"}, (451, ""), True),
        ({"RCPT": "550 5.1.1 who?"}, (550, "5.1.1"), False),
        ({"RCPT": "450 4.2.0 greylisted"}, (450, "4.2.0"), True),
        ({"DATA": "554 5.7.0 no"}, (554, "5.7.0"), False),
        ({"DATA": "250 what?"}, (451, "4.5.0"), True),
        ({".": "550 5.6.0 spam"}, (550, "5.6.0"), False),
        ({".": "452 4.3.1 full"}, (452, "4.3.1"), True),
        ({".": "354 eh"}, (451, "4.5.0"), True),
    ],
)
async def test_a_refusal_at_each_stage(world, ehlo, answers, expected, temporary):
    world.remote.answers |= answers | ({"EHLO": ehlo} if ehlo else {})
    basket = await world.send(request())
    assert basket.statuses() == [("b@mx.test", *expected)]
    status = basket.outcomes[0].statuses[0][1]
    assert status.is_temporary is temporary
    assert status.remote == "one.mx.test"
    assert status.diagnostic == next(iter(answers.values()))
    # The conversation goes on: the next message is taken.
    world.remote.answers = {"EHLO": ehlo} if ehlo else {}
    basket.requests.append(request(2))
    basket.carriers[0].work()
    await settle(60)
    assert basket.statuses()[-1] == ("b@mx.test", 250, "2.0.0")
    assert world.remote.connections == 1


async def test_each_recipient_has_its_own_answer(world):
    world.remote.answers |= {"RCPT TO:<x@mx.test>": "550 5.1.1 who?", "RCPT TO:<y@mx.test>": "450 4.2.1 later"}
    basket = await world.send(request(1, "b@mx.test", "x@mx.test", "y@mx.test", "c@mx.test"))
    assert basket.statuses() == [
        ("b@mx.test", 250, "2.0.0"),
        ("x@mx.test", 550, "5.1.1"),
        ("y@mx.test", 450, "4.2.1"),
        ("c@mx.test", 250, "2.0.0"),
    ]
    assert world.remote.taken[0].recipients == ["b@mx.test", "c@mx.test"]


@pytest.mark.parametrize("refusal", ["452 too many", "452 4.5.3 too many", "552 too many"])
async def test_recipients_beyond_the_limit_want_another_transaction(world, refusal):
    world.remote.answers["RCPT TO:<c@mx.test>"] = refusal
    basket = await world.send(request(1, "b@mx.test", "c@mx.test"))
    assert basket.statuses() == [("b@mx.test", 250, "2.0.0")]
    assert [delivery.forward_path for delivery in basket.outcomes[0].again] == ["c@mx.test"]


async def test_452_for_the_first_recipient_is_a_deferral(world):
    world.remote.answers["RCPT"] = "552 too many"
    basket = await world.send(request())
    assert basket.statuses() == [("b@mx.test", 452, "4.5.3")]
    assert basket.outcomes[0].again == []


async def test_a_message_beyond_the_servers_size_is_not_sent(world):
    world.remote.answers["EHLO"] = "250-mx.test\n250 SIZE 10"
    basket = await world.send(request())
    assert basket.statuses() == [("b@mx.test", 552, "5.3.4")]
    assert not any(command.startswith("MAIL") for command in world.remote.commands)


async def test_international_addresses_need_smtputf8(world):
    basket = await world.send(request(1, "ü@mx.test"))
    assert basket.statuses() == [("ü@mx.test", 553, "5.6.7")]


async def test_international_addresses_where_they_are_taken(world):
    world.remote.answers["EHLO"] = "250-mx.test\n250-PIPELINING\n250 SMTPUTF8"
    basket = await world.send(request(1, "ü@mx.test"))
    assert basket.statuses() == [("ü@mx.test", 250, "2.0.0")]
    assert "MAIL FROM:<a@ours.test> SMTPUTF8" in world.remote.commands
    assert world.remote.taken[0].recipients == ["ü@mx.test"]


async def test_dots_and_eight_bits(world):
    content = b"Subject: x\r\n\r\n.\r\n..y\r\n\xfc\r\n"
    await world.send(request(content=content, flags=BodyFlag.DOT_LINES | BodyFlag.EIGHT_BIT))
    assert world.remote.taken[0].content == content
    assert "BODY=8BITMIME" in world.remote.commands[1]


@pytest.mark.parametrize("answer", ["500 what?", "502 not known", "504 no"])
async def test_where_ehlo_is_unknown_and_tls_is_demanded_nothing_is_returned(tmp_path, answer):
    world = Secured(tmp_path, ehlo=answer)
    failure, _ = await world.send("safe.test")
    assert (failure.status.reply_code, str(failure.status.enhanced), failure.alone) == (451, "4.7.5", True)
    assert not any(command.startswith(("HELO", "MAIL")) for command in world.remote.commands)


async def test_helo_where_ehlo_is_unknown(world):
    world.remote.answers["EHLO"] = "502 what?"
    basket = await world.send(request())
    assert basket.statuses() == [("b@mx.test", 250, "2.0.0")]
    assert basket.outcomes[0].attempt.tls == "no TLS: the server knows no EHLO"


async def test_starttls_where_it_is_offered(world):
    world.remote.answers["EHLO"] = WITH_TLS
    world.remote.listen(world.network, "192.0.2.10", tls=server_tls("one.mx.test"))
    basket = await world.send(request())
    assert basket.statuses() == [("b@mx.test", 250, "2.0.0")]
    assert basket.outcomes[0].attempt.tls.startswith("TLSv1.3 TLS_")
    assert world.remote.commands[:3] == ["EHLO mail.ours.test", "STARTTLS", "EHLO mail.ours.test"]
    assert "tls" in basket.outcomes[0].attempt.timings


async def test_plain_when_the_handshake_fails(world):
    """The server says 220 and then breaks off: opportunistic TLS falls back on a new connection (RFC 7435)."""
    world.remote.answers |= {"EHLO": WITH_TLS, "STARTTLS": "220 go"}
    world.remote.factory = _deaf_after_starttls(world.remote)
    world.remote.listen(world.network, "192.0.2.10")
    basket = await world.send(request())
    assert basket.statuses() == [("b@mx.test", 250, "2.0.0")]
    assert basket.outcomes[0].attempt.tls.startswith("no TLS: the handshake failed")
    assert world.remote.connections == 2


def _deaf_after_starttls(remote):
    """Sessions that cut the connection instead of shaking hands."""
    made = remote.factory

    def factory():
        machine, session = made()
        answer = session.answer

        def instead(event):
            return answer("bye" if event == "starttls" else event)

        session.answer = instead
        return machine, session

    return factory


async def test_plain_when_starttls_itself_breaks_the_connection(world):
    world.remote.answers |= {"EHLO": WITH_TLS, "STARTTLS": CLOSE}
    basket = await world.send(request())
    assert basket.statuses() == [("b@mx.test", 250, "2.0.0")]


async def test_plain_when_starttls_is_refused(world):
    world.remote.answers |= {"EHLO": WITH_TLS, "STARTTLS": "454 4.7.0 not now"}
    basket = await world.send(request())
    assert basket.statuses() == [("b@mx.test", 250, "2.0.0")]
    assert basket.outcomes[0].attempt.tls == "no TLS: STARTTLS was answered 454 4.7.0 not now"


async def test_the_next_host_when_one_refuses_the_connection(world):
    world.zone.mx_records["mx.test"] = [(5, "zero.mx.test"), (7, "none.mx.test"), (10, "one.mx.test")]
    world.zone.address_records["zero.mx.test"] = ["192.0.2.9"]
    basket = await world.send(request())
    assert basket.statuses() == [("b@mx.test", 250, "2.0.0")]
    assert "* zero.mx.test 192.0.2.9:25: zero.mx.test cannot be reached" in dialogue(basket)
    assert "* none.mx.test: no MX host has an address" in dialogue(basket)


@pytest.mark.parametrize("greeting", ["421 4.3.2 busy", "450 later", "554 no service"])
async def test_the_next_host_when_one_greets_with_a_refusal(world, greeting):
    world.zone.mx_records["mx.test"] = [(5, "zero.mx.test"), (10, "one.mx.test")]
    world.zone.address_records["zero.mx.test"] = ["192.0.2.9"]
    Remote({"": greeting}).listen(world.network, "192.0.2.9")
    basket = await world.send(request())
    assert basket.statuses() == [("b@mx.test", 250, "2.0.0")]


@pytest.mark.parametrize(
    ("greetings", "code"), [(("554 no", "554 no"), 554), (("421 busy", "554 no"), 421), (("554 no", "450 x"), 450)]
)
async def test_a_refusal_for_good_counts_only_when_all_hosts_agree(world, greetings, code):
    world.zone.address_records["one.mx.test"] = ["192.0.2.8", "192.0.2.9"]
    for number, greeting in enumerate(greetings):
        Remote({"": greeting}).listen(world.network, f"192.0.2.{8 + number}")
    basket = await world.send(request())
    assert world.failure.status.reply_code == code
    assert len(basket.requests) == 1


@pytest.mark.parametrize("name", ["mail.ours.test", "MAIL.ours.test at your service"])
@pytest.mark.parametrize("verb", ["EHLO", "HELO"])
async def test_a_host_that_is_ourselves_gets_nothing(world, name, verb):
    answers = {"EHLO": f"250 {name}"} if verb == "EHLO" else {"EHLO": "502 what?", "HELO": f"250 {name}"}
    world.remote = Remote(answers)
    world.remote.listen(world.network, "192.0.2.9")
    world.zone.address_records["one.mx.test"] = ["192.0.2.9"]
    basket = await world.send(request())
    status = world.failure.status
    assert (status.reply_code, str(status.enhanced)) == (554, "5.4.6")
    assert status.cause == "one.mx.test greets us with our own name"
    assert len(basket.requests) == 1


@pytest.mark.parametrize(("port", "delivered"), [(25, False), (2525, True)])
async def test_a_relay_at_a_port_of_its_own_may_have_our_name(world, port, delivered):
    Remote({"EHLO": "250 mail.ours.test"}).listen(world.network, "192.0.2.9", port)
    basket = await world.send(request(), hop=Transport(TransportKind.HOST, "host:x", "192.0.2.9", port))
    assert bool(basket.outcomes) == delivered


async def test_nobody_listens(world):
    world.zone.address_records["one.mx.test"] = ["192.0.2.99"]
    await world.send(request())
    assert str(world.failure.status.enhanced) == "4.4.1"
    assert world.failure.address == "192.0.2.99:25"
    assert "nobody listens" in world.failure.status.cause


async def test_a_connection_lost_before_the_dot_defers(world):
    world.remote.answers["DATA"] = CLOSE
    basket = await world.send(request())
    assert basket.statuses() == [("b@mx.test", 451, "4.4.2")]
    assert basket.outcomes[0].broken
    assert basket.outcomes[0].statuses[0][1].cause == "connection lost before the message was sent"
    assert basket.over == 1


async def test_a_connection_lost_after_the_dot_says_so(world):
    world.remote.answers["."] = CLOSE
    basket = await world.send(request())
    assert "may have arrived" in basket.outcomes[0].statuses[0][1].cause


async def test_a_recipient_refused_before_the_loss_stays_refused(world):
    world.remote.answers |= {"RCPT TO:<x@mx.test>": "550 5.1.1 who?", ".": CLOSE}
    basket = await world.send(request(1, "x@mx.test", "b@mx.test"))
    assert basket.statuses() == [("x@mx.test", 550, "5.1.1"), ("b@mx.test", 451, "4.4.2")]


async def test_what_was_not_begun_on_a_tired_connection_comes_back_untried(world):
    basket = await world.send(request(1))
    world.remote.answers["MAIL"] = "421 4.7.0 enough"
    basket.requests.append(request(2))
    basket.carriers[0].work()
    await settle(60)
    assert len(basket.outcomes) == 1
    assert [r.message.id for r in basket.came_back] == [2]


async def test_ten_minutes_for_the_reply_to_the_final_dot(world):
    world.remote.answers["."] = SILENCE
    basket = await world.send(request())
    await world.clock.advance(599)
    assert basket.outcomes == []
    await world.clock.advance(2)
    assert basket.statuses() == [("b@mx.test", 451, "4.4.2")]
    assert "awaiting the reply to end of data" in dialogue(basket)


async def test_an_idle_connection_ends_with_quit(world):
    basket = await world.send(request())
    await world.clock.advance(11)
    await settle()
    assert basket.over == 1
    assert world.remote.commands[-1] == "QUIT"


async def test_so_many_messages_and_then_a_new_connection():
    world = World(messages_per_connection=2)
    basket = await world.send(request(1), request(2), request(3))
    assert len(basket.outcomes) == 2
    assert world.remote.commands[-1] == "QUIT"
    assert basket.over == 1


async def test_domains_that_share_a_host_share_a_connection(world):
    world.zone.mx_records["other.test"] = [(10, "one.mx.test")]
    first = await world.send(request(1))
    second = await world.send(request(2), hop=transport("other.test", None, RouteSettings()))
    assert len(second.outcomes) == 1
    assert world.remote.connections == 1
    assert first.over == 1  # the first feed has lost it to the second


def _host(address, **more):
    return Transport(TransportKind.HOST, f"host:[{address}]:25", address, 25, **more)


async def test_logs_in_to_a_smarthost_over_verified_tls_only(world):
    smarthost = _host("192.0.2.10", username="u", password="p", require_tls=True)
    world.remote.answers |= {"EHLO": "250-mx.test\n250 AUTH PLAIN", "AUTH": "235 2.7.0 welcome"}
    basket = await world.send(request(), hop=smarthost)
    assert str(world.failure.status.enhanced) == "4.7.4"
    assert world.failure.status.is_temporary
    assert len(basket.requests) == 1
    here = replace(smarthost, host="127.0.0.1")  # nobody listens in between
    world.remote.listen(world.network, "127.0.0.1")
    basket = await world.send(request(), hop=here)
    assert basket.statuses() == [("b@mx.test", 250, "2.0.0")]
    assert "> AUTH PLAIN [8 octets]" in dialogue(basket)


async def test_a_refused_login_bounces_nothing(world):
    world.remote.listen(world.network, "127.0.0.1")
    world.remote.answers |= {"EHLO": "250-mx.test\n250 AUTH PLAIN", "AUTH": "535 5.7.8 wrong"}
    await world.send(request(), hop=_host("127.0.0.1", username="u", password="p", require_tls=True))
    assert world.failure.status.is_temporary
    assert world.failure.status.diagnostic == "535 5.7.8 wrong"


async def test_streams_a_large_body(world):
    pieces = [b"Subject: big\r\n\r\n", *[b"x" * 998 + b"\r\n" for _ in range(300)]]

    async def stream():
        for piece in pieces:
            yield piece

    whole = b"".join(pieces)
    made = request(content=whole)
    made.content, made.stream = None, stream
    basket = await world.send(made)
    await settle(400)
    assert basket.statuses() == [("b@mx.test", 250, "2.0.0")]
    assert world.remote.taken[0].content == whole


async def test_a_body_cut_short_is_never_sent_as_whole(world):
    async def stream():
        yield CONTENT[:10]

    made = request()
    made.content, made.stream = None, stream
    basket = await world.send(made)
    await settle(60)
    assert world.remote.taken == []
    assert basket.statuses() == [("b@mx.test", 451, "4.4.2")]


async def test_null_reverse_path(world):
    await world.send(request(reverse_path=""))
    assert world.remote.taken[0].reverse_path == ""


async def test_a_domain_that_does_not_exist(world):
    basket = await world.send(request(), hop=transport("nowhere.test", None, RouteSettings()))
    assert str(world.failure.status) == "550 5.1.2 there is no such domain"
    assert "nowhere.test" in world.failure.dialogue
    assert basket.carriers == []


class Patient:
    """Workers that take until the test lets them go."""

    def __init__(self):
        self.go = asyncio.Event()

    async def run(self, function):
        await self.go.wait()
        return function()


BINARY = b"Content-Type: application/octet-stream\r\n\r\n" + bytes(range(256)) * 100


async def test_a_connection_that_goes_while_a_message_is_rewritten_costs_nothing(world):
    workers = Patient()
    world.use(rewriter=Rewriter(workers=workers))
    binary = request(content=BINARY, flags=BodyFlag.BINARY)
    basket = await world.send(binary)
    assert world.remote.commands == ["EHLO mail.ours.test"]
    basket.carriers[0].abort()
    await settle(20)
    assert (basket.outcomes, basket.came_back, basket.over) == ([], [], 1)
    workers.go.set()
    await settle(20)
    assert basket.came_back == [binary]
    again = await world.send(binary)
    assert again.statuses() == [("b@mx.test", 250, "2.0.0")]
    assert world.remote.taken[0].content.isascii()


async def test_what_follows_waits_for_what_is_rewritten(world):
    workers = Patient()
    world.use(rewriter=Rewriter(workers=workers))
    basket = await world.send(request(1), request(2, content=BINARY, flags=BodyFlag.BINARY), request(3))
    assert [outcome.request.message.id for outcome in basket.outcomes] == [1]
    workers.go.set()
    await settle(60)
    assert [outcome.request.message.id for outcome in basket.outcomes] == [1, 2, 3]
    assert world.remote.connections == 1


async def test_a_bug_in_rewriting_is_a_deferral(world):
    class Broken:
        async def run(self, function):
            raise RuntimeError

    world.use(rewriter=Rewriter(workers=Broken()))
    basket = await world.send(request(content=BINARY, flags=BodyFlag.BINARY), request(2))
    assert basket.statuses() == [("b@mx.test", 451, "4.3.0"), ("b@mx.test", 250, "2.0.0")]


async def test_no_more_recipients_and_messages_than_the_server_says(world):
    """LIMITS (RFC 9422)."""
    world.remote.answers["EHLO"] = "250-mx.test\n250-PIPELINING\n250 LIMITS RCPTMAX=2 MAILMAX=2"
    basket = await world.send(request(1, "a@mx.test", "b@mx.test", "c@mx.test"), request(2), request(3))
    (first, second) = basket.outcomes
    assert [delivery.forward_path for delivery, _ in first.statuses] == ["a@mx.test", "b@mx.test"]
    assert [delivery.forward_path for delivery in first.again] == ["c@mx.test"]
    assert second.request.message.id == 2
    assert [each.message.id for each in basket.requests] == [3]


async def test_a_refusal_at_the_last_dial_does_not_outweigh_a_host_that_may_come_back(world, monkeypatch):
    monkeypatch.setattr(pool_module, "MAX_DIALS", 1)
    world.zone.mx_records["mx.test"] = [(10, "gone.mx.test"), (20, "one.mx.test")]
    world.zone.address_records["gone.mx.test"] = ["192.0.2.99"]
    world.remote.answers[""] = "554 not you"
    failure = await world.pool.open(transport("mx.test", None, RouteSettings()), Basket())
    assert (failure.status.reply_code, str(failure.status.enhanced)) == (451, "4.4.1")


async def test_addresses_without_a_connection_are_forgotten(world, monkeypatch):
    monkeypatch.setattr(pool_module, "MAX_KNOWN", 3)
    world.pool._tidy_at = 3
    for number in range(10):
        world.zone.mx_records["mx.test"] = [(10, f"h{number}.mx.test")]
        world.zone.address_records[f"h{number}.mx.test"] = [f"192.0.2.{20 + number}"]
        world.remote.listen(world.network, f"192.0.2.{20 + number}")
        basket = Basket(request())
        await world.pool.open(transport("mx.test", None, RouteSettings()), basket)
        await settle(60)
        basket.carriers[0].finish()
        await settle(60)
        basket.carriers.clear()
        basket.idle_carriers.clear()
        gc.collect()
    assert len(world.pool._known) <= 4
