"""What is kept of failed logins, by subject, and who has to wait for it: rows read, listed and forgotten.

`guesses` counts; console and command line list and release.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from postroad.accounts.crowd import is_private
from postroad.accounts.logins import network_of, short_name
from postroad.ports.admins import FailedLogins
from postroad.ports.store import Refused, Tx

TELL = timedelta(days=7)  # how long `check` speaks of an address that hides many
_ALL = 100_000  # rows looked through by a release
_SLICE = 100


class Subject(StrEnum):
    """What a count is kept for. The first words of a row's `subject`."""

    ACCOUNT = "name"
    ADDRESS = "address"
    PAIR = "pair"  # an address and an account that belong together
    KNOWN = "known"  # no count: since when they do
    SHARED = "shared"  # no count: an address that hides many


@dataclass(frozen=True, slots=True)
class Ban:
    """Somebody who has to wait."""

    subject: Subject
    address: str  # "" for an account
    account: str  # "" for an address
    failures: int
    last: datetime
    until: datetime

    @property
    def who(self) -> str:
        """What `release` takes."""
        return self.address or self.account


def subjects_of(network: str, name: str) -> dict[Subject, str]:
    """The rows that an attempt touches."""
    subjects = {}
    if name:
        subjects[Subject.ACCOUNT] = f"{Subject.ACCOUNT} {name}"
    if network:
        subjects[Subject.ADDRESS] = f"{Subject.ADDRESS} {network}"
        if is_private(network):
            subjects[Subject.SHARED] = f"{Subject.SHARED} {network}"
        if name:
            subjects[Subject.PAIR] = f"{Subject.PAIR} {network} {name}"
            subjects[Subject.KNOWN] = f"{Subject.KNOWN} {network} {name}"
    return subjects


def read_ban(row: FailedLogins) -> Ban | None:
    """What a row tells; None for one that is no count."""
    kind, _, rest = row.subject.partition(" ")
    if kind == Subject.ACCOUNT:
        return Ban(Subject.ACCOUNT, "", rest, row.failures, row.last, row.until)
    if kind == Subject.ADDRESS:
        return Ban(Subject.ADDRESS, rest, "", row.failures, row.last, row.until)
    if kind == Subject.PAIR:
        address, _, account = rest.partition(" ")
        return Ban(Subject.PAIR, address, account, row.failures, row.last, row.until)
    return None


def hiding(rows: Iterable[FailedLogins], now: datetime) -> list[tuple[str, datetime]]:
    """Addresses that hide many people, as far as rows of the last week tell, and when that was seen last."""
    return [(row.subject.partition(" ")[2], row.last) for row in rows if now - row.last < TELL]


def waiting(tx: Tx, now: datetime) -> list[Ban]:
    """Who has to wait, longest first."""
    return [ban for row in tx.throttle.failing() if row.until > now and (ban := read_ban(row)) is not None]


def forget(tx: Tx, who: str) -> int:
    """Take the counts of an address or an account away, or all of them; how many they were. Raises Refused when there
    are none."""
    wanted = {short_name(who), network_of(who)} if who else set()
    found = [(row.subject, read_ban(row)) for row in tx.throttle.failing(_ALL)]
    subjects = [subject for subject, ban in found if ban and (not wanted or {ban.address, ban.account} & wanted)]
    if not subjects:
        raise Refused(f"nothing is counted against {who}" if who else "nothing is counted against anybody")
    for start in range(0, len(subjects), _SLICE):
        tx.throttle.clear(subjects[start : start + _SLICE])
    return len(subjects)
