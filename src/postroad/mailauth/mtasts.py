"""MTA-STS (RFC 8461): the record that tells of a policy, the policy itself, and the hosts that it names. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

MAX_MX = 100  # patterns of one policy
MAX_AGE = 31_557_600  # seconds, §3.2
_FIELD = re.compile(r"[ \t]*([A-Za-z0-9][A-Za-z0-9_.-]{0,31})[ \t]*:[ \t]*(.*?)[ \t]*")
_PAIR = re.compile(r"[ \t]*([A-Za-z0-9][A-Za-z0-9_.-]{0,31})[ \t]*=[ \t]*([!-:<>-~]+)[ \t]*")
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_PATTERN = re.compile(r"(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class StsMode(StrEnum):
    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


class StsPolicy(Struct, frozen=True):
    mode: StsMode
    max_age: int  # seconds
    mx: tuple[str, ...] = ()

    def allows(self, host: str) -> bool:
        """Whether a host may take mail for the domain; a `*` stands for exactly one label (§4.1)."""
        host = host.lower().rstrip(".")
        return host in self.mx or f"*.{host.partition('.')[2]}" in self.mx

    @property
    def lines(self) -> tuple[str, ...]:
        """As a report cites it (RFC 8460 §4.4)."""
        mx = (f"mx: {pattern}" for pattern in self.mx)
        return ("version: STSv1", f"mode: {self.mode}", *mx, f"max_age: {self.max_age}")


class BadPolicy(ValueError):  # noqa: N818 - it names what happened
    """What was fetched is no policy."""


def policy_host(domain: str) -> str:
    return f"mta-sts.{domain}"


def record_name(domain: str) -> str:
    return f"_mta-sts.{domain}"


def policy_url(domain: str, port: int = 443) -> str:
    """§3.3; another port than 443 is for simulated worlds."""
    where = policy_host(domain) if port == 443 else f"{policy_host(domain)}:{port}"
    return f"https://{where}/.well-known/mta-sts.txt"


def policy_id(records: Sequence[str]) -> str:
    """The id in the TXT records at `_mta-sts`; empty where they announce no policy, as two of them do (§3.1)."""
    announced = [text for text in records if text.split(";")[0].rstrip(" \t") == "v=STSv1"]
    if len(announced) != 1:
        return ""
    for part in announced[0].split(";")[1:]:
        pair = _PAIR.fullmatch(part)
        if pair and pair[1] == "id":
            return pair[2] if _ID.fullmatch(pair[2]) else ""
    return ""


def read_policy(text: str) -> StsPolicy:
    """Read a policy (§3.2). Raises BadPolicy. Fields that are not known are passed over, as are repetitions."""
    found: dict[str, str] = {}
    mx: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        field = _FIELD.fullmatch(line)
        if field is None:
            if line.strip(" \t"):
                raise BadPolicy(f"`{line[:60]}` is no field")
        elif field[1] == "mx":
            mx.append(_pattern(field[2]))
        else:
            found.setdefault(field[1], field[2])
    if found.get("version") != "STSv1":
        raise BadPolicy("its version is not STSv1")
    if found.get("mode") not in list(StsMode):
        raise BadPolicy("its mode is none of enforce, testing and none")
    age = found.get("max_age", "")
    if not (age.isascii() and age.isdigit() and len(age) <= 10):
        raise BadPolicy("its max_age is no number of seconds")
    mode = StsMode(found["mode"])
    if not mx and mode is not StsMode.NONE:
        raise BadPolicy("it names no mx")
    if len(mx) > MAX_MX:
        raise BadPolicy(f"it names more than {MAX_MX} mx")
    return StsPolicy(mode, min(int(age), MAX_AGE), tuple(dict.fromkeys(mx)))


def _pattern(text: str) -> str:
    pattern = text.lower().rstrip(".")
    if not _PATTERN.fullmatch(pattern):
        raise BadPolicy(f"`{text[:60]}` is no name of a host")
    return pattern
