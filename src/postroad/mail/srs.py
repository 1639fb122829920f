"""SRS, the Sender Rewriting Scheme: the reverse-path of mail that is passed on to another host, and the way back.

Who forwards mail under its first sender's name fails that sender's SPF. So the sender becomes one of ours that holds
the first one: `SRS0=hash=day=domain=local-part@ours`; what another forwarder has rewritten already becomes
`SRS1=hash=forwarder==hash=day=domain=local-part@ours`, which leads back to that forwarder and no further (Mengwong,
"The Sender Rewriting Scheme", 2003; made to fit libsrs2 and postsrsd). Pure: key and day come from the caller.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from dataclasses import dataclass

HASH_LENGTH = 8  # of 28 characters; libsrs2 makes 4, which can be guessed with a million tries
DAYS = 1024  # after which the two characters of a day come again
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_SRS0 = re.compile(r"SRS0[=+-]([^=]{1,28})=([A-Z2-7]{2})=([^=]+)=(.+)", re.IGNORECASE | re.DOTALL)
_SRS1 = re.compile(r"SRS1[=+-]([^=]{1,28})=([^=]+)=([=+-].+)", re.IGNORECASE | re.DOTALL)
_ANY = re.compile(r"SRS[01][=+-]", re.IGNORECASE)


class SrsError(ValueError):
    """No address of ours; the text is safe for the peer."""


class SrsTooOld(SrsError):  # noqa: N818
    """It was one of ours once."""


@dataclass(frozen=True, slots=True)
class Srs:
    """One installation's scheme."""

    key: bytes
    max_age: int = 21  # days that a bounce may take

    def rewritten(self, local_part: str, domain: str, *, today: int) -> str:
        """The local-part that stands for `local_part@domain`. It may be longer than 64 octets."""
        if match := _SRS0.fullmatch(local_part):
            return self._second(domain, local_part[4 : match.end()])
        if match := _SRS1.fullmatch(local_part):
            return self._second(match[2], match[3])
        day = _day_text(today)
        return f"SRS0={self._hash(day, domain, local_part)}={day}={domain}={local_part}"

    def _second(self, host: str, rest: str) -> str:
        return f"SRS1={self._hash(host, rest)}={host}={rest}"

    def reversed(self, local_part: str, *, today: int) -> str:
        """The address that such a local-part stands for. Raises SrsError, SrsTooOld."""
        if match := _SRS0.fullmatch(local_part):
            given, day, domain, sender = match.groups()
            self._check(given, day, domain, sender)
            if (today - _day_number(day) + 1) % DAYS > self.max_age + 1:  # clocks may be a day ahead
                raise SrsTooOld("that return address is too old")
            return f"{sender}@{domain}"
        if match := _SRS1.fullmatch(local_part):
            given, host, rest = match.groups()
            self._check(given, host, rest)
            return f"SRS0{rest}@{host}"
        raise SrsError("that is no return address")

    def _check(self, given: str, *parts: str) -> None:
        """Without regard to case: there are hosts that write every address in lower case."""
        if not hmac.compare_digest(given.lower().encode("utf-8", "replace"), self._hash(*parts).lower().encode()):
            raise SrsError("that return address is not one of ours")

    def _hash(self, *parts: str) -> str:
        made = hmac.new(self.key, digestmod="sha1")
        for part in parts:
            made.update(part.lower().encode("utf-8", "surrogatepass"))
        return b64encode(made.digest()).decode("ascii")[:HASH_LENGTH]


def is_srs(local_part: str) -> bool:
    """Whether it looks like one, ours or another's."""
    return _ANY.match(local_part) is not None


def _day_text(day: int) -> str:
    return _DIGITS[day >> 5 & 31] + _DIGITS[day & 31]


def _day_number(text: str) -> int:
    high, low = (_DIGITS.index(digit) for digit in text.upper())
    return high << 5 | low
