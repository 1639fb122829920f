"""`postroad check`: look at settings, data, database, disk, clock, TLS, ports and DNS, and say what to change."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path

from postroad.app import lock
from postroad.app.access import reading
from postroad.app.certificates import pairs
from postroad.app.roles import listeners
from postroad.config.problems import ConfigError
from postroad.config.schema import Settings
from postroad.config.values import split_address
from postroad.intake.checks.zones import probe
from postroad.ports.dns import Resolver
from postroad.ports.store import DomainKind, Refused, StoreUnavailable
from postroad.reports.dnscheck import RecordFinding, verify_host, verify_mx, verify_return_path, verify_spf

SQLITE_NEEDED = (3, 51, 3)  # older ones can corrupt a WAL file when two connections write or checkpoint at once
EXPIRY_WARNING = timedelta(days=14)
FILES_BESIDE_CONNECTIONS = 200  # database, segments, log
YEAR_OF_BIRTH = 2026
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronized


class Grade(Enum):
    OK = "ok"
    NOTE = "note"  # worth knowing; nothing has to change
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `change` says what to do about it."""

    grade: Grade
    area: str
    text: str
    change: str = ""


async def examine(settings: Settings, *, ask_dns: bool = True) -> list[Finding]:
    """Look at everything."""
    findings = [Finding(Grade.OK, "settings", "all understood")]
    for look in (_services, _data_dir, _disk, _files, _clock, _tls, _segments):
        findings += list(look(settings))
    findings += [finding async for finding in _database(settings)]
    findings += [finding async for finding in _proxies(settings)]
    findings += [finding async for finding in _scanners(settings)]
    findings += list(_ports(settings))
    if ask_dns:
        findings += [finding async for finding in _dns(settings)]
    return findings


async def examine_mailboxes(settings: Settings) -> list[Finding]:
    """Counters and UIDs of every mailbox against their rows."""
    async with reading(settings) as store:
        totals = await store.read(lambda tx: tx.ledger.totals())
    found = [finding for finding in totals.findings if "mailbox" in finding.problem or "account" in finding.problem]
    if not found:
        return [Finding(Grade.OK, "mailboxes", "every count and UID agrees with the rows")]
    change = "please report this; the mail itself is kept"
    return [Finding(Grade.PROBLEM, "mailboxes", finding.problem, change) for finding in found]


def _services(settings: Settings) -> Iterator[Finding]:
    try:
        listeners(settings)
    except ConfigError as error:
        for problem in error.problems:
            yield Finding(Grade.PROBLEM, problem.path, problem.text, problem.suggestion)


def _data_dir(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    if not folder.exists():
        yield Finding(Grade.NOTE, "data_dir", f"{folder} does not exist yet; `postroad serve` makes it")
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(Grade.PROBLEM, "data_dir", f"{folder} is not ours to write", f"chown it to user {os.geteuid()}")
    elif folder.stat().st_mode & 0o007:
        yield Finding(Grade.PROBLEM, "data_dir", f"{folder} is open to everybody", f"chmod 700 {folder}")
    else:
        yield Finding(Grade.OK, "data_dir", f"{folder} is ours")


def _disk(settings: Settings) -> Iterator[Finding]:
    folder = _existing(settings.data_dir)
    free, needed = shutil.disk_usage(folder).free, settings.limits.min_free
    text = f"{free >> 20} MiB free at {folder}, limits.min_free is {needed >> 20} MiB"
    if free < needed:
        change = "free some space, or lower limits.min_free; until then MAIL is answered 452"
        yield Finding(Grade.PROBLEM, "disk", text, change)
    elif free < 4 * needed:
        yield Finding(Grade.NOTE, "disk", text, "more room would be good")
    else:
        yield Finding(Grade.OK, "disk", text)


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _files(settings: Settings) -> Iterator[Finding]:
    allowed, needed = resource.getrlimit(resource.RLIMIT_NOFILE)[1], settings.limits.max_connections
    if 0 <= allowed < needed + FILES_BESIDE_CONNECTIONS:
        text = f"{allowed} open files are allowed, limits.max_connections is {needed}"
        change = "raise the limit (LimitNOFILE= in the systemd unit), or lower limits.max_connections"
        yield Finding(Grade.PROBLEM, "files", text, change)


def _clock(settings: Settings) -> Iterator[Finding]:  # noqa: ARG001 - one of a row of looks
    if datetime.now(UTC).year < YEAR_OF_BIRTH:
        text = f"the clock says {datetime.now(UTC):%Y-%m-%d}"
        yield Finding(Grade.PROBLEM, "clock", text, "set it; expiry, certificates and Date fields depend on it")
    elif _clock_is_synchronized() is False:
        yield Finding(Grade.NOTE, "clock", "the kernel says that it is not synchronized", "run an NTP client")
    else:
        yield Finding(Grade.OK, "clock", "synchronized")


def _clock_is_synchronized() -> bool | None:
    """What the kernel says; None where it cannot be asked."""
    import ctypes

    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return None
    return None if answer < 0 else answer != _TIME_ERROR


def _tls(settings: Settings) -> Iterator[Finding]:
    if settings.tls.certificate is None:
        change = "set tls.certificate and tls.key; `postroad quickstart` makes a self-signed pair"
        yield Finding(Grade.PROBLEM, "tls", "there is no certificate: no STARTTLS, and so no logins", change)
        return
    for number, (certificate, key) in enumerate(pairs(settings.tls)):
        try:
            yield from _certificate(settings, certificate, key, is_usual=number == 0)
        except (OSError, ValueError) as error:
            text = f"{certificate} and {key} cannot be used: {error}"
            yield Finding(Grade.PROBLEM, "tls", text, "see docs/guides/tls.md")
    if settings.tls.client_ca is not None:
        yield _authorities(settings.tls.client_ca)


def _authorities(path: Path) -> Finding:
    from cryptography import x509

    try:
        count = len(x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError) as error:
        text = f"tls.client_ca cannot be used: {error}"
        return Finding(Grade.PROBLEM, "tls", text, "name a PEM file with the authority's certificate")
    return Finding(Grade.OK, "tls", f"client certificates of {count} {'authority' if count == 1 else 'authorities'}")


def _certificate(settings: Settings, certificate: Path, key: Path, *, is_usual: bool) -> Iterator[Finding]:
    import ssl

    from cryptography import x509

    from postroad.adapters.net.certificates import names_of

    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)  # raises where they are no pair
    parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = names_of(parsed)
    if is_usual and not _covers(names, settings.hostname):
        text = f"the certificate is for {', '.join(names) or 'no host name'}, not for {settings.hostname}"
        yield Finding(Grade.PROBLEM, "tls", text, "get one that names `hostname`")
    shown = "the certificate" if is_usual else f"the certificate for {', '.join(names) or certificate}"
    left = parsed.not_valid_after_utc - datetime.now(UTC)
    if left < EXPIRY_WARNING:
        text = f"{shown} {'ended' if left < timedelta() else 'ends'} on {parsed.not_valid_after_utc:%Y-%m-%d}"
        yield Finding(Grade.PROBLEM, "tls", text, "renew it, then send SIGHUP")
    elif parsed.issuer == parsed.subject:
        text = f"{shown} is self-signed: other servers take it, mail programs will ask their user"
        yield Finding(Grade.NOTE, "tls", text, "get one from an authority such as Let's Encrypt, then send SIGHUP")
    else:
        yield Finding(Grade.OK, "tls", f"{shown} is good until {parsed.not_valid_after_utc:%Y-%m-%d}")


def _covers(names: Sequence[str], hostname: str) -> bool:
    """RFC 6125 §6.4.3: a wildcard stands for one label."""
    parent = hostname.lower().partition(".")[2]
    return hostname.lower() in names or f"*.{parent}" in names


def _segments(settings: Settings) -> Iterator[Finding]:
    """Files that a write or sync has failed in: what they hold was refused, the disk may be failing."""
    from postroad.adapters.blobs.segments import SegmentBlobs
    from postroad.adapters.sql.upkeep import quarantined

    blobs = SegmentBlobs(settings.data_dir, read_only=True)
    try:
        for name, error in quarantined(blobs).items():
            change = "look at the disk; `postroad ledger --deep` proves what is there"
            yield Finding(Grade.PROBLEM, "segments", f"writing to {name} failed: {error}", change)
    finally:
        blobs.close()


async def _database(settings: Settings) -> AsyncIterator[Finding]:
    if settings.storage.database == "sqlite":
        for finding in _sqlite():
            yield finding
        return
    from postroad.app.services import postgres_durability

    try:
        durability = await postgres_durability(settings)
    except (OSError, StoreUnavailable) as error:
        yield Finding(
            Grade.PROBLEM, "database", f"PostgreSQL: {error}", "is it running, and is storage.database right?"
        )
        return
    for name in ("fsync", "synchronous_commit"):
        value = durability[name]
        if value == "off":
            text = f"PostgreSQL has {name} = off: acknowledged mail can be lost in a power cut"
            yield Finding(Grade.PROBLEM, "database", text, f"set {name} = on in postgresql.conf and reload it")
        else:
            yield Finding(Grade.OK, "database", f"PostgreSQL {name} = {value}")


async def _proxies(settings: Settings) -> AsyncIterator[Finding]:
    """Addresses that hide many people from whoever counts wrong passwords (`accounts.crowd`)."""
    from postroad.accounts.bans import hiding

    try:
        async with reading(settings) as store:
            rows = await store.read(lambda tx: tx.throttle.shared())
    except (Refused, StoreUnavailable, OSError):
        return  # there are no rows yet, or `_database` has told
    for address, last in hiding(rows, datetime.now(UTC)):
        text = f"on {last:%Y-%m-%d} nearly all logins came from {address}, a private address: a proxy hides the clients"
        change = "let it speak the PROXY protocol and list it in limits.proxies; till then no address can be slowed"
        yield Finding(Grade.PROBLEM, "logins", text, change)


async def _scanners(settings: Settings) -> AsyncIterator[Finding]:
    """Whether the programs that look at mail answer."""
    if not settings.scanner:
        return
    from postroad.app.scanning import probe_all

    async for scanner, found, is_good in probe_all(settings.scanner, settings.hostname):
        if is_good:
            yield Finding(Grade.OK, "scanners", f"{scanner.name} {found}")
            continue
        then = "mail is put off" if scanner.on_failure == "defer" else "mail is taken without it"
        text = f"{scanner.name} does not answer at {scanner.url}: {found}; {then}"
        yield Finding(Grade.PROBLEM, "scanners", text, "is it running, and may this user use its socket?")


def _sqlite() -> Iterator[Finding]:
    import apsw

    version = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")[:3]) < SQLITE_NEEDED:
        change = "install apsw 3.51.3 or later: older ones can corrupt a WAL file"
        yield Finding(Grade.PROBLEM, "database", f"SQLite {version}", change)
    else:
        yield Finding(Grade.OK, "database", f"SQLite {version}")


def _ports(settings: Settings) -> Iterator[Finding]:
    """Whether each address can be bound, or, while a server runs here, whether somebody answers."""
    try:
        wanted = [listen for listen in listeners(settings) if not listen.address.endswith(":0")]
    except ConfigError:
        return
    runs = _server_runs(settings)
    for listen in wanted:
        if listen.address.startswith("unix:"):
            continue
        area, address = f"listener {listen.service}", listen.address
        if runs and not _answers(address):
            yield Finding(Grade.PROBLEM, area, f"nobody answers at {address}", "restart the server: was this changed?")
        elif not runs and (wrong := _cannot_bind(address)):
            yield Finding(Grade.PROBLEM, area, f"cannot listen on {address}: {wrong}", _port_change(wrong))
        else:
            yield Finding(Grade.OK, area, f"{address} {'answers' if runs else 'is free'}")


def _server_runs(settings: Settings) -> bool:
    if not settings.data_dir.exists():
        return False
    try:
        with lock.held(settings.data_dir):
            return False
    except (lock.Locked, OSError):
        return True


def _cannot_bind(address: str) -> str:
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as the server does it
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def _answers(address: str) -> bool:
    host, port = split_address(address)
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - what was bound, not a bind
    try:
        socket.create_connection((reachable, port), timeout=2).close()
    except OSError:
        return False
    return True


def _port_change(wrong: str) -> str:
    if "ermission" in wrong:
        program = Path(sys.executable).resolve()
        return f"run as root, or AmbientCapabilities=CAP_NET_BIND_SERVICE in systemd, or setcap on {program}"
    return "another program has it; stop that one, or listen elsewhere"


async def _dns(settings: Settings) -> AsyncIterator[Finding]:
    from postroad.adapters.dns import CachingResolver
    from postroad.app import dnssec
    from postroad.app.outward import look_outward

    try:
        async with reading(settings) as store:
            domains, returns = await store.read(lambda tx: (tx.domains.list(), tx.return_paths.list()))
    except (OSError, StoreUnavailable):
        domains, returns = [], []
    resolver = CachingResolver(settings.dns.nameservers, timeout=settings.dns.timeout, trust_ad=settings.dns.trust_ad)
    try:
        async for finding in verify_host(resolver, settings.hostname):
            yield _from_record(finding)
        looks: list[Callable[[str], Awaitable[RecordFinding]]] = [
            lambda name: verify_mx(resolver, name, settings.hostname),
            lambda name: verify_spf(resolver, name),
        ]
        async for one in _lists(settings, resolver):
            yield one
        async for good, area, text, change in look_outward(settings, resolver):
            yield Finding(Grade.NOTE if good is None else Grade.OK if good else Grade.PROBLEM, area, text, change)
        for one in await dnssec.look(settings):
            yield one
        local = [domain.name for domain in domains if domain.kind is not DomainKind.RELAY]
        for found in await asyncio.gather(*(look(name) for name in local for look in looks)):
            yield _from_record(found)
        for name in sorted({settings.returns.domain, *(record.name for record in returns)}):
            for found in await verify_return_path(resolver, name, settings.hostname):
                yield _from_record(found)
    finally:
        await resolver.close()


async def _lists(settings: Settings, resolver: Resolver) -> AsyncIterator[Finding]:
    """The lists that the front door asks: whether they are there and sane, and serve our resolver."""
    for zone in dict.fromkeys(table.zone.lower() for table in settings.dns_list):
        found = await probe(zone, resolver)
        if found.failed:
            text = f"{zone} cannot be asked: {found.failed}"
            yield Finding(Grade.PROBLEM, "lists", text, "is dns.nameservers right?")
        elif found.wrong:
            change = "the server does not ask it while that is so; read its terms, or remove it from [[dns_list]]"
            yield Finding(Grade.PROBLEM, "lists", f"{zone}: {found.wrong}", change)
        else:
            yield Finding(Grade.OK, "lists", f"{zone} is sane{', for IPv6 too' if found.has_ipv6 else ''}")


def _from_record(finding: RecordFinding) -> Finding:
    return Finding(Grade.OK if finding.good else Grade.PROBLEM, "dns", finding.text, finding.change)
