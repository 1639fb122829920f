"""Operations on senders: what they may send as, freezing and releasing them (see `operations`)."""

from __future__ import annotations

from typing import Any

from postroad.app.arguments import Arguments
from postroad.app.services import Services
from postroad.ports.senders import SenderKind


async def _send_as(services: Services, arguments: Arguments) -> Any:
    """Grant addresses, or withdraw them; without any, what was granted."""
    account, grants = arguments.text("account"), services.grants
    change = grants.withdraw if arguments.truth("remove") else grants.allow
    for address in arguments.texts("addresses"):
        await change(account, address)
    return await grants.list(account)


async def _freeze(services: Services, arguments: Arguments) -> Any:
    """Whom, and how many recipients are held of what waited for a later try."""
    state = await services.senders.freeze(SenderKind(arguments.text("kind")), arguments.text("name"))
    return {"kind": state.key.kind.value, "name": state.name, "held": state.held}


async def _release(services: Services, arguments: Arguments) -> Any:
    """How many recipients were released."""
    return await services.senders.release(SenderKind(arguments.text("kind")), arguments.text("name"))


OPERATIONS = {"account.send-as": _send_as, "senders.freeze": _freeze, "senders.release": _release}
