"""What an IMAP listener is, and what it announces (RFC 3501 §6.1.1)."""

from __future__ import annotations

from dataclasses import dataclass

from postroad.proto.imap.commands import COMMANDS, State


@dataclass(frozen=True, slots=True)
class ImapProfile:
    """What a listener is; one for all its connections."""

    hostname: str
    starttls: bool = False  # a certificate exists
    secured: bool = False  # implicit TLS
    plaintext_login: bool = False  # passwords without TLS: for tests and benchmarks on the loopback interface
    mechanisms: tuple[str, ...] = ("PLAIN",)
    certified_mechanisms: tuple[str, ...] = ()  # in their place where the client's certificate proves who it is
    max_command: int = 64 * 1024  # octets with literals; clients send long UID sets
    max_command_before_login: int = 8 * 1024
    max_append: int = 50 * 1024 * 1024
    max_errors: int = 20  # wrong commands in a row, then BYE
    idle_timeout: float = 1800.0  # RFC 3501 §5.4: at least 30 minutes
    unauthenticated_timeout: float = 60.0
    literal_timeout: float = 180.0  # between two pieces of a message that is appended

    def may_start_tls(self, *, secured: bool) -> bool:
        return self.starttls and not secured

    def may_log_in(self, *, secured: bool) -> bool:
        return secured or self.plaintext_login

    def login_mechanisms(self, *, certified: bool) -> tuple[str, ...]:
        return self.certified_mechanisms if certified else self.mechanisms


def capabilities(profile: ImapProfile, state: State, *, secured: bool, certified: bool = False) -> bytes:
    """Announced is what is built: the rows of the command table say it."""
    words = ["IMAP4rev1", "LITERAL+", "SASL-IR"]
    words += [spec.capability for spec in COMMANDS.values() if spec.capability]
    if state is not State.NOT_AUTHENTICATED:
        return " ".join([*words, "CHILDREN", "SPECIAL-USE"]).encode("ascii")
    if profile.may_start_tls(secured=secured):
        words.append("STARTTLS")
    if profile.may_log_in(secured=secured):
        words += [f"AUTH={mechanism}" for mechanism in profile.login_mechanisms(certified=certified)]
    else:
        words.append("LOGINDISABLED")
    return " ".join(words).encode("ascii")
