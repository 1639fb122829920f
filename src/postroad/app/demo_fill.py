"""Who lives in the demo, and the day that lies behind them: made once, before its server starts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from postroad.accounts.administration import Administration
from postroad.accounts.admins import Admins
from postroad.accounts.sending import Sending
from postroad.adapters.ids import NodeIds
from postroad.app import lock
from postroad.app.services import Services, node_name, open_services
from postroad.config.schema import Settings
from postroad.lab.day.ground import Base, Logins
from postroad.lab.day.letters import ALICE, BOB, CAROL, NAMES
from postroad.lab.day.past import Past, PastClock
from postroad.lab.day.play import MakeIds, has_messages, live_through
from postroad.lab.day.shop import SHOP
from postroad.observe.metrics import COUNTERS, Counters

DOMAINS = ("one.test", "two.test")
ACCOUNTS = (ALICE, BOB, CAROL)
ALIASES = {"info@one.test": [CAROL, BOB], SHOP: [CAROL]}
PASSWORD = "demo"  # noqa: S105 - printed for everybody to use
ADMIN, ADMIN_PASSWORD = ALICE, "demo-demo"
SERVER = "shop"
MOVED_IN = timedelta(days=3)  # before the day is over
SETTING_UP = 40.0  # seconds from one command to the next
_TOKEN_FILE = "token"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Filled:
    """What the demo's first words need."""

    token: str  # of the shop's server
    messages: int  # that came with the day; 0 where it was lived through before


async def fill(settings: Settings, folder: Path, *, say: Callable[[str], None] = lambda _: None) -> Filled:
    """People, a sending server and a day of mail, each where it is not there yet. No server may run. Raises Locked."""
    with lock.held(settings.data_dir):
        async with open_services(settings) as services:
            node, now = node_name(settings), services.clock.now()
            number = await services.store.write(lambda tx: tx.nodes.number(node, now=now))
            make_ids = partial(NodeIds, number)
            is_new = not await has_messages(services.store)
            office = Office(services, make_ids, now - MOVED_IN if is_new else now)
            await office.people()
            token = await office.shop(folder)
            return Filled(token, await _live(services, make_ids, token, say))


async def _live(services: Services, make_ids: MakeIds, token: str, say: Callable[[str], None]) -> int:
    """The day that ends now. How many messages came."""
    settings = services.settings
    base = Base(
        settings,
        services.store,
        services.blobs,
        services.workers,
        services.signals,
        services.credentials,
        services.tokens,
        services.sending,
    )
    logins = Logins(dict.fromkeys(ACCOUNTS, PASSWORD), token)
    say("Living through a day of mail, so that there is something to look at ...")
    count = await live_through(base, logins, make_ids, node=node_name(settings), now=services.clock.now())
    _forget_counts()
    return count


def _forget_counts() -> None:
    """The day is not what this process did: its metrics begin at zero."""
    fresh = Counters()
    for each in fields(Counters):
        setattr(COUNTERS, each.name, getattr(fresh, each.name))


class Office:
    """Sets up who is not there yet, at the time when they moved in."""

    def __init__(self, services: Services, make_ids: MakeIds, moment: datetime) -> None:
        self._past = past = Past(moment)
        store, signals, random, credentials = services.store, services.signals, services.random, services.credentials
        clock, ids = PastClock(past), make_ids(past.milliseconds)
        self._tokens = services.tokens
        self._administration = Administration(store, credentials, clock, ids, signals)
        self._sending = Sending(store, clock, ids, signals, random)
        self._admins = Admins(
            store, credentials, services.throttle, clock=clock, ids=ids, signals=signals, random=random
        )

    async def people(self) -> None:
        """Domains, accounts, aliases, the administrator."""
        administration = self._administration
        domains = {record.name for record in await administration.domains()}
        accounts = {record.address for record in await administration.accounts()}
        aliases = {record.address for record in await administration.aliases()}
        for domain in DOMAINS:
            if domain not in domains:
                await self._after_a_while(administration.add_domain(domain))
        for address in ACCOUNTS:
            if address not in accounts:
                await self._after_a_while(administration.add_account(address, PASSWORD))
        for address, targets in ALIASES.items():
            if address not in aliases:
                await self._after_a_while(administration.add_alias(address, targets))
        if not await self._admins.list():
            await self._after_a_while(self._admins.add(ADMIN, ADMIN_PASSWORD, NAMES[ADMIN]))

    async def shop(self, folder: Path) -> str:
        """The sending server and its token, which the folder keeps so that it can be printed again."""
        file = folder / _TOKEN_FILE
        if not any(server.name == SERVER for server in await self._sending.servers()):
            await self._after_a_while(self._sending.add_server(SERVER, color="green"))
        token = file.read_text("utf-8").strip() if file.exists() else ""
        if not token or await self._tokens.verify(token) is None:
            token = (await self._sending.add_token(SERVER, "the shop's program")).secret
            file.touch(mode=0o600)
            file.write_text(token + "\n", "utf-8")
        return token

    async def _after_a_while(self, change: Awaitable[object]) -> None:
        self._past.elapse(SETTING_UP)
        await change
