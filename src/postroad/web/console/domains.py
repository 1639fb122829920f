"""Domains: the list with their DNS at a glance, adding one, the page of one with the records to paste, removing it."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from postroad.accounts.domains import read_relay
from postroad.accounts.names import read_domain
from postroad.accounts.returnpaths import usual_name
from postroad.ports.store import AccountRecord, AliasRecord, DomainKind, DomainRecord, Refused, Tx
from postroad.reports.dnscheck import CheckedRecord, Standing, check_domain, records_wanted
from postroad.web.console.forms import Form, Wrong, about, actor_of, count, deeds, errors_of, read_form, services_of
from postroad.web.console.readable import readable
from postroad.web.console.render import done, page

KINDS = {
    DomainKind.LOCAL: ("Mailboxes here", "accounts"),
    DomainKind.RELAY: ("Passed on", "next"),
    DomainKind.ALIAS: ("Another name", "link"),
}
DNS_PATIENCE = 12.0  # seconds for all look-ups of one domain


@dataclass(frozen=True, slots=True)
class DomainRow:
    """A domain with how much lives in it."""

    record: DomainRecord
    accounts: int
    aliases: int

    @property
    def name(self) -> str:
        return readable(self.record.name)

    @property
    def leads_to(self) -> str:
        return leads_to(self.record)


def leads_to(record: DomainRecord) -> str:
    if record.kind is DomainKind.RELAY:
        host = f"[{record.relay_host}]" if ":" in record.relay_host else record.relay_host
        return host if record.relay_port == 25 else f"{host}:{record.relay_port}"
    return record.target


async def list_domains(request: Request) -> Response:
    find = request.query_params.get("q", "").strip().lower()
    rows = await services_of(request).store.read(_rows)
    shown = [row for row in rows if find in row.record.name or find in row.name]
    return page(request, "domains.html", fragment="domain_list", rows=shown, total=len(rows), find=find, kinds=KINDS)


def _rows(tx: Tx) -> list[DomainRow]:
    accounts = Counter(account.address.rpartition("@")[2] for account in tx.accounts.list())
    aliases = Counter(alias.address.rpartition("@")[2] for alias in tx.aliases.list())
    return [DomainRow(record, accounts[record.name], aliases[record.name]) for record in tx.domains.list()]


# --- adding -----------------------------------------------------------------------------------------------------------


async def new_domain(request: Request) -> Response:
    return await _form(request, Form(request.query_params), {})


async def _form(request: Request, form: Form, errors: dict[str, str]) -> Response:
    domains = await services_of(request).administration.domains()
    local = [(record.name, readable(record.name)) for record in domains if record.kind is DomainKind.LOCAL]
    status = 422 if errors else 200
    return page(request, "domain_new.html", status=status, form=form, errors=errors, local=local)


async def add_domain(request: Request) -> Response:
    form, services = await read_form(request), services_of(request)
    kind = form.text("kind", DomainKind.LOCAL)
    relay_to = form.text("relay_to") if kind == DomainKind.RELAY else ""
    alias_of = form.text("alias_of") if kind == DomainKind.ALIAS else ""
    try:
        with about("name"):
            read_domain(form.text("name"))
        if kind == DomainKind.RELAY:
            _check_relay(relay_to)
        if kind == DomainKind.ALIAS and not alias_of:
            raise Wrong("alias_of", "choose the domain that it stands for")
        made = await services.administration.add_domain(
            form.text("name"), relay_to=relay_to, alias_of=alias_of, by=actor_of(request)
        )
    except Refused as refused:
        return await _form(request, form, errors_of(refused, "name"))
    return done(request, f"domains/{made.name}", f"Added {readable(made.name)}. Now put its records into DNS.")


def _check_relay(relay_to: str) -> None:
    with about("relay_to"):
        if not relay_to:
            raise Refused("say which host its mail is passed on to")
        read_relay(relay_to)


# --- one domain -------------------------------------------------------------------------------------------------------


async def show_domain(request: Request) -> Response:
    record = await _find(request)
    services, name = services_of(request), record.name

    def read(tx: Tx) -> tuple[list[AccountRecord], list[AliasRecord], list[str]]:
        others = [other.name for other in tx.domains.list() if other.target == name]
        return tx.accounts.list(name), tx.aliases.list(name), others

    accounts, aliases, names = await services.store.read(read)
    back = await services.administration.return_paths.of_domain(name)
    return page(
        request, "domain.html", record=record, name=readable(name), leads_to=leads_to(record), kinds=KINDS,
        wanted=records_wanted(name, services.hostname, record.kind, back), accounts=accounts, aliases=aliases,
        names=names, back=back, proposed=usual_name(name), hostname=services.hostname,
    )  # fmt: skip


async def show_records(request: Request) -> Response:
    """The records as DNS has them now; asked for by the page once it stands, since look-ups take their time."""
    record = await _find(request)
    checked = await _check(request, record)
    return page(request, "domain_records.html", record=record, checked=checked, standings=STANDINGS)


async def show_glance(request: Request) -> Response:
    """The same in one word, for the list."""
    record = await _find(request)
    checked = await _check(request, record)
    return page(request, "domain_glance.html", record=record, glance=glance(checked))


STANDINGS = {  # kind, icon, word
    Standing.FOUND: ("good", "check", "Found"),
    Standing.MISSING: ("bad", "cross", "Missing"),
    Standing.DIFFERENT: ("warn", "warning", "Different"),
    Standing.UNKNOWN: ("quiet", "question", "Not known"),
}


def glance(checked: list[CheckedRecord] | None) -> tuple[str, str, str]:
    """Kind, icon and words for the whole of a domain."""
    if checked is None or any(record.standing is Standing.UNKNOWN for record in checked):
        return ("quiet", "question", "DNS did not answer")
    wrong = [record for record in checked if not record.good]
    if not wrong:
        return ("good", "check", "All found")
    worst = "bad" if any(record.wanted.kind == "MX" for record in wrong) else "warn"
    return (worst, "warning" if worst == "warn" else "cross", f"{count(len(wrong), 'record')} to mend")


async def _check(request: Request, record: DomainRecord) -> list[CheckedRecord] | None:
    """None when DNS did not answer in time."""
    services = services_of(request)
    try:
        async with asyncio.timeout(DNS_PATIENCE):
            back = await services.administration.return_paths.of_domain(record.name)
            return await check_domain(services.resolver, record.name, services.hostname, record.kind, back)
    except TimeoutError:
        return None


async def _verify(request: Request, _: Form) -> Response:
    """Ask DNS anew: what was remembered is forgotten first."""
    services_of(request).resolver.forget()
    if "hx-request" in request.headers:
        return await show_records(request)
    record = await _find(request)
    return done(request, f"domains/{record.name}", "DNS has been asked anew.", kind="note")


async def _return_path(request: Request, form: Form) -> Response:
    """Where bounces come back to: a domain of its own, or (an empty field) the server's."""
    record, paths = await _find(request), services_of(request).administration.return_paths
    wanted = form.text("back")
    if wanted:
        back = (await paths.set_of_domain(record.name, wanted, by=actor_of(request))).name
        words = f"Bounces come back to {readable(back)}. Now put its records into DNS."
    elif await paths.of_domain(record.name):
        await paths.clear_of_domain(record.name, by=actor_of(request))
        words = "Bounces come back to the server's own domain again."
    else:
        words = "Bounces come back to the server's own domain, as before."
    return done(request, f"domains/{record.name}", words)


async def _remove(request: Request, _: Form) -> Response:
    record = await _find(request)
    gone = await services_of(request).administration.remove_domain(record.name, by=actor_of(request))
    return done(request, "domains", f"Removed {readable(gone.name)}. Mail to it is no longer taken.")


async def _find(request: Request) -> DomainRecord:
    """The domain in the address. 404 where there is none."""
    try:
        record = await services_of(request).administration.domain(request.path_params["name"])
    except Refused:
        record = None
    if record is None:
        raise HTTPException(404)
    return record


ROUTES = [
    Route("/domains", list_domains),
    Route("/domains/new", new_domain),
    Route("/domains/new", add_domain, methods=["POST"]),
    Route("/domains/{name}", show_domain),
    Route(
        "/domains/{name}", deeds({"verify": _verify, "return-path": _return_path, "remove": _remove}), methods=["POST"]
    ),
    Route("/domains/{name}/records", show_records),
    Route("/domains/{name}/glance", show_glance),
]
