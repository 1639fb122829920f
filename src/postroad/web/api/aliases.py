"""Aliases: other names of addresses, forwards, catch-alls."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from postroad.accounts.names import read_address
from postroad.ports.store import AliasRecord, Refused
from postroad.web.api.problems import not_found
from postroad.web.api.routes import Call, Route
from postroad.web.api.values import ByName, Page, Time, existing, page_by_name

AliasAddress = Annotated[
    str, Meta(description="An alias's address; `*@domain` is the catch-all.", examples=["info@example.com"])
]


class Alias(Struct):
    """An address whose mail goes to `targets`."""

    address: str
    targets: tuple[str, ...]
    created: Time


class AliasSearch(ByName, forbid_unknown_fields=True):
    """One page of aliases, by address."""

    domain: Annotated[str, Meta(max_length=255, description="Only those of this domain.")] = ""


class AliasTargets(Struct, forbid_unknown_fields=True):
    """Where the mail goes: addresses here or elsewhere."""

    targets: Annotated[list[Annotated[str, Meta(max_length=400)]], Meta(min_length=1, max_length=500)]


async def list_aliases(call: Call, *, query: AliasSearch) -> Page[Alias]:
    """Aliases, by address."""
    rows = await existing(call.services.administration.aliases(query.domain))
    return page_by_name(rows, query, lambda row: row.address, _alias)


async def get_alias(call: Call, *, alias: AliasAddress) -> Alias:
    """One alias."""
    return _alias(await _found(call, alias))


async def set_alias(call: Call, *, alias: AliasAddress, body: AliasTargets) -> Alias:
    """Add an alias, or replace its targets."""
    await call.services.administration.add_alias(alias, body.targets, by=call.actor)
    return _alias(await _found(call, alias))


async def remove_alias(call: Call, *, alias: AliasAddress) -> None:
    """Remove an alias."""
    record = await _found(call, alias)
    await call.services.administration.remove_alias(record.address, by=call.actor)


async def _found(call: Call, address: str) -> AliasRecord:
    try:
        key = read_address(address).key
    except Refused:
        raise not_found(f"There is no alias {address}.") from None
    record = await call.services.store.read(lambda tx: tx.aliases.get(key))
    if record is None:
        raise not_found(f"There is no alias {key}.")
    return record


def _alias(record: AliasRecord) -> Alias:
    return Alias(record.address, record.targets, record.created)


READ, WRITE = "tenants:read", "tenants:write"
ROUTES = (
    Route("GET", "/aliases", READ, list_aliases),
    Route("GET", "/aliases/{alias}", READ, get_alias),
    Route("PUT", "/aliases/{alias}", WRITE, set_alias, refuses=True),
    Route("DELETE", "/aliases/{alias}", WRITE, remove_alias, 204),
)
