"""What may be changed by hand, by name: the same functions for a running server (through its control socket) and for a
command that holds the lock itself. Arguments and results are plain JSON.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from postroad.accounts.audit import COMMAND_LINE
from postroad.app import logins, projects, senders
from postroad.app.arguments import Arguments
from postroad.app.sendmail import sendmail
from postroad.app.services import Services
from postroad.ports.ids import AccountId, DeliveryId, MessageId, ServerId
from postroad.ports.store import AccountRecord, AliasRecord, DeliveryState, DomainRecord, QueueFilter
from postroad.queue.actions import NAMES as ACTIONS
from postroad.queue.steady import SEEN

Operation = Callable[[Services, Arguments], Awaitable[Any]]


async def perform(services: Services, command: str, arguments: Arguments) -> Any:
    """Run one operation. Raises Refused, StoreUnavailable."""
    return await OPERATIONS[command](services, arguments)


async def _domain_add(services: Services, arguments: Arguments) -> Any:
    return _domain(
        await services.administration.add_domain(
            arguments.text("name"), relay_to=arguments.text("relay_to"), alias_of=arguments.text("alias_of")
        )
    )


async def _domain_remove(services: Services, arguments: Arguments) -> Any:
    return _domain(await services.administration.remove_domain(arguments.text("name")))


async def _domain_return_path(services: Services, arguments: Arguments) -> Any:
    """Set, or without a name for it take back."""
    paths, domain = services.administration.return_paths, arguments.text("domain")
    if arguments.truth("off"):
        return {"name": (await paths.clear_of_domain(domain)).name}
    return {"name": (await paths.set_of_domain(domain, arguments.text("name"))).name}


async def _account_add(services: Services, arguments: Arguments) -> Any:
    return _account(
        await services.administration.add_account(
            arguments.text("address"),
            arguments.text("password"),
            quota_bytes=arguments.number("quota"),
            is_hash=arguments.truth("is_hash"),
        )
    )


async def _account_password(services: Services, arguments: Arguments) -> Any:
    return _account(
        await services.administration.set_password(
            arguments.text("address"), arguments.text("password"), is_hash=arguments.truth("is_hash")
        )
    )


async def _account_quota(services: Services, arguments: Arguments) -> Any:
    return _account(await services.administration.set_quota(arguments.text("address"), arguments.number("quota")))


async def _account_remove(services: Services, arguments: Arguments) -> Any:
    return _account(await services.administration.remove_account(arguments.text("address")))


async def _alias_add(services: Services, arguments: Arguments) -> Any:
    return _alias(await services.administration.add_alias(arguments.text("address"), arguments.texts("targets")))


async def _alias_remove(services: Services, arguments: Arguments) -> None:
    await services.administration.remove_alias(arguments.text("address"))


def _queue_action(name: str) -> Operation:
    """One of queue.actions.NAMES on what fits the given filter; how many recipients it reached."""

    async def act(services: Services, arguments: Arguments) -> int:
        done = await services.actions.act(name, _filter(arguments), COMMAND_LINE, to=arguments.text("to"))
        return done.total

    return act


def _filter(arguments: Arguments) -> QueueFilter:
    age, youth = arguments.number("older_than"), arguments.number("younger_than")
    return QueueFilter(
        message=MessageId(arguments.number("message")) if arguments.number("message") else None,
        delivery=DeliveryId(arguments.number("delivery")) if arguments.number("delivery") else None,
        domain=arguments.text("domain"),
        dest=arguments.text("dest"),
        sender=arguments.text("sender"),
        recipient=arguments.text("recipient"),
        provider=arguments.text("provider"),
        stream=arguments.text("stream"),
        tag=arguments.text("tag"),
        server=ServerId(arguments.number("server")) if arguments.number("server") else None,
        account=AccountId(arguments.number("account")) if arguments.number("account") else None,
        cause=arguments.text("cause") or None,
        state=DeliveryState(arguments.text("state")) if arguments.text("state") else None,
        older_than=timedelta(seconds=age) if age else None,
        younger_than=timedelta(seconds=youth) if youth else None,
    )


async def _trust_clock(services: Services, _arguments: Arguments) -> str:
    """A person says that the wall clock is right."""
    services.steady.trust()
    now = services.steady.now().isoformat()
    await services.store.write(lambda tx: tx.meta.put(SEEN, now))
    return now


def _domain(record: DomainRecord) -> dict[str, Any]:
    return {"name": record.name, "kind": record.kind.value}


def _account(record: AccountRecord) -> dict[str, Any]:
    return {"address": record.address, "is_admin": record.is_admin}


def _alias(record: AliasRecord) -> dict[str, Any]:
    return {"address": record.address, "targets": list(record.targets)}


OPERATIONS: dict[str, Operation] = {
    "domain.add": _domain_add,
    "domain.remove": _domain_remove,
    "domain.return_path": _domain_return_path,
    "account.add": _account_add,
    "account.password": _account_password,
    "account.quota": _account_quota,
    "account.remove": _account_remove,
    "alias.add": _alias_add,
    "alias.remove": _alias_remove,
    **{f"queue.{name}": _queue_action(name) for name in ACTIONS},
    "queue.trust-clock": _trust_clock,
    **projects.OPERATIONS,
    **logins.OPERATIONS,
    **senders.OPERATIONS,
    "sendmail": sendmail,
}
