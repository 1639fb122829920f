"""What a listener is like: one frozen profile for all its connections, and the texts that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from postroad.proto.smtp.extensions import BUILT, Offer, ehlo_lines, for_client
from postroad.proto.smtp.grammar import MAX_COMMAND_LINE, VERBS
from postroad.proto.smtp.reply import Reply, reply


class Dialect(Enum):
    """What is spoken on a listener."""

    MX = "mx"
    SUBMISSION = "submission"
    LMTP = "lmtp"


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """What a listener is like; all its connections share one."""

    hostname: str
    dialect: Dialect = Dialect.MX
    max_size: int = 50 * 1024 * 1024
    max_recipients: int = 1000  # RFC 5321 §4.5.3.1.8: 100 or more
    max_refused_recipients: int = 1000  # in one conversation
    max_errors: int = 20
    max_command_line: int = MAX_COMMAND_LINE  # octets with CRLF; parameters come on top of it
    max_transactions: int = 0  # MAILs of one conversation (RFC 9422 §4.1); 0: no limit
    max_idle_commands: int = 100  # in one conversation since its last message: NOOP, RSET, EHLO and their like
    starttls: bool = False  # a certificate exists
    secured: bool = False  # TLS from the first octet
    auth_mechanisms: tuple[str, ...] = ()
    certified_mechanisms: tuple[str, ...] = ()  # in their place where the client's certificate proves who it is
    require_auth: bool = False
    command_timeout: float = 300.0  # RFC 5321 §4.5.3.2.7
    data_timeout: float = 180.0  # RFC 5321 §4.5.3.2.5
    repair_bare_lf: bool = False  # for our own submitters only: bare LF in content becomes CRLF
    extensions: frozenset[str] = BUILT  # what may be announced; a word that is not here is not taken either
    max_hold: int = 0  # seconds that a message may be held for (RFC 4865); 0: FUTURERELEASE is not offered


class Standing(NamedTuple):
    """Who a client is to us, before it says a word: its session tells the machine."""

    listed: bool = False  # may ask for what is else for those who have logged in
    certified: bool = False  # has shown a certificate that proves who it is
    may_introduce: bool = False  # a gateway that may tell by XCLIENT whom it speaks for
    horizon: str = ""  # the latest time that it may have a message held until


STRANGER: Final = Standing()


HELLO_VERBS: Final = {
    Dialect.MX: ("HELO", "EHLO"),
    Dialect.SUBMISSION: ("HELO", "EHLO"),
    Dialect.LMTP: ("LHLO",),  # RFC 2033 §4.1
}


@lru_cache(maxsize=64)
def banner(profile: ServerProfile) -> Reply:
    """The first words of a conversation (RFC 5321 §4.2)."""
    return reply(220, "", f"{profile.hostname} {'LMTP' if profile.dialect is Dialect.LMTP else 'ESMTP'} ready")


@lru_cache(maxsize=64)
def greeting(profile: ServerProfile, verb: str, secured: bool, authenticated: bool, standing: Standing) -> bytes:
    """The answer to HELO, or to EHLO and LHLO with what can be had now; made once for each listener."""
    if verb == "HELO":
        return reply(250, "", profile.hostname).wire
    offer = Offer(
        profile.max_size,
        profile.starttls and not secured,
        mechanisms(profile, certified=standing.certified) if secured and not authenticated else (),
        profile.extensions,
        authenticated or standing.listed,
        profile.max_recipients,
        profile.max_transactions,
        max_hold=profile.max_hold,
        may_introduce=standing.may_introduce,
        horizon=standing.horizon,
        secured=secured,
    )
    return reply(250, "", profile.hostname, *ehlo_lines(offer)).wire


def mechanisms(profile: ServerProfile, *, certified: bool) -> tuple[str, ...]:
    """How a client may log in, once it speaks TLS."""
    return profile.certified_mechanisms if certified else profile.auth_mechanisms


@lru_cache(maxsize=64)
def offers(profile: ServerProfile, *, privileged: bool) -> frozenset[str]:
    """The extensions whose parameters are taken from a client."""
    return for_client(profile.extensions, privileged=privileged)


@lru_cache(maxsize=64)
def help_reply(dialect: Dialect, topic: str) -> Reply:
    """The answer to HELP, from the table of verbs."""
    hidden = {"HELO", "EHLO", "LHLO"} - set(HELLO_VERBS[dialect])
    hidden |= {verb.name for verb in VERBS.values() if verb.hidden}
    known = {name: verb for name, verb in VERBS.items() if verb.read is not None and name not in hidden}
    if topic in known:
        return reply(214, "2.0.0", f"Syntax: {known[topic].syntax}")
    if topic in VERBS and topic not in hidden:
        return reply(214, "2.0.0", f"{topic} is not served here")
    return reply(214, "2.0.0", "Commands: " + " ".join(known), "HELP and a command tells its syntax")
