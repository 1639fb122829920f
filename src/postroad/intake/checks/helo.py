"""What a client says its name is (RFC 5321 §4.1.1.1, §4.1.3), as far as it can be judged without asking anyone.

RFC 5321 §4.1.4 forbids to refuse mail because a name does not fit the address; so that is not looked at. What cannot be
true, that the client is this very server, is refused; what is no name at all is noted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

from postroad.intake.verdicts import Verdict, noted, passed, refused
from postroad.mail.status import status

STEP = "helo"
FORGED = status(550, "5.7.1", "you are not this server: say your own name in EHLO")
NO_NAME = status(550, "5.7.1", "say a full host name in EHLO")

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)+(?=[A-Za-z0-9-]*[A-Za-z]){_LABEL}\.?")  # the last label is no number: no address
_NOBODY = ("localhost", ".localhost", ".localdomain", ".local", ".invalid", ".lan", ".internal")


class HeloCheck:
    """One for a process. `names` and `addresses` are ours."""

    def __init__(self, *, names: Iterable[str], addresses: Iterable[str], weight: float, refuses: bool) -> None:
        self._names = frozenset(name.lower().rstrip(".") for name in names)
        self._addresses = frozenset(map(_canonical, addresses))
        self._weight = weight
        self._refuses = refuses

    def judge(self, name: str, client: str, local: str) -> Verdict:
        """`local` is the address that the client has reached us at."""
        if client == local or client in self._addresses:
            return passed(STEP, "it is this machine")
        claimed = address_in(name)
        if claimed is not None:
            return self._judge_address(name, claimed, client, local)
        if name.lower().rstrip(".") in self._names:
            return refused(STEP, f"{name} is our own name", FORGED)
        if not _NAME.fullmatch(name) or name.lower().rstrip(".").endswith(_NOBODY):
            return self._against(f"{_short(name)} is no name of a host")
        return passed(STEP, _short(name))

    def _judge_address(self, name: str, claimed: str, client: str, local: str) -> Verdict:
        if claimed == local or claimed in self._addresses:
            return refused(STEP, f"{name} is our own address", FORGED)
        if not claimed:
            return self._against(f"{_short(name)} is no address literal")
        if not name.startswith("["):
            return self._against(f"{name} is an address without brackets")
        if claimed != _canonical(client):
            return self._against(f"{name} is not its own address")
        return passed(STEP, name)

    def _against(self, reason: str) -> Verdict:
        if self._refuses:
            return refused(STEP, reason, NO_NAME)
        return noted(STEP, reason, self._weight, "it gave no host name in EHLO")


def address_in(name: str) -> str | None:
    """The address that stands in a literal, or in place of a name; "" for a bad literal, None for what is none."""
    if name.startswith("["):
        inner = name[1:-1] if name.endswith("]") else ""
        return _canonical(inner[5:] if inner[:5].lower() == "ipv6:" else inner)
    return _canonical(name) or None if name[:1].isdigit() or ":" in name else None


def _canonical(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _short(name: str) -> str:
    """Whatever a client says, fit for one line."""
    text = name if name.isprintable() else "".join(c if c.isprintable() else "?" for c in name)
    return text if len(text) <= 100 else text[:99] + "…"
