"""People in address fields, as programs and forms give them: `a@b` or `Name <a@b>`, several with commas between.

Reading is strict about addresses, since mail goes to them, and lenient about everything around them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from postroad.mail.address import Address, AddressError
from postroad.mail.addresses import MISSING_DOMAIN, MISSING_MAILBOX, Mailbox, parse_addresses
from postroad.mail.render import encoded_words

MAX_ATOM = 72  # octets of a name that stand in one line; longer ones are encoded and folded
_KEPT = 256  # characters of a value that is remembered with what it means

_ATOMS = re.compile(rb"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?: [A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Person(NamedTuple):
    """Somebody in an address field."""

    name: str  # without quotes; "" where there is none
    address: Address


class PeopleError(ValueError):
    """Somebody in the list has no address that mail could go to. `given` is what stands there, `str()` says why."""

    def __init__(self, given: str, why: str) -> None:
        super().__init__(why)
        self.given = given


def read_people(text: str) -> tuple[Person, ...]:
    """The people of one field's value; of a group, its members. Raises PeopleError."""
    return _read_kept(text) if len(text) <= _KEPT else _read(text)


def _read(text: str) -> tuple[Person, ...]:
    if _CONTROL.search(text):
        raise PeopleError(_CONTROL.sub(" ", text), "it holds a control character")
    found = parse_addresses(text.encode("utf-8", "surrogatepass"))
    return tuple([_person(mailbox) for mailbox in found if mailbox.domain is not None])


_read_kept = lru_cache(maxsize=1024)(_read)  # a program's From and Reply-To are the same in all that it sends


def _person(mailbox: Mailbox) -> Person:
    assert mailbox.local_part is not None
    assert mailbox.domain is not None
    try:
        local_part, domain = mailbox.local_part.decode(), mailbox.domain.decode()
        name = mailbox.name.decode() if mailbox.name else ""
    except UnicodeDecodeError:
        raise PeopleError("\N{REPLACEMENT CHARACTER}", "half a surrogate pair is no text") from None
    if mailbox.domain == MISSING_DOMAIN or mailbox.local_part == MISSING_MAILBOX:
        given = mailbox.domain if mailbox.local_part == MISSING_MAILBOX else mailbox.local_part
        text = "" if given in (MISSING_DOMAIN, MISSING_MAILBOX) else given.decode()
        raise PeopleError(text or name, "an address needs a local part, an @ and a domain")
    return Person(name, _address(local_part, domain))


def _address(local_part: str, domain: str) -> Address:
    try:
        return Address.parse(f"{local_part}@{domain}")
    except AddressError as error:
        quoted = local_part.replace("\\", "\\\\").replace('"', '\\"')
        try:
            return Address.parse(f'"{quoted}"@{domain}')  # reading the field has dropped quotes that it may need
        except AddressError:
            raise PeopleError(f"{local_part}@{domain}", str(error)) from None


@lru_cache(maxsize=1024)
def spell(person: Person) -> tuple[bytes, ...]:
    """`Name <a@b>` in the pieces between which a line may be broken."""
    address = str(person.address).encode()
    name = person.name.encode()
    if not name:
        return (address,)
    if not name.isascii() or len(name) > MAX_ATOM or b"=?" in name:
        return *encoded(name), b"<%b>" % address
    if not _ATOMS.fullmatch(name):
        name = b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return name, b"<%b>" % address


def encoded(octets: bytes) -> list[bytes]:
    """UTF-8 as encoded words (RFC 2047) of 60 octets: with a field's name in front one fits a line."""
    return encoded_words(octets, 36).split(b" ")
