"""Who gets nothing more on a stream because of what became of a message: hard bounces and complaints. Pure."""

from __future__ import annotations

from datetime import datetime

from postroad.mail.address import Address, AddressError
from postroad.ports.sending import SuppressionOrigin, SuppressionReason, SuppressionRecord
from postroad.ports.store import Delivery, Message


def deactivation(
    message: Message, delivery: Delivery, reason: SuppressionReason, now: datetime
) -> SuppressionRecord | None:
    """The row that suppresses a recipient; None for mail that no stream sent.

    Where an alias of ours led to the address, that is not whom the program wrote to: nobody is suppressed.
    """
    if message.server is None or not message.stream or delivery.orig:
        return None
    try:
        address = Address.parse(delivery.forward_path).key
    except AddressError:
        return None
    return SuppressionRecord(message.server, message.stream, address, reason, SuppressionOrigin.RECIPIENT, now)
