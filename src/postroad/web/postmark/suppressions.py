"""The suppressions of a stream: addresses that get nothing more on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar

from postroad.mail.address import Address, AddressError
from postroad.ports.sending import StreamRecord, SuppressionOrigin, SuppressionReason, SuppressionRecord
from postroad.ports.store import Refused
from postroad.web.postmark.calls import Answer, Call, Handler, answer
from postroad.web.postmark.errors import error, wrong_fields
from postroad.web.postmark.request import lower_keys, read_json, read_list

MAX_AT_ONCE = 50
PAGE = 1000

REASONS: Final = {
    SuppressionReason.HARD_BOUNCE: "HardBounce",
    SuppressionReason.SPAM_COMPLAINT: "SpamComplaint",
    SuppressionReason.MANUAL: "ManualSuppression",
}
ORIGINS: Final = {
    SuppressionOrigin.RECIPIENT: "Recipient",
    SuppressionOrigin.CUSTOMER: "Customer",
    SuppressionOrigin.ADMIN: "Admin",
}
_INVALID = "An invalid email address was provided."
_NOT_YOURS = "You do not have the required authority to change this suppression."

E = TypeVar("E", bound=StrEnum)


async def dump(call: Call) -> Answer:
    """All of them, or those that fit the query."""
    fits = _filter(call.query())
    stream = call.stream()
    found: list[SuppressionRecord] = []
    after = ""
    while page := await call.api.services.sending.suppressions(call.server.id, stream.id, after=after, limit=PAGE):
        found += [record for record in page if fits(record)]
        after = page[-1].address
    return answer({"Suppressions": [_shown(record) for record in found]})


async def create(call: Call) -> Answer:
    """Suppress addresses. Whoever is suppressed already stays so, for the first reason."""
    return await _each(call, _suppress, "Suppressed")


async def delete(call: Call) -> Answer:
    """Take addresses back, as far as they are the sender's to take back."""
    return await _each(call, _unsuppress, "Deleted")


ROUTES: Final[dict[str, dict[str, Handler]]] = {
    "/message-streams/{stream}/suppressions/dump": {"GET": dump},
    "/message-streams/{stream}/suppressions/delete": {"POST": delete},
    "/message-streams/{stream}/suppressions": {"POST": create},
}

# --- changing ---------------------------------------------------------------------------------------------------------


async def _each(call: Call, change: Any, done: str) -> Answer:
    stream = call.stream()
    results = []
    for given in _entries(read_json(await call.body())):
        try:
            address = Address.parse(given.strip())
        except AddressError:
            problem = _INVALID
        else:
            problem = await change(call, stream, address)
        status = "Failed" if problem else done
        results.append({"EmailAddress": given, "Status": status, "Message": problem or None})
    return answer({"Suppressions": results})


def _entries(body: Any) -> list[str]:
    listed = read_list(lower_keys(body).get("suppressions", "")) if isinstance(body, dict) else None
    if listed is None:
        raise error(1409)
    if len(listed) > MAX_AT_ONCE:
        raise error(1410, MAX_AT_ONCE)
    addresses = [lower_keys(entry).get("emailaddress") if isinstance(entry, dict) else None for entry in listed]
    if not all(isinstance(address, str) for address in addresses):
        raise error(1411)
    return [str(address) for address in addresses]


async def _suppress(call: Call, stream: StreamRecord, address: Address) -> str:
    await call.api.services.sending.suppress(stream.server, stream.id, str(address), by=call.actor)
    return ""


async def _unsuppress(call: Call, stream: StreamRecord, address: Address) -> str:
    services = call.api.services
    record = await services.store.read(lambda tx: tx.suppressions.get(stream.server, stream.id, address.key))
    if record is None:
        return ""  # as with Postmark: what is not there has been deleted
    if record.reason is SuppressionReason.SPAM_COMPLAINT or _unsubscribed(record):
        return _NOT_YOURS
    try:
        await services.sending.unsuppress(stream.server, stream.id, str(address), by=call.actor)
    except Refused:  # somebody was faster
        return ""
    return ""


def _unsubscribed(record: SuppressionRecord) -> bool:
    return record.reason is SuppressionReason.MANUAL and record.origin is SuppressionOrigin.RECIPIENT


# --- reading ----------------------------------------------------------------------------------------------------------


def _shown(record: SuppressionRecord) -> dict[str, str]:
    return {
        "EmailAddress": record.address,
        "SuppressionReason": REASONS[record.reason],
        "Origin": ORIGINS[record.origin],
        "CreatedAt": record.created.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


def _filter(query: dict[str, str]) -> Callable[[SuppressionRecord], bool]:
    """What `suppressionreason`, `origin`, `emailaddress`, `fromdate` and `todate` ask for; all must fit."""
    reason = _named(REASONS, query.get("suppressionreason", ""), 1404)
    origin = _named(ORIGINS, query.get("origin", ""), 1405)
    address = query.get("emailaddress", "").strip().lower()
    since = _moment("fromdate", query.get("fromdate", ""), time.min)
    until = _moment("todate", query.get("todate", ""), time.max)

    def fits(record: SuppressionRecord) -> bool:
        return (
            (reason is None or record.reason is reason)
            and (origin is None or record.origin is origin)
            and (not address or record.address == address)
            and (since is None or record.created >= since)
            and (until is None or record.created <= until)
        )

    return fits


def _named(names: dict[E, str], given: str, code: int) -> E | None:
    if not given:
        return None
    for member, name in names.items():
        if name.lower() == given.lower():
            return member
    raise error(code, given, ", ".join(names.values()))


def _moment(key: str, given: str, of_day: time) -> datetime | None:
    """A day, all of it, or a moment; in UTC."""
    if not given:
        return None
    try:
        if len(given) == len("2026-01-31"):
            return datetime.combine(date.fromisoformat(given), of_day, UTC)
        found = datetime.fromisoformat(given)
    except ValueError:
        raise wrong_fields(key) from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return found + timedelta(seconds=1, microseconds=-1) if of_day is time.max and not found.microsecond else found
