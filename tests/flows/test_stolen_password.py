"""A password in wrong hands: a little goes out, the rest is held, the administrator hears of it once, and decides."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from postroad.lab.temper import Move, Temper, Visit
from postroad.ports.senders import SenderKind
from postroad.ports.store import DeliveryState, Refused
from postroad.testing.site import ALICE, BOB, PASSWORD, Site, letter, running_site, states, until

STRICT: Any = {"limits": {"exempt": []}}


async def send_many(site: Site, messages: int, recipients: int, domain: str = "remote.test") -> None:
    """What a thief's program does: one connection, many messages of many recipients."""
    async with site.client("submissions") as client:
        await client.login(BOB, PASSWORD)
        for number in range(messages):
            to = [f"victim{number}x{each}@{domain}" for each in range(recipients)]
            await client.sendmail(BOB, to, letter(BOB, to[0], subject=f"offer {number}"))


async def waiting(site: Site) -> int:
    return (await site.store.read(lambda tx: tx.deliveries.depth()))[0]


async def count(site: Site, state: DeliveryState) -> int:
    found = await site.store.read(lambda tx: tx.ledger.totals())
    return found.by_state.get(state.value, 0)


async def test_a_stolen_password_sends_little(tmp_path: Path) -> None:
    async with running_site(tmp_path, STRICT) as site:
        await send_many(site, 10, 500)
        await until(lambda: waiting(site), lambda n: n == 4900)
        assert await count(site, DeliveryState.HELD) == 4900
        (told,) = await until(lambda: site.inbox(ALICE), lambda inbox: len(inbox) >= 1)
        assert "bob@here.test is held back: more than 100 recipients an hour" in told["Subject"]
        body = told.get_body(("plain",))
        assert body is not None
        assert "postroad freeze account bob@here.test --release" in body.get_content()
        senders = site.node.services.senders
        (state,) = await senders.states()
        assert (state.name, state.held, state.hold) == (BOB, 4900, None)

        assert await senders.release(SenderKind.ACCOUNT, BOB) == 4900
        await until(lambda: waiting(site), lambda n: n == 0)
        assert await count(site, DeliveryState.DELIVERED) == 5001  # with the administrator's own
        assert await senders.states() == []
        assert len(await site.inbox(ALICE)) == 1
        with pytest.raises(Refused, match="nothing is held"):
            await senders.release(SenderKind.ACCOUNT, BOB)
        actions = [row.action for row in await site.store.read(lambda tx: tx.audit.page(None, 20, ""))]
        assert "sender released" in actions
        assert "queue release" in actions


async def test_counts_outlive_a_restart_and_are_of_each_alone(tmp_path: Path) -> None:
    limits: Any = {**STRICT, "submission": {"account_recipients_per_hour": 3}}
    async with running_site(tmp_path, limits) as site:
        await site.submit("a@remote.test", "b@remote.test")
    async with running_site(tmp_path, limits) as site:
        story = await site.when(await site.submit("c@remote.test", "d@remote.test"), lambda s: len(s.deliveries) == 2)
        held = [delivery for delivery in story.deliveries if delivery.state is DeliveryState.HELD]
        assert [delivery.held_for for delivery in held] == ["account alice@here.test: more than 3 recipients an hour"]
        await site.settled(await site.submit("e@remote.test", sender=BOB, account=BOB))
        local = await site.settled(await site.submit(BOB))  # what stays here is not counted
        assert states(local) == {BOB: DeliveryState.DELIVERED}
        await site.node.services.senders.release(SenderKind.ACCOUNT, ALICE)
        await site.settled(story.message.id)


async def test_a_frozen_sender_sends_nothing_and_others_do(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        late = await site.submit("451@remote.test")  # waits for a later try
        await site.when(late, lambda story: any(event.kind == "deferred" for event in story.events))
        assert "Frozen: account alice@here.test" in await site.run("freeze", "account", ALICE)
        await site.when(late, lambda story: set(states(story).values()) == {DeliveryState.HELD})
        new = await site.submit("a@remote.test", BOB)
        story = await site.story(new)
        assert set(states(story).values()) == {DeliveryState.HELD}
        assert {each.held_for for each in story.deliveries} == {"account alice@here.test: frozen by the command line"}
        await site.settled(await site.submit("a@remote.test", sender=BOB, account=BOB))
        (row,) = await site.run_json("freeze", "list")
        assert (row["name"], row["held"]) == (ALICE, 3)
        await site.run("freeze", "account", ALICE, code=1)  # it is frozen already
        assert "Released; 3 recipients" in await site.run("freeze", "account", ALICE, "--release")
        await site.settled(new)
        assert "Nobody is held back" in await site.run("freeze", "list")
        await site.run("queue", "cancel", "--all")


class Busy(Temper):
    """Takes its time over each message, as long as `pause` says so."""

    def __init__(self) -> None:
        self.pause = 0.5

    def message(self, visit: Visit) -> Move:
        return Move(delay=self.pause)


async def test_freezing_all_stops_a_running_queue_at_once(tmp_path: Path) -> None:
    """Thousands wait in memory for a host that takes its time; after the word nothing more begins."""
    busy = Busy()
    settings: Any = {"delivery": {"max_recipients": 10}}
    async with running_site(tmp_path, settings, tempers={"mx.slow.test": busy}) as site:
        senders, loop = site.node.services.senders, asyncio.get_running_loop()
        await send_many(site, 2, 500, domain="slow.test")
        began = loop.time()
        await senders.freeze(SenderKind.ALL, "")
        assert loop.time() - began < 1.0
        busy.pause = 0.0
        await until(lambda: count(site, DeliveryState.QUEUED), lambda n: n == 0)
        done, held = await count(site, DeliveryState.DELIVERED), await count(site, DeliveryState.HELD)
        assert done + held == 1000
        assert held > 500
        stranger = await site.receive(ALICE)
        assert states(await site.story(stranger)) == {ALICE: DeliveryState.HELD}
        await senders.release(SenderKind.ALL, "")
        await until(lambda: waiting(site), lambda n: n == 0)
        assert await count(site, DeliveryState.DELIVERED) == 1001


async def test_who_jumps_is_frozen(tmp_path: Path) -> None:
    """Half of what a sender sends fails: lists of addresses that were bought look like that."""
    jumps: Any = {**STRICT, "submission": {"jump_bounces": 3}}
    async with running_site(tmp_path, jumps) as site:
        await site.settled(
            await site.submit("550@remote.test", "553@remote.test", "554@remote.test", sender=BOB, account=BOB)
        )
        senders = site.node.services.senders
        (state,) = await until(senders.states, lambda found: len(found) == 1)
        assert state.hold is not None
        assert "3 recipients failed for good within an hour, of 3" in state.why
        held = await site.story(await site.submit("a@remote.test", sender=BOB, account=BOB))
        assert set(states(held).values()) == {DeliveryState.HELD}
        (told,) = await until(lambda: site.inbox(ALICE), lambda inbox: len(inbox) >= 1)
        assert "is held back" in told["Subject"]
        await senders.release(SenderKind.ACCOUNT, BOB)
        await site.settled(held.message.id)
