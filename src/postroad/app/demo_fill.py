"""Who lives in the demo, and the day that lies behind them: made once, before its server starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from postroad.adapters.ids import NodeIds
from postroad.app import lock
from postroad.app.services import Services, node_name, open_services
from postroad.config.schema import Settings
from postroad.lab.day.ground import Base, Logins
from postroad.lab.day.letters import ALICE, BOB, CAROL, NAMES
from postroad.lab.day.play import live_through
from postroad.lab.day.shop import SHOP
from postroad.observe.metrics import COUNTERS, Counters

DOMAINS = ("one.test", "two.test")
ACCOUNTS = (ALICE, BOB, CAROL)
ALIASES = {"info@one.test": [CAROL, BOB], SHOP: [CAROL]}
PASSWORD = "demo"  # noqa: S105 - printed for everybody to use
ADMIN, ADMIN_PASSWORD = ALICE, "demo-demo"
SERVER = "shop"
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
            await _people(services)
            token = await _shop(services, folder)
            return Filled(token, await _live(services, token, say))


async def _live(services: Services, token: str, say: Callable[[str], None]) -> int:
    """The day that ends now. How many messages came."""
    settings, now = services.settings, services.clock.now()
    node = node_name(settings)
    number = await services.store.write(lambda tx: tx.nodes.number(node, now=now))
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
    count = await live_through(base, logins, lambda clock: NodeIds(number, clock), node=node, now=now)
    _forget_counts()
    return count


def _forget_counts() -> None:
    """The day is not what this process did: its metrics begin at zero."""
    fresh = Counters()
    for each in fields(Counters):
        setattr(COUNTERS, each.name, getattr(fresh, each.name))


async def _people(services: Services) -> None:
    administration, admins = services.administration, services.admins
    domains = {record.name for record in await administration.domains()}
    accounts = {record.address for record in await administration.accounts()}
    aliases = {record.address for record in await administration.aliases()}
    for domain in DOMAINS:
        if domain not in domains:
            await administration.add_domain(domain)
    for address in ACCOUNTS:
        if address not in accounts:
            await administration.add_account(address, PASSWORD)
    for address, targets in ALIASES.items():
        if address not in aliases:
            await administration.add_alias(address, targets)
    if not await admins.list():
        await admins.add(ADMIN, ADMIN_PASSWORD, NAMES[ADMIN])


async def _shop(services: Services, folder: Path) -> str:
    """The sending server and its token, which the folder keeps so that it can be printed again."""
    sending, file = services.sending, folder / _TOKEN_FILE
    if not any(server.name == SERVER for server in await sending.servers()):
        await sending.add_server(SERVER, color="green")
    token = file.read_text("utf-8").strip() if file.exists() else ""
    if not token or await services.tokens.verify(token) is None:
        token = (await sending.add_token(SERVER, "the shop's program")).secret
        file.touch(mode=0o600)
        file.write_text(token + "\n", "utf-8")
    return token
