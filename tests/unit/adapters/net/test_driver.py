"""The driver over the in-memory network: turns, backpressure, patience, ends."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace

import pytest

from postroad.adapters.net import hub as hub_module
from postroad.adapters.net.driver import EVENTS_PER_TURN, FREE_TURNS, LINGER, LINGER_BYTES, LINGER_FREE, LINGER_PAUSE
from postroad.adapters.net.hub import LARGE_READ, MANY_BUSY, REST, SECONDS_OF_TURNS, SMALL_READ, Hub
from postroad.adapters.net.listen import Doorman
from postroad.ports.net import Endpoint
from postroad.proto.wire import Interruption, Signal
from postroad.testing.clock import settle
from postroad.testing.lines import LineClient, LineMachine
from postroad.testing.network import as_transport

SERVER = Endpoint("192.0.2.10", 25)


async def test_lines_are_answered_in_order(server):
    talker = await server.talk()
    talker.say(b"one\ntwo\n")
    assert await talker.until(b"two\n") == b"hello\none\ntwo\n"


async def test_a_pipelined_group_is_answered_in_one_write(server):
    talker = await server.talk()
    await talker.until(b"hello\n")
    talker.say(b"a\nb\nc\n")
    await talker.until(b"c\n")
    assert as_transport(server.session.connection).written[1:] == [b"a\nb\nc\n"]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_the_cuts_of_the_network_change_nothing(server, size):
    server.network.cut = lambda: size
    talker = await server.talk()
    talker.say(b"first\nsecond\nquit\n")
    assert await talker.rest() == b"hello\nfirst\nsecond\nbye\n"


async def test_a_flood_of_commands_never_holds_the_loop(server):
    """One read of 16 KiB holds 3,276 commands: the loop must get its turn after every 32 of them."""
    talker = await server.talk()
    await settle()
    answered: list[int] = []
    flood = b"noop\n" * (SMALL_READ // 5)
    talker.say(flood)

    def look() -> None:
        answered.append(len(server.session.log))
        if len(server.session.log) < 3000:
            asyncio.get_running_loop().call_soon(look)

    look()
    await talker.until(b"noop\n" * 3000)
    steps = [after - before for before, after in pairwise(answered)]
    assert 0 < max(steps) <= EVENTS_PER_TURN


async def test_a_slow_event_ends_the_turn(server, monkeypatch):
    """A millisecond is a turn, however few events it holds."""
    ticks = iter(range(10_000))
    monkeypatch.setattr("postroad.adapters.net.driver.perf_counter", lambda: next(ticks) * 0.00075)
    talker = await server.talk()
    await settle()
    talker.say(b"a\nb\nc\nd\ne\n")
    await talker.until(b"e\n")
    written = as_transport(server.session.connection).written[1:]
    assert written == [b"a\nb\n", b"c\nd\n", b"e\n"]


async def test_reading_stops_while_an_answer_waits(server):
    talker = await server.talk()
    talker.say(b"wait\n")
    await settle()
    talker.say(b"x" * (4 * SMALL_READ))
    await settle()
    transport = as_transport(server.session.connection)
    assert not transport.is_reading()
    assert server.session.machine.unread == SMALL_READ  # one read is kept, the rest stays with the peer
    server.session.gate.set()
    talker.say(b"\nafter\n")
    heard = await talker.until(b"after\n")
    assert heard.startswith(b"hello\nwaited\nx")
    assert transport.is_reading()


async def test_an_event_answered_from_outside_goes_on_at_the_wake(server):
    talker = await server.talk()
    talker.say(b"later\nnext\n")
    await settle()
    assert server.session.log == ["connected", b"later"]
    assert server.session.machine.next_event() is Signal.PAUSED
    await server.clock.advance(3600)  # we owe the answer: the peer's patience does not count
    server.session.machine.waits = False
    server.session.machine.say(b"answer")
    server.session.connection.wake()
    assert await talker.until(b"next\n") == b"hello\nanswer\nnext\n"


async def test_a_silent_peer_is_told_and_left(server):
    talker = await server.talk()
    await server.clock.advance(59)
    talker.say(b"still here\n")
    await server.clock.advance(59)
    assert not talker.ended
    await server.clock.advance(2)
    assert await talker.rest() == b"hello\nstill here\n421 timeout\n"
    assert server.session.log[-1][0] == "disconnected"
    assert isinstance(server.session.log[-1][1], TimeoutError)


async def test_bytes_that_come_to_nothing_earn_no_patience(server):
    """Else an octet a minute would hold a connection for ever."""
    talker = await server.talk()
    talker.say(b"whole\n")
    for _ in range(5):
        await server.clock.advance(11)
        talker.say(b"x")
        await settle()
    assert not talker.ended
    await server.clock.advance(6)
    assert await talker.rest() == b"hello\nwhole\n421 timeout\n"


async def test_a_line_that_comes_whole_in_time_earns_it_anew(server):
    talker = await server.talk()
    for _ in range(3):
        talker.say(b"in pie")
        await server.clock.advance(40)
        talker.say(b"ces\n")
        await settle()
        await server.clock.advance(15)
    assert not talker.ended
    assert server.session.log.count(b"in pieces") == 3


async def test_commands_do_not_make_timers(server):
    talker = await server.talk()
    await settle()
    before = len(server.clock._timers)
    for _ in range(50):
        talker.say(b"x\n")
        await settle()
    assert len(server.clock._timers) == before


async def test_a_peer_that_never_reads_is_bounded_and_cut(server):
    talker = await server.talk()
    await settle()
    talker.transport.pause_reading()
    line = b"y" * 1000 + b"\n"
    talker.say(line * 1000)
    await settle(200)
    transport = as_transport(server.session.connection)
    assert transport.get_write_buffer_size() < 64 * 1024 + EVENTS_PER_TURN * len(line)
    assert not transport.is_reading()
    await server.clock.advance(121)
    assert server.session.log[-1][0] == "disconnected"
    assert isinstance(server.session.log[-1][1], TimeoutError)


async def test_a_slow_reader_gets_everything(server):
    talker = await server.talk()
    server.network.cut = None
    talker.say(b"pour\n")
    heard = await talker.until(b"poured\n")
    assert len(heard) == 6 + 64 * 65536 + 7
    assert max(len(piece) for piece in as_transport(server.session.connection).written) <= 65536 + 7


async def test_pouring_ends_when_the_peer_goes(server):
    talker = await server.talk()
    talker.transport.pause_reading()
    talker.say(b"pour\n")
    await settle()
    as_transport(server.session.connection).break_off()
    await settle()
    assert server.session.log[-1][0] == "disconnected"
    assert not server.network.hub.unfinished


async def test_a_half_closed_peer_still_gets_its_answers(server):
    talker = await server.talk()
    talker.say(b"one\nwait\nlast\n")
    talker.transport.write_eof()
    await settle()
    assert server.session.connection.half_closed
    server.session.gate.set()
    assert await talker.rest() == b"hello\none\nwaited\nlast\n"


async def test_the_answer_outlives_the_connection(server):
    """A commit must not be torn because its client has gone."""
    talker = await server.talk()
    talker.say(b"wait\n")
    await settle()
    as_transport(server.session.connection).break_off()
    await settle()
    assert server.session.log[-1][0] == "disconnected"
    assert len(server.network.hub.unfinished) == 1
    server.session.gate.set()
    await settle()
    assert server.session.log[-1] == "waited"
    assert not server.network.hub.unfinished


async def test_disconnected_is_told_once(server):
    talker = await server.talk()
    talker.say(b"quit\n")
    await talker.rest()
    await settle()
    server.session.connection.close()
    server.session.connection.abort()
    await settle()
    assert [entry for entry in server.session.log if entry[0] == "disconnected"] == [("disconnected", None)]
    assert not server.network.hub.live


async def test_after_close_nothing_more_is_answered(server):
    talker = await server.talk()
    talker.say(b"quit\nmore\n")
    assert await talker.rest() == b"hello\nbye\n"
    assert b"more" not in server.session.log


async def test_closing_on_a_peer_that_does_not_read_ends_by_time(server):
    talker = await server.talk()
    talker.transport.pause_reading()
    talker.say(b"quit\n")
    await settle()
    assert server.network.hub.live
    await server.clock.advance(LINGER + 1)
    assert not server.network.hub.live


async def test_closing_while_the_peer_still_talks_does_not_lose_the_last_words(server):
    """A reset would destroy the reply on its way: so our side ends first, and what still comes is swallowed."""
    talker = await server.talk()
    talker.say(b"wait\nquit\n")
    await settle()
    talker.say(b"z" * 100_000)
    await settle()
    server.session.gate.set()
    assert await talker.until(b"bye\n") == b"hello\nwaited\nbye\n"
    await settle()
    assert not server.network.hub.live


@pytest.mark.parametrize(("more", "stays"), [(0, True), (1, False)])
async def test_so_much_is_swallowed_after_a_close_and_no_more(server, more, stays):
    """Whoever talks on and on would else keep us busy for nothing."""
    talker = await server.talk()
    talker.transport.pause_reading()  # so that the close takes its time
    talker.say(b"quit\n")
    await settle()
    driver = next(iter(server.network.hub.live))
    left = LINGER_BYTES + more
    while left:
        count = min(left, SMALL_READ)
        driver.buffer_updated(count)
        left -= count
    await settle()
    assert bool(server.network.hub.live) is stays


async def test_what_comes_after_a_close_is_swallowed_slowly(server):
    talker = await server.talk()
    talker.transport.pause_reading()  # so that it does not end its side
    talker.say(b"wait\nquit\n")
    await settle()
    talker.say(b"z")
    await settle()
    server.session.gate.set()
    await settle()
    (driver,) = server.network.hub.live
    transport = driver._transport
    driver.buffer_updated(LINGER_FREE)
    assert transport.is_reading()
    driver.buffer_updated(1)
    assert not transport.is_reading()
    await server.clock.advance(LINGER_PAUSE)
    assert transport.is_reading()
    driver.abort()


async def test_those_who_have_more_to_do_than_a_turn_share_a_part_of_each_round(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(hub_module, "perf_counter", lambda: now[0])
    hub, turns = Hub(), []

    class Busy:
        def __init__(self, name: str) -> None:
            self.name = name
            self.left = 2

        def next_turn(self) -> None:
            now[0] += SECONDS_OF_TURNS * 0.6
            turns.append(self.name)
            self.left -= 1
            if self.left:
                hub.queue_turn(self)

    for name in "abc":
        hub.queue_turn(Busy(name))
    rounds = []
    for _ in range(5):
        await asyncio.sleep(0)
        rounds.append("".join(turns))
    assert rounds == ["ab", "abca", "abcabc", "abcabc", "abcabc"]


@pytest.mark.parametrize(("lines", "queued"), [(EVENTS_PER_TURN * (FREE_TURNS + 1) - 1, 0), (EVENTS_PER_TURN * 8, 4)])
async def test_a_group_of_commands_is_no_flood(server, monkeypatch, lines, queued):
    """Whoever has been held up once shall not stand behind all who flood us."""
    asked = []
    real = Hub.queue_turn
    monkeypatch.setattr(Hub, "queue_turn", lambda hub, one: (asked.append(one), real(hub, one)))
    monkeypatch.setattr("postroad.adapters.net.driver.perf_counter", lambda: 0.0)
    talker = await server.talk()
    await settle()
    talker.say(b"a\n" * lines)
    await talker.until(b"a\n" * lines)
    assert len(asked) >= queued if queued else not asked


async def test_a_crowd_of_floods_leaves_the_loop_its_rest(monkeypatch):
    """The store's threads get the interpreter only where the loop lets go of it."""
    hub, later = Hub(), []
    monkeypatch.setattr(hub, "loop", SimpleNamespace(call_soon=lambda f: f(), call_later=lambda s, f: later.append(s)))

    class Busy:
        def next_turn(self) -> None: ...

    hub._busy.extend(Busy() for _ in range(MANY_BUSY))
    monkeypatch.setattr(hub_module, "perf_counter", iter([0.0, 1.0, 2.0, 3.0]).__next__)
    hub.queue_turn(Busy())
    assert later == [REST]
    assert len(hub._busy) == MANY_BUSY


async def test_a_bug_is_reported_and_answered(make_server):
    server = make_server()
    talker = await server.talk()
    talker.say(b"bug\nslow bug\nnext\n")
    server_said = await talker.until(b"a bug\n")
    server.session.gate.set()
    server_said += await talker.until(b"next\n")
    assert server_said == b"hello\n451 a bug\n451 a slow bug\nnext\n"
    assert [str(bug) for bug in server.network.bugs] == ["a bug", "a slow bug"]


async def test_a_machine_that_raises_ends_its_connection_alone(make_server):
    server = make_server()
    talker, other = await server.talk(), await server.talk()
    await settle()

    def broken() -> None:
        raise ValueError("the machine broke")

    server.sessions[0].machine.next_event = broken
    talker.say(b"x\n")
    await talker.rest()
    other.say(b"x\n")
    assert await other.until(b"x\n") == b"hello\nx\n"
    assert [str(bug) for bug in server.network.bugs] == ["the machine broke"]


async def test_stop_says_goodbye_to_the_idle_and_waits_for_the_busy(server):
    idle, busy = await server.talk(), await server.talk()
    busy.say(b"wait\nnext\n")
    await settle()
    stopping = asyncio.ensure_future(server.network.hub.stop(grace=30))
    assert await idle.rest() == b"hello\n421 shutdown\n"
    assert not stopping.done()
    server.sessions[1].gate.set()
    assert await busy.rest() == b"hello\nwaited\n421 shutdown\n"
    await stopping
    assert b"next" not in server.sessions[1].log


async def test_stop_waits_for_an_event_answered_from_outside(server):
    talker = await server.talk()
    talker.say(b"later\n")
    await settle()
    stopping = asyncio.ensure_future(server.network.hub.stop(grace=30))
    await settle()
    server.session.machine.waits = False
    server.session.machine.say(b"answer")
    server.session.connection.wake()
    assert await talker.rest() == b"hello\nanswer\n421 shutdown\n"
    await stopping


async def test_stop_cuts_what_does_not_end(server):
    talker = await server.talk()
    talker.say(b"wait\n")
    await settle()
    stopping = asyncio.ensure_future(server.network.hub.stop(grace=30))
    await server.clock.advance(31)
    await stopping
    await settle()
    assert talker.ended
    assert "waited" not in server.session.log


async def test_too_many_connections_are_turned_away_with_the_machines_words(make_server):
    doorman = Doorman(total=3, per_client=1)
    server = make_server(doorman=doorman)
    first = await server.talk()
    refused = await server.talk()
    assert await refused.rest() == b"421 overload\n"
    assert server.sessions[1].log == []
    await first.until(b"hello\n")
    first.say(b"quit\n")
    await first.rest()
    await settle()
    again = await server.talk()
    assert await again.until(b"hello\n")
    assert doorman.count == 1


async def test_reads_grow_only_when_the_session_says_so(server):
    talker = await server.talk()
    await settle()
    transport = as_transport(server.session.connection)
    talker.say(b"a" * 40_000)
    await settle()
    assert transport.pieces == 3
    server.session.connection.set_read_size(LARGE_READ)
    talker.say(b"a" * 40_000)
    await settle()
    assert transport.pieces == 4


async def test_client_and_server_speak_through_two_drivers(server):
    machine = LineMachine()
    client = LineClient(machine)
    connection = await server.network.connect(SERVER, machine, client, timeout=5)
    client.say(b"one", b"quit")
    await client.gone.wait()
    assert client.log == ["connected", b"hello", b"one", b"bye", None, ("disconnected", None)]
    assert connection.closing
    assert connection.peer == SERVER


async def test_dialling_where_nobody_listens(server):
    server.network.close(SERVER)
    with pytest.raises(ConnectionRefusedError):
        await server.network.connect(SERVER, LineMachine(), LineClient(LineMachine()), timeout=5)


async def test_interrupting_before_the_end_is_harmless(server):
    talker = await server.talk()
    await settle()
    driver = server.session.connection
    driver.interrupt(Interruption.OVERLOAD)
    driver.interrupt(Interruption.SHUTDOWN)
    assert await talker.rest() == b"hello\n421 overload\n"
