"""Live through a day: letters come in over SMTP, go out again, are put off, come back, wait; the rows are the store's.

Everything that decides is the real thing: sessions, intake, routing, delivery, results, reports. The day has in its own
hands only the clock, the wire, the neighbours and the order of things: one conversation after the other, so that the
same seed and hour give the same rows.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from postroad.accounts.audit import Actor
from postroad.intake.assembly import assemble
from postroad.intake.pipeline import Intake
from postroad.intake.programs import Programs
from postroad.lab.day.ground import PORT, Base, Ground, Logins
from postroad.lab.day.incoming import PEOPLE, Incoming, written
from postroad.lab.day.letters import ALICE, DEEDS, Deed, Letter, letters
from postroad.lab.day.mailboxes import Mailboxes
from postroad.lab.day.neighbours import Neighbourhood
from postroad.lab.day.outgoing import Outgoing, day_settings
from postroad.lab.day.past import Past, SeededRandomness
from postroad.lab.day.shop import SHOP, shop_letters
from postroad.lab.day.wire import MemoryNetwork
from postroad.ports.ids import IdSource, MessageId
from postroad.ports.store import MessageFilter, QueueFilter, Store
from postroad.queue.actions import Actions
from postroad.routing.aliases import Rules
from postroad.routing.directory import Directory
from postroad.routing.routes import RouteSettings

LENGTH = timedelta(hours=24)
REST = timedelta(seconds=60)  # before the present: what the server's own clock does next comes after it
REACTION = 0.3  # seconds from somebody's click to what it brings about
BY = Actor("admin", ALICE, PEOPLE[ALICE].address)
JITTER = 0.4  # minutes: nobody writes on the full minute

MakeIds = Callable[[Callable[[], int]], IdSource]
"""Ids of the node, from a clock of milliseconds."""


async def live_through(
    base: Base, logins: Logins, make_ids: MakeIds, *, node: str, now: datetime, seed: int = 1
) -> int:
    """Fill an empty store with the day that ends at `now`; how many messages came. Nothing happens in one that has
    messages: a day is lived through once."""
    if await has_messages(base.store):
        return 0
    past = Past(now - LENGTH)
    ground = Ground(base, past, make_ids(past.milliseconds), SeededRandomness(seed))
    return await Day(ground, logins).live(node, now)


async def has_messages(store: Store) -> bool:
    return bool(await store.read(lambda tx: tx.messages.search(MessageFilter(), limit=1)))


class Day:
    """One day, put together from the real parts."""

    def __init__(self, ground: Ground, logins: Logins) -> None:
        base = ground.base
        self._ground = ground
        self._logins = logins
        neighbourhood = Neighbourhood(ground.past, ground.random, PORT)
        network = MemoryNetwork(ground.past, neighbourhood.doors)
        rules = Rules(base.settings.hostname, base.settings.addresses.delimiter, RouteSettings(PORT))
        directory = Directory(base.store, base.signals, ground.clock, rules)
        self._intake = self._assemble(directory)
        self._incoming = Incoming(ground, network, self._intake, logins)
        neighbourhood.doors.update(self._incoming.doors())
        self._outgoing = Outgoing(ground, neighbourhood, network, directory, self._intake.submit_local)
        self._mailboxes = Mailboxes(ground)
        self._actions = Actions(base.store, clock=ground.clock, ids=ground.ids, signals=base.signals)
        self._messages: dict[str, MessageId] = {}  # by the letter's key
        self._names: dict[str, str] = {}  # Message-ID, by key
        self._answered: set[str] = set()
        self._count = 0

    def _assemble(self, directory: Directory) -> Intake:
        ground, base = self._ground, self._ground.base
        return assemble(
            base.store,
            base.blobs,
            workers=base.workers,
            clock=ground.clock,
            ids=ground.ids,
            signals=base.signals,
            directory=directory,
            limits=base.settings.limits,
            delivery=day_settings(base.settings.delivery),
            hostname=base.settings.hostname,
            programs=Programs(base.tokens, base.sending),
        )

    async def live(self, node: str, now: datetime) -> int:
        """From its first letter to its last."""
        self._intake.hand_to(self._outgoing, await self._outgoing.join(node))
        await self._mailboxes.prepare(self._logins.passwords)
        for what in self._agenda(now):
            await self._outgoing.go_on_until(now - timedelta(minutes=what.ago))
            await (self._do(what) if isinstance(what, Deed) else self._send(what))
            await self._outgoing.carry()
        await self._outgoing.go_on_until(now - REST)
        await self._mailboxes.read(self._logins.passwords, self._answered)
        await self._intake.close()
        return self._count

    def _agenda(self, now: datetime) -> list[Letter | Deed]:
        shop = shop_letters(self._ground.random) if self._logins.token else []
        return sorted([*letters(now), *DEEDS, *shop], key=lambda what: -what.ago)

    async def _send(self, letter: Letter) -> None:
        self._ground.past.elapse(60 * JITTER * self._ground.random.fraction())
        message_id = f"<{self._ground.random.token(9).hex()}@{letter.sender.rpartition('@')[2]}>"
        answered = self._names.get(letter.answers, "")
        content = written(letter, self._ground, message_id, answered)
        message = await self._incoming.send(letter, content)
        if message is None:
            return
        self._count += 1
        self._answered.add(answered)
        if letter.key:
            self._messages[letter.key], self._names[letter.key] = message, message_id
        if letter.sender in self._logins.passwords and letter.sender != SHOP:
            await self._mailboxes.keep(letter.sender, content)

    async def _do(self, deed: Deed) -> None:
        await self._actions.act(deed.action, QueueFilter(message=self._messages[deed.key]), BY)
        self._ground.past.elapse(REACTION)
