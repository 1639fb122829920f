"""What each step of the front door costs: microseconds of CPU on this machine, without sockets, store and DNS.

The rows "a message" and "a connection" are all default steps together, as a session and acceptance take them. The steps
of the policy, which all mail goes through, are in `policy.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from bench import policy
from bench.harness import machine, say
from postroad.config.schema import DnsList, FrontDoor, Limits
from postroad.intake.checks.dnsbl import query_name
from postroad.intake.door import Door
from postroad.intake.door_assembly import assemble_door
from postroad.intake.transaction import MailTransaction
from postroad.mail.address import parse_forward_path, parse_reverse_path
from postroad.mail.envelope import Origin
from postroad.testing.dns import TableResolver

ROUNDS, RUNS = 20_000, 7
CLIENT, LOCAL = "192.0.2.7", "203.0.113.1"
PATH, SENDER = parse_forward_path("bob@here.test"), parse_reverse_path("a@far.test")


class _Clock:
    """Real monotonic time, so that limits are counted as they are in earnest."""

    monotonic = staticmethod(time.monotonic)

    def now(self) -> Any:
        from datetime import UTC, datetime

        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _NoStore:
    async def read(self, _function: Any) -> dict[Any, Any]:
        return {}

    async def write(self, _function: Any, **_lane: Any) -> None:
        return None


def door(*lists: DnsList, **settings: Any) -> Door:
    """One whose limits nobody reaches."""
    dns = TableResolver()
    dns.host("mail.far.test", CLIENT)
    wide: dict[str, Any] = dict.fromkeys(
        ("connections_per_minute", "connections_per_minute_network", "messages_per_minute",
         "messages_per_minute_network", "unknown_per_hour"), 10**9
    )  # fmt: skip
    made = assemble_door(
        FrontDoor(**(wide | settings)), lists, Limits(exempt=()), hostname="mx.here.test", addresses=[LOCAL],
        store=_NoStore(), clock=_Clock(), resolver=dns,
    )  # type: ignore[arg-type]  # fmt: skip
    for zone in made.zones:
        zone.switch_on(has_ipv6=False)
        dns.hosts[query_name(CLIENT, zone.name)] = ()
    return made


def microseconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Of CPU for one call: the quickest of several runs."""
    best = float("inf")
    for _ in range(RUNS):
        begin = time.process_time()
        for _ in range(rounds):
            work()
        best = min(best, time.process_time() - begin)
    return (best - _empty(rounds)) / rounds * 1e6


def _empty(rounds: int) -> float:
    begin = time.process_time()
    for _ in range(rounds):
        _nothing()
    return time.process_time() - begin


def _nothing() -> None: ...


async def known(front: Door) -> None:
    """Have the client's look-ups done."""
    await front.clients.settle(front.clients.arrive(CLIENT))


def connection(front: Door) -> Any:
    visit = front.arrive(CLIENT, local=LOCAL, connection="0c1x2d3f4g5h6")
    assert visit is not None
    visit.hello("mail.far.test")
    return visit


def message(visit: Any, transaction: MailTransaction) -> None:
    """All that one message of one recipient asks of a connection that is known."""
    visit.mail()
    if visit.is_ready(transaction, PATH):
        visit.before(transaction, PATH) or visit.after(transaction, PATH)
    visit.message(transaction)
    visit.taken()


async def measure() -> list[tuple[str, str, float]]:
    front = door()
    await known(front)
    visit = connection(front)
    transaction = MailTransaction(Origin("mx", "c", CLIENT), SENDER)
    transaction.add(PATH, ())
    client, parts = visit.client, front._parts
    helo, rate, probing, connects = parts.helo, parts.messages, parts.probing, parts.connections
    assert helo is not None
    assert rate is not None
    assert connects is not None
    assert probing is not None
    kept, encode = visit.kept, msgspec.json.Encoder().encode
    plain = {"protocol": "ESMTP", "size": 1024, "recipients": 1, "client": CLIENT, "helo": "mail.far.test"}
    noted = plain | {"verdicts": kept}
    spared = assemble_door(FrontDoor(), (), Limits(), hostname="x.test", addresses=(), store=_NoStore(),
                           clock=_Clock(), resolver=TableResolver())  # type: ignore[arg-type]  # fmt: skip

    def weigh() -> None:
        visit._seen = -1
        visit.refusal(PATH)

    def now(taker: Callable[[str, str, float], object]) -> Callable[[], object]:
        return lambda: taker(client.address, client.network, time.monotonic())

    works: list[tuple[str, str, Callable[[], object]]] = [
        ("connection", "an exempt client: all of it", lambda: spared.arrive("127.0.0.1", local=LOCAL, connection="c")),
        ("connection", "a known client: its look-ups, from memory", lambda: front.clients.arrive(CLIENT)),
        ("connection", "connection rate", now(connects.take)),
        ("HELO", "HELO checks", lambda: helo.judge("mail.far.test", CLIENT, LOCAL)),
        ("connection", "all default steps, known client", lambda: connection(front)),
        ("MAIL", "message rate", now(rate.take)),
        ("RCPT", "recipient probing", lambda: probing.is_over(CLIENT, time.monotonic())),
        ("RCPT", "the verdicts weighed: first recipient", weigh),
        ("RCPT", "the same: each further one", lambda: visit.refusal(PATH)),
        ("message", "all default steps, one recipient", lambda: message(visit, transaction)),
    ]
    rows = [(stage, name, microseconds(work)) for stage, name, work in works]
    longer = microseconds(lambda: encode(noted)) - microseconds(lambda: encode(plain))
    rows.append(("message", "its verdicts in the received event", longer))
    return [*rows, *await _off_by_default(), *await _new_clients(), *await policy.rows(microseconds)]


async def _off_by_default() -> list[tuple[str, str, float]]:
    grey = door(greylist="all")
    await known(grey)
    visit = connection(grey)
    transaction = MailTransaction(Origin("mx", "c", CLIENT), SENDER)
    await visit.prepare(transaction, PATH)
    assert grey.greylist is not None
    triplet = visit._triplet(transaction, PATH)
    grey.greylist.judge(triplet)
    grey.greylist._rows.get("\n".join(triplet)).passes = 1  # type: ignore[union-attr]
    return [
        ("RCPT", "greylisting: is its row in memory", microseconds(lambda: visit.is_ready(transaction, PATH))),
        ("RCPT", "greylisting: a known triplet", microseconds(lambda: visit.after(transaction, PATH))),
    ]


async def _new_clients() -> list[tuple[str, str, float]]:
    """Look-ups of a client that nobody knows, with a resolver that costs nothing: what is ours of them."""
    rows = []
    for name, front in (
        ("a new client: reverse DNS, without the queries", door()),
        ("the same, and three lists", door(*(DnsList(f"bl{n}.test", 3.0) for n in range(3)))),
    ):
        best = float("inf")
        for _ in range(RUNS):
            begin = time.process_time()
            for _ in range(500):
                front.clients.forget()
                await known(front)
            best = min(best, time.process_time() - begin)
        rows.append(("connection", name, best / 500 * 1e6))
    return rows


@contextmanager
def _loop() -> Iterator[asyncio.Runner]:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


def main(arguments: list[str]) -> None:  # noqa: ARG001 - it takes none
    say(machine())
    with _loop() as runner:
        rows = runner.run(measure())
    say(f"{'stage':12} {'step':52} {'us of CPU':>9}")
    for stage, step, cost in rows:
        say(f"{stage:12} {step:52} {max(cost, 0.0):9.2f}")


if __name__ == "__main__":
    main([])
