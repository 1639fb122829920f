"""The declared settings: what a process is. Each field carries its type, default, unit and one sentence.

Frozen dataclasses; `load.py` fills them from file and environment, `reference.py` writes their page. Services take the
section that they need (`Limits`, `DeliverySettings`), never the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from postroad.config import values


def setting(
    default: Any = ...,
    text: str = "",
    *,
    unit: str = "",
    reload: bool = False,
    secret: bool = False,
    check: Callable[[Any], str] | None = None,
) -> Any:
    """A field with its sentence; `reload` says that SIGHUP applies a change.

    `check` looks at one value (of a list: at each) and returns what is wrong with it, or nothing.
    """
    metadata = {"text": text, "unit": unit, "reload": reload, "secret": secret, "check": check}
    if default is ...:
        return field(metadata=metadata)
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


ROLES = ("mx", "submission", "lmtp", "imap", "pop3", "web", "sender", "janitor")
SERVICES = (
    "mx", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s", "managesieve", "http", "https",
    "metrics",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Storage:
    database: str = setting(
        "sqlite", "`sqlite` (a file in data_dir), or a `postgresql://` URL", secret=True, check=values.database
    )
    blobs: str = setting("local", "`local` (segment files in data_dir)", check=values.one_of("local"))


@dataclass(frozen=True, slots=True)
class Listen:
    service: str = setting(text="what is spoken there: " + ", ".join(SERVICES), check=values.one_of(*SERVICES))
    address: str = setting(
        text="`host:port`, `[ipv6]:port`, or `unix:/path`; port 0 takes a free one", check=values.listen_address
    )
    proxies: tuple[str, ...] = setting(
        (), "more networks than `[limits] proxies` whose connections begin with a PROXY header here",
        check=values.network,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Certificate:
    certificate: Path = setting(text="PEM file with the certificate chain", reload=True)
    key: Path = setting(text="PEM file with the private key", reload=True)


@dataclass(frozen=True, slots=True)
class Tls:
    certificate: Path | None = setting(None, "PEM file with the certificate chain", reload=True)
    key: Path | None = setting(None, "PEM file with the private key", reload=True)
    certificates: tuple[Certificate, ...] = setting(
        (),
        "more of them, each with `certificate` and `key`, for clients that ask for a name in it (SNI, RFC 6066)",
        reload=True,
    )
    trusted: Path | None = setting(
        None, "PEM file: the authorities that other servers' certificates have to lead to, where one has to; none: the"
        " system's",
    )  # fmt: skip
    client_ca: Path | None = setting(
        None, "PEM file: whose client certificates prove an account (AUTH EXTERNAL); none: nobody is asked for one",
        reload=True,
    )  # fmt: skip


MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2", "EXTERNAL")


@dataclass(frozen=True, slots=True)
class Auth:
    mechanisms: tuple[str, ...] = setting(
        ("SCRAM-SHA-256", "PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2", "EXTERNAL"),
        "how people may log in, each where it can be done; SCRAM with its -PLUS form: " + ", ".join(MECHANISMS),
        check=values.one_of(*MECHANISMS),
    )
    oauth_issuer: str = setting(
        "", "OpenID issuer whose tokens are taken (OAUTHBEARER, XOAUTH2); empty: none", check=values.issuer
    )
    oauth_audience: tuple[str, ...] = setting((), "a token has to be for one of these (its `aud`)")
    oauth_claim: str = setting("email", "the claim that holds the account's address")


@dataclass(frozen=True, slots=True)
class LoginLimits:
    free_by_account: int = setting(
        5, "wrong passwords for one account before waits begin", check=values.between(1, 1000)
    )
    free_by_address: int = setting(
        10, "wrong passwords from one address before waits begin (exempt clients are spared)",
        check=values.between(1, 1000),
    )  # fmt: skip
    most_by_account: float = setting(
        300.0, "the longest wait for one account; waits double up to it", unit="seconds", check=values.at_least(0)
    )
    most_by_address: float = setting(
        900.0, "the longest wait for one address", unit="seconds", check=values.at_least(0)
    )
    ban_after: int = setting(
        100, "wrong passwords from one address before it is banned; 0: never", check=values.at_least(0)
    )
    ban: float = setting(86400.0, "how long a ban lasts", unit="seconds", check=values.at_least(0))
    delay: float = setting(
        2.0, "before a wrong login is answered; doubled with each on a connection", unit="seconds",
        check=values.between(0, 60),
    )  # fmt: skip
    most_delay: float = setting(16.0, "the longest of these delays", unit="seconds", check=values.between(0, 60))


@dataclass(frozen=True, slots=True)
class Dns:
    nameservers: tuple[str, ...] = setting(
        (), "servers to ask, as `address:port`; none: the system's", check=values.nameserver
    )
    timeout: float = setting(5.0, "how long one look-up may take", unit="seconds", check=values.between(0.1, 60))
    cache: int = setting(20_000, "answers kept at once, for as long as they hold", check=values.at_least(100))
    trust_ad: bool = setting(
        False, "the servers validate DNSSEC, and nobody between them and us can change an answer: their AD bit is"
        " believed, which DANE needs (`postroad check` proves it)",
    )  # fmt: skip
    bogus_name: str = setting(
        "dnssec-failed.org", "a name whose signatures are known to be wrong: `check` proves by it that the servers"
        " validate", check=values.hostname,
    )  # fmt: skip
    signed_name: str = setting("ietf.org", "a name that is known to be signed, for the same", check=values.hostname)


TLS_LEVELS = ("none", "opportunistic", "encrypt", "verify", "dane")


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """What is asked of one destination's TLS."""

    domain: str = setting(
        text="recipients' domain, or a relay host; `.example.com` is all that is below it", check=values.domain_below
    )
    tls: str = setting(text="as `[delivery] tls`", check=values.one_of(*TLS_LEVELS))


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    port: int = setting(25, "the port dialled on MX hosts", check=values.port)
    smarthost: str = setting(
        "", "send everything through `smtp://user:password@host:port`", secret=True, check=values.smarthost
    )
    expire_after: float = setting(5 * 86400.0, "how long a message is tried", unit="seconds", check=values.at_least(1))
    retry_waits: tuple[float, ...] = setting(
        (300.0, 900.0, 1800.0, 3600.0, 7200.0, 10800.0),
        "waits between tries; the last one repeats (RFC 5321 §4.5.4.1)",
        unit="seconds",
        check=values.at_least(0.1),
    )
    connections: int = setting(
        10, "connections at once to one destination, or to all that one provider takes mail for",
        check=values.at_least(1),
    )  # fmt: skip
    max_connections: int = setting(1000, "connections to all destinations at once", check=values.at_least(4))
    messages_per_connection: int = setting(100, "then it is closed and a new one opened", check=values.at_least(1))
    max_recipients: int = setting(100, "recipients in one transaction (RFC 5321 §4.5.3.1.8)", check=values.at_least(1))
    connect_timeout: float = setting(30.0, "for one address", unit="seconds", check=values.between(0.1, 600))
    idle_timeout: float = setting(
        10.0, "how long a connection is kept for the next message", unit="seconds", check=values.at_least(0)
    )
    check_at: tuple[str, ...] = setting(
        ("gmail.com", "outlook.com"), "domains at whose servers `postroad check` tries whether port 25 is open outward;"
        " empty: it does not", check=values.hostname,
    )  # fmt: skip
    source_address: str = setting(
        "", "address that connections leave from; empty: the system's choice", check=values.ip_address
    )
    dsn_header_only_over: int = setting(
        65536, "a larger message is returned as its header alone", unit="bytes", check=values.at_least(0)
    )
    tls: str = setting(
        "opportunistic", "what hosts must come to: `none`, `opportunistic` (as DANE and MTA-STS ask for, else TLS where"
        " it is offered), `encrypt` (TLS), `verify` (and a certificate that proves the host) or `dane` (by DANE alone)",
        check=values.one_of(*TLS_LEVELS),
    )  # fmt: skip
    mta_sts: bool = setting(True, "keep to the policies of domains that publish one (RFC 8461)")
    sts_port: int = setting(443, "the port that policies are fetched at", check=values.port)
    sts_timeout: float = setting(60.0, "for fetching a policy", unit="seconds", check=values.between(0.1, 600))
    sts_max_size: int = setting(65536, "the largest policy", unit="bytes", check=values.at_least(1024))
    eight_bit: str = setting(
        "as-is", "8-bit content for a server without 8BITMIME (RFC 6152): sent `as-is`, or `convert`ed where no"
        " signature forbids it, else bounced", check=values.one_of("as-is", "convert"),
    )  # fmt: skip
    convert_limit: int = setting(
        50 * 1024 * 1024, "larger messages are not converted, but bounced", unit="bytes", check=values.at_least(0)
    )
    dsn_to_strangers: bool = setting(
        True, "who asks for a report by NOTIFY (RFC 3461) gets one, its header alone, without having logged in"
    )
    dsn_per_hour: int = setting(
        200, "reports to one address in an hour; what goes beyond is an event alone (0: no limit)",
        check=values.at_least(0),
    )  # fmt: skip
    warn_after: float = setting(
        4 * 3600.0, "a sender is told once that its message takes so long (0: only where it asks, after 4 hours)",
        unit="seconds", check=values.at_least(0),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Returns:
    domain: str = setting(
        "", "the domain of return addresses where neither domain nor stream has its own, and of rewritten senders;"
        " empty: the hostname", check=values.optional_hostname,
    )  # fmt: skip
    days: int = setting(
        30, "how long after its message a bounce is taken; an older return address is refused", unit="days",
        check=values.between(1, 1000),
    )  # fmt: skip
    srs: bool = setting(True, "mail that is passed on to other hosts leaves under a rewritten sender (SRS)")
    srs_days: int = setting(
        21, "how long a bounce to a rewritten sender is passed back", unit="days", check=values.between(1, 1000)
    )


@dataclass(frozen=True, slots=True)
class Limits:
    exempt: tuple[str, ...] = setting(
        ("127.0.0.0/8", "::1/128"),
        "clients that rate, connection and sending limits spare, and the front door (never a permission to relay)",
        check=values.network,
    )
    proxies: tuple[str, ...] = setting(
        (), "networks whose connections begin with a PROXY header (versions 1 and 2) that says who the client is: they"
        " must send it, and nobody else is believed (HTTP has `trusted_proxies`)", check=values.network,
    )  # fmt: skip
    proxy_timeout: float = setting(
        5.0, "patience for that header; without it the connection is dropped", unit="seconds",
        check=values.between(0.1, 60),
    )  # fmt: skip
    xclient: tuple[str, ...] = setting(
        (), "networks that may tell by XCLIENT whom they speak for", check=values.network
    )
    partners: tuple[str, ...] = setting(
        (), "clients that may ask for what else a login is needed for: FUTURERELEASE, DELIVERBY, MT-PRIORITY (never a"
        " permission to relay)", check=values.network,
    )  # fmt: skip
    max_message_size: int = setting(
        50 * 1024 * 1024, "largest message taken (SIZE, RFC 1870)", unit="bytes", check=values.at_least(1024)
    )
    max_recipients: int = setting(
        1000, "recipients of one SMTP transaction; more get 452 4.5.3", check=values.at_least(100)
    )
    max_errors: int = setting(20, "wrong commands in one session before it is ended with 421", check=values.at_least(1))
    max_command_line: int = setting(
        512, "an SMTP command with its CRLF, before what parameters add (RFC 5321 §4.5.3.1.4); a longer one gets 500",
        unit="bytes", check=values.between(512, 8192),
    )  # fmt: skip
    max_idle_commands: int = setting(
        100, "SMTP commands since the last message that brought none (NOOP, RSET, EHLO ...); one more gets 421",
        check=values.at_least(10),
    )  # fmt: skip
    max_transactions: int = setting(
        0, "messages in one SMTP session, announced as MAILMAX (RFC 9422); one more gets 421; 0: no limit",
        check=values.between(0, 999_999),
    )  # fmt: skip
    max_hold: float = setting(
        30 * 86400.0, "how far ahead a message may be submitted (FUTURERELEASE, RFC 4865)", unit="seconds",
        check=values.between(60, 999_999_999),
    )  # fmt: skip
    max_refused_recipients: int = setting(
        1000, "refused recipients of every kind in one SMTP session; one more gets 421", check=values.at_least(1)
    )
    max_unknown_recipients: int = setting(
        50, "unknown recipients in one session before it is ended with 421", check=values.at_least(1)
    )
    max_connections: int = setting(5000, "connections of all services together", check=values.at_least(1))
    max_connections_per_client: int = setting(
        100, "connections from one address (exempt clients are spared)", check=values.at_least(1)
    )
    max_received_fields: int = setting(
        50, "Received fields before a message is a loop (RFC 5321 §6.3)", check=values.between(1, 1000)
    )
    max_own_received_fields: int = setting(
        10, "Received fields of this server itself before a message is a loop", check=values.between(1, 1000)
    )
    max_header_size: int = setting(1024 * 1024, "largest header block", unit="bytes", check=values.at_least(1024))
    min_free: int = setting(
        256 * 1024 * 1024, "disk kept free: below it MAIL is answered 452", unit="bytes", check=values.at_least(0)
    )
    mail_timeout: float = setting(
        300.0, "patience for a command (RFC 5321 §4.5.3.2)", unit="seconds", check=values.at_least(1)
    )
    data_timeout: float = setting(
        180.0, "patience between two pieces of a body", unit="seconds", check=values.at_least(1)
    )
    write_timeout: float = setting(
        120.0, "patience with a client that does not read what it is told", unit="seconds", check=values.at_least(1)
    )
    handshake_timeout: float = setting(60.0, "patience for a TLS handshake", unit="seconds", check=values.at_least(1))
    idle_timeout: float = setting(
        1800.0, "patience of IMAP with a silent client (RFC 3501 §5.4)", unit="seconds", check=values.at_least(1)
    )
    pop3_timeout: float = setting(
        600.0, "patience of POP3 with a silent client (RFC 1939 §3)", unit="seconds", check=values.at_least(1)
    )
    unauthenticated_timeout: float = setting(
        60.0, "IMAP and POP3: patience before login", unit="seconds", check=values.at_least(1)
    )
    max_scans: int = setting(
        200, "conversations with scanners at once; further messages wait, as long as for a scanner's connection",
        check=values.at_least(1),
    )  # fmt: skip
    passwords_at_once: int = setting(2, "Argon2 runs at the same time; each takes 19 MiB", check=values.between(1, 64))


@dataclass(frozen=True, slots=True)
class Submission:
    send_as: str = setting(
        "own", "what accounts may send as, in MAIL FROM, From and Sender: their `own` addresses, anything in our"
        " `domains`, or `any` (where devices relay for others)", check=values.one_of("own", "domains", "any"),
    )  # fmt: skip
    account_recipients_per_hour: int = setting(
        100, "remote recipients of one account; what goes beyond is held (0: no limit)", check=values.at_least(0)
    )
    account_recipients_per_day: int = setting(500, "the same in a day", check=values.at_least(0))
    token_recipients_per_hour: int = setting(
        0, "recipients of one token; what goes beyond is held (0: no limit)", check=values.at_least(0)
    )
    token_recipients_per_day: int = setting(0, "the same in a day", check=values.at_least(0))
    new_token_recipients_per_day: int = setting(
        1000, "the same while the token is new, if that is less", check=values.at_least(0)
    )
    new_token_days: float = setting(14.0, "how long a token is new", unit="days", check=values.at_least(0))
    jump_recipients: int = setting(
        200, "so many different recipients in an hour may be a jump for who used to have far fewer (0: never)",
        check=values.at_least(0),
    )  # fmt: skip
    jump_factor: float = setting(
        5.0, "it is one beyond so many times what the sender's busiest hours had", check=values.at_least(1)
    )
    jump_bounces: int = setting(
        20, "so many recipients that fail for good within an hour may hold the sender (0: never)",
        check=values.at_least(0),
    )  # fmt: skip
    jump_bounce_share: float = setting(
        25.0, "they do when they are so much of what it sent in that hour", unit="percent", check=values.between(1, 100)
    )


MODES = ("off", "note", "refuse")


@dataclass(frozen=True, slots=True)
class DnsList:
    """One list of clients in DNS (RFC 5782)."""

    zone: str = setting(text="such as zen.example.org: asked for the client's address under it", check=values.hostname)
    weight: float = setting(
        text="what being listed adds; below zero for a list of good clients", check=values.between(-1000, 1000)
    )
    codes: tuple[str, ...] = setting(
        ("127.0.0.2",), "answers that count; `*` and `2-11` in place of a number are understood",
        check=values.list_codes,
    )  # fmt: skip
    help: str = setting(
        "", "where a refused client reads why and how to be removed; `{client}` and `{zone}` are put in"
    )


@dataclass(frozen=True, slots=True)
class FrontDoor:
    refuse_at: float = setting(
        10.0, "notes on a client whose weights add up to this refuse it", check=values.between(0.1, 1000)
    )
    rdns: str = setting("note", "clients without a confirmed name (FCrDNS): `off`, `note` or `refuse`",
                        check=values.one_of(*MODES))  # fmt: skip
    rdns_weight: float = setting(2.0, "of that note", check=values.between(0, 1000))
    helo: str = setting(
        "note", "names in HELO that are none: `off`, `note` or `refuse`; one that claims to be us is refused by the"
        " latter two", check=values.one_of(*MODES),
    )  # fmt: skip
    helo_weight: float = setting(2.0, "of that note", check=values.between(0, 1000))
    own_addresses: tuple[str, ...] = setting(
        (), "public addresses of this server that no listener names (behind NAT): no client may claim them in HELO",
        check=values.ip_address,
    )  # fmt: skip
    early: str = setting(
        "note", "clients that talk before it is their turn: `off`, `note` or `refuse`", check=values.one_of(*MODES)
    )
    early_weight: float = setting(3.0, "of that note", check=values.between(0, 1000))
    banner_wait: float = setting(
        0.0, "strangers wait so long for the first words, which early talkers do not (0: not at all)",
        unit="seconds", check=values.between(0, 60),
    )  # fmt: skip
    dns_wait: float = setting(
        3.0, "look-ups of a client may hold up its first recipient so long; then it is judged by what is known",
        unit="seconds", check=values.between(0.1, 30),
    )  # fmt: skip
    list_test_every: float = setting(
        3600.0, "how often the lists are tested (RFC 5782 §5)", unit="seconds", check=values.at_least(60)
    )
    greylist: str = setting(
        "off", "who is asked to come again: `off`, `suspicious` (the notes weigh more than nothing) or `all` strangers",
        check=values.one_of("off", "suspicious", "all"),
    )  # fmt: skip
    greylist_delay: float = setting(
        300.0, "a second try before that is put off again", unit="seconds", check=values.between(1, 86400)
    )
    greylist_window: float = setting(
        2 * 86400.0, "a second try after that counts as a first one", unit="seconds", check=values.at_least(60)
    )
    greylist_keep: float = setting(
        36.0, "how long those who came again are remembered without mail", unit="days", check=values.at_least(1)
    )
    greylist_learn: int = setting(
        5, "messages that came again until all of a network's mail is let in", check=values.at_least(1)
    )
    connections_per_minute: int = setting(
        300, "new connections of one address, as many at once; more get 421 (0: no limit)", check=values.at_least(0)
    )
    connections_per_minute_network: int = setting(
        1500, "the same of one network (IPv4 /24, IPv6 /64)", check=values.at_least(0)
    )
    messages_per_minute: int = setting(
        1500, "messages of one address, as many at once; more get 451 (0: no limit)", check=values.at_least(0)
    )
    messages_per_minute_network: int = setting(6000, "the same of one network", check=values.at_least(0))
    unknown_per_hour: int = setting(
        100, "unknown recipients that one address may try; then all its recipients get 451 (0: no limit)",
        check=values.at_least(0),
    )  # fmt: skip
    clients: int = setting(
        20_000, "addresses and networks that are remembered at once, for each of these", check=values.at_least(100)
    )


SCANNED = ("mx", "submission", "lmtp")


@dataclass(frozen=True, slots=True)
class Scanner:
    """One program that looks at mail before it is ours: a milter, or Rspamd by HTTP."""

    name: str = setting(text="what it is called in traces, logs and metrics", check=values.word)
    url: str = setting(
        text="where it is: `milter:unix:/path`, `milter:host:port` or `rspamd:http://host:11333`", check=values.scanner
    )
    services: tuple[str, ...] = setting(
        ("mx", "submission"), "whose mail it sees: " + ", ".join(SCANNED) + "; `submission` is also that of programs"
        " (the HTTP API, `sendmail`)", check=values.one_of(*SCANNED),
    )  # fmt: skip
    on_failure: str = setting(
        "defer", "what becomes of mail while it does not answer: `defer` (the client tries again) or `accept`"
        " (unseen by it)", check=values.one_of("defer", "accept"),
    )  # fmt: skip
    connect_timeout: float = setting(
        5.0, "patience for its connection, and for its first words", unit="seconds", check=values.between(0.1, 60)
    )
    command_timeout: float = setting(
        30.0, "patience for its answer to a command, a header field or a piece of a body", unit="seconds",
        check=values.between(0.1, 300),
    )  # fmt: skip
    message_timeout: float = setting(
        120.0, "patience for its answer to a whole message; a milter that tells of its progress gets more, but not"
        " more than 9 minutes in all", unit="seconds", check=values.between(0.1, 540),
    )  # fmt: skip
    rest: float = setting(
        30.0, "after three failures in a row it is left alone for so long, and costs no message any time",
        unit="seconds", check=values.between(1, 3600),
    )  # fmt: skip
    max_size: int = setting(
        50 * 1024 * 1024, "larger messages are not shown to it", unit="bytes", check=values.at_least(1024)
    )


@dataclass(frozen=True, slots=True)
class Http:
    header_timeout: float = setting(
        15.0, "patience for a request's line and header fields", unit="seconds", check=values.at_least(1)
    )
    body_timeout: float = setting(
        30.0, "patience for a request's body; each 4 KiB of it that came earn a second more", unit="seconds",
        check=values.at_least(1),
    )  # fmt: skip
    write_timeout: float = setting(
        60.0, "patience with a client that does not read its answer", unit="seconds", check=values.at_least(1)
    )
    idle_timeout: float = setting(
        60.0, "how long a connection is kept for the next request", unit="seconds", check=values.at_least(1)
    )
    max_header_size: int = setting(
        32 * 1024, "a request's line and header fields together; more gets 431", unit="bytes",
        check=values.at_least(1024),
    )  # fmt: skip
    max_header_fields: int = setting(100, "header fields of one request; more gets 431", check=values.at_least(10))
    max_body_size: int = setting(
        1024 * 1024, "a request's body, other than mail; more gets 413", unit="bytes", check=values.at_least(1024)
    )
    max_email_size: int = setting(
        10 * 1024 * 1024, "the body of a request that sends one message", unit="bytes", check=values.at_least(1024)
    )
    max_batch_size: int = setting(
        50 * 1024 * 1024, "the body of a request that sends many messages", unit="bytes", check=values.at_least(1024)
    )
    body_memory: int = setting(
        64 * 1024 * 1024, "large bodies in memory at once; further ones wait their turn, then get 503", unit="bytes",
        check=values.at_least(1024 * 1024),
    )  # fmt: skip
    trusted_proxies: tuple[str, ...] = setting(
        (), "networks whose X-Forwarded-For and X-Forwarded-Proto are believed", check=values.network
    )
    hsts: float = setting(
        0.0, "on https: browsers shall keep to https for so long (0: not said)", unit="seconds",
        check=values.at_least(0),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Addresses:
    delimiter: str = setting(
        "+", "what stands between a mailbox and its detail; empty: no details", check=values.delimiter
    )


@dataclass(frozen=True, slots=True)
class Retention:
    events: float = setting(45.0, "events and finished messages", unit="days", check=values.at_least(0))
    dialogues: float = setting(45.0, "attempts and their dialogues", unit="days", check=values.at_least(0))
    refusals: float = setting(45.0, "refused attempts", unit="days", check=values.at_least(0))
    audit: float = setting(
        365.0, "the audit log: who changed what, and signed in", unit="days", check=values.at_least(0)
    )


@dataclass(frozen=True, slots=True)
class Log:
    format: str = setting("text", "`text` or `json`", check=values.one_of("text", "json"))
    level: str = setting(
        "info",
        "`debug`, `info`, `warning` or `error`",
        reload=True,
        check=values.one_of("debug", "info", "warning", "error"),
    )


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One provider of mailboxes, beside or instead of those that ship (data/providers.toml)."""

    name: str = setting(text="as `queue summary --by provider` says it")
    mx: tuple[str, ...] = setting((), "how its MX hosts are named, such as `*.mx.example.net`; empty: as shipped")
    connections: int = setting(0, "at once, for all its domains together; 0: as shipped", check=values.at_least(0))
    messages_per_connection: int = setting(0, "then it is closed; 0: as shipped", check=values.at_least(0))
    max_recipients: int = setting(0, "recipients in one transaction; 0: as shipped", check=values.at_least(0))
    per_minute: float = setting(0.0, "messages; 0: as shipped, else learned", check=values.at_least(0))


@dataclass(frozen=True, slots=True)
class RouteRule:
    """Where some mail goes. The first table that fits decides; all that is given must fit."""

    domain: str = setting("", "recipients' domain; `*.example.org` is all below it", check=values.domain_pattern)
    sender: str = setting("", "envelope sender: an address, or `@example.org`")
    stream: str = setting("", "message stream, such as `broadcast`")
    via: tuple[str, ...] = setting(
        ("mx",), "`mx`, `smarthost`, `smtp://user:password@host:port`, `smtps://...`, `lmtp://host:port` or"
        " `lmtp:/path`; those behind the first are taken where that one cannot be reached or puts mail off",
        secret=True, check=values.via,
    )  # fmt: skip
    overflow: int = setting(
        0, "what waits beyond so many messages goes by the second of `via`; 0: nothing does", check=values.at_least(0)
    )
    pool: str = setting("", "the [[pool]] of addresses that it leaves from; empty: `[delivery] source_address`")


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Addresses that some mail leaves from, so that one kind of mail does not spoil the name of another."""

    name: str = setting(text="as a [[route]] names it", check=values.word)
    addresses: tuple[str, ...] = setting(text="addresses of this machine", check=values.ip_address)
    helo: str = setting("", "EHLO name; empty: the hostname", check=values.optional_hostname)
    connections: int = setting(0, "from one of the addresses at once; 0: no limit", check=values.at_least(0))
    per_minute: float = setting(0.0, "messages from one of the addresses; 0: no limit", check=values.at_least(0))


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """When some mail is tried again. The first table that fits decides, value by value; what is left out is as
    `[delivery]` has it."""

    stream: str = setting("", "message stream; empty: any")
    cause: str = setting(
        "", "`network`, `throttled`, `greylisted`, `mailbox-full` or `other`; empty: any",
        check=values.one_of("", "network", "throttled", "greylisted", "mailbox-full", "other"),
    )  # fmt: skip
    waits: tuple[float, ...] = setting(
        (), "between tries; the last one repeats", unit="seconds", check=values.at_least(0.1)
    )
    expire_after: float = setting(0.0, "how long it is tried", unit="seconds", check=values.at_least(0))
    warn_after: float = setting(0.0, "when a sender is told of the delay", unit="seconds", check=values.at_least(0))


@dataclass(frozen=True, slots=True)
class Settings:
    hostname: str = setting(text="EHLO name, PTR and certificate", check=values.hostname)
    data_dir: Path = setting(text="where rows, segments, keys and the control socket live")
    node: str = setting("", "name of this node; empty: the hostname")
    roles: tuple[str, ...] = setting(
        ("all",), "`all`, or a choice of " + ", ".join(ROLES), check=values.one_of("all", *ROLES)
    )
    one_core: bool = setting(
        True, "keep the event loop and the store's writer on one core: less CPU for each message, the rest stays free"
    )
    storage: Storage = setting(Storage, "where things are kept")
    listen: tuple[Listen, ...] = setting((), "listeners")
    tls: Tls = setting(Tls, "certificate")
    dns: Dns = setting(Dns, "resolver")
    delivery: DeliverySettings = setting(DeliverySettings, "the way out")
    tls_policy: tuple[TlsPolicy, ...] = setting((), "what is asked of single destinations' TLS")
    returns: Returns = setting(Returns, "what comes back: bounces, complaints, and the addresses they come to")
    auth: Auth = setting(Auth, "how people log in")
    logins: LoginLimits = setting(LoginLimits, "what wrong passwords cost, over SMTP, IMAP and POP3")
    limits: Limits = setting(Limits, "limits, each with its reason")
    submission: Submission = setting(Submission, "who may send as whom, and how much")
    front_door: FrontDoor = setting(FrontDoor, "what strangers' servers are asked at `mx`")
    dns_list: tuple[DnsList, ...] = setting((), "lists of clients in DNS")
    route: tuple[RouteRule, ...] = setting((), "where some mail goes")
    pool: tuple[PoolSettings, ...] = setting((), "addresses that some mail leaves from")
    provider: tuple[ProviderSettings, ...] = setting((), "limits of providers")
    retry: tuple[RetrySettings, ...] = setting((), "when some mail is tried again")
    scanner: tuple[Scanner, ...] = setting((), "programs that look at mail before it is ours: milters, and Rspamd")
    http: Http = setting(Http, "the HTTP listeners: limits and patience")
    addresses: Addresses = setting(Addresses, "how addresses are read")
    retention: Retention = setting(Retention, "how long things are kept")
    log: Log = setting(Log, "logs")
