"""What scanners want of a message's envelope, done to it before the message is ours: another sender, other recipients,
held back, or for nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import replace

from postroad.intake.scanners import Changes
from postroad.intake.transaction import MailTransaction
from postroad.mail.address import ForwardPath
from postroad.observe import log
from postroad.ports.ids import id_text
from postroad.proto.milterwire import AddRecipient, ChangeSender
from postroad.proto.smtp.lines import Unreadable, read_line
from postroad.routing.aliases import Resolution

NOBODY_LEFT = "a scanner that left no recipient"
Resolve = Callable[[ForwardPath], Resolution | Awaitable[Resolution]]

_log = log.get("scanners")


async def amend(mail: MailTransaction, changes: Changes, resolve: Resolve) -> None:
    """Raises StoreUnavailable."""
    planned, recipients = dict(mail.planned), mail.recipients
    if changes.sender is not None:
        _change_sender(mail, changes.sender)
    for path in changes.removed:
        _remove(mail, path)
    for wanted in changes.added:
        await _add(mail, wanted, resolve)
    if not mail.planned:
        mail.planned, mail.recipients = planned, recipients  # on record
        mail.discard(NOBODY_LEFT)
    elif changes.discard:
        mail.discard(f"scanner {changes.discard}")
    elif changes.quarantine:
        mail.hold(changes.quarantine)


def _change_sender(mail: MailTransaction, wanted: ChangeSender) -> None:
    command = _read(mail, b"MAIL FROM:", wanted.path, wanted.parameters)
    if command is not None:
        mail.reverse_path = command.reverse_path
        if wanted.parameters:
            mail.parameters = replace(command.parameters, body=mail.parameters.body, size=mail.parameters.size)


async def _add(mail: MailTransaction, wanted: AddRecipient, resolve: Resolve) -> None:
    command = _read(mail, b"RCPT TO:", wanted.path, wanted.parameters)
    if command is None:
        return
    found = resolve(command.forward_path)
    resolution = found if isinstance(found, Resolution) else await found
    if resolution.refusal is not None:
        _warn(mail, wanted.path, str(resolution.refusal))
        return
    if command.parameters.asks:
        mail.wishes[str(command.forward_path)] = command.parameters
    mail.add(command.forward_path, resolution.targets)


def _remove(mail: MailTransaction, path: bytes) -> None:
    wanted = path.decode("utf-8", "replace").strip().removeprefix("<").removesuffix(">").lower()
    for name in {name for name in mail.recipients if name.lower() == wanted}:
        mail.drop(name)


def _read(mail: MailTransaction, verb: bytes, path: bytes, parameters: bytes) -> Any:
    """As the client would have said it; None where nobody could."""
    address = path.strip()
    if not address.startswith(b"<"):
        address = b"<" + address + b">"
    words = b" ".join(b" ".join((verb + address, parameters)).split())
    try:
        return read_line(words + b"\r\n")[1]
    except Unreadable as unreadable:
        _warn(mail, path, str(unreadable.reply))
        return None


def _warn(mail: MailTransaction, path: bytes, error: str) -> None:
    shown = path.decode("utf-8", "replace")[:200]
    _log.warning("a scanner's wish was not done", message=id_text(mail.message), address=shown, error=error)
