"""Operations on senders: what they may send as (see `operations`)."""

from __future__ import annotations

from typing import Any

from postroad.app.arguments import Arguments
from postroad.app.services import Services


async def _send_as(services: Services, arguments: Arguments) -> Any:
    """Grant addresses, or withdraw them; without any, what was granted."""
    account, grants = arguments.text("account"), services.grants
    change = grants.withdraw if arguments.truth("remove") else grants.allow
    for address in arguments.texts("addresses"):
        await change(account, address)
    return await grants.list(account)


OPERATIONS = {"account.send-as": _send_as}
