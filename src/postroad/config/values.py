"""What a value must be to be possible. Each check returns what is wrong, in words, or an empty text."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable
from urllib.parse import SplitResult, urlsplit

Check = Callable[[object], str]

_HOSTNAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
SMARTHOST_SCHEMES = {"smtp": 587, "smtps": 465}


def suggest(word: str, known: Iterable[str]) -> str:
    """`did you mean ...?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.76)
    return f"did you mean `{near[0]}`?" if near else ""


def one_of(*choices: str) -> Check:
    def check(value: object) -> str:
        if value in choices:
            return ""
        return f"`{value}` is not one of {', '.join(choices)}" + _hint(suggest(str(value), choices))

    return check


def between(low: float, high: float) -> Check:
    def check(value: object) -> str:
        assert isinstance(value, int | float)
        return "" if low <= value <= high else f"{value} is not between {low:g} and {high:g}"

    return check


def at_least(low: float) -> Check:
    def check(value: object) -> str:
        assert isinstance(value, int | float)
        return "" if value >= low else f"{value} is less than {low:g}"

    return check


port = between(1, 65535)


def hostname(value: object) -> str:
    """A name that may stand behind EHLO (RFC 5321 §4.1.1.1)."""
    text = str(value)
    if len(text) > 253 or not _HOSTNAME.fullmatch(text):
        return f"`{text}` is not a host name; use one such as mail.example.com"
    return ""


def optional_hostname(value: object) -> str:
    return hostname(value) if value else ""


def domain_below(value: object) -> str:
    """`example.com`, or `.example.com` for what is below it."""
    return hostname(str(value).removeprefix("."))


def issuer(value: object) -> str:
    """The address of an OpenID issuer, as its tokens spell it."""
    text = str(value)
    parts = urlsplit(text)
    local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1")
    if text and not (parts.hostname and (parts.scheme == "https" or local) and not parts.query and not parts.fragment):
        return f"`{text}` is not the address of an issuer, such as https://login.example.com"
    return ""


def listen_address(value: object) -> str:
    """`host:port`, `[ipv6]:port` or `unix:/path`."""
    text = str(value)
    if text.startswith("unix:"):
        return "" if text.startswith("unix:/") else f"`{text}`: a Unix socket needs a full path, such as unix:/run/x"
    return _address_and_port(text, lowest=0)


def nameserver(value: object) -> str:
    """`address`, `address:port` or `[ipv6]:port`."""
    text = str(value)
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _address_and_port(text, lowest=1)
    return ""


def split_address(text: str) -> tuple[str, int]:
    """`127.0.0.1:25` or `[::1]:25` as host and port; checked before by `listen_address`."""
    host, _, number = text.rpartition(":")
    return host.strip("[]"), int(number)


def _address_and_port(text: str, *, lowest: int) -> str:
    host, colon, number = text.rpartition(":")
    if not colon or not number.isascii() or not number.isdigit():
        return f"`{text}` has no port; write it as 127.0.0.1:25 or [::1]:25"
    if not lowest <= int(number) <= 65535:
        return f"port {number} is not between {lowest} and 65535"
    try:
        ipaddress.ip_address(host[1:-1] if host.startswith("[") else host)
    except ValueError:
        return f"`{host}` is not an IP address; write 0.0.0.0 for all of IPv4, [::] for all of IPv6"
    if ":" in host and not host.startswith("["):
        return f"`{text}`: write an IPv6 address in brackets, as in [::1]:25"
    return ""


def ip_address(value: object) -> str:
    text = str(value)
    try:
        if text:
            ipaddress.ip_address(text)
    except ValueError:
        return f"`{text}` is not an IP address"
    return ""


def network(value: object) -> str:
    """An address or network in CIDR form."""
    try:
        ipaddress.ip_network(str(value))
    except ValueError as error:
        return f"{error}; write it as 192.0.2.0/24"
    return ""


def list_codes(value: object) -> str:
    """`127.0.0.2`, `127.0.0.2-11`, `127.0.*.3`: answers of a list in DNS (RFC 5782 §2.1)."""
    octets = str(value).split(".")
    if len(octets) != 4 or not all(map(_octet_pattern.fullmatch, octets)) or octets[0] != "127":
        return f"`{value}` is no answer of a list; write it as 127.0.0.2, 127.0.0.2-11 or 127.0.*.3"
    bounds = [int(bound) for octet in octets for bound in octet.split("-") if bound != "*"]
    return "" if max(bounds) <= 255 else f"`{value}`: no number in an address is above 255"


_octet_pattern = re.compile(r"\*|[0-9]{1,3}(-[0-9]{1,3})?")


def database(value: object) -> str:
    text = str(value)
    if text == "sqlite" or text.startswith(("postgresql://", "postgres://")):
        return ""
    return f"`{_shown(text)}` is neither `sqlite` nor a postgresql:// URL"


def smarthost(value: object) -> str:
    """`smtp://user:password@host:port`; the password never stands in what is wrong with it."""
    text = str(value)
    if not text:
        return ""
    parts = urlsplit(text)
    if parts.scheme not in SMARTHOST_SCHEMES or not parts.hostname or not _port_is_possible(parts):
        return "it must look like smtp://user:password@relay.example:587 (or smtps://... for TLS from the start)"
    if parts.username and parts.password is None:
        return f"the user {parts.username} has no password; write smtp://user:password@{parts.hostname}"
    return ""


def via(value: object) -> str:
    """One way out of a `[[route]]`; a password never stands in what is wrong with it."""
    text = str(value)
    if text in ("mx", "smarthost") or (text.startswith("lmtp:/") and not text.startswith("lmtp://")):
        return ""
    if text.startswith("lmtp://"):
        parts = urlsplit(text)
        return "" if parts.hostname and _port_is_possible(parts) else "it must look like lmtp://host:24 or lmtp:/path"
    if not text.startswith(tuple(f"{scheme}://" for scheme in SMARTHOST_SCHEMES)):
        return "it must be mx, smarthost, smtp://host, smtps://host, lmtp://host:port or lmtp:/path"
    return smarthost(text)


def domain_pattern(value: object) -> str:
    """A domain, or `*.` and a domain."""
    text = str(value).removeprefix("*.")
    return hostname(text) if text and text != "*" else ""


def delimiter(value: object) -> str:
    text = str(value)
    if not text or (len(text) == 1 and text in "+-_=#!$%&*?^~"):
        return ""
    return f"`{text}` cannot stand between a mailbox and its detail; use one character such as +"


def _port_is_possible(parts: SplitResult) -> bool:
    try:
        return parts.port is None or 1 <= parts.port <= 65535
    except ValueError:
        return False


def _shown(text: str) -> str:
    return text if "@" not in text else "..." + text[text.rindex("@") :]


def _hint(text: str) -> str:
    return f"; {text}" if text else ""


def word(value: object) -> str:
    """What stands in a metric's label and in the middle of a sentence."""
    text = str(value)
    return "" if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,31}", text) else f"`{text}` is no name; use one such as rspamd"


def scanner(value: object) -> str:
    """`milter:unix:/path`, `milter:host:port` or `rspamd:http://host:port`."""
    kind, _, where = str(value).partition(":")
    if kind == "milter" and where.startswith("unix:"):
        return "" if where.startswith("unix:/") else f"`{value}`: a Unix socket needs a full path, as in unix:/run/x"
    if kind == "milter":
        host, _, number = where.rpartition(":")
        possible = number.isascii() and number.isdigit() and 1 <= int(number) <= 65535
        if host and possible and (":" not in host or host.startswith("[")):
            return ""
    elif kind == "rspamd":
        parts = urlsplit(where)
        if parts.scheme in ("http", "https") and parts.hostname and _port_is_possible(parts) and not parts.query:
            return ""
    return f"`{value}` is no scanner; write milter:unix:/run/x, milter:127.0.0.1:11332 or rspamd:http://host:11333"
