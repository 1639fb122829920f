"""Mailbox owners and their first mailboxes: transaction functions.

Whoever calls them publishes the signal `config` afterwards. Passwords come in hashed: see `passwords`.
"""

from __future__ import annotations

from datetime import datetime

from postroad.accounts import aliases
from postroad.accounts.names import ROLE_NAMES, local_domain, read_address
from postroad.accounts.passwords import Secret
from postroad.ports.ids import AccountId, IdSource, MailboxId, ModSeq, Uid
from postroad.ports.store import AccountRecord, AliasRecord, MailboxRecord, Refused, Tx

INBOX = "INBOX"
FIRST_MAILBOXES = (  # name, special use (RFC 6154 §2)
    (INBOX, ""),
    ("Sent", "\\Sent"),
    ("Drafts", "\\Drafts"),
    ("Trash", "\\Trash"),
    ("Junk", "\\Junk"),
    ("Archive", "\\Archive"),
)


def add(tx: Tx, address: str, secret: Secret, *, quota_bytes: int = 0, now: datetime, ids: IdSource) -> AccountRecord:
    """An account with its mailboxes. The first one of the installation is the administrator."""
    parsed = read_address(address)
    if parsed.local_part == aliases.CATCH_ALL:
        raise Refused("a catch-all is an alias: postroad alias add '*@domain' TARGET")
    local_domain(tx, parsed)
    _claim_address(tx, parsed.key)
    is_first = tx.accounts.first_admin() is None
    record = AccountRecord(
        AccountId(ids.new()), parsed.key, now, secret.password_hash, secret.scram, quota_bytes, is_admin=is_first
    )
    tx.accounts.add(record)
    create_mailboxes(tx, record.id, ids)
    if is_first:
        aliases.add_missing_role_aliases(tx, record.address, now=now)
    return record


def _claim_address(tx: Tx, address: str) -> None:
    """An account may take the place of the alias that `domain add` made for a role, never of one that people made."""
    alias = tx.aliases.get(address)
    if alias is None:
        return
    if address.partition("@")[0] not in ROLE_NAMES:
        raise Refused(f"{address} is an alias for {', '.join(alias.targets)}; remove it first")
    tx.aliases.remove(address)


def create_mailboxes(tx: Tx, account: AccountId, ids: IdSource) -> None:
    """INBOX and the mailboxes that mail programs look for."""
    for name, special_use in FIRST_MAILBOXES:
        tx.mailboxes.create(
            MailboxRecord(
                MailboxId(ids.new()),
                account,
                name,
                uid_validity=tx.mailboxes.next_uid_validity(account),
                uid_next=Uid(1),
                highest_modseq=ModSeq(1),
                special_use=special_use,
            )
        )


def get(tx: Tx, address: str) -> AccountRecord:
    """The account of `address`. Raises Refused."""
    key = read_address(address).key
    record = tx.accounts.by_address(key)
    if record is None:
        raise Refused(f"there is no account {key}")
    return record


def set_password(tx: Tx, address: str, secret: Secret) -> AccountRecord:
    record = get(tx, address)
    tx.accounts.set_password(record.id, secret.password_hash, secret.scram)
    return record


def set_quota(tx: Tx, address: str, quota_bytes: int) -> AccountRecord:
    """0 takes the limit away."""
    if quota_bytes < 0:
        raise Refused("a quota is a number of octets, or 0 for none")
    record = get(tx, address)
    tx.accounts.set_quota(record.id, quota_bytes)
    return record


def remove(tx: Tx, address: str) -> AccountRecord:
    """Remove an account with its mailboxes and their mail. Refused while an alias points to it: its mail would bounce.

    With the last account of the installation, postmaster@ and abuse@ go too; the next first account gets them anew.
    """
    record = get(tx, address)
    pointing = aliases.pointing_to(tx, record.address)
    if not (len(tx.accounts.list()) == 1 and all(_is_role(alias) for alias in pointing)):
        _refuse_pointed_at(record.address, pointing)
    for alias in pointing:
        tx.aliases.remove(alias.address)
    tx.accounts.remove(record.id)
    return record


def _is_role(alias: AliasRecord) -> bool:
    return alias.address.partition("@")[0] in ROLE_NAMES and len(alias.targets) == 1


def _refuse_pointed_at(address: str, pointing: list[AliasRecord]) -> None:
    if pointing:
        names = ", ".join(alias.address for alias in pointing[:5]) + (", ..." if len(pointing) > 5 else "")
        raise Refused(f"{address} receives the mail of {names}; point that elsewhere or remove it first")
