"""SMTP service extensions: one row per EHLO keyword, for both sides (RFC 5321 §4.1.1.1, §2.2).

The server writes its EHLO response from the rows; the client reads a response into `Capabilities`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from postroad.proto.smtp.xclient import ATTRIBUTES

# What is built through to its end, and so announced. A word that is missing here is neither offered nor taken.
BUILT: frozenset[str] = frozenset((
    "PIPELINING", "SIZE", "8BITMIME", "CHUNKING", "BINARYMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN", "STARTTLS",
    "AUTH", "LIMITS", "FUTURERELEASE", "DELIVERBY", "MT-PRIORITY", "REQUIRETLS", "XCLIENT", "HELP",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server can offer at this moment of a conversation."""

    max_size: int
    starttls: bool  # a certificate exists and TLS is not active
    auth_mechanisms: tuple[str, ...]  # empty: none now
    keywords: frozenset[str] = BUILT
    privileged: bool = False  # the client has logged in, or is listed
    max_recipients: int = 0  # none said
    max_transactions: int = 0
    max_hold: int = 0  # seconds
    may_introduce: bool = False  # the client is a gateway that is listed for XCLIENT
    horizon: str = ""  # the latest time that a message may be held until, RFC 3339
    secured: bool = False  # TLS is active


@dataclass(frozen=True, slots=True)
class Extension:
    """`offered` returns the arguments that stand behind the keyword, or None when it is not offered now."""

    keyword: str
    rfc: int
    offered: Callable[[Offer], str | None]
    privileged: bool = False  # not for strangers


def _always(_offer: Offer) -> str:
    return ""


def _limits(offer: Offer) -> str | None:
    """RFC 9422 §4: one to six digits each."""
    known = (("RCPTMAX", offer.max_recipients), ("MAILMAX", offer.max_transactions))
    return " ".join(f"{name}={value}" for name, value in known if 0 < value < 10**6) or None


def _future_release(offer: Offer) -> str | None:
    """RFC 4865 §4: how long, and until when."""
    return f"{offer.max_hold} {offer.horizon}" if 0 < offer.max_hold < 10**9 and offer.horizon else None


EXTENSIONS = (
    Extension("PIPELINING", 2920, _always),
    Extension("SIZE", 1870, lambda offer: str(offer.max_size)),
    Extension("8BITMIME", 6152, _always),
    Extension("CHUNKING", 3030, _always),
    Extension("BINARYMIME", 3030, _always),
    Extension("SMTPUTF8", 6531, _always),
    Extension("ENHANCEDSTATUSCODES", 2034, _always),
    Extension("DSN", 3461, _always),
    Extension("LIMITS", 9422, _limits),
    Extension("FUTURERELEASE", 4865, _future_release, privileged=True),
    Extension("DELIVERBY", 2852, _always, privileged=True),
    Extension("MT-PRIORITY", 6710, _always, privileged=True),
    Extension("REQUIRETLS", 8689, lambda offer: "" if offer.secured else None),
    Extension("XCLIENT", 0, lambda offer: " ".join(ATTRIBUTES) if offer.may_introduce else None),  # Postfix's
    Extension("STARTTLS", 3207, lambda offer: "" if offer.starttls else None),
    Extension("AUTH", 4954, lambda offer: " ".join(offer.auth_mechanisms) or None),
    Extension("HELP", 5321, _always),  # last: some clients find a word only where a hyphen stands before it
)


def for_client(keywords: frozenset[str], *, privileged: bool) -> frozenset[str]:
    """What of `keywords` is for this client."""
    return keywords - (frozenset() if privileged else _PRIVILEGED)


_PRIVILEGED = frozenset(extension.keyword for extension in EXTENSIONS if extension.privileged)


def ehlo_lines(offer: Offer) -> list[str]:
    """The keyword lines of an EHLO response."""
    keywords = for_client(offer.keywords, privileged=offer.privileged)
    rows = (extension for extension in EXTENSIONS if extension.keyword in keywords)
    lines = ((extension.keyword, extension.offered(offer)) for extension in rows)
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
    def chunking(self) -> bool:
        return "CHUNKING" in self.keywords

    @property
    def binary_mime(self) -> bool:
        """Whether content may come as it is: by BDAT, announced as BINARYMIME (RFC 3030 §3)."""
        return "BINARYMIME" in self.keywords and "CHUNKING" in self.keywords

    @property
    def smtp_utf8(self) -> bool:
        return "SMTPUTF8" in self.keywords

    @property
    def dsn(self) -> bool:
        return "DSN" in self.keywords

    @property
    def max_recipients(self) -> int | None:
        """RCPTs in one transaction (RFC 9422 §4.2); None when it names no limit."""
        return self._limit("RCPTMAX=")

    @property
    def max_transactions(self) -> int | None:
        """MAILs in one conversation (RFC 9422 §4.1)."""
        return self._limit("MAILMAX=")

    def _limit(self, name: str) -> int | None:
        for argument in self.keywords.get("LIMITS", ()):
            value = argument[len(name) :]
            if argument[: len(name)].upper() == name and value.isascii() and value.isdigit() and len(value) <= 6:
                return int(value) or None
        return None

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
