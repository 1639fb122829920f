"""What no single value can tell: settings that do not fit one another."""

from __future__ import annotations

from collections.abc import Iterator

from postroad.config.problems import Problem
from postroad.config.schema import Settings

IMPLICIT_TLS = frozenset({"submissions", "imaps", "pop3s", "https"})


def inconsistencies(settings: Settings) -> list[Problem]:
    """Every pair of settings that cannot both be meant."""
    return [problem for check in _CHECKS for problem in check(settings)]


def _certificate_has_key(settings: Settings) -> Iterator[Problem]:
    tls = settings.tls
    if (tls.certificate is None) != (tls.key is None):
        missing, there = ("key", "certificate") if tls.key is None else ("certificate", "key")
        yield Problem(f"tls.{missing}", f"is missing while tls.{there} is set", "give both or neither")


def _tls_listeners_have_certificate(settings: Settings) -> Iterator[Problem]:
    if settings.tls.certificate:
        return
    for number, listen in enumerate(settings.listen):
        if listen.service in IMPLICIT_TLS:
            yield Problem(
                f"listen[{number}].service",
                f"`{listen.service}` speaks TLS from the first byte, and there is no certificate",
                "set tls.certificate and tls.key, or remove this listener",
            )


def _web_has_no_proxy_header(settings: Settings) -> Iterator[Problem]:
    for number, listen in enumerate(settings.listen):
        if listen.proxies and listen.service in ("http", "https", "metrics"):
            yield Problem(
                f"listen[{number}].proxies",
                f"`{listen.service}` reads no PROXY header",
                "name the balancer in http.trusted_proxies, and have it send X-Forwarded-For",
            )


def _addresses_are_distinct(settings: Settings) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for number, listen in enumerate(settings.listen):
        if listen.address.endswith(":0"):
            continue
        first = seen.setdefault(listen.address, number)
        if first != number:
            yield Problem(f"listen[{number}].address", f"`{listen.address}` is taken by listen[{first}] already")


def _some_role(settings: Settings) -> Iterator[Problem]:
    if not settings.roles:
        yield Problem("roles", "is empty: the process would do nothing", 'write roles = ["all"]')


def _first_certificate(settings: Settings) -> Iterator[Problem]:
    tls = settings.tls
    if tls.certificate is None and (tls.certificates or tls.client_ca):
        name = "certificates" if tls.certificates else "client_ca"
        yield Problem(f"tls.{name}", "is set, and there is no certificate", "set tls.certificate and tls.key")


def _tokens_have_audience(settings: Settings) -> Iterator[Problem]:
    """Else a token that somebody gave to any other program of the same issuer would open a mailbox."""
    if settings.auth.oauth_issuer and not settings.auth.oauth_audience:
        yield Problem(
            "auth.oauth_audience", "is missing while auth.oauth_issuer is set", "name what the issuer writes into `aud`"
        )


def _scanners_have_names(settings: Settings) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, scanner in enumerate(settings.scanner):
        if scanner.name in seen:
            yield Problem(f"scanner[{number}].name", f"`{scanner.name}` is the name of another one already")
        seen.add(scanner.name)


_CHECKS = (
    _scanners_have_names,
    _first_certificate,
    _tokens_have_audience,
    _certificate_has_key,
    _tls_listeners_have_certificate,
    _web_has_no_proxy_header,
    _addresses_are_distinct,
    _some_role,
)
