"""Aliases, forwards and catch-alls: the list, adding or changing one, removing it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from postroad.accounts.aliases import CATCH_ALL
from postroad.accounts.names import read_address
from postroad.ports.store import AliasRecord, Refused, Tx
from postroad.web.console.accounts import address_in, local_domains
from postroad.web.console.forms import Form, Wrong, about, actor_of, count, deeds, errors_of, read_form, services_of
from postroad.web.console.readable import readable, readable_address
from postroad.web.console.render import done, page

SHOWN = 500  # aliases on one page; the search finds the others
KINDS = {  # word, icon, badge
    "alias": ("Alias", "aliases", "note"),
    "forward": ("Forward", "external", "held"),
    "catch-all": ("Catch-all", "filter", "warn"),
}


@dataclass(frozen=True, slots=True)
class AliasRow:
    record: AliasRecord
    kind: str

    @property
    def address(self) -> str:
        return readable_address(self.record.address)


def kind_of(record: AliasRecord, ours: set[str]) -> str:
    """What people call it: a catch-all, a forward (it leads away from here), or an alias."""
    if record.address.startswith(f"{CATCH_ALL}@"):
        return "catch-all"
    leaves = any(target.rpartition("@")[2].lower() not in ours for target in record.targets)
    return "forward" if leaves else "alias"


async def list_aliases(request: Request) -> Response:
    find = request.query_params.get("q", "").strip().lower()

    def read(tx: Tx) -> list[AliasRow]:
        ours = {domain.name for domain in tx.domains.list()}
        return [AliasRow(record, kind_of(record, ours)) for record in tx.aliases.list()]

    rows = await services_of(request).store.read(read)
    found = [
        row
        for row in rows
        if find in f"{row.record.address} {row.address}" or find in " ".join(row.record.targets).lower()
    ]
    return page(
        request, "aliases.html", fragment="alias_list", rows=found[:SHOWN], total=len(rows), found=len(found),
        shown=SHOWN, find=find, kinds=KINDS, local=await local_domains(request),
    )  # fmt: skip


# --- adding and changing ----------------------------------------------------------------------------------------------


async def new_alias(request: Request) -> Response:
    return await _form(request, Form(request.query_params), {})


async def _form(request: Request, form: Form, errors: dict[str, str], record: AliasRecord | None = None) -> Response:
    local = await local_domains(request)
    status = 422 if errors else 200
    return page(
        request, "alias_form.html", status=status, form=form, errors=errors, local=local, record=record, kinds=KINDS
    )


async def add_alias(request: Request) -> Response:
    form, services = await read_form(request), services_of(request)
    try:
        address = _address(form)
        await _refuse_taken(request, address)
        targets = read_targets(form)
        made = await services.administration.add_alias(address, targets, by=actor_of(request))
    except Refused as refused:
        return await _form(request, form, errors_of(refused, "local_part"))
    return done(request, "aliases", f"Mail to {_shown(made.address)} now goes to {_listed(made.targets)}.")


def _address(form: Form) -> str:
    if form.text("kind") == "catch-all":
        return f"{CATCH_ALL}@{form.text('domain')}"
    return address_in(form)


async def _refuse_taken(request: Request, address: str) -> None:
    """Adding would write over what is there, without a word. Raises Wrong."""
    with about("local_part"):
        key = read_address(address).key
    there = await services_of(request).store.read(lambda tx: tx.aliases.get(key))
    if there is not None:
        text = f"{_shown(key)} is there already and leads to {_listed(there.targets)}; change that one instead"
        raise Wrong("domain" if key.startswith(f"{CATCH_ALL}@") else "local_part", text)


def read_targets(form: Form) -> list[str]:
    """Addresses, one a line or with commas between. Raises Wrong."""
    targets = [word for word in re.split(r"[\s,;]+", form.raw("targets")) if word]
    if not targets:
        raise Wrong("targets", "type at least one address that the mail goes to")
    with about("targets"):
        for target in targets:
            read_address(target)
    return targets


async def edit_alias(request: Request) -> Response:
    record = await _find(request)
    return await _form(request, Form(), {}, record)


async def _save(request: Request, form: Form) -> Response:
    record = await _find(request)
    try:
        targets = read_targets(form)
        with about("targets"):
            made = await services_of(request).administration.add_alias(record.address, targets, by=actor_of(request))
    except Refused as refused:
        return await _form(request, form, errors_of(refused, "targets"), record)
    return done(request, "aliases", f"Mail to {_shown(made.address)} now goes to {_listed(made.targets)}.")


async def _remove(request: Request, _: Form) -> Response:
    record = await _find(request)
    await services_of(request).administration.remove_alias(record.address, by=actor_of(request))
    return done(request, "aliases", f"Removed {_shown(record.address)}.")


async def _find(request: Request) -> AliasRecord:
    """The alias in the address. 404 where there is none."""
    address = request.path_params["address"]
    record = await services_of(request).store.read(lambda tx: tx.aliases.get(address))
    if record is None:
        raise HTTPException(404)
    return record


def _shown(address: str) -> str:
    local_part, _, domain = address.rpartition("@")
    return f"any other address of {readable(domain)}" if local_part == CATCH_ALL else readable_address(address)


def _listed(targets: tuple[str, ...]) -> str:
    if len(targets) <= 3:
        return " and ".join((", ".join(targets[:-1]), targets[-1])) if len(targets) > 1 else targets[0]
    return f"{', '.join(targets[:2])} and {count(len(targets) - 2, 'other')}"


ROUTES = [
    Route("/aliases", list_aliases),
    Route("/aliases/new", new_alias),
    Route("/aliases/new", add_alias, methods=["POST"]),
    Route("/aliases/{address:path}", edit_alias),
    Route("/aliases/{address:path}", deeds({"save": _save, "remove": _remove}), methods=["POST"]),
]
