"""SMTP service extensions: one row per EHLO keyword, for both sides (RFC 5321 §4.1.1.1, §2.2).

The server writes its EHLO response from the rows; the client reads a response into `Capabilities`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server can offer at this moment of a conversation."""

    max_size: int
    starttls: bool  # a certificate exists and TLS is not active
    auth_mechanisms: tuple[str, ...]  # empty: none now


@dataclass(frozen=True, slots=True)
class Extension:
    """`offered` returns the arguments that stand behind the keyword, or None when it is not offered now."""

    keyword: str
    rfc: int
    offered: Callable[[Offer], str | None]


def _always(_offer: Offer) -> str:
    return ""


EXTENSIONS = (
    Extension("PIPELINING", 2920, _always),
    Extension("SIZE", 1870, lambda offer: str(offer.max_size)),
    Extension("8BITMIME", 6152, _always),
    Extension("ENHANCEDSTATUSCODES", 2034, _always),
    Extension("STARTTLS", 3207, lambda offer: "" if offer.starttls else None),
    Extension("AUTH", 4954, lambda offer: " ".join(offer.auth_mechanisms) or None),
)


def ehlo_lines(offer: Offer) -> list[str]:
    """The keyword lines of an EHLO response."""
    lines = ((extension.keyword, extension.offered(offer)) for extension in EXTENSIONS)
    return [f"{keyword} {arguments}".rstrip() for keyword, arguments in lines if arguments is not None]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server announced. An answer to HELO has no keywords."""

    name: str = ""  # the name that it greeted with
    keywords: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.keywords

    @property
    def pipelining(self) -> bool:
        return "PIPELINING" in self.keywords

    @property
    def eight_bit_mime(self) -> bool:
        return "8BITMIME" in self.keywords

    @property
    def enhanced_status_codes(self) -> bool:
        return "ENHANCEDSTATUSCODES" in self.keywords

    @property
    def starttls(self) -> bool:
        return "STARTTLS" in self.keywords

    @property
    def size(self) -> bool:
        """Whether MAIL may carry SIZE=."""
        return "SIZE" in self.keywords

    @property
    def max_size(self) -> int | None:
        """The largest message it takes; None when it names no limit (RFC 1870 §4: 0 is none)."""
        arguments = self.keywords.get("SIZE", ())
        if not arguments or not (arguments[0].isascii() and arguments[0].isdigit() and len(arguments[0]) <= 20):
            return None
        return int(arguments[0]) or None

    @property
    def auth_mechanisms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(mechanism.upper() for mechanism in self.keywords.get("AUTH", ())))


def parse_ehlo(lines: tuple[str, ...]) -> Capabilities:
    """Read the texts of a 250 reply to EHLO; what makes no sense is passed over."""
    keywords: dict[str, tuple[str, ...]] = {}
    for line in lines[1:]:
        # Some servers repeat AUTH as `AUTH=LOGIN PLAIN`, for clients older than RFC 2554.
        word, *arguments = line.replace("=", " ", 1).split() if line[:5].upper() == "AUTH=" else line.split() or [""]
        if word:
            keyword = word.upper()
            keywords[keyword] = tuple(dict.fromkeys((*keywords.get(keyword, ()), *arguments)))
    name = lines[0].split(" ", 1)[0] if lines else ""
    return Capabilities(name, keywords)
