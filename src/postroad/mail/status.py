"""One outcome, rendered to SMTP, DSN, event and log (RFC 5321 §4.2; codes of RFC 3463 and of the registry
that RFC 5248 keeps).

A `Status` is a value: what we answer to a client, and what a remote server answered for one recipient.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct, structs


class EnhancedCode(NamedTuple):
    """An enhanced status code, `class.subject.detail` (RFC 3463 §2)."""

    klass: int
    subject: int
    detail: int

    def __str__(self) -> str:
        return f"{self.klass}.{self.subject}.{self.detail}"

    @classmethod
    def parse(cls, text: str) -> EnhancedCode | None:
        """Read `5.1.1`; None when `text` is not an enhanced code."""
        parts = text.split(".")
        if len(parts) != 3 or parts[0] not in ("2", "4", "5"):
            return None
        if not all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts[1:]):
            return None
        return cls(int(parts[0]), int(parts[1]), int(parts[2]))


class Status(Struct, frozen=True, gc=False):
    """What happened to a command, a message or one recipient.

    `text` is safe for a stranger; `cause` is for the operator; `remote` names the server that spoke (empty: we did);
    `diagnostic` is what the remote said, word for word; `reason` is the name that a failure has in content.reasons.
    """

    reply_code: int
    enhanced: EnhancedCode | None
    text: str
    cause: str = ""
    remote: str = ""
    diagnostic: str = ""
    reason: str = ""

    @property
    def is_success(self) -> bool:
        return 200 <= self.reply_code < 400

    @property
    def is_temporary(self) -> bool:
        """Worth another try. An error with no class is temporary."""
        return not self.is_success and not self.is_permanent

    @property
    def is_permanent(self) -> bool:
        return 500 <= self.reply_code < 600

    def because(self, cause: str) -> Status:
        """The same outcome with the operator's reason beside it."""
        return structs.replace(self, cause=cause)

    def __str__(self) -> str:
        code = f" {self.enhanced}" if self.enhanced else ""
        return f"{self.reply_code}{code} {self.text}"


def status(reply_code: int, enhanced: str, text: str, cause: str = "") -> Status:
    """A status of our own making: `status(550, "5.1.1", "no such user")`."""
    return Status(reply_code, EnhancedCode.parse(enhanced), text, cause)
