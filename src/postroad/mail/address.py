"""Addresses, domains, reverse-paths and forward-paths (RFC 5321 §4.1.2, §4.1.3; RFC 6531 §3.3).

The one place where an address is read. Source routes are taken and dropped (RFC 5321 §4.1.1.3, appendix C).
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import idna

MAX_LOCAL_PART = 64  # octets, RFC 5321 §4.5.3.1.1
MAX_DOMAIN = 255  # octets, RFC 5321 §4.5.3.1.2
MAX_PATH = 256  # octets with the angle brackets, RFC 5321 §4.5.3.1.3

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_UTF8 = r"\u0080-\ud7ff\ue000-\U0010ffff"  # RFC 6531 §3.3 UTF8-non-ascii; half a surrogate pair is no character
_ATEXT = rf"[A-Za-z0-9!#$%&'*+\-/=?^_`{{|}}~{_UTF8}]+"
_DOT_STRING = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_QUOTED_STRING = re.compile(rf'"(?:[ !#-\[\]-~{_UTF8}]|\\[ -~])*"')
_SOURCE_ROUTE = re.compile(rf"@(?:{_DOMAIN.pattern})(?:,@(?:{_DOMAIN.pattern}))*:")


class AddressError(ValueError):
    """The text is not an address; the message says why, in words safe for the peer."""


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain name or address literal. `ascii` is the lower-case A-label form, or `[192.0.2.1]`."""

    ascii: str

    @classmethod
    def parse(cls, text: str) -> Domain:
        """Read a domain, U-labels or A-labels, or an address literal. Raises AddressError."""
        return _parse_domain(text)

    @property
    def unicode(self) -> str:
        """The U-label form, for people."""
        if "xn--" not in self.ascii:
            return self.ascii
        try:
            return idna.decode(self.ascii)
        except idna.IDNAError:
            return self.ascii

    @property
    def is_literal(self) -> bool:
        return self.ascii.startswith("[")

    @property
    def literal_address(self) -> str | None:
        """The IP address inside an address literal."""
        if not self.is_literal:
            return None
        return self.ascii[1:-1].removeprefix("ipv6:")

    def __str__(self) -> str:
        return self.ascii


@lru_cache(maxsize=4096)
def _parse_domain(text: str) -> Domain:
    if text.startswith("["):
        return Domain(_literal(text))
    if not text.isascii():
        try:
            text = idna.encode(text, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise AddressError("the domain is not a valid internationalized name") from error
    if len(text) > MAX_DOMAIN:
        raise AddressError("the domain is too long")
    if not _DOMAIN.fullmatch(text):
        raise AddressError("the domain is not valid")
    return Domain(text.lower())


def _literal(text: str) -> str:
    """RFC 5321 §4.1.3."""
    if not text.endswith("]"):
        raise AddressError("the address literal is not closed")
    inner = text[1:-1]
    try:
        if inner.lower().startswith("ipv6:"):
            return f"[ipv6:{ipaddress.IPv6Address(inner[5:])}]"
        return f"[{ipaddress.IPv4Address(inner)}]"
    except ValueError as error:
        raise AddressError("the address literal is not valid") from error


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox address as written: the local-part keeps its case and, where it needs them, its quotes."""

    local_part: str
    domain: Domain

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `local-part@domain`. Raises AddressError."""
        return _parse_address(text)

    @property
    def key(self) -> str:
        """What addresses are compared by here: lower case, quotes dropped where they change nothing."""
        return f"{canonical_local_part(self.local_part)}@{self.domain.ascii}"

    @property
    def is_ascii(self) -> bool:
        return self.local_part.isascii()

    def __str__(self) -> str:
        return f"{self.local_part}@{self.domain.ascii}"


def canonical_local_part(local_part: str) -> str:
    """Lower case, and without quotes and backslashes that change nothing (RFC 5321 §4.1.2: `"a\\bc"` is `abc`). Beyond
    ASCII in one normal form: two spellings that look the same are one mailbox (RFC 6532 §3.1)."""
    if local_part.startswith('"'):
        bare = re.sub(r"\\(.)", r"\1", local_part[1:-1])
        local_part = bare if _DOT_STRING.fullmatch(bare) else '"' + re.sub(r'(["\\])', r"\\\1", bare) + '"'
    if local_part.isascii():
        return local_part.lower()
    # Once more behind the change of case, which may take a letter apart.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", local_part).lower())


@lru_cache(maxsize=4096)
def _parse_address(text: str) -> Address:
    local_part, at, domain = text.rpartition("@")
    if not at or not local_part or not domain:
        raise AddressError("an address needs a local part, an @ and a domain")
    if _octets(local_part) > MAX_LOCAL_PART:  # RFC 6531 §3.3: limits are of octets
        raise AddressError("the local part is too long")
    if _octets(text) + 2 > MAX_PATH:
        raise AddressError("the address is too long")
    if not (_DOT_STRING.fullmatch(local_part) or _QUOTED_STRING.fullmatch(local_part)):
        raise AddressError("the local part is not valid")
    return Address(local_part, Domain.parse(domain))


@dataclass(frozen=True, slots=True)
class ReversePath:
    """The argument of MAIL FROM; `address` is None for `<>` (RFC 5321 §4.1.1.2)."""

    address: Address | None

    @property
    def null(self) -> bool:
        return self.address is None

    def __str__(self) -> str:
        return str(self.address) if self.address else ""


@dataclass(frozen=True, slots=True)
class ForwardPath:
    """The argument of RCPT TO; `domain` is None for `<Postmaster>` alone (RFC 5321 §4.1.1.3)."""

    local_part: str
    domain: Domain | None

    @property
    def address(self) -> Address | None:
        return Address(self.local_part, self.domain) if self.domain else None

    def __str__(self) -> str:
        return f"{self.local_part}@{self.domain}" if self.domain else self.local_part


def parse_reverse_path(text: str) -> ReversePath:
    """Read what stands between the angle brackets of MAIL FROM. Raises AddressError."""
    return ReversePath(_path_address(text)) if text else ReversePath(None)


def parse_forward_path(text: str) -> ForwardPath:
    """Read what stands between the angle brackets of RCPT TO. Raises AddressError."""
    if text.lower() == "postmaster":
        return ForwardPath(text, None)
    address = _path_address(text)
    return ForwardPath(address.local_part, address.domain)


def _octets(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _path_address(text: str) -> Address:
    if _octets(text) + 2 > MAX_PATH:
        raise AddressError("the path is too long")
    if text.startswith("@"):
        route = _SOURCE_ROUTE.match(text)
        if not route:
            raise AddressError("the source route is not valid")
        text = text[route.end() :]
    return Address.parse(text)
