"""Whether an account has room (RFC 9208's OVERQUOTA, RFC 3463's 4.2.2). Pure."""

from __future__ import annotations

from postroad.ports.store import AccountRecord, Refused


class OverQuota(Refused):
    """The account's quota does not hold what was to be stored."""


def has_room(account: AccountRecord, size: int) -> bool:
    """Whether `size` more octets fit; a quota of 0 is none."""
    return not account.quota_bytes or account.used_bytes + size <= account.quota_bytes


def require_room(account: AccountRecord | None, size: int) -> None:
    """Raises OverQuota."""
    if account is not None and not has_room(account, size):
        raise OverQuota("the mailbox is full: its owner's quota is used up")
