"""Accounts: owners of mailboxes."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from postroad.ports.store import AccountRecord
from postroad.web.api.routes import Call, Route
from postroad.web.api.values import ByName, Page, Time, existing, page_by_name

AccountAddress = Annotated[str, Meta(description="An account's address.", examples=["alice@example.com"])]
Password = Annotated[str, Meta(min_length=1, max_length=1000)]
Quota = Annotated[int, Meta(ge=0, le=2**62, description="Octets; 0: no limit.")]


class Account(Struct):
    """A mailbox owner. `administrator`: gets the mail of postmaster@ and abuse@ of new domains."""

    address: str
    created: Time
    quota_bytes: int
    used_bytes: int
    administrator: bool


class AccountSearch(ByName, forbid_unknown_fields=True):
    """One page of accounts, by address."""

    domain: Annotated[str, Meta(max_length=255, description="Only those of this domain.")] = ""


class NewAccount(Struct, forbid_unknown_fields=True):
    """An account with INBOX, Sent, Drafts, Trash, Junk and Archive."""

    address: Annotated[str, Meta(max_length=400, examples=["alice@example.com"])]
    password: Password
    quota_bytes: Quota = 0


class AccountChange(Struct, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    password: Password | UnsetType = UNSET
    quota_bytes: Quota | UnsetType = UNSET


async def list_accounts(call: Call, *, query: AccountSearch) -> Page[Account]:
    """Accounts, by address."""
    rows = await existing(call.services.administration.accounts(query.domain))
    return page_by_name(rows, query, lambda row: row.address, _account)


async def add_account(call: Call, *, body: NewAccount) -> Account:
    """Add an account to a domain of ours."""
    return _account(
        await call.services.administration.add_account(
            body.address, body.password, quota_bytes=body.quota_bytes, by=call.actor
        )
    )


async def get_account(call: Call, *, account: AccountAddress) -> Account:
    """One account."""
    return _account(await existing(call.services.administration.account(account)))


async def change_account(call: Call, *, account: AccountAddress, body: AccountChange) -> Account:
    """Set an account's password or quota."""
    administration = call.services.administration
    record = await existing(administration.account(account))
    if body.password is not UNSET:
        record = await administration.set_password(record.address, body.password, by=call.actor)
    if body.quota_bytes is not UNSET:
        await administration.set_quota(record.address, body.quota_bytes, by=call.actor)
    return _account(await administration.account(record.address))


async def remove_account(call: Call, *, account: AccountAddress) -> None:
    """Remove an account with its mailboxes and their mail. Refused while an alias points to it."""
    record = await existing(call.services.administration.account(account))
    await call.services.administration.remove_account(record.address, by=call.actor)


def _account(record: AccountRecord) -> Account:
    return Account(record.address, record.created, record.quota_bytes, record.used_bytes, record.is_admin)


READ, WRITE = "tenants:read", "tenants:write"
ROUTES = (
    Route("GET", "/accounts", READ, list_accounts),
    Route("POST", "/accounts", WRITE, add_account, 201, "/accounts/{made.address}", refuses=True),
    Route("GET", "/accounts/{account}", READ, get_account),
    Route("PATCH", "/accounts/{account}", WRITE, change_account, refuses=True),
    Route("DELETE", "/accounts/{account}", WRITE, remove_account, 204, refuses=True),
)
