"""What a simulated receiving server may do at each step of a visit. The tempers themselves are in `profiles/`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from postroad.mail.envelope import TlsInfo
from postroad.proto.smtp.reply import Reply, reply

if TYPE_CHECKING:
    from postroad.lab.reactions import Reaction
    from postroad.lab.receivers import Letter


@dataclass(slots=True)
class Visit:
    """One connection, as far as it has come. The envelope is that of the transaction under way."""

    receiver: str  # host name of the receiver
    client: str  # IP address
    helo: str = ""
    tls: TlsInfo | None = None
    reverse_path: str = ""
    recipients: list[str] = field(default_factory=list)
    octets: int = 0  # of the body so far
    messages: int = 0  # taken on this connection
    now: float = 0.0  # monotonic, at the step that is judged


@dataclass(frozen=True, slots=True)
class Move:
    """What to do: wait, then say `reply` (None: the usual yes) or, with `drop`, break the connection."""

    reply: Reply | None = None
    delay: float = 0.0
    drop: bool = False


GO = Move()
DROP = Move(drop=True)


def refuse(code: int, enhanced: str, *lines: str) -> Move:
    return Move(reply(code, enhanced, *lines))


class Temper:
    """Takes everything at once; others override the steps at which they differ."""

    def connect(self, visit: Visit) -> Move:  # noqa: ARG002
        return GO

    def left(self, visit: Visit) -> None:
        """A connection that was let in is gone."""

    def mail(self, visit: Visit) -> Move:  # noqa: ARG002
        return GO

    def rcpt(self, visit: Visit, address: str) -> Move:  # noqa: ARG002
        return GO

    def data(self, visit: Visit) -> Move:  # noqa: ARG002
        return GO

    def body(self, visit: Visit) -> Move:  # noqa: ARG002
        """Asked at each piece of the body; only `drop` counts."""
        return GO

    def message(self, visit: Visit) -> Move:  # noqa: ARG002
        """After the final dot. A message is kept when the reply is positive, and also when the connection is dropped
        here: then the sender cannot know, and sends it again (RFC 1047)."""
        return GO

    def afterwards(self, letter: Letter) -> Sequence[Reaction]:  # noqa: ARG002
        """What is sent back for a message that was kept."""
        return ()
