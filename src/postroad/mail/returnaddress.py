"""Return addresses of our own: what MAIL FROM says for mail of a stream, and where its late bounces come back to.

`b-SERVER-DAY-DOMAIN-TAG-STREAM` is the same for a stream, a recipient's domain and a day: a greylist learns it, and who
forges one for another domain fails. `f-MESSAGE-TAG` stands for the sender of a forwarded message whose SRS address
would be too long. The tag is an HMAC under the installation's key. All is in lower case: some hosts write addresses so.
Pure: key and day come from the caller.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass

from postroad.mail.address import MAX_LOCAL_PART

SEVERAL = "*"  # the domain of a transaction whose recipients are in several
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_TAG = 12  # characters: 60 bits
_DOMAIN = 4  # characters: 20 bits
_WORD = r"[0-9a-hjkmnp-tv-z]"
_STREAM = re.compile(
    rf"b-({_WORD}{{1,8}})-({_WORD}{{3}})-({_WORD}{{{_DOMAIN}}})-({_WORD}{{{_TAG}}})-([a-z][a-z0-9_-]{{0,29}})",
    re.IGNORECASE | re.ASCII,
)
_FORWARD = re.compile(rf"f-({_WORD}{{13}})-({_WORD}{{{_TAG}}})", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class StreamTag:
    """What the return address of a stream says: which stream, when, and to which domain (as a hash)."""

    server: int
    stream: str
    day: int  # since 1970
    domain: str

    def is_for(self, key: bytes, domain: str) -> bool:
        """Whether mail to this domain was sent with it. A transaction with several domains carries none of them."""
        return self.domain in (domain_tag(key, domain), domain_tag(key, SEVERAL))


def domain_tag(key: bytes, domain: str) -> str:
    return _mac(key, "domain", domain.lower())[:_DOMAIN]


def stream_address(key: bytes, server: int, stream: str, day: int, domain: str) -> str:
    """The local-part for a stream's mail of one day to one domain."""
    tag = StreamTag(server, stream, day, domain_tag(key, domain))
    made = f"b-{_number(server)}-{_number(day, 3)}-{tag.domain}-{_stream_mac(key, tag)}-{stream}"
    assert len(made) <= MAX_LOCAL_PART, "the parts are bounded so that it fits"
    return made


def read_stream_address(key: bytes, local_part: str) -> StreamTag | None:
    """None when it is no such address, or one that we have not made."""
    match = _STREAM.fullmatch(local_part)
    if match is None:
        return None
    server, day, domain, mac, stream = (part.lower() for part in match.groups())
    tag = StreamTag(_value(server), stream, _value(day), domain)
    return tag if hmac.compare_digest(mac, _stream_mac(key, tag)) else None


def forward_address(key: bytes, message: str) -> str:
    """The local-part that stands for the sender of a forwarded message, which is named by its id."""
    return f"f-{message}-{_mac(key, 'forward', message)}"


def read_forward_address(key: bytes, local_part: str) -> str | None:
    """The message's id."""
    match = _FORWARD.fullmatch(local_part)
    if match is None:
        return None
    message, mac = match[1].lower(), match[2].lower()
    return message if hmac.compare_digest(mac, _mac(key, "forward", message)) else None


def looks_like_ours(local_part: str) -> bool:
    """Of the right form, whoever made it."""
    return bool(_STREAM.fullmatch(local_part) or _FORWARD.fullmatch(local_part))


def _stream_mac(key: bytes, tag: StreamTag) -> str:
    return _mac(key, "stream", f"{tag.server} {tag.day} {tag.domain} {tag.stream}")


def _mac(key: bytes, purpose: str, text: str) -> str:
    digest = hmac.digest(key, f"{purpose}\0{text}".encode("utf-8", "surrogatepass"), "sha256")
    return _number(int.from_bytes(digest[:8]) >> 4, _TAG)


def _number(value: int, width: int = 1) -> str:
    text = ""
    while value or len(text) < width:
        text = _DIGITS[value & 31] + text
        value >>= 5
    return text


def _value(text: str) -> int:
    number = 0
    for digit in text:
        number = number << 5 | _DIGITS.index(digit)
    return number
