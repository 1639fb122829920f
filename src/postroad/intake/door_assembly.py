"""Put the front door together from ports and settings; `app.build` calls it once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from postroad.config.schema import DnsList, FrontDoor, Limits
from postroad.intake.checks import dnsbl, rates
from postroad.intake.checks.early import EarlyTalkers
from postroad.intake.checks.greylist import DAY, Greylist
from postroad.intake.checks.helo import HeloCheck
from postroad.intake.checks.rdns import ReverseDns
from postroad.intake.checks.zones import Zone
from postroad.intake.clients import Clients, Look
from postroad.intake.door import Door, Parts
from postroad.ports.clock import Clock
from postroad.ports.dns import Resolver
from postroad.ports.store import Store

OFF, REFUSE = "off", "refuse"


def assemble_door(
    settings: FrontDoor,
    lists: Sequence[DnsList],
    limits: Limits,
    *,
    hostname: str,
    addresses: Iterable[str],
    store: Store,
    clock: Clock,
    resolver: Resolver,
) -> Door:
    """The front door of this process. `addresses`: where its listeners are. Run a ZoneWatch over `door.zones`."""
    zones = tuple(Zone(name) for name in dict.fromkeys(table.zone.lower() for table in lists))
    clients = Clients(
        clock,
        _looks(settings, lists, zones, resolver),
        exempt=limits.exempt,
        size=settings.clients,
        wait=settings.dns_wait,
    )
    for zone in zones:
        zone.changed = clients.forget
    keys = settings.clients
    own = frozenset((*addresses, *settings.own_addresses))
    parts = Parts(
        clients,
        zones,
        rates.connections(settings.connections_per_minute, settings.connections_per_minute_network, keys),
        rates.messages(settings.messages_per_minute, settings.messages_per_minute_network, keys),
        rates.Probing(settings.unknown_per_hour, keys) if settings.unknown_per_hour else None,
        _helo(settings, hostname, own),
        _early(settings),
        _greylist(settings, store, clock),
    )
    return Door(
        parts,
        clock,
        hostname=hostname,
        refuse_at=settings.refuse_at,
        greylist_from=0.0 if settings.greylist == "suspicious" else None,
    )


def _looks(settings: FrontDoor, lists: Sequence[DnsList], zones: Sequence[Zone], resolver: Resolver) -> list[Look]:
    looks: list[Look] = [check.look for check in dnsbl.checks(lists, zones, resolver)]
    if settings.rdns != OFF:
        looks.append(ReverseDns(resolver, weight=settings.rdns_weight, refuses=settings.rdns == REFUSE).look)
    return looks


def _helo(settings: FrontDoor, hostname: str, own: Iterable[str]) -> HeloCheck | None:
    if settings.helo == OFF:
        return None
    return HeloCheck(names=(hostname,), addresses=own, weight=settings.helo_weight, refuses=settings.helo == REFUSE)


def _early(settings: FrontDoor) -> EarlyTalkers | None:
    if settings.early == OFF:
        return None
    return EarlyTalkers(weight=settings.early_weight, refuses=settings.early == REFUSE, wait=settings.banner_wait)


def _greylist(settings: FrontDoor, store: Store, clock: Clock) -> Greylist | None:
    if settings.greylist == OFF:
        return None
    return Greylist(
        store,
        clock,
        delay=settings.greylist_delay,
        window=settings.greylist_window,
        keep=settings.greylist_keep * DAY,
        learn=settings.greylist_learn,
        size=settings.clients,
    )
