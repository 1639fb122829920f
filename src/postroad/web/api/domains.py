"""Domains: which mail is ours, the DNS records that this wants, and whether DNS has them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from postroad.accounts.returnpaths import usual_name
from postroad.ports.store import DomainKind, DomainRecord
from postroad.reports.dnscheck import CheckedRecord, Standing, WantedRecord, check_domain, records_wanted
from postroad.web.api.problems import Trouble, not_found
from postroad.web.api.routes import Call, Route
from postroad.web.api.values import ByName, Page, Time, existing, page_by_name

DomainName = Annotated[str, Meta(description="A domain's name.", examples=["example.com"])]


class Domain(Struct):
    """A domain of ours. `relay_to` is where the mail of a relay domain goes, `alias_of` the domain that an alias domain
    is another name of."""

    name: str
    kind: DomainKind
    created: Time
    relay_to: str
    alias_of: str


class NewDomain(Struct, forbid_unknown_fields=True):
    """A domain with mailboxes; or one passed on to `relay_to`; or another name of `alias_of`."""

    name: Annotated[str, Meta(max_length=255, examples=["example.com"])]
    relay_to: Annotated[str, Meta(max_length=300, description="HOST or HOST:PORT")] = ""
    alias_of: Annotated[str, Meta(max_length=255)] = ""


class ReturnPath(Struct):
    """`name` is the domain of its return addresses, empty where it is the server's own; `proposed` a good one."""

    name: str
    proposed: str


class NewReturnPath(Struct, forbid_unknown_fields=True):
    """Left out: the proposed one."""

    name: Annotated[str, Meta(max_length=255, examples=["bounces.example.com"])] = ""


class Wanted(Struct):
    """A DNS record that a domain wants, and what for."""

    name: str
    type: str
    value: str
    why: str


class WantedRecords(Struct):
    """All of one domain, ready to be pasted."""

    items: list[Wanted]


class Checked(Struct):
    """A wanted record as DNS has it now, in words, and what to change where that is not good."""

    wanted: Wanted
    standing: Standing
    found: tuple[str, ...]
    text: str
    change: str


class CheckedRecords(Struct):
    """All of one domain. `good`: every one is as it should be."""

    good: bool
    items: list[Checked]


async def list_domains(call: Call, *, query: ByName) -> Page[Domain]:
    """Domains of ours, by name."""
    return page_by_name(await call.services.administration.domains(), query, lambda row: row.name, _domain)


async def add_domain(call: Call, *, body: NewDomain) -> Domain:
    """Take mail for a domain."""
    if body.relay_to and body.alias_of:
        raise Trouble("refused", "A domain is passed on to a host, or stands for another domain, not both.")
    return _domain(
        await call.services.administration.add_domain(
            body.name, relay_to=body.relay_to, alias_of=body.alias_of, by=call.actor
        )
    )


async def get_domain(call: Call, *, domain: DomainName) -> Domain:
    """One domain."""
    return _domain(await _found(call, domain))


async def remove_domain(call: Call, *, domain: DomainName) -> None:
    """Take no more mail for a domain. Refused while it has accounts."""
    record = await _found(call, domain)
    await call.services.administration.remove_domain(record.name, by=call.actor)


async def get_records(call: Call, *, domain: DomainName) -> WantedRecords:
    """The DNS records that a domain wants."""
    record = await _found(call, domain)
    back = await call.services.administration.return_paths.of_domain(record.name)
    wanted = records_wanted(record.name, call.services.hostname, record.kind, back)
    return WantedRecords([_wanted(one) for one in wanted])


async def verify_domain(call: Call, *, domain: DomainName) -> CheckedRecords:
    """Ask DNS now whether it has the records that a domain wants."""
    record = await _found(call, domain)
    call.services.resolver.forget()
    back = await call.services.administration.return_paths.of_domain(record.name)
    checked = await check_domain(call.services.resolver, record.name, call.services.hostname, record.kind, back)
    return CheckedRecords(all(one.good for one in checked), [_checked(one) for one in checked])


async def get_return_path(call: Call, *, domain: DomainName) -> ReturnPath:
    """Where bounces come back to of what streams send from a domain."""
    record = await _found(call, domain)
    return await _return_path(call, record)


async def set_return_path(call: Call, *, domain: DomainName, body: NewReturnPath) -> ReturnPath:
    """Have them come back to a domain of their own, whose DNS leads here. Look at `records` and `verify` next."""
    record = await _found(call, domain)
    await call.services.administration.return_paths.set_of_domain(record.name, body.name, by=call.actor)
    return await _return_path(call, record)


async def clear_return_path(call: Call, *, domain: DomainName) -> None:
    """Have them come back to the server's own domain again."""
    record = await _found(call, domain)
    await call.services.administration.return_paths.clear_of_domain(record.name, by=call.actor)


async def _return_path(call: Call, record: DomainRecord) -> ReturnPath:
    name = await call.services.administration.return_paths.of_domain(record.name)
    return ReturnPath(name, usual_name(record.name))


async def _found(call: Call, name: str) -> DomainRecord:
    record = await existing(call.services.administration.domain(name))
    if record is None:
        raise not_found(f"{name} is not a domain of this server.")
    return record


def _domain(record: DomainRecord) -> Domain:
    relay = f"{record.relay_host}:{record.relay_port}" if record.relay_host else ""
    return Domain(record.name, record.kind, record.created, relay, record.target)


def _wanted(record: WantedRecord) -> Wanted:
    return Wanted(record.name, record.kind, record.value, record.why)


def _checked(record: CheckedRecord) -> Checked:
    return Checked(_wanted(record.wanted), record.standing, record.found, record.text, record.change)


READ, WRITE = "tenants:read", "tenants:write"
ROUTES = (
    Route("GET", "/domains", READ, list_domains),
    Route("POST", "/domains", WRITE, add_domain, 201, "/domains/{made.name}", refuses=True),
    Route("GET", "/domains/{domain}", READ, get_domain),
    Route("DELETE", "/domains/{domain}", WRITE, remove_domain, 204, refuses=True),
    Route("GET", "/domains/{domain}/records", READ, get_records),
    Route("GET", "/domains/{domain}/return-path", READ, get_return_path),
    Route("PUT", "/domains/{domain}/return-path", WRITE, set_return_path, refuses=True),
    Route("DELETE", "/domains/{domain}/return-path", WRITE, clear_return_path, 204, refuses=True),
    Route("POST", "/domains/{domain}/verify", READ, verify_domain),
)
