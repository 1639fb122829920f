"""What an SMTP client did, as the server machine tells it. Each event says whether it wants an answer."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from postroad.mail.address import ForwardPath, ReversePath
from postroad.mail.envelope import BodyFlag
from postroad.proto.smtp.body import BodyFault
from postroad.proto.smtp.parameters import NO_RCPT_PARAMETERS, MailParameters, RcptParameters
from postroad.proto.smtp.reply import Reply
from postroad.proto.smtp.xclient import Xclient


class Stage(Enum):
    """Where in a conversation a command was refused; the names that refusals are filed under."""

    CONNECT = "connect"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    MESSAGE = "message"


class EndReason(Enum):
    """Why a conversation ended without QUIT."""

    EOF = "the client stopped sending"
    ERRORS = "too many errors"
    IDLE = "too many commands that bring no mail"
    NOT_SMTP = "the client does not speak SMTP"
    REFUSED = "we refused to go on"
    TIMEOUT = "timeout"
    SHUTDOWN = "shutdown"
    OVERLOAD = "overload"


class HelloReceived(Struct, gc=False):
    """`answer(reply)`: a positive one is replaced by our greeting with its extensions. RFC 5321 §4.1.1.1."""

    verb: str
    name: str


class MailReceived(Struct, gc=False):
    """`answer(reply)`; a positive one opens a transaction."""

    reverse_path: ReversePath
    parameters: MailParameters


class RcptReceived(Struct, gc=False):
    """`answer(reply)`; a positive one adds a recipient."""

    forward_path: ForwardPath
    parameters: RcptParameters = NO_RCPT_PARAMETERS


class DataRequested(Struct, gc=False):
    """DATA, or the first BDAT: `accept_body()`, or `answer(reply)` to refuse, which ends the transaction."""

    chunked: bool = False  # BDAT: the octets come unasked, right behind it


class BodyChunk(Struct, gc=False):
    """Content, dots taken away. Needs no answer."""

    data: bytes


class BodyEnd(Struct, gc=False):
    """`answer(reply)` (LMTP: `answer_each(replies)`); the transaction is over then. `fault` tells that the content is
    to be refused: what came as chunks is not all of it."""

    fault: BodyFault | None
    size: int
    flags: BodyFlag


class TransactionReset(Struct, gc=False):
    """RSET, a new EHLO or TLS: what was begun is forgotten. Needs no answer."""


class TlsRequested(Struct, gc=False):
    """`accept_tls()`, or `answer(reply)`."""


class AuthStarted(Struct, gc=False):
    """`challenge(data)`, `authenticated()` or `answer(reply)`."""

    mechanism: str
    initial: bytes | None


class AuthResponse(Struct, gc=False):
    """As AuthStarted; None tells that the exchange is over (cancelled, or unreadable) and wants no answer."""

    data: bytes | None


class ClientIntroduced(Struct, gc=False):
    """XCLIENT: `accept_client(...)`, or `answer(reply)`."""

    client: Xclient


class CommandAnswered(Struct, gc=False):
    """The machine answered by itself (NOOP, HELP, VRFY, a chunk of several). Needs no answer; a turn counts it."""

    verb: str


class CommandRefused(Struct, gc=False):
    """The machine itself said 4yz or 5yz. Needs no answer. `line` has no secrets."""

    stage: Stage
    reply: Reply
    line: str


class Quit(Struct, gc=False):
    """QUIT was answered: close the connection."""


class ConversationEnded(Struct, gc=False):
    """Nothing more is read: close the connection."""

    reason: EndReason


Event = (
    HelloReceived
    | MailReceived
    | RcptReceived
    | DataRequested
    | BodyChunk
    | BodyEnd
    | TransactionReset
    | TlsRequested
    | AuthStarted
    | AuthResponse
    | ClientIntroduced
    | CommandAnswered
    | CommandRefused
    | Quit
    | ConversationEnded
)
