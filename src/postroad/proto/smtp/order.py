"""Which command may come when: how far a conversation is, and what stands against the next step (RFC 5321 §4.1.4).

Pure: each function returns the reply that refuses, or None. `server.py` acts on it.
"""

from __future__ import annotations

from postroad.proto.smtp import reply as replies
from postroad.proto.smtp.body import ChunkReader
from postroad.proto.smtp.grammar import Auth, Mail, Rcpt
from postroad.proto.smtp.profile import ServerProfile, Standing, mechanisms, offers
from postroad.proto.smtp.reply import Reply


class Progress:
    """How far a conversation is."""

    __slots__ = (
        "addressing", "asks", "authenticated", "content", "hello", "idle", "lost", "open", "recipients", "refusals",
        "secured", "transactions", "tried",
    )  # fmt: skip

    def __init__(self, profile: ServerProfile, *, secured: bool) -> None:
        self.hello = ""  # HELO, EHLO or LHLO; empty before it
        self.secured = secured
        self.authenticated = False
        self.idle = profile.max_idle_commands  # that may still come before a message
        self.refusals = profile.max_refused_recipients  # of recipients, that may still come
        self.transactions = profile.max_transactions or -1  # that may still come; below zero: any number
        self.open = False  # a MAIL was accepted
        self.addressing = False  # and RCPT may come: the content has not begun
        self.tried = False  # a RCPT was seen since
        self.recipients = 0  # RCPTs accepted
        self.asks: frozenset[str] = frozenset()  # the extensions that its MAIL asked for
        self.content: ChunkReader | None = None  # what comes by BDAT, from its first chunk to its last
        self.lost = False  # a chunk was refused: those behind it, already on their way, belong to nothing

    def anew(self, profile: ServerProfile, *, secured: bool) -> Progress:
        """Begin again: all is forgotten but what the connection has used up."""
        after = Progress(profile, secured=secured)
        after.idle, after.refusals, after.transactions = self.idle, self.refusals, self.transactions
        return after

    def begin_transaction(self) -> None:
        self.open = self.addressing = True
        self.tried = self.lost = False
        self.recipients = 0
        self.transactions -= 1

    def begin_content(self, content: ChunkReader) -> None:
        self.content, self.addressing = content, False

    def end_transaction(self) -> bool:
        """Forget it; tells whether there was one."""
        was_open = self.open
        self.open = self.addressing = False
        self.content = None
        return was_open


def against_mail(progress: Progress, profile: ServerProfile, command: Mail, standing: Standing) -> Reply | None:
    if not progress.hello:
        return replies.SAY_HELLO_FIRST
    if progress.open:
        return replies.NESTED_MAIL
    if profile.require_auth and not progress.authenticated:
        return replies.AUTH_REQUIRED if progress.secured or not profile.starttls else replies.TLS_FIRST
    parameters = command.parameters
    if parameters.asks:
        if not parameters.asks <= offers(profile, privileged=progress.authenticated or standing.listed):
            return replies.UNKNOWN_PARAMETER
        if parameters.require_tls and not progress.secured:
            return replies.UNKNOWN_PARAMETER  # RFC 8689 §4.1: it is announced under TLS alone
        if (parameters.hold_for or 0) > profile.max_hold:
            return replies.HOLD_TOO_LONG  # RFC 4865 §4
    size = parameters.size
    return replies.TOO_LARGE if size is not None and size > profile.max_size else None  # RFC 1870 §6.1


def against_rcpt(progress: Progress, profile: ServerProfile, command: Rcpt) -> Reply | None:
    if not progress.open:
        return replies.SAY_MAIL_FIRST
    if progress.content is not None:
        return replies.BODY_HAS_BEGUN
    if command.utf8 and "SMTPUTF8" not in progress.asks:
        return replies.NEEDS_SMTPUTF8  # RFC 6531 §3.5
    asks = command.parameters.asks
    return replies.UNKNOWN_PARAMETER if asks and not asks <= profile.extensions else None


def against_data(progress: Progress) -> Reply | None:
    """RFC 5321 §3.3: 503 without MAIL or RCPT, 554 when every RCPT was refused."""
    if (progress.content is not None or "BINARYMIME" in progress.asks) and progress.open:
        return replies.SAY_BDAT  # RFC 3030 §2, §3
    return _against_body(progress)


def against_bdat(progress: Progress, profile: ServerProfile) -> Reply | None:
    """What stands against a chunk; its octets come all the same."""
    if "CHUNKING" not in profile.extensions:
        return replies.NOT_IMPLEMENTED
    return replies.CHUNK_OF_NOTHING if progress.lost else _against_body(progress)


def _against_body(progress: Progress) -> Reply | None:
    if not progress.open:
        return replies.SAY_MAIL_FIRST
    if not progress.recipients:
        return replies.NO_VALID_RECIPIENTS if progress.tried else replies.SAY_RCPT_FIRST
    return None


def against_starttls(progress: Progress, profile: ServerProfile) -> Reply | None:
    """RFC 3207 §4. A transaction is no obstacle: TLS forgets it."""
    if progress.secured:
        return replies.ALREADY_TLS
    if not profile.starttls:
        return replies.NOT_IMPLEMENTED
    return None if progress.hello else replies.SAY_HELLO_FIRST


def against_xclient(progress: Progress, profile: ServerProfile, *, may_introduce: bool) -> Reply | None:
    if not may_introduce or "XCLIENT" not in profile.extensions:
        return replies.NO_XCLIENT
    return replies.XCLIENT_IN_TRANSACTION if progress.open else None


def against_auth(progress: Progress, profile: ServerProfile, command: Auth, *, certified: bool = False) -> Reply | None:
    """RFC 4954 §4, in the order in which a client would put it right."""
    if not profile.auth_mechanisms and not profile.certified_mechanisms:
        return replies.NOT_IMPLEMENTED
    if progress.hello in ("", "HELO"):
        return replies.SAY_HELLO_FIRST
    if not progress.secured:
        return replies.AUTH_NEEDS_TLS
    if progress.authenticated:
        return replies.ALREADY_AUTHENTICATED
    if progress.open:
        return replies.AUTH_IN_TRANSACTION
    return None if command.mechanism in mechanisms(profile, certified=certified) else replies.UNKNOWN_MECHANISM
