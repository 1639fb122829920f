"""An account sends only as addresses that are its own: in MAIL FROM, in From and, where it is given, in Sender.

Asked of those who have logged in as an account; programs with a token have `intake.programs`. Each question is answered
at once where the directory of own addresses remembers, which it does for all but an account's first message as an
alias; else by an awaitable.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from postroad.accounts.ownership import OwnAddresses
from postroad.mail.address import Address, AddressError
from postroad.mail.addresses import parse_addresses
from postroad.mail.header import Header
from postroad.mail.status import Status, status
from postroad.ports.store import AccountRecord, StoreUnavailable

MAX_FINE = 2_000  # From fields remembered
MAX_AUTHORS = 50  # addresses in From and Sender that are looked at; nobody writes letters with more hands

_DOMAINS, _ANY = "domains", "any"
_NOT_NOW = status(451, "4.3.0", "temporary problem here, try again later")
_UNREADABLE = "the {field} field has an address that cannot be read: put in one of your own"
_NOBODY = "the message has no From field with an address: put in one of your own"
_TOO_MANY = "the message has more authors than this server looks at"
_NO_SENDER = "the From field has several addresses: add a Sender field with one of your own"  # RFC 5322 §3.6.2

IsOurs = Callable[[str], bool | Awaitable[bool]]
Verdict = Status | Awaitable[Status | None] | None


class Authors(NamedTuple):
    """Whose a message says it is. `fault` is what cannot be so."""

    all_of: tuple[tuple[str, Address], ...] = ()  # each with the field that it stands in
    any_of: tuple[Address, ...] = ()  # one of these has to be an own one as well
    fault: str = ""

    @property
    def people(self) -> tuple[Address, ...]:
        """Everybody in From and Sender."""
        return (*(address for _, address in self.all_of), *self.any_of)


def read_authors(header: Header) -> Authors:
    """What From and Sender say. Of several people in one From field, one writes and Sender names them (RFC 5322
    §3.6.2); two From fields are a trick: all in them has to be own, whichever of them is shown."""
    from_fields, sender_fields = header.all(b"from"), header.all(b"sender")
    try:
        authors = [_read("From", value) for value in from_fields]
        senders = [_read("Sender", value) for value in sender_fields]
    except _Unreadable as error:
        return Authors(fault=_UNREADABLE.format(field=error))
    people, sent_by = sum(authors, ()), sum(senders, ())
    if not people:
        return Authors(fault=_NOBODY)
    if len(people) + len(sent_by) > MAX_AUTHORS:
        return Authors(fault=_TOO_MANY)
    must = tuple(("Sender", address) for address in sent_by)
    if len(people) == 1 or len(authors) > 1:
        return Authors((*(("From", address) for address in people), *must))
    return Authors(must, people)


class _Unreadable(Exception):  # noqa: N818
    pass


def _read(field: str, value: bytes) -> tuple[Address, ...]:
    """The addresses of one field; names and ends of groups have no domain."""
    found = []
    try:
        for person in parse_addresses(value):
            if person.domain is not None:
                found.append(Address.parse(f"{_text(person.local_part)}@{_text(person.domain)}"))
    except (AddressError, UnicodeDecodeError):
        raise _Unreadable(field) from None
    return tuple(found)


def _text(part: bytes | None) -> str:
    return (part or b"").decode("utf-8")


class Ownership:
    """The step. One for a process; `send_as` is the setting of that name."""

    def __init__(self, own: OwnAddresses, is_ours: IsOurs, send_as: str) -> None:
        self._own = own
        self._is_ours = is_ours
        self._send_as = send_as
        self._fine: dict[tuple[int, bytes], int] = {}  # From fields that were all right, and when (own.generation)

    def sender(self, account: AccountRecord, address: Address | None) -> Verdict:
        """MAIL. The null reverse-path is nobody's address: receipts have it (RFC 8098 §3)."""
        return None if address is None or self._send_as == _ANY else self._one(account, "MAIL FROM", address)

    def author(self, account: AccountRecord, header: Header, fields: Sequence[bytes]) -> Verdict:
        """The message: its From and Sender fields. `fields` are the former."""
        if self._send_as == _ANY:
            return None
        if len(fields) != 1 or header.all(b"sender"):
            return self._judge(account, header)
        key = (account.id, fields[0])  # of a program that writes letters, it is always the same
        if self._fine.get(key) == self._own.generation:
            return None
        verdict = self._judge(account, header)
        if verdict is None:
            if len(self._fine) >= MAX_FINE:
                self._fine.clear()
            self._fine[key] = self._own.generation
        return verdict

    def _judge(self, account: AccountRecord, header: Header) -> Verdict:
        authors = read_authors(header)
        if authors.fault or not authors.all_of:
            return status(550, "5.7.1", authors.fault or _NO_SENDER)
        if len(authors.all_of) == 1 and not authors.any_of:  # nearly always
            return self._one(account, *authors.all_of[0])
        return self._all(account, authors)

    def _one(self, account: AccountRecord, field: str, address: Address) -> Verdict:
        answer = self._may(account, address)
        if answer is True:
            return None
        return _refusal(account, field, address) if answer is False else self._later(account, field, address, answer)

    async def _later(
        self, account: AccountRecord, field: str, address: Address, answer: bool | Awaitable[bool]
    ) -> Status | None:
        try:
            is_own = answer if isinstance(answer, bool) else await answer
        except StoreUnavailable as error:
            return _NOT_NOW.because(str(error))
        return None if is_own else _refusal(account, field, address)

    async def _all(self, account: AccountRecord, authors: Authors) -> Status | None:
        for field, address in authors.all_of:
            if refused := await self._later(account, field, address, self._may(account, address)):
                return refused
        refused = None
        for address in authors.any_of:
            refused = await self._later(account, "From", address, self._may(account, address))
            if refused is None:
                return None
        return refused

    def _may(self, account: AccountRecord, address: Address) -> bool | Awaitable[bool]:
        if self._send_as == _DOMAINS:
            return self._is_ours(address.domain.ascii)
        return self._own.owns(account, address)


def _refusal(account: AccountRecord, field: str, address: Address) -> Status:
    """RFC 6409 §6.1: 550 with 5.7.1."""
    shown = str(address) if str(address).isascii() else "that address"
    text = f"{field}: {account.address} may not send as {shown}; choose one of your own addresses"
    return status(550, "5.7.1", text, "an administrator may allow it: `postroad account send-as`")
