"""The steps of the policy, one subject a file. A step returns the Status that refuses, or None to go on.

Steps of the sender stage take (policy, transaction); of the recipient stage also the resolution of the recipient; of
the message stage also the header block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """What the steps need to know."""

    max_message_size: int
    max_recipients: int
    max_received_fields: int
    max_header_size: int
    has_room: Callable[[int], bool]  # whether so many octets more may be stored
    hostname: str = ""  # ours, as it stands in our Received fields
    max_own_received_fields: int = 10
