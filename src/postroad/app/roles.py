"""What a node does: which services its roles speak, where they listen by default, and what this version can serve."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from postroad.config.problems import ConfigError, Problem
from postroad.config.schema import Listen, Settings

# service: the role that speaks it, and its default ports
SERVICES: dict[str, tuple[str, tuple[int, ...]]] = {
    "mx": ("mx", (25,)),
    "submission": ("submission", (587, 2525)),
    "submissions": ("submission", (465,)),
    "lmtp": ("lmtp", (24,)),
    "imap": ("imap", (143,)),
    "imaps": ("imap", (993,)),
    "pop3": ("pop3", (110,)),
    "pop3s": ("pop3", (995,)),
    "http": ("web", (80,)),
    "https": ("web", (443,)),
}
IMPLICIT_TLS = frozenset({"submissions", "imaps", "pop3s", "https"})
LOCAL = frozenset({"lmtp"})  # by default for this machine's own programs: it has no front door
WEB = frozenset({"http", "https"})
METRICS = Listen("metrics", "127.0.0.1:9667")
ROLES = frozenset({"mx", "submission", "lmtp", "imap", "pop3", "web", "sender", "janitor"})


def roles(settings: Settings) -> frozenset[str]:
    """The roles that run here."""
    return ROLES if "all" in settings.roles else ROLES & set(settings.roles)


def listeners(settings: Settings) -> list[Listen]:
    """Where to listen: as the settings say, else at the default ports of the roles. Raises ConfigError."""
    if not settings.listen:
        return [*_default_listeners(settings), METRICS]
    problems = list(_problems(settings))
    if problems:
        raise ConfigError(problems)
    return list(settings.listen)


def _default_listeners(settings: Settings) -> Iterator[Listen]:
    here = roles(settings)
    everywhere = ("0.0.0.0", "[::]")[: 1 + has_ipv6()]  # noqa: S104 - a mail server is for everybody
    here_alone = ("127.0.0.1", "[::1]")[: 1 + has_ipv6()]
    for service, (role, ports) in SERVICES.items():
        if role in here and (service not in IMPLICIT_TLS or settings.tls.certificate):
            for port in ports:
                for host in here_alone if service in LOCAL else everywhere:
                    yield Listen(service, f"{host}:{port}")


def has_ipv6() -> bool:
    """Whether this machine speaks IPv6 at all."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _problems(settings: Settings) -> Iterator[Problem]:
    here = roles(settings)
    for number, listen in enumerate(settings.listen):
        name = f"listen[{number}].service"
        if listen.service == METRICS.service:
            continue
        if listen.service not in SERVICES:
            known = ", ".join([*SERVICES, METRICS.service])
            yield Problem(name, f"`{listen.service}` is not served by this version", f"it serves {known}")
        elif (role := SERVICES[listen.service][0]) not in here:
            yield Problem(name, f"`{listen.service}` needs the role `{role}`", "add it to `roles`, or remove this")
