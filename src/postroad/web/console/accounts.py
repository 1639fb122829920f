"""Accounts: mailboxes by domain with how full they are; adding one, its password, quota and settings, removing it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from postroad.accounts import accounts
from postroad.accounts.aliases import pointing_to
from postroad.accounts.names import read_address
from postroad.config.schema import Settings
from postroad.ports.apppasswords import AppPasswordRecord
from postroad.ports.random import Random
from postroad.ports.store import AccountRecord, DomainKind, MailboxRecord, Refused, Tx
from postroad.web.console import apppasswords
from postroad.web.console.forms import Form, Wrong, about, actor_of, deeds, errors_of, read_form, services_of
from postroad.web.console.once import Secret, keep_once, shown_once
from postroad.web.console.render import done, done_at, page, url
from postroad.web.console.wording import size

SHOWN = 500  # accounts on one page; the search finds the others
SHORTEST = 8  # characters of a password that is typed here
NEARLY_FULL = 0.9
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that looks like another
_GROUPS, _GROUP = 4, 5  # 20 letters of 31: 99 bits
_UNITS = {"": 10**6, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}  # as sizes are shown
_BINARY = {"KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30, "TI": 1 << 40}
_SIZE = re.compile(r"(\d{1,9}(?:[.,]\d{1,6})?) ?([KMGT]I?)?B?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Fill:
    """How full an account is. `share` is 0 to 100, or None without a quota."""

    used: int
    quota: int

    @property
    def share(self) -> float | None:
        return min(100.0, self.used * 100 / self.quota) if self.quota else None

    @property
    def tone(self) -> str:
        if self.share is None:
            return "quiet"
        return "bad" if self.share >= 100 else "warn" if self.share >= NEARLY_FULL * 100 else "note"

    @property
    def words(self) -> str:
        return f"{size(self.used)} of {size(self.quota)}" if self.quota else f"{size(self.used)}, no limit"


def fill_of(record: AccountRecord) -> Fill:
    return Fill(record.used_bytes, record.quota_bytes)


async def list_accounts(request: Request) -> Response:
    find = request.query_params.get("q", "").strip().lower()
    everybody = await services_of(request).administration.accounts()
    found = [record for record in everybody if find in record.address]
    groups: dict[str, list[tuple[AccountRecord, Fill]]] = {}
    for record in found[:SHOWN]:
        groups.setdefault(record.address.rpartition("@")[2], []).append((record, fill_of(record)))
    return page(
        request, "accounts.html", fragment="account_list", by_domain=groups, total=len(everybody), found=len(found),
        shown=SHOWN, find=find, local=await local_domains(request),
    )  # fmt: skip


async def local_domains(request: Request) -> list[tuple[str, str]]:
    """Domains with mailboxes, for a choice."""
    domains = await services_of(request).administration.domains()
    return [(record.name, record.name) for record in domains if record.kind is DomainKind.LOCAL]


# --- adding -----------------------------------------------------------------------------------------------------------


async def new_account(request: Request) -> Response:
    return await _form(request, Form(request.query_params), {})


async def _form(request: Request, form: Form, errors: dict[str, str]) -> Response:
    local = await local_domains(request)
    return page(
        request, "account_new.html", status=422 if errors else 200, form=form, errors=errors, local=local,
        shortest=SHORTEST,
    )  # fmt: skip


async def add_account(request: Request) -> Response:
    form, services = await read_form(request), services_of(request)
    try:
        address = address_in(form)
        quota = _quota(form)
        password = _password(form, services.random)
        made = await services.administration.add_account(address, password, quota_bytes=quota, by=actor_of(request))
    except Refused as refused:
        return await _form(request, form, errors_of(refused, "local_part"))
    return _told(request, form, made, password, f"Added {made.address}.")


def address_in(form: Form) -> str:
    """The address from its two fields, or from the first alone, where somebody typed all of it. Raises Wrong."""
    typed, domain = form.text("local_part"), form.text("domain")
    if not typed:
        raise Wrong("local_part", "type what stands before the @")
    address = typed if "@" in typed else f"{typed}@{domain}"
    with about("local_part"):
        parsed = read_address(address)
    if parsed.local_part == "*":
        raise Wrong("local_part", "a catch-all is an alias: add it under Aliases")
    return address


def _password(form: Form, random: Random) -> str:
    """The typed one, or one made here. Raises Wrong."""
    if form.text("how", "made") == "made":
        return make_password(random)
    typed = form.raw("password")
    if len(typed) < SHORTEST:
        raise Wrong("password", f"a password has at least {SHORTEST} characters; longer is better than odder")
    return typed


def make_password(random: Random) -> str:
    """Four groups of five letters that can be read over the telephone."""
    letters: list[str] = []
    limit = 256 - 256 % len(_LETTERS)  # so that no letter is likelier than another
    while len(letters) < _GROUPS * _GROUP:
        letters += [_LETTERS[octet % len(_LETTERS)] for octet in random.token(32) if octet < limit]
    return "-".join("".join(letters[at : at + _GROUP]) for at in range(0, _GROUPS * _GROUP, _GROUP))


def read_size(text: str) -> int:
    """Octets of a size that was typed, 0 for an empty one. Raises Refused."""
    if not text:
        return 0
    match = _SIZE.fullmatch(text)
    if match is None:
        raise Refused("a quota is a size such as 500 MB or 2 GB; leave it empty for no limit")
    return int(float(match[1].replace(",", ".")) * (_UNITS | _BINARY)[(match[2] or "").upper()])


def _quota(form: Form) -> int:
    with about("quota"):
        return read_size(form.text("quota"))


def _told(request: Request, form: Form, record: AccountRecord, password: str, text: str) -> Response:
    """On to the account's page; a password that was made here is shown there, once."""
    where = f"accounts/{record.address}"
    if form.text("how", "made") != "made":
        return done(request, where, text)
    key = keep_once(request, Secret("password", record.address, password))
    return done_at(request, url(where, made=key), text)


# --- one account ------------------------------------------------------------------------------------------------------


async def show_account(request: Request) -> Response:
    return await _page(request, Form(), {})


async def _page(request: Request, form: Form, errors: dict[str, str]) -> Response:
    services = services_of(request)

    def read(tx: Tx) -> tuple[AccountRecord, list[MailboxRecord], list[str], list[tuple[AppPasswordRecord, str]]]:
        record = accounts.get(tx, request.path_params["address"])
        pointing = [alias.address for alias in pointing_to(tx, record.address)]
        return record, tx.mailboxes.list(record.id), pointing, apppasswords.of_account(tx, record)

    try:
        record, mailboxes, aliases, apps = await services.store.read(read)
    except Refused:
        raise HTTPException(404) from None
    return page(
        request, "account.html", status=422 if errors else 200, record=record, fill=fill_of(record),
        mailboxes=mailboxes, aliases=aliases, form=form, errors=errors, made=shown_once(request), shortest=SHORTEST,
        ways=ways_in(services.settings), quota=quota_text(record.quota_bytes), apps=apps, scopes=apppasswords.CHOICES,
    )  # fmt: skip


async def _set_password(request: Request, form: Form) -> Response:
    services, address = services_of(request), request.path_params["address"]
    try:
        password = _password(form, services.random)
        record = await services.administration.set_password(address, password, by=actor_of(request))
    except Refused as refused:
        return await _page(request, form, errors_of(refused, "password"))
    return _told(
        request, form, record, password, f"{record.address} has a new password. The old one opens nothing now."
    )


async def _set_quota(request: Request, form: Form) -> Response:
    services, address = services_of(request), request.path_params["address"]
    try:
        record = await services.administration.set_quota(address, _quota(form), by=actor_of(request))
    except Refused as refused:
        return await _page(request, form, errors_of(refused, "quota"))
    limit = f"at most {size(record.quota_bytes)}" if record.quota_bytes else "any amount"
    return done(request, f"accounts/{record.address}", f"{record.address} may hold {limit}.")


async def _add_app_password(request: Request, form: Form) -> Response:
    try:
        return await apppasswords.add(request, form)
    except Refused as refused:
        return await _page(request, form, errors_of(refused, "app_name"))


async def _remove(request: Request, _: Form) -> Response:
    address = request.path_params["address"]
    gone = await services_of(request).administration.remove_account(address, by=actor_of(request))
    return done(request, "accounts", f"Removed {gone.address} with its mail.")


def quota_text(octets: int) -> str:
    """As it can be typed again."""
    for unit, factor in (("GB", 10**9), ("GiB", 1 << 30), ("MB", 10**6), ("MiB", 1 << 20), ("KB", 10**3)):
        if octets and octets % factor == 0:
            return f"{octets // factor} {unit}"
    return f"{octets / 10**6:.6f} MB" if octets else ""


# --- settings for mail programs ---------------------------------------------------------------------------------------


class Way(NamedTuple):
    """One way for a mail program to reach a mailbox, or to send."""

    what: str
    port: int
    security: str
    best: bool


_WAYS = {  # service: what it is for, its usual port, how it is secured
    "imaps": ("Reading (IMAP)", 993, "TLS"),
    "imap": ("Reading (IMAP)", 143, "STARTTLS"),
    "pop3s": ("Fetching (POP3)", 995, "TLS"),
    "pop3": ("Fetching (POP3)", 110, "STARTTLS"),
    "submissions": ("Sending (SMTP)", 465, "TLS"),
    "submission": ("Sending (SMTP)", 587, "STARTTLS"),
}


def ways_in(settings: Settings) -> list[Way]:
    """What this node listens for, as its settings say; the best way of each kind first."""
    ports = _ports(settings)
    encrypted = settings.tls.certificate is not None
    ways = []
    for service, (what, usual, security) in _WAYS.items():
        port = ports.get(service) if ports else usual
        if port and (encrypted or security != "TLS"):  # without a certificate there is no TLS to begin with
            ways.append(Way(what, port, security if encrypted else "none", security == "TLS"))
    return ways


def _ports(settings: Settings) -> dict[str, int]:
    listeners: Iterable[tuple[str, str]] = ((listen.service, listen.address) for listen in settings.listen)
    return {
        service: int(address.rpartition(":")[2])
        for service, address in listeners
        if not address.startswith("unix:") and address.rpartition(":")[2].isdigit()
    }


ROUTES = [
    Route("/accounts", list_accounts),
    Route("/accounts/new", new_account),
    Route("/accounts/new", add_account, methods=["POST"]),
    Route("/accounts/{address:path}", show_account),
    Route(
        "/accounts/{address:path}",
        deeds(
            {
                "password": _set_password,
                "quota": _set_quota,
                "remove": _remove,
                "app": _add_app_password,
                "revoke": apppasswords.revoke,
            }
        ),
        methods=["POST"],
    ),
]
